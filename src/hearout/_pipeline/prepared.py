"""An answer that is prepared while protected speech still plays: what the LLM and the TTS gave, kept unheard.

It is made and used at the agent's own nodes. When the turn is delivered, LiveKit goes its usual way (hook, chat
context, tools, playout), and what the nodes have ready is used if the LLM is asked for exactly that; if the hook
changed anything, it is asked afresh. So nothing that LiveKit does is done twice or left out, no tool runs for an answer
that nobody hears, and an answer that is dropped leaves no trace.
"""

import asyncio
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any

from livekit import rtc
from livekit.agents import FlushSentinel, ModelSettings, llm
from livekit.agents.voice.transcription.filters import filter_emoji, filter_markdown

from .given import GIVEN, Given
from .replay import ReplayBuffer, iterated, record
from .retry import LlmNode, TtsNode

AT_ONCE = 0.5
"""Seconds of prepared audio that are given without a pause; then `PACE`, since a room's transcript synchroniser blocks
the event loop for 11 ms for each second that it is given (1.8.9, ``_speaking_rate.py``)."""

PACE = 0.25
"""Seconds to wait for each second of prepared audio."""


class PreparedAnswer:
    """One prepared answer.

    Args:
        context: what the LLM is asked, with the announcement and the caller's words in it.
        think, speak: the agent's nodes.
        transforms: what LiveKit does to the text before the TTS gets it (the session's ``tts_text_transforms``).
    """

    def __init__(
        self,
        context: llm.ChatContext,
        tools: list[llm.Tool],
        *,
        think: LlmNode,
        speak: TtsNode,
        transforms: Sequence[Any] = (),
    ) -> None:
        self._asked = _fingerprint(context, tools)
        self._chunks: ReplayBuffer[llm.ChatChunk | str | FlushSentinel] = ReplayBuffer()
        self._written: ReplayBuffer[str] = ReplayBuffer()
        self._words: ReplayBuffer[str] = ReplayBuffer()
        """What LiveKit would give the agent's TTS node."""
        self._given = Given(lambda text, complete: None)
        self._is_asked_for = False
        self._frames: ReplayBuffer[rtc.AudioFrame] = ReplayBuffer()
        self._tasks = [
            asyncio.create_task(record(lambda: think(context, tools, ModelSettings()), self._chunks, self._note)),
            asyncio.create_task(record(lambda: _transformed(self._written.read(), transforms), self._words)),
            asyncio.create_task(record(lambda: self._noted(speak), self._frames)),
        ]
        self._tasks[0].add_done_callback(lambda _: self._written.close())

    def _noted(self, speak: TtsNode) -> Any:
        """The node's frames; in a task of its own, so that what the TTS is given is noted here only."""
        GIVEN.set(self._given)
        return speak(self._words.read(), ModelSettings())

    def answers(self, context: llm.ChatContext, tools: list[llm.Tool], model: ModelSettings) -> bool:
        """Whether the prepared answer is for exactly this context, and nothing has failed."""
        if not isinstance(model.tool_choice, str | dict) and self._chunks.error is None:
            return _fingerprint(context, tools) == self._asked
        return False

    def chunks(self) -> AsyncIterator[llm.ChatChunk | str | FlushSentinel]:
        """What the LLM said, as the answer to the turn."""
        self._is_asked_for = True
        return self._chunks.read()

    def first(self, otherwise: TtsNode) -> TtsNode:
        """A TTS node that tries the prepared audio first. For another text, and in each later try, it asks the TTS."""
        tries = itertools.count()
        return lambda text, model: otherwise(text, model) if next(tries) else self._frames_of(text, model, otherwise)

    async def _frames_of(
        self, text: AsyncIterable[str], model: ModelSettings, otherwise: TtsNode
    ) -> AsyncIterator[rtc.AudioFrame]:
        """The prepared audio if the TTS was given the same text; otherwise a new synthesis."""
        came: ReplayBuffer[str] = ReplayBuffer()
        taking = asyncio.create_task(record(lambda: text, came))
        try:
            if not await self._same(came):
                async for frame in iterated(otherwise(came.read(), model)):
                    yield frame
                return
            seconds, given = 0.0, GIVEN.get()
            try:
                async for frame in self._frames.read():
                    self._given.tell(given)
                    yield frame
                    seconds += frame.duration
                    if seconds > AT_ONCE:
                        await asyncio.sleep(PACE * frame.duration)
            finally:
                self._given.tell(given)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    async def _same(self, came: ReplayBuffer[str]) -> bool:
        """Whether the text that comes is the prepared one; known with its first words while the LLM still speaks.

        Of an LLM that was asked afresh it is never: it may begin alike, and go on later or otherwise.
        """
        heard = ""
        async for piece in came.read():
            if not self._is_asked_for:
                return False
            heard += piece
            prepared = "".join(self._words.items)
            if not (prepared.startswith(heard) or (heard.startswith(prepared) and not self._words.whole.is_set())):
                break
            if not self._words.whole.is_set() and heard.strip() and prepared.strip():
                return True
        failed = self._frames.error is not None or (self._frames.whole.is_set() and not self._frames.items)
        return heard.split() == "".join(self._words.items).split() and not failed

    async def drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note(self, chunk: llm.ChatChunk | str | FlushSentinel) -> None:
        if isinstance(chunk, str):
            self._written.add(chunk)
        elif isinstance(chunk, llm.ChatChunk) and chunk.delta is not None and chunk.delta.content:
            self._written.add(chunk.delta.content)


_BUILT_IN: dict[str, Callable[[AsyncIterable[str]], AsyncIterable[str]]] = {
    "filter_markdown": filter_markdown,
    "filter_emoji": filter_emoji,
}
"""LiveKit's transforms by their names: ``text_transforms.py`` (1.8.9) has no public function that applies them."""


def _transformed(text: AsyncIterable[str], transforms: Sequence[Any]) -> AsyncIterable[str]:
    for transform in transforms:
        text = _BUILT_IN[transform](text) if isinstance(transform, str) else transform(text)
    return text


def _fingerprint(context: llm.ChatContext, tools: list[llm.Tool]) -> tuple[Any, ...]:
    """All that decides on an answer: the messages by role, the tool calls with their results, and the tools."""
    items: list[tuple[Any, ...]] = []
    for item in context.items:
        match item:
            case llm.ChatMessage():
                seen = sum(isinstance(part, llm.ImageContent | llm.AudioContent) for part in item.content)
                items.append((item.role, " ".join((item.text_content or "").split()), seen))
            case llm.FunctionCall():
                items.append(("call", item.name, item.arguments))
            case llm.FunctionCallOutput():
                items.append(("output", item.name, item.output))
            case _:
                pass
    return (*items, *sorted(_name(tool) for tool in tools))


def _name(tool: llm.Tool) -> str:
    info = getattr(tool, "info", None)
    return str(getattr(info, "name", None) or getattr(tool, "id", None) or type(tool).__name__)

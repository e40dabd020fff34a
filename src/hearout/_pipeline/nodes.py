"""The agent's nodes and its hook, wrapped on the instance: where the caller's words and the agent's text pass.

All of them are public extension points of LiveKit, which calls them on the instance. It looks at the *class* to decide
whether an STT may be kept across a hand-over (1.8.9, ``agent_session.py``), so that stays as it is.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import Agent, FlushSentinel, ModelSettings, UserTurnExceededEvent, llm
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.utils import is_given
from livekit.agents.voice import SpeechHandle, io

from .. import _text as words
from .given import note_given
from .prepared import PreparedAnswer
from .replay import iterated
from .retry import SPEECH, Retry, RetryWatcher
from .transcripts import TranscriptGate

Hook = Callable[[Agent, Any, llm.ChatContext, llm.ChatMessage], Awaitable[None]]
Enters = Callable[[], Awaitable[None]]
Exceeded = Callable[[Callable[[UserTurnExceededEvent], Awaitable[None]], UserTurnExceededEvent], Awaitable[None]]


class Watcher(RetryWatcher, Protocol):
    """Who is told what passes, beside failures."""

    def text_known(self, handle: SpeechHandle, text: str) -> None:
        """So much of the text of a speech is known, as the LLM or the program wrote it; each time the new piece."""

    def text_shown(self, handle: SpeechHandle, text: str) -> None:
        """The agent's transcription node gave this piece: LiveKit puts it into the chat context."""

    def is_spoken_text(self, handle: SpeechHandle) -> bool:
        """Whether its text is one that a TTS was given before, which the agent's own node is not to change again."""

    def model_asked(self, handle: SpeechHandle) -> None:
        """The LLM is asked for it, or for what follows a tool."""

    def to_ask(self, handle: SpeechHandle, context: llm.ChatContext) -> llm.ChatContext:
        """The context for it, without what another speech is to answer."""

    def model_wrote(self, handle: SpeechHandle, text: str) -> None:
        """The LLM gave this piece of it, however much of it is said."""

    def tool_called(self, handle: SpeechHandle) -> None:
        """The LLM called a tool in it."""

    def prepared(self, handle: SpeechHandle) -> PreparedAnswer | None:
        """The answer that was prepared for this speech."""


class Nodes:
    """The nodes of one agent: the agent's own, and the wrapped ones that LiveKit calls.

    Args:
        agent: whose. Wrapped until :meth:`unwrap`.
        turn_completed: called instead of the agent's hook, with the agent, the hook, and what LiveKit gives it.
        entering: gives what is called instead of the agent's ``on_enter``.
        turn_exceeded: the same as `turn_completed` for its ``on_user_turn_exceeded``, without the agent.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        gate: TranscriptGate,
        retry: Retry,
        watcher: Watcher,
        entering: Callable[[Enters], Enters],
        turn_completed: Hook,
        turn_exceeded: Exceeded,
    ) -> None:
        self._watcher = watcher
        self._turn_completed = turn_completed
        self.turn = asyncio.Lock()
        """Held while the agent's hook runs and its answer is asked for: turns are answered in their order."""
        self.think = agent.llm_node
        self._speak = agent.tts_node
        self.hook = agent.on_user_turn_completed
        self._transcribe = agent.transcription_node
        self._retry = retry
        self._tried_think = retry.llm_node(self.think)
        self._tried_speak = retry.tts_node(self._speak, self._tts)
        self._tried_default = retry.tts_node(lambda text, model: Agent.default.tts_node(agent, text, model), self._tts)
        self._agent = agent
        wrapped: dict[str, Any] = {
            "stt_node": gate.node(agent.stt_node),
            "llm_node": self._llm_node,
            "tts_node": self._tts_node,
            "transcription_node": self._transcription_node,
            "on_user_turn_completed": self._on_user_turn_completed,
            "on_user_turn_exceeded": partial(turn_exceeded, agent.on_user_turn_exceeded),
            "on_enter": entering(agent.on_enter),
        }
        self._own = {name: agent.__dict__.get(name) for name in wrapped}
        for name, node in wrapped.items():
            setattr(agent, name, node)

    def unwrap(self) -> None:
        """Give the agent back as it was: it may be used again, in another session too."""
        for name, own in self._own.items():
            if own is None:
                delattr(self._agent, name)
            else:
                setattr(self._agent, name, own)

    def _tts(self) -> Any:
        own = self._agent.tts
        return own if is_given(own) else self._agent.session.tts

    def speak(self, text: AsyncIterable[str], model: ModelSettings) -> Any:
        """Call the agent's own TTS node; the text that its TTS is given is noted where `GIVEN` says so."""
        note_given(self._tts())
        return self._speak(text, model)

    async def _llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterator[llm.ChatChunk | str | FlushSentinel]:
        handle, ready = SPEECH.get(), None
        if handle is not None:
            self._watcher.model_asked(handle)
            chat_ctx = self._watcher.to_ask(handle, chat_ctx)
            ready = self._watcher.prepared(handle)
        if ready is not None and ready.answers(chat_ctx, tools, model_settings):
            chunks: Any = self._retry.llm_node(lambda *_: ready.chunks())(chat_ctx, tools, model_settings)
        else:
            chunks = self._tried_think(chat_ctx, tools, model_settings)
        async for chunk in iterated(chunks):
            if handle is not None:
                self._tell_of(chunk, handle)
            yield chunk

    def _tell_of(self, chunk: llm.ChatChunk | str | FlushSentinel, handle: SpeechHandle) -> None:
        if isinstance(chunk, str):
            self._watcher.model_wrote(handle, chunk)
        elif isinstance(chunk, llm.ChatChunk) and chunk.delta:
            self._watcher.model_wrote(handle, chunk.delta.content or "")
            if chunk.delta.tool_calls:
                self._watcher.tool_called(handle)

    async def _tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
        handle = SPEECH.get()
        ready = None if handle is None else self._watcher.prepared(handle)
        if handle is not None and ready is not None:
            frames: Any = self._retry.tts_node(ready.first(self._speak), self._tts)(text, model_settings)
        elif handle is not None and self._watcher.is_spoken_text(handle):
            frames = self._tried_default(text, model_settings)
        else:
            frames = self._tried_speak(text, model_settings)
        sentence = _Sentences()
        async for frame in iterated(frames):
            if handle is not None:
                for timed in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()):
                    if (placed := sentence.ended_by(timed)) is not None:
                        self._watcher.sentence_placed(handle, *placed)
            yield frame

    async def _transcription_node(
        self, text: AsyncIterable[str | io.TimedString], model_settings: ModelSettings
    ) -> AsyncIterator[str | io.TimedString]:
        handle = SPEECH.get()

        async def noted() -> AsyncIterator[str | io.TimedString]:
            async for piece in text:
                if handle is not None and not isinstance(piece, FlushSentinel):
                    self._watcher.text_known(handle, str(piece))
                yield piece

        async for piece in iterated(self._transcribe(noted(), model_settings)):
            if handle is not None:
                self._watcher.text_shown(handle, str(piece))
            yield piece

    async def _on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        await self._turn_completed(self._agent, self.hook, turn_ctx, new_message)


class _Sentences:
    """Finds where sentences begin in a timed transcript, which comes in words or in sentences."""

    def __init__(self) -> None:
        self._begins = 0.0
        self._text = ""

    def ended_by(self, piece: Any) -> tuple[float, str] | None:
        """The second at which the sentence begins that ends with this piece, and the sentence."""
        if not isinstance(piece, io.TimedString) or not isinstance(piece.start_time, float | int):
            return None
        if not self._text:
            self._begins = float(piece.start_time)
        self._text += piece
        if not words.ends_a_sentence(self._text):
            return None
        ended, self._text = self._text, ""
        return self._begins, ended

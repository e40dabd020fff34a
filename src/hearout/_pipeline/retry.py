"""What protected speech is made of, tried again where it broke off: the model's text and the voice's audio.

LiveKit 1.8.9 does not try a voice again once audio was pushed (``tts/tts.py``), and says the first part twice when a
model's stream is retried in the middle (``llm/llm.py``). Both nodes are public extension points of the agent.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from livekit import rtc
from livekit.agents import APIError, FlushSentinel, ModelSettings, llm
from livekit.agents.voice import SpeechHandle

from .replay import ReplayBuffer, iterated, record

SPEECH: ContextVar[SpeechHandle | None] = ContextVar("hearout_speech", default=None)
"""Which speech a node works for. Set when LiveKit announces the speech, so that its tasks inherit it: LiveKit calls a
node without saying for which speech, and prepares one while another plays."""

Failed = Callable[[SpeechHandle, str], None]
TtsNode = Callable[[AsyncIterable[str], ModelSettings], Any]
LlmNode = Callable[[llm.ChatContext, list[llm.Tool], ModelSettings], Any]


def _protected() -> SpeechHandle | None:
    handle = SPEECH.get()
    return handle if handle is not None and not handle.allow_interruptions else None


class Retry:
    """Wraps an agent's nodes; speech that may be interrupted passes as it is.

    Args:
        tries: how often the voice is asked for one utterance, the first time included.
        patience: seconds that the voice may stall once it has the whole text.
        failed: told of each break-off: whose, and of what (``"voice"`` or ``"model"``).
        given_up: told when a part of the utterance will not be said.
    """

    def __init__(self, *, tries: int, patience: float, failed: Failed, given_up: Failed) -> None:
        self._tries = tries
        self._patience = patience
        self._failed = failed
        self._given_up = given_up

    def tts_node(self, original: TtsNode) -> TtsNode:
        """The voice, which goes on from the failed sample."""

        async def speak(text: AsyncIterable[str], model: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
            if (handle := _protected()) is None:
                async for frame in iterated(original(text, model)):
                    yield frame
                return
            # Read by a task of its own: the default node cancels its reader when its voice fails (1.8.9, ``agent.py``),
            # and with it, while the model still writes, the text itself would end for the next try.
            kept: ReplayBuffer[str] = ReplayBuffer()
            reading = asyncio.create_task(record(lambda: text, kept))
            try:
                async with aclosing(self._tried(original, kept, model, handle)) as frames:
                    async for frame in frames:
                        yield frame
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

        return speak

    async def _tried(
        self, original: TtsNode, text: ReplayBuffer[str], model: ModelSettings, handle: SpeechHandle
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        sent = 0
        for _ in range(self._tries):
            skip, given = sent, asyncio.Event()
            made = self._patient(iterated(original(_all(text, given), model)), given)
            try:
                async with aclosing(made) as frames:
                    async for frame in frames:
                        if skip >= frame.samples_per_channel:
                            skip -= frame.samples_per_channel
                            continue
                        rest, skip = _after(frame, skip), 0
                        sent += rest.samples_per_channel
                        yield rest
            except (APIError, TimeoutError):
                self._failed(handle, "voice")
            else:
                return
        # Not raised: LiveKit would then call the speech finished while its audio still plays (1.8.9, say()).
        self._given_up(handle, "voice")

    def llm_node(self, original: LlmNode) -> LlmNode:
        """The model; what a retried stream repeats is left out, and what it says otherwise ends the text."""

        async def think(
            chat_ctx: llm.ChatContext, tools: list[llm.Tool], model: ModelSettings
        ) -> AsyncIterator[llm.ChatChunk | str | FlushSentinel]:
            handle, said = _protected(), _Said()
            try:
                async for chunk in iterated(original(chat_ctx, tools, model)):
                    if handle is None or not isinstance(chunk, llm.ChatChunk) or said.is_new(chunk):
                        yield chunk
                    elif said.contradicted:
                        self._given_up(handle, "model")
                        return
            except APIError:
                if handle is not None:
                    self._given_up(handle, "model")
                raise

        return think

    async def _patient(
        self, frames: AsyncGenerator[rtc.AudioFrame, None], given: asyncio.Event
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """The frames; a stall of the voice is a `TimeoutError`, a stall of the model is not the voice's."""
        try:
            while True:
                upcoming = asyncio.ensure_future(anext(frames))
                try:
                    frame = await self._before_patience_ends(upcoming, given)
                except StopAsyncIteration:
                    return
                finally:
                    upcoming.cancel()
                    await asyncio.gather(upcoming, return_exceptions=True)
                yield frame
        finally:
            await frames.aclose()

    async def _before_patience_ends(
        self, upcoming: asyncio.Future[rtc.AudioFrame], given: asyncio.Event
    ) -> rtc.AudioFrame:
        complete = asyncio.ensure_future(given.wait())
        either: set[asyncio.Future[Any]] = {upcoming, complete}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                await asyncio.wait({upcoming}, timeout=self._patience)
            if not upcoming.done():
                raise TimeoutError
            return upcoming.result()
        finally:
            complete.cancel()
            await asyncio.gather(complete, return_exceptions=True)


class _Said:
    """What a model's stream has said, to recognise what a retried stream says again."""

    def __init__(self) -> None:
        self._text = ""
        self._stream: str | None = None
        self._repeated = 0
        self.contradicted = False

    def is_new(self, chunk: llm.ChatChunk) -> bool:
        """Whether the chunk says something new; cuts off what it repeats."""
        content = chunk.delta.content if chunk.delta else None
        if not content or chunk.delta is None:
            return True
        if chunk.id != self._stream:  # a retried stream begins again, under another id
            self._stream, self._repeated = chunk.id, 0
        due = self._text[self._repeated :]
        if due.startswith(content):
            self._repeated += len(content)
            return bool(chunk.delta.tool_calls)
        if not content.startswith(due):
            self.contradicted = True
            return False
        chunk.delta.content = content[len(due) :]
        self._text += chunk.delta.content
        self._repeated = len(self._text)
        return True


async def _all(text: ReplayBuffer[str], given: asyncio.Event) -> AsyncIterator[str]:
    """The text from its beginning; `given` is set once the voice has taken the last of it."""
    async for piece in text.read():
        yield piece
    given.set()


def _after(frame: rtc.AudioFrame, samples: int) -> rtc.AudioFrame:
    """The frame without its first `samples` samples per channel."""
    if samples == 0:
        return frame
    rest = memoryview(frame.data).cast("B").cast("h")[samples * frame.num_channels :]
    return rtc.AudioFrame(
        data=rest.tobytes(),
        sample_rate=frame.sample_rate,
        num_channels=frame.num_channels,
        samples_per_channel=frame.samples_per_channel - samples,
    )

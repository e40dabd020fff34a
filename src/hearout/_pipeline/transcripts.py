"""The transcripts' gate: lets transcripts through to LiveKit, or keeps them while protected speech is owed.

LiveKit 1.8.9 drops a user turn that ends while uninterruptable speech is current (``agent_activity.py``, "skipping
reply to user input"). So, while the floor holds, no transcript reaches its STT, and no turn ends there.
What is held is later answered by us, or handed back to the STT as one final transcript. The node of the agent
(``Agent.stt_node``, a public extension point) is where all transcripts pass, whichever STT made them.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any

from livekit import rtc
from livekit.agents import LanguageCode, ModelSettings, stt

SttNode = Callable[[AsyncIterable[rtc.AudioFrame], ModelSettings], Any]

_TRANSCRIPTS = (
    stt.SpeechEventType.INTERIM_TRANSCRIPT,
    stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
    stt.SpeechEventType.FINAL_TRANSCRIPT,
)


SLACK, LONG_AGO = 0.2, 30.0
"""Seconds by which an STT may place words in the future, and beyond which its times are not believed."""

CLOCKS = 8
"""Streams of the STT that are remembered: a final that comes now is of one of the last."""


class TranscriptGate:
    """Every transcript of one session, in order.

    Args:
        keep: called with each transcript; whether it was kept, and so does not go on to LiveKit.
        restored: makes what the STT hears from what LiveKit gives it.
    """

    def __init__(
        self,
        keep: Callable[[stt.SpeechEvent], bool],
        *,
        restored: Callable[[AsyncIterable[rtc.AudioFrame]], AsyncIterable[rtc.AudioFrame]] = lambda audio: audio,
    ) -> None:
        self._keep = keep
        self._restored = restored
        self._handed_back: deque[stt.SpeechEvent] = deque()
        self._reported: list[str] = []
        self._came_early = False
        self._arrived = asyncio.Event()
        self._all_taken = asyncio.Event()
        self._all_taken.set()
        self._guessed = False
        self._clocks = [asyncio.get_running_loop().time()]
        """When each stream's first frame began, the newest first; and last, when the session did."""
        self._language = LanguageCode("")

    def node(self, original: SttNode) -> SttNode:
        """The node that LiveKit calls instead of `original`."""

        async def listen(audio: AsyncIterable[rtc.AudioFrame], model: ModelSettings) -> AsyncIterator[stt.SpeechEvent]:
            made = original(self._timed(self._restored(audio)), model)
            if asyncio.iscoroutine(made):
                made = await made
            if made is None:
                return
            async for event, ours in self._with_handed_back(aiter(made)):
                if event.alternatives and event.alternatives[0].language:
                    self._language = event.alternatives[0].language
                if ours or event.type not in _TRANSCRIPTS or not event.alternatives:
                    yield event
                elif not self._keep(event):
                    self._guessed = event.type is not stt.SpeechEventType.FINAL_TRANSCRIPT
                    yield event

        return listen

    def since(self, event: stt.SpeechEvent) -> tuple[float, float] | None:
        """How many seconds ago the words of a transcript began and ended; None where the STT does not tell.

        LiveKit (1.8.9) counts an STT's times from the first frame of its pipeline, and goes on with them on the
        pipeline's next stream; but a stream that begins before the first frame of its pipeline, as after
        `clear_user_turn()`, counts from the session's start. So it is the last of these moments that can be.
        """
        heard = event.alternatives[0]
        if heard.end_time <= max(0.0, heard.start_time):
            return None
        now = asyncio.get_running_loop().time()
        ended = next((ago for one in self._clocks if (ago := now - one - heard.end_time) >= -SLACK), math.inf)
        length = heard.end_time - heard.start_time
        return (ended + length, max(0.0, ended)) if ended <= LONG_AGO else None

    async def _timed(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
        """The audio of a new stream; when its first frame began is noted."""
        begins = True
        async for frame in audio:
            if begins:
                begins = False
                began = asyncio.get_running_loop().time() - frame.duration
                self._clocks = [began, *self._clocks[:-1][: CLOCKS - 1], self._clocks[-1]]
            yield frame

    def hand_back(self, text: str, *, early: bool) -> None:
        """Give `text` to LiveKit as one final transcript, to be joined with what the caller says next.

        Args:
            text: was reported as transcribed while it was held.
            early: whether any of it began before the agent's question was asked.
        """
        self._came_early = self._came_early or early
        self._reported.append(text)
        self._give(stt.SpeechEventType.FINAL_TRANSCRIPT, text)

    async def taken(self) -> None:
        """Wait until LiveKit has what was handed back."""
        await self._all_taken.wait()

    def was_reported(self, text: str) -> bool:
        """Whether this transcript was handed back, and so was reported before; asked once for each."""
        if text not in self._reported:
            return False
        self._reported.remove(text)
        return True

    def take_early(self) -> bool:
        """Whether any words that were handed back began before the agent's question; asked once for each turn."""
        early, self._came_early = self._came_early, False
        return early

    def take_back_the_guess(self) -> None:
        """Let LiveKit forget an interim transcript whose final will be kept: LiveKit would make a turn of it
        (1.8.9)."""
        if self._guessed:
            self._guessed = False
            self._give(stt.SpeechEventType.INTERIM_TRANSCRIPT, "")

    def _give(self, kind: stt.SpeechEventType, text: str) -> None:
        heard = stt.SpeechData(language=self._language, text=text, confidence=1.0)
        self._handed_back.append(stt.SpeechEvent(type=kind, alternatives=[heard]))
        self._all_taken.clear()
        self._arrived.set()

    async def _with_handed_back(
        self, heard: AsyncIterator[stt.SpeechEvent]
    ) -> AsyncIterator[tuple[stt.SpeechEvent, bool]]:
        """The STT's events and the returned ones between them, each with whether it is a returned one.

        A returned transcript leaves the queue only when LiveKit takes it: a node that is closed or fails loses nothing,
        its successor goes on. Events that come together are given together, without a step of the loop between them:
        LiveKit (1.8.9) decides otherwise where the end of speech is not there in the step of the last transcript.
        """
        waiting: deque[stt.SpeechEvent] = deque()

        async def read() -> None:
            try:
                async for event in heard:
                    waiting.append(event)
                    self._arrived.set()
            finally:
                self._arrived.set()

        reading = asyncio.ensure_future(read())
        try:
            while True:
                while self._handed_back:
                    yield self._handed_back.popleft(), True
                self._all_taken.set()
                if waiting:
                    yield waiting.popleft(), False
                elif reading.done():
                    reading.result()
                    return
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if isinstance(heard, AsyncGenerator):
                await heard.aclose()

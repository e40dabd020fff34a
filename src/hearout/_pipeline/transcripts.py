"""The transcripts' gate: lets transcripts through to LiveKit, or keeps them while protected speech is owed.

LiveKit 1.8.9 drops a user turn that ends while uninterruptable speech is current (``agent_activity.py``, "skipping
reply to user input"). So, while the floor holds, no transcript reaches its STT, and no turn ends there.
What is held is later answered by us, or handed back to the STT as one final transcript. The node of the agent
(``Agent.stt_node``, a public extension point) is where all transcripts pass, whichever STT made them.
"""

import asyncio
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
        self._audio_began: list[float] = []
        self._language = LanguageCode("")

    def node(self, original: SttNode) -> SttNode:
        """The node that LiveKit calls instead of `original`."""

        began: list[float] = []  # of the agent's audio: LiveKit counts an STT's times from there, on a new stream too

        async def listen(audio: AsyncIterable[rtc.AudioFrame], model: ModelSettings) -> AsyncIterator[stt.SpeechEvent]:
            self._audio_began = began
            made = original(_timed(self._restored(audio), began), model)
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
        """How many seconds ago the words of a transcript began and ended; None where the STT does not tell."""
        heard = event.alternatives[0]
        if not self._audio_began or heard.end_time <= max(0.0, heard.start_time):
            return None
        now = asyncio.get_running_loop().time() - self._audio_began[0]
        ended = now - heard.end_time
        # a stream that counts from another moment says what cannot be
        return (now - heard.start_time, max(0.0, ended)) if -SLACK <= ended <= LONG_AGO else None

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


async def _timed(audio: AsyncIterable[rtc.AudioFrame], began: list[float]) -> AsyncIterator[rtc.AudioFrame]:
    """The audio; when its first frame began is noted, once."""
    async for frame in audio:
        if not began:
            began.append(asyncio.get_running_loop().time() - frame.duration)
        yield frame

"""A telephone line inside this process: the agent's loudspeaker and microphone, a caller, and a recorder between them.

One clock drives everything: each 20 ms of the call, what the agent has ready is played, what the caller says is heard,
and both are recorded side by side. Audio counts only if it was there in time, as on a sound card.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents.voice import AgentSession, SpeechHandle, io
from livekit.agents.voice.transcription import TranscriptSynchronizer

if TYPE_CHECKING:
    from .card import Card

Samples = npt.NDArray[np.int16]

SAMPLE_RATE = 24_000
"""Hz, of both directions and of the recording: what LiveKit's rooms and the local voice use."""

FRAME = SAMPLE_RATE // 50
"""Samples in 20 ms."""


@dataclass
class PlayedSegment:
    """One stretch of the agent's speech on the line.

    Attributes:
        handle: LiveKit's handle of the speech it belongs to.
        start: seconds of the call at which its first sample was played; None before.
        end: seconds of the call at which its last sample was played; None before.
        captured: seconds handed over so far.
        played: seconds played.
        complete: whether all of it has been handed over.
        cut: whether it was cleared before its end.
    """

    handle: SpeechHandle | None
    start: float | None = None
    end: float | None = None
    captured: float = 0.0
    played: float = 0.0
    complete: bool = False
    cut: bool = False
    _pieces: deque[tuple[float, Samples]] = field(default_factory=deque, repr=False)
    _reported: float = 0.0
    _gap: bool = False


class ConsoleOutput(io.AudioOutput):
    """The audio output of the console: buffers as LiveKit's room output does, can be paused, and reports exact
    stretches."""

    def __init__(self, speaking: Callable[[], SpeechHandle | None]) -> None:
        super().__init__(label="line", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=SAMPLE_RATE)
        self._speaking = speaking
        self._open: PlayedSegment | None = None
        self._paused = False
        self.segments: list[PlayedSegment] = []
        self.waiting: deque[PlayedSegment] = deque()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._open is None:
            self._open = PlayedSegment(self._speaking())
            self.waiting.append(self._open)
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)[:, 0]
        self._open._pieces.append((time.monotonic(), samples))
        self._open.captured += frame.duration

    @property
    def run_so_far(self) -> tuple[float, float]:
        """The run that plays, for the receipts of calls that die: the second at which it began, and its last one."""
        segment = self.current
        return (0.0, 0.0) if segment is None else (segment._reported, segment.played)

    def flush(self) -> None:
        super().flush()
        if self._open is not None:
            self._open.complete = True
            self._open = None

    def clear_buffer(self) -> None:
        for segment in self.waiting:
            segment.cut, segment.complete = True, True
            segment._pieces.clear()
        self._open = None

    def pause(self) -> None:
        super().pause()
        self._paused = True

    def resume(self) -> None:
        super().resume()
        self._paused = False

    @property
    def current(self) -> PlayedSegment | None:
        """The stretch that is being played, or is next."""
        return self.waiting[0] if self.waiting else None

    def play(self, at: float, deadline: float) -> Samples:
        """The next 20 ms, beginning at `at` seconds of the call; what came after `deadline` (monotonic) is too late."""
        out = np.zeros(FRAME, np.int16)
        filled = 0
        while self.waiting and filled < FRAME and not self._paused:
            segment = self.waiting[0]
            taken = _take(segment._pieces, out[filled:], deadline)
            if taken and segment.played > segment._reported and segment._gap:
                self._progressed(segment)  # it ran dry: what follows is another stretch
            segment._gap = taken < FRAME - filled
            if taken and segment.start is None:
                segment.start = at + filled / SAMPLE_RATE
                self.segments.append(segment)
                self.on_playback_started(created_at=time.time())
            filled += taken
            segment.played += taken / SAMPLE_RATE
            if segment._pieces or not segment.complete:
                break
            segment.end = at + filled / SAMPLE_RATE
            self.waiting.popleft()
            self._progressed(segment)
            self.on_playback_finished(playback_position=segment.played, interrupted=segment.cut)
        return out

    def _progressed(self, segment: PlayedSegment) -> None:
        """Report what has been played since the last report: one stretch, without a hole in it."""
        if segment.played > segment._reported:
            duration = segment.played - segment._reported
            self.on_playback_progressed(started_at=time.time() - duration, offset=segment._reported, duration=duration)
            segment._reported = segment.played


class ConsoleInput(io.AudioInput):
    """What LiveKit hears: one frame for each 20 ms of the call."""

    def __init__(self) -> None:
        super().__init__(label="line")
        self._frames: asyncio.Queue[rtc.AudioFrame | None] = asyncio.Queue()

    def hear(self, samples: Samples) -> None:
        """The next 20 ms."""
        self._frames.put_nowait(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples)))

    def close(self) -> None:
        """The call is over: LiveKit's end of the stream."""
        self._frames.put_nowait(None)

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await self._frames.get()
        if frame is None:
            raise StopAsyncIteration
        return frame


class Captions(io.TextOutput):
    """The agent's words as they are spoken, paced by LiveKit's own synchroniser."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        super().__init__(label="line", next_in_chain=None)
        self._on_text = on_text

    async def capture_text(self, text: str) -> None:
        self._on_text(text)

    def flush(self) -> None:
        """Nothing is kept back."""


class Line:
    """One call. `attach` gives its ends to a session; it then runs until :meth:`hang_up`.

    Args:
        on_tick: called every 20 ms of the call, in the session's loop, with the seconds since its beginning.
        on_attached: called in the session's loop with the session, before LiveKit starts it.
        on_caption: called with each piece of the agent's text as it is spoken.
    """

    def __init__(
        self,
        *,
        on_tick: Callable[[float], None],
        on_attached: Callable[[AgentSession[Any]], None],
        on_caption: Callable[[str], None],
    ) -> None:
        self.card: Card | None = None
        self._on_tick = on_tick
        self._on_attached = on_attached
        self._on_caption = on_caption
        self._caller: deque[tuple[float, Samples]] = deque()
        self._ticks = 0
        self._begun = 0.0
        self.began_at = 0.0
        self._over = False
        self._clock: asyncio.Task[None] | None = None
        self._captions: TranscriptSynchronizer | None = None
        self._recorded: list[tuple[Samples, Samples]] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.session: AgentSession[Any] | None = None
        self.loudspeaker = ConsoleOutput(lambda: self.session.current_speech if self.session else None)
        self.microphone: ConsoleInput | None = None

    def attach(self, session: AgentSession[Any]) -> None:
        """Give the session this line's ends, and start the call's clock."""
        self.session, self.loop = session, asyncio.get_running_loop()
        self.microphone = ConsoleInput()
        captions = self._captions = TranscriptSynchronizer(
            next_in_chain_audio=self.loudspeaker, next_in_chain_text=Captions(self._on_caption)
        )
        session.input.audio = self.microphone
        session.output.audio = captions.audio_output
        session.output.transcription = captions.text_output
        self._on_attached(session)
        if self.card is not None:
            self.card.open()
        self._begun, self.began_at = time.monotonic(), time.time()
        self._clock = self.loop.create_task(self._run(), name="hearout line")

    @property
    def now(self) -> float:
        """Seconds since the beginning of the call, on its clock."""
        return self._ticks * FRAME / SAMPLE_RATE

    @property
    def caller_talks(self) -> bool:
        """Whether the caller still has something to say that was put on the line."""
        return bool(self._caller)

    def speak(self, samples: Samples) -> float:
        """Queue `samples` (24 kHz mono) behind the caller's current speech; the second of the call at which they begin.

        Call it in the session's loop.
        """
        begins = self.now + sum(len(piece) for _, piece in self._caller) / SAMPLE_RATE
        self._caller.append((0.0, samples))  # whatever the time is, it came before
        return begins

    def recording(self) -> tuple[Samples, Samples]:
        """The caller's and the agent's audio so far, of the same length."""
        if not self._recorded:
            return np.zeros(0, np.int16), np.zeros(0, np.int16)
        caller, agent = zip(*self._recorded, strict=True)
        return np.concatenate(caller), np.concatenate(agent)

    async def hang_up(self) -> None:
        """End the call: the clock stops, and LiveKit's STT gets its end. Does nothing the second time."""
        if self._over:
            return
        self._over = True
        if self.microphone is not None:
            self.microphone.close()
        if self.card is not None:
            self.card.close()
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
        if self._captions is not None:
            await self._captions.aclose()

    async def _run(self) -> None:
        """The clock: each 20 ms at its own time, so that being late once does not make all the rest late."""
        while True:
            deadline = self._begun + (self._ticks + 1) * FRAME / SAMPLE_RATE
            if (wait := deadline - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self._tick(deadline)

    def _tick(self, deadline: float) -> None:
        at = self.now
        caller = np.zeros(FRAME, np.int16)
        _take(self._caller, caller, deadline)
        agent = self.loudspeaker.play(at, deadline)
        if self.card is not None:
            caller = np.maximum(np.minimum(caller.astype(np.int32) + self.card.exchange(agent), 32767), -32768)
            caller = caller.astype(np.int16)
        assert self.microphone is not None
        self.microphone.hear(caller)
        self._recorded.append((caller, agent))
        self._ticks += 1
        self._on_tick(self.now)


def _take(pieces: deque[tuple[float, Samples]], into: Samples, deadline: float) -> int:
    """Move samples that came in time, each piece with when it came, and say how many they were."""
    filled = 0
    while pieces and filled < len(into) and pieces[0][0] <= deadline:
        came, samples = pieces.popleft()
        count = min(len(samples), len(into) - filled)
        into[filled : filled + count] = samples[:count]
        filled += count
        if count < len(samples):
            pieces.appendleft((came, samples[count:]))
    return filled

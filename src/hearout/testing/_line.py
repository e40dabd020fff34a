"""The two ends of the line: the caller's microphone, and an audio output that behaves like the one of a room."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from livekit import rtc
from livekit.agents.voice import io

from ._sound import AGENT_RATE, CALLER_RATE, Samples

FRAME = 0.05
"""Seconds of one frame of the microphone: what LiveKit 1.8.9 asks of a room (``room_io/types.py``)."""

_PER_FRAME = int(CALLER_RATE * FRAME)
_SILENCE = bytes(2 * _PER_FRAME)


class Microphone(io.AudioInput):
    """The caller's sound, frame by frame; each frame comes when its last sample was spoken."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(label="caller")
        self._now = now
        self._frames = 0
        self._away = False
        self._attached = True
        self._pieces: list[tuple[int, int, int]] = []

    def speak(self, start: float, end: float, value: int) -> None:
        """From `start` to `end` (seconds of the call), the samples are `value`; nothing while the caller is away."""
        if self._away:
            return
        self._pieces.append((round(start * CALLER_RATE), round(end * CALLER_RATE), value))

    @property
    def is_silent(self) -> bool:
        """Whether nothing is being spoken."""
        return not self._pieces

    def hang_up(self) -> None:
        """The caller is away: nothing of what was to be spoken is."""
        self._away = True
        self._pieces.clear()

    def take_up(self) -> None:
        """The caller is back."""
        self._away = False

    def on_attached(self) -> None:
        """As LiveKit asks for when audio is enabled."""
        self._attached = True

    def on_detached(self) -> None:
        """As LiveKit asks for when audio is disabled: as in a room, no frame comes."""
        self._attached = False

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            self._frames += 1
            await asyncio.sleep(self._frames * FRAME - self._now())
            data = self._sound((self._frames - 1) * _PER_FRAME) if self._pieces else _SILENCE
            if self._attached:
                return rtc.AudioFrame(data, CALLER_RATE, 1, _PER_FRAME)

    def _sound(self, first: int) -> bytes:
        samples = np.zeros(_PER_FRAME, dtype=np.int16)
        for start, end, value in self._pieces:
            samples[max(0, start - first) : max(0, end - first)] = value
        self._pieces = [piece for piece in self._pieces if piece[1] > first + _PER_FRAME]
        return samples.tobytes()


@dataclass(frozen=True)
class AudioReceiver:
    """Who listens at the audio output, and from when; and when the audio output dies.

    Args:
        subscribed_at: second of the call from which somebody listens; the sink takes no audio before, as a room's.
            None: nobody ever does.
        dead_from: second from which nothing is played and nothing reported any more. None: never.
    """

    subscribed_at: float | None = 0.0
    dead_from: float | None = None


@dataclass
class SentAudio:
    """Audio on its way out: samples, and when the first of them leaves (seconds of the call)."""

    start: float
    samples: Samples
    rate: int = AGENT_RATE

    @property
    def end(self) -> float:
        return self.start + len(self.samples) / self.rate


class Loudspeaker(io.AudioOutput):
    """Plays what it is given at the speed of sound, and remembers every sample that left.

    It does what the room's output of LiveKit 1.8.9 does (``room_io/_output.py``): waits for the first subscriber,
    reports stretches as they can no longer be revised, and throws away the 0.2 s queued ahead when it is paused.

    Args:
        flushed: called with the second at which all that was handed over so far will have been played.
        captured: called with the first piece of each segment.
        rate: its sample rate in Hz.
    """

    QUEUED = 0.2
    """Seconds that LiveKit hands to the network ahead of time; lost when the output is paused."""

    UNSURE = QUEUED + 0.05
    """The same, and a frame that waits for its place in there."""

    def __init__(
        self,
        now: Callable[[], float],
        listener: AudioReceiver,
        *,
        captured: Callable[[SentAudio], None],
        flushed: Callable[[float], None],
        rate: int = AGENT_RATE,
    ) -> None:
        super().__init__(
            label="loudspeaker",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=rate,
        )
        self._rate = rate
        self._now = now
        self._listener = listener
        self._captured = captured
        self._flushed = flushed
        self._subscribed = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        if listener.subscribed_at is not None:
            self._timers.append(
                asyncio.get_running_loop().call_later(listener.subscribed_at - now(), self._subscribed.set)
            )
        self._segment: list[SentAudio] = []
        self._discarded = 0.0
        self._reported = 0.0
        self._waiting: list[Samples] | None = None  # not None: paused
        self._flush_asked = False
        self._is_over = asyncio.Event()
        self._cleared = False
        self._finish: asyncio.TimerHandle | None = None
        self._away: list[tuple[float, float]] = []
        self._played: list[SentAudio] = []

    @property
    def dead(self) -> bool:
        return self._listener.dead_from is not None and self._now() >= self._listener.dead_from

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await self._subscribed.wait()
        await super().capture_frame(frame)
        while self._flush_asked and not self.dead:  # as the room: one segment plays at a time
            self._is_over.clear()
            await self._is_over.wait()
        if self._cleared:
            return  # as the room: what comes between a clear and its flush is ignored
        samples = np.frombuffer(frame.data, dtype=np.int16).reshape(-1, frame.num_channels)[:, 0]
        if self._waiting is not None:
            self._waiting.append(samples)
        else:
            self._play(samples)

    @property
    def run_so_far(self) -> tuple[float, float]:
        """The run that plays, as hearout reads it from a room's output: the second at its begin, and the one reached.

        Nobody can say of the last `UNSURE` seconds that were given to the network whether they left.
        """
        since = self._reported + self._discarded
        if not self._segment or self.dead:
            return since, since
        given = self._position()
        left = given - max(0.0, self._segment[-1].end - self._now())
        return since, self._discarded + min(left, given - self.UNSURE)

    def flush(self) -> None:
        super().flush()
        if self._cleared:
            self._finished(interrupted=True)
        elif self._segment or self._waiting:
            self._flush_asked = True
            self._schedule_finish()

    def clear_buffer(self) -> None:
        if not self._segment and not self._waiting:
            return
        self._cut(self._now())
        self._waiting = None if self._waiting is None else []
        self._cleared = True
        if self._flush_asked:
            asyncio.get_running_loop().call_soon(lambda: self._finished(interrupted=True))

    def pause(self) -> None:
        super().pause()
        if self._waiting is not None:
            return
        now = self._now()
        self._waiting = []
        queue = self.QUEUED
        for rest in self._cut(now):
            lost = min(queue, len(rest) / self._rate)
            queue -= lost
            self._discarded += lost
            if len(kept := rest[round(lost * self._rate) :]):
                self._waiting.append(kept)

    def resume(self) -> None:
        super().resume()
        waiting, self._waiting = self._waiting, None
        for samples in waiting or ():
            self._play(samples)
        if self._flush_asked:
            self._schedule_finish()

    def close(self) -> None:
        """Stop everything: the call is over."""
        self._cut(self._now())
        for timer in [*self._timers, *([self._finish] if self._finish else [])]:
            timer.cancel()
        if self._segment and self.dead:
            # LiveKit 1.8.9 leaves a task that waits for the report of an audio output that died, beyond the session's
            # end; what it waits for is told it now, when it can do no more
            self.on_playback_finished(playback_position=0.0, interrupted=True)

    def hang_up(self) -> None:
        """Nobody listens: what leaves from now on is not counted as played."""
        self._away.append((self._now(), math.inf))

    def take_up(self) -> None:
        """Somebody listens again."""
        self._away = [(gone, min(back, self._now())) for gone, back in self._away]

    def played(self) -> list[tuple[float, Samples]]:
        """The pieces that left while a caller was there, each with the second at which it began."""
        dead_from = self._listener.dead_from
        away = sorted(self._away if dead_from is None else [*self._away, (dead_from, math.inf)])
        return [part for piece in sorted(self._played, key=lambda piece: piece.start) for part in _without(piece, away)]

    def _play(self, samples: Samples) -> None:
        now = self._now()
        start = max(now, self._segment[-1].end) if self._segment else now
        piece = SentAudio(start, samples, self._rate)
        if not self._segment:
            self._captured(piece)
        if self._segment and start > self._segment[-1].end + 1e-6:
            self._report(self._segment[-1].end)  # it ran dry: what follows is another stretch
        first = not self._segment
        self._segment.append(piece)
        self._played.append(piece)
        if first and not self.dead:
            self.on_playback_started(created_at=time.time())

    def _cut(self, at: float) -> list[Samples]:
        """Stop at `at`; what was not played by then is taken back, and returned."""
        taken: list[Samples] = []
        for pieces in (self._segment, self._played):
            taken = []
            for piece in list(pieces):
                if piece.end <= at:
                    continue
                keep = max(0, round((at - piece.start) * self._rate))
                taken.append(piece.samples[keep:])
                pieces.remove(piece)
                if keep:
                    pieces.append(SentAudio(piece.start, piece.samples[:keep], self._rate))
        self._report(at)
        if self._finish:
            self._finish.cancel()
        return taken

    def _position(self) -> float:
        return sum(len(piece.samples) for piece in self._segment) / self._rate

    def _report(self, ended_at: float) -> None:
        duration = self._position() - self._reported
        if duration > 1e-9 and not self.dead:
            self.on_playback_progressed(
                started_at=time.time() - self._now() + ended_at - duration,
                offset=self._reported + self._discarded,
                duration=duration,
            )
        self._reported = self._position()

    def _schedule_finish(self) -> None:
        if self._waiting is not None or not self._segment:
            return
        end = self._segment[-1].end
        self._flushed(end)
        loop = asyncio.get_running_loop()
        if self._finish:  # resumed though it was not paused
            self._finish.cancel()
        self._finish = loop.call_later(max(0.0, end - self._now()), lambda: self._finished(interrupted=False))

    def _finished(self, *, interrupted: bool) -> None:
        if self.dead:
            return
        if not interrupted:
            self._report(self._now())
        position = self._position()
        self._segment, self._reported, self._discarded = [], 0.0, 0.0
        self._flush_asked = self._cleared = False
        self._is_over.set()
        if self._waiting is not None and interrupted:
            self._waiting = []
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


def _without(piece: SentAudio, away: list[tuple[float, float]]) -> list[tuple[float, Samples]]:
    """What of a piece lies outside of these stretches, which are in the order of their beginnings."""
    kept, begin = [], piece.start
    for gone, back in [*away, (piece.end, piece.end)]:
        if (end := min(gone, piece.end)) > begin:
            first, last = (round((second - piece.start) * piece.rate) for second in (begin, end))
            kept.append((begin, piece.samples[first:last]))
        begin = max(begin, back)
    return kept

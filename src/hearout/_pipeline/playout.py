"""What left the audio output: counts each speech's seconds, on their way from LiveKit to the sink."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

from livekit import rtc
from livekit.agents.voice import SpeechHandle, io
from livekit.agents.voice.transcription import TranscriptSynchronizer

from .awake import Awake

REPORTS = 1.0
"""Seconds within which a sink that lives reports the end of what was cleared."""

STEP = 0.5
"""Seconds of audio after which what was handed over is reported again; each report costs the floor some 20 µs."""

QUEUED = 0.25
"""Seconds of what a room's output gave its audio source of which nobody can say whether they left: LiveKit (1.8.9) has
a queue of 0.2 s, and one frame of 0.05 s waits for its place in there. The source takes no more, so the rest has left,
however late the process ran. ``AudioSource.queued_duration`` goes by Python's clock, and is 0 where the threads that
send stood still."""


@runtime_checkable
class TellsItsRun(Protocol):
    """An audio output that tells how far it is while it plays: ours."""

    @property
    def run_so_far(self) -> tuple[float, float]:
        """The run that plays: the second of the segment at which it began, and up to which it has left for sure."""
        ...


def run_so_far(sink: io.AudioOutput) -> tuple[float, float] | None:
    """The run that plays at the end of a chain of audio outputs, as in `TellsItsRun`; None where nobody tells.

    An avatar, or an app's own output, tells by its reports (``on_playback_progressed``), or only at the end.
    """
    while sink.next_in_chain is not None:
        sink = sink.next_in_chain
    if isinstance(sink, TellsItsRun):
        return sink.run_so_far
    # by private names: LiveKit's room output has no public way to tell (1.8.9), and reports a run once it is over
    source = getattr(sink, "_audio_source", None)
    given, began = getattr(sink, "_source_pushed_duration", None), getattr(sink, "_run_offset", None)
    if not isinstance(source, rtc.AudioSource) or not isinstance(given, float) or not isinstance(began, float):
        return None
    return began, given - max(QUEUED, source.queued_duration)


class PlayoutObserver(Protocol):
    """A listener for playout. All seconds are of the whole speech, earlier stretches included."""

    async def may_play(self, handle: SpeechHandle) -> None:
        """Return when its first sample may leave; called before each stretch, and soon."""

    def playout_made(self, handle: SpeechHandle, seconds: float, *, complete: bool) -> None:
        """So much was handed over to the audio output; all of the stretch, when `complete`."""

    def playout_started(self, handle: SpeechHandle) -> None:
        """The first sample of a stretch left."""

    def playout_progressed(self, handle: SpeechHandle, since: float, until: float, sure: float) -> None:
        """It has left, from one of its seconds to another, to the last one for sure, and cannot be taken back."""

    def playout_finished(self, handle: SpeechHandle, seconds: float) -> None:
        """A stretch ended; so much has left in all."""


@dataclass
class _Seconds:
    """Of one speech: made, made when that was reported last, played, and of silence before the stretch that plays."""

    made: float = 0.0
    reported: float = 0.0
    played: float = 0.0
    lead: float = 0.0


@dataclass(eq=False)
class _CapturedStretch:
    """Audio from its first frame to its flush, of one speech; `taken`: whether the sink took any of that."""

    handle: SpeechHandle | None
    taken: bool = False


class PlayoutMeter(io.AudioOutput):
    """Sits before the session's audio output and passes everything on.

    LiveKit 1.8.9 calls a speech done by a local clock, whatever was discarded; `playback_position` and, where the sink
    has them, progress reports are the only facts (``docs/livekit.md``), so both are listened to here.

    Args:
        speaking: whose audio is being captured: called in LiveKit's task for it.
        lead_in: asked when a stretch begins: seconds of silence to play before it, which are no part of it.
    """

    def __init__(
        self,
        sink: io.AudioOutput,
        *,
        speaking: Callable[[], SpeechHandle | None],
        listener: PlayoutObserver,
        awake: Awake,
        lead_in: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__(
            label="hearout",
            capabilities=io.AudioOutputCapabilities(pause=True),
            next_in_chain=sink,
            sample_rate=sink.sample_rate,
        )
        self._speaking = speaking
        self._listener = listener
        self._awake = awake
        self._lead_in = lead_in
        self._starting: asyncio.TimerHandle | None = None
        self._captured: _CapturedStretch | None = None
        self._stretches: list[_CapturedStretch] = []
        self._seconds: dict[str, _Seconds] = {}
        """By the speech; until it is over."""
        self._looked_to = 0.0
        """The second of the stretch that plays to which it was seen to have left."""
        self._ends_at: float | None = None
        """When what was handed over will have left, by the loop's clock; None while it does not play."""

    @property
    def sink(self) -> io.AudioOutput:
        assert self.next_in_chain is not None
        return self.next_in_chain

    def left(self, handle: SpeechHandle, made: float) -> float:
        """Seconds of a speech, of so many that were made, that have not left by now."""
        known = self._of(handle)
        waiting = made - known.made
        if self._captured is None or self._captured.handle is not handle:
            return waiting
        if self._ends_at is None:
            return waiting + known.made - known.played
        return waiting + max(0.0, self._ends_at - asyncio.get_running_loop().time())

    def look(self) -> None:
        """Report what of protected speech has left by now, where the audio output tells.

        LiveKit's room output (1.8.9) reports a run when it is over, which may be the whole speech.
        """
        handle = self._speech()
        if handle is None or handle.allow_interruptions or (run := run_so_far(self.sink)) is None:
            return
        since, until = run
        if until > self._looked_to:  # before the run began, too: of the end of the one before it can be sure now
            self._looked_to = until
            self._left(handle, since, until, until)

    def _of(self, handle: SpeechHandle) -> _Seconds:
        if handle.id not in self._seconds:
            self._seconds[handle.id] = _Seconds()
            handle.add_done_callback(self._forget)
        return self._seconds[handle.id]

    def _forget(self, handle: SpeechHandle) -> None:
        self._seconds.pop(handle.id, None)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        begins = self._captured is None
        if self._captured is None:
            self._captured = _CapturedStretch(self._speaking())
        stretch = self._captured
        if (handle := stretch.handle) is not None:
            known = self._of(handle)
            known.made += frame.duration  # before the sink takes it: a room's waits there until somebody has subscribed
            if begins or known.made >= known.reported + STEP:
                known.reported = known.made
                self._listener.playout_made(handle, known.made, complete=False)
        if begins and handle is not None:
            await self._listener.may_play(handle)
            if (lead := self._lead_in()) > 0:
                self._of(handle).lead = lead
                await self.sink.capture_frame(_silence(lead, frame))
                stretch.taken = True
        await self.sink.capture_frame(frame)
        stretch.taken = True
        if self._ends_at is not None:
            self._ends_at = max(self._ends_at, asyncio.get_running_loop().time()) + frame.duration
        # counted only now: a room's sink that was left while it waited reports no end of what it never took
        await super().capture_frame(frame)

    def flush(self) -> None:
        super().flush()
        stretch, self._captured = self._captured, None
        if stretch is not None:
            self._ends_at = None
            if stretch.taken:
                self._stretches.append(stretch)
            if (handle := stretch.handle) is not None:
                self._listener.playout_made(handle, self._of(handle).made, complete=True)
        self.sink.flush()

    def clear_buffer(self) -> None:
        cleared = self._playing()
        self.sink.clear_buffer()
        if cleared is not None:
            self._awake.later(REPORTS, partial(self._end_for_the_sink, cleared))

    async def aclose(self) -> None:
        """Close the transcript synchronizers behind this meter; call it when the session is closed.

        A synchronizer that is detached keeps three tasks for a next segment until somebody closes it. Its owner may
        look for it at ``session.output.audio``, as LiveKit's own tests do, and finds the meter there. One that is
        attached to another session stays open.
        """
        output = self.next_in_chain
        while output is not None:
            # a private name: LiveKit has no public way from an audio output to its synchronizer
            synchronizer = getattr(output, "_synchronizer", None)
            if isinstance(synchronizer, TranscriptSynchronizer) and not synchronizer.enabled:
                await synchronizer.aclose()
            output = output.next_in_chain

    def on_playback_started(self, *, created_at: float) -> None:
        if (handle := self._speech()) is not None:
            if lead := self._of(handle).lead:
                self._starting = asyncio.get_running_loop().call_later(lead, self._start, handle)
            else:
                self._start(handle)
        super().on_playback_started(created_at=created_at)

    def on_playback_progressed(self, *, started_at: float, offset: float, duration: float) -> None:
        if (handle := self._speech()) is not None:
            lead = min(self._of(handle).lead, offset + duration)
            started_at, begin, end = started_at + max(0.0, lead - offset), max(offset, lead) - lead, offset + duration
            run = run_so_far(self.sink)
            self._left(handle, offset, offset + duration, math.inf if run is None else run[1])
            offset, duration = begin, end - lead - begin
        super().on_playback_progressed(started_at=started_at, offset=offset, duration=duration)

    def on_playback_finished(
        self, *, playback_position: float, interrupted: bool, synchronized_transcript: str | None = None
    ) -> None:
        handle = self._speech()
        self._looked_to = 0.0
        if self._stretches:
            self._stretches.pop(0)
        elif self._captured is not None:
            self._captured.taken = False  # cleared: some sinks report the end before the flush, and not again
        if handle is not None:
            known = self._of(handle)
            playback_position, known.lead = max(0.0, playback_position - known.lead), 0.0
            if self._starting is not None and playback_position > 0:
                self._start(handle)
            self._never_started()
            known.played += playback_position
            self._listener.playout_finished(handle, known.played)
        # LiveKit waits for no end of what its sink never took, nor for a second one, and warns of both. By a private
        # name: there is no public one for what it waits for (1.8.9)
        if self._pending_playback_count > 0:
            super().on_playback_finished(
                playback_position=playback_position,
                interrupted=interrupted,
                synchronized_transcript=synchronized_transcript,
            )

    def _left(self, handle: SpeechHandle, since: float, until: float, sure: float) -> None:
        """A run of the stretch left, its lead-in included; to the last of these seconds for sure."""
        lead, before = self._of(handle).lead, self._of(handle).played
        if until <= lead:
            return
        if self._starting is not None:
            self._start(handle)
        sure = max(lead, min(sure, until))
        self._listener.playout_progressed(
            handle, before + max(0.0, since - lead), before + until - lead, before + sure - lead
        )

    def _start(self, handle: SpeechHandle) -> None:
        """The lead-in is over."""
        self._never_started()
        if self._captured is not None and handle is self._captured.handle:
            known = self._of(handle)
            self._ends_at = asyncio.get_running_loop().time() + known.made - known.played
        self._listener.playout_started(handle)

    def _never_started(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None

    def _end_for_the_sink(self, cleared: _CapturedStretch) -> None:
        """Report the end of a cleared stretch when a dead sink does not: LiveKit would wait for it for ever."""
        if cleared is self._playing():
            self._captured = self._captured if self._stretches else None
            self._ends_at = None
            self.on_playback_finished(playback_position=0.0, interrupted=True)

    def _playing(self) -> _CapturedStretch | None:
        """The stretch that the sink is playing: the oldest that it has not reported as finished."""
        return self._stretches[0] if self._stretches else self._captured

    def _speech(self) -> SpeechHandle | None:
        playing = self._playing()
        return None if playing is None else playing.handle


def _silence(seconds: float, like: rtc.AudioFrame) -> rtc.AudioFrame:
    samples = round(seconds * like.sample_rate)
    return rtc.AudioFrame(bytes(2 * samples * like.num_channels), like.sample_rate, like.num_channels, samples)

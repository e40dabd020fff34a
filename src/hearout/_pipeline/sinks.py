"""How far an audio output has played, before it reports that a run is over."""

from typing import Protocol, runtime_checkable

from livekit import rtc
from livekit.agents.voice import io

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

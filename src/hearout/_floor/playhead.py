"""Which second of an utterance was being played when: by the clock, corrected by what the audio output said."""

import bisect
import math


class Playhead:
    """One attempt's playout, in runs without a gap: each began at a second of the call, at a second of the utterance.

    Within a run it goes by the clock, and so may be ahead of the audio output. No receipt claims what it says.
    """

    def __init__(self, begins_at: float) -> None:
        self._begins_at = begins_at
        self._runs: list[tuple[float, float]] = []

    @property
    def began(self) -> float | None:
        """When its first sample left, in seconds of the call; None before that."""
        return self._runs[0][0] if self._runs else None

    def begin(self, at: float, position: float) -> None:
        self._runs.append((at, max(position, self._runs[-1][1]) if self._runs else self._begins_at))

    def no_further(self, at: float, position: float) -> None:
        """No more than this has been played: where the clock says otherwise, there was a gap, and a new run begins."""
        if self._runs and self.at(at) > position:
            self.begin(at, position)

    def at(self, at: float) -> float:
        """The second of the utterance at this second of the call, at most."""
        number = bisect.bisect_right(self._runs, (at, math.inf)) - 1
        if number < 0:
            return self._begins_at
        began, position = self._runs[number]
        most = self._runs[number + 1][1] if number + 1 < len(self._runs) else math.inf
        return min(position + at - began, most)

    def when(self, position: float) -> float:
        """The second of the call at which this second of the utterance is played, or was; some run has begun."""
        number = max(0, bisect.bisect_right([reached for _, reached in self._runs], position) - 1)
        began, reached = self._runs[number]
        ends = self._runs[number + 1][0] if number + 1 < len(self._runs) else math.inf
        return min(began + position - reached, ends)

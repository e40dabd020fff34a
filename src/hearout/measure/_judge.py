"""`measure`: the whole judgement, and what it says."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _align as align
from . import _verdict as verdict
from ._align import FRAME, Anchor
from ._audio import RATE, MeasureError, Samples, mono, resampled
from ._follow import Follow, Mask, joined

FRAME_MS = 1000 * FRAME / RATE
"""Milliseconds of a frame: the times of a verdict are multiples of it."""

GAP_MS = 60.0
"""The resolution. The judge errs by as much at an end or a gap (bench/judge.py: 95 % of the errors); by more where the
sound near it is a breath or a stop's silence. Shorter gaps are not listed."""

IN_FULL = {"fraction": 0.98, "front_ms": 60.0, "tail_ms": 100.0, "gap_ms": 200.0}
"""An announcement is there in full with `fraction` of its speech at least, `front_ms` and `tail_ms` missing at most,
and each gap shorter than `gap_ms`. All are just outside the judge's own error."""


SHORTEST = 0.2
"""Seconds of the shortest announcement: a track is judged by nine frames."""

SCRAP_MS = 250.0
"""A missing stretch shorter than this is not looked for a second time, with shorter blocks."""

ELSEWHERE = 10.0
"""A missing stretch is looked for beside what was found next to it, and up to so many seconds further."""


_AGAIN = 0.8  # of what was found first: less of it is not worth judging
_HALF = 0.5  # seconds, of an anchor's block
_JUMPED = 0.001  # seconds by which the lag changes from one frame to the next where a receiver stretched the time
_SPREAD = 30.0  # s2, of the times of the frames: 2 s of speech without a pause have that; the slope is told to 20 ppm


@dataclass(frozen=True)
class Stretch:
    """A part of the announcement, in ms of its own time."""

    start_ms: float
    length_ms: float


@dataclass(frozen=True)
class Measured:
    """How much of an announcement is in a recording.

    Attributes:
        fraction: share of the announcement's speech that was found, 0..1. Speech is every 20 ms within 25 dB of its
            active level: pauses and digital silence weigh nothing. What a receiver leaves out of a sound to catch up,
            or repeats of it, is not missing.
        front_ms: speech missing at the beginning; all of it if nothing was found.
        tail_ms: speech missing at the end. In a tone, within 0.2 s of the end, this is also what a receiver left out to
            catch up: nothing tells the two apart.
        longest_gap_ms: the longest gap between what was found.
        gaps: the gaps of 60 ms and more, in order.
        repeats: what is in the recording once more, in the order of the recording.
        drift_ppm: how much longer the recording runs; None if too little was found to tell.
        lag_s: where in the recording the announcement's time 0 lies; None if nothing was found.
        speech_s: how much speech the announcement has, without its pauses.
        speech_from_ms: where its speech begins, in ms of the announcement.
        speech_to_ms: where its speech ends.
    """

    fraction: float
    front_ms: float
    tail_ms: float
    longest_gap_ms: float
    gaps: tuple[Stretch, ...]
    repeats: tuple[Stretch, ...]
    drift_ppm: float | None
    lag_s: float | None
    speech_s: float
    speech_from_ms: float
    speech_to_ms: float

    @property
    def in_full(self) -> bool:
        """Whether the whole announcement is there, as far as the judge can tell (:data:`IN_FULL`)."""
        return (
            self.fraction >= IN_FULL["fraction"]
            and self.front_ms <= IN_FULL["front_ms"]
            and self.tail_ms <= IN_FULL["tail_ms"]
            and self.longest_gap_ms < IN_FULL["gap_ms"]
        )

    def to_json(self) -> str:
        """One JSON object, with `in_full` and the resolution."""
        return json.dumps({"in_full": self.in_full, **asdict(self), "resolution_ms": GAP_MS})


def measure(
    recording: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    sample_rate: int = RATE,
    *,
    reference_rate: int | None = None,
) -> Measured:
    """How much of `reference`, an announcement, is in `recording`, and where it is not.

    Args:
        recording: mono, integers or floats in ±1.
        sample_rate: Hz, of the recording.
        reference_rate: Hz, of the announcement, if it is another.

    Raises:
        MeasureError: one of them is empty or not mono, a sample rate is none, or the announcement is silent or shorter
            than 0.2 s.
    """
    there = resampled(mono(recording, "the recording"), sample_rate)
    wanted = resampled(mono(reference, "the announcement"), reference_rate or sample_rate)
    if not len(there):
        raise MeasureError("the recording is empty")
    active = verdict.speech(wanted)
    if not active.any():
        raise MeasureError("the announcement is silent: there is nothing to look for")
    if len(wanted) < SHORTEST * RATE:
        long = f"{len(wanted) / RATE:.3f} s"
        raise MeasureError(
            f"the announcement is {long} long; what is shorter than {SHORTEST} s is not told from chance"
        )
    return _judged(_Case(there, wanted, active), active, len(there) / RATE)


def _judged(case: "_Case", active: Mask, end: float) -> Measured:
    found = case.finder.everywhere()
    runs = _sure(found)
    follow, delivered = case.judged(runs)
    if delivered.sum() < active.sum():  # it may have been begun again, and be there in full only then
        spare = _sure(_unused(found, delivered, follow))
        if spare and _weight(spare) >= _AGAIN * _weight(runs):
            again = case.judged(spare)
            if again[1].sum() > delivered.sum():
                runs, (follow, delivered) = spare, again
    extra = _scraps(case.finder, follow, active, delivered, end)
    if extra:
        more = case.judged(runs, extra)
        better = [run for run in extra if _more(more[1], delivered, run)]
        if better:
            follow, delivered = case.judged(runs, better) if len(better) < len(extra) else more
    return _measured(active, delivered, follow, _repeats(found, delivered, follow))


class _Case:
    """A recording and an announcement, prepared for being judged by several alignments."""

    def __init__(self, there: Samples, wanted: Samples, active: Mask) -> None:
        self.finder = align.Finder(there, wanted)
        self._tracker = align.Tracker(there, wanted)
        self._spectra = verdict.Spectra(there, wanted, self._tracker.voiced())
        self._active = active

    def judged(self, runs: list[list[Anchor]], extra: Sequence[list[Anchor]] = ()) -> tuple[Follow, Mask]:
        """Which frames of speech are there by these runs, and by extra ones that are doubted."""
        every = functools.reduce(align.inserted, extra, runs)
        new = {anchor for run in extra for anchor in run}
        doubted = [k for k, run in enumerate(every) if new.issuperset(run)]
        follow = joined(_tracks(self._tracker, every), self._active)
        return self._spectra.delivered(follow, self._active, doubted)


def _weight(runs: list[list[Anchor]]) -> float:
    return sum(anchor.match for run in runs for anchor in run)


def _sure(found: list[list[Anchor]]) -> list[list[Anchor]]:
    return [run for run in align.runs(align.chain(found)) if align.sure(run)]


def _more(new: Mask, old: Mask, run: list[Anchor]) -> bool:
    """Whether a changed run finds more of the announcement: a change can also tear apart a good run."""
    around = slice(max(0, int((run[0].at - 1) * 1000 / FRAME_MS)), int((run[-1].at + 1) * 1000 / FRAME_MS))
    return bool(new[around].sum() > old[around].sum())


def _tracks(tracker: align.Tracker, runs: list[list[Anchor]]) -> list[align.Track]:
    """Each run followed as far as its neighbours, and a block's half further: a block may be half there."""
    bounds = [0.0, *(edge for run in runs for edge in (run[0].at, run[-1].at)), np.inf]
    return [tracker.track(run, bounds[2 * k] - 0.5, bounds[2 * k + 3] + 0.5) for k, run in enumerate(runs)]


def _scraps(finder: align.Finder, follow: Follow, active: Mask, delivered: Mask, end: float) -> list[list[Anchor]]:
    """The parts of each missing stretch that shorter blocks find in the fitting part of the recording."""
    extra = []
    delivered = _solid(active, delivered)
    heard = np.flatnonzero(delivered & np.isfinite(follow.lag))
    for first, last in _gaps(active & ~delivered, delivered):
        if (last - first) * FRAME_MS < SCRAP_MS:
            continue
        wanted = first * FRAME_MS / 1000, last * FRAME_MS / 1000
        before, after = heard[heard < first], heard[heard >= last]
        low, high = 0.0, end
        if len(before):
            low = float((before[-1] + 1) * FRAME_MS / 1000 + follow.lag[before[-1]])
            high = min(high, low + wanted[1] - wanted[0] + ELSEWHERE)
        if len(after):
            high = min(high, float(after[0] * FRAME_MS / 1000 + follow.lag[after[0]]))
            low = max(low, high - (wanted[1] - wanted[0]) - ELSEWHERE)
        if 1000 * (high - low) >= SCRAP_MS:
            anchors = align.chain(finder.between(wanted, (low - 0.1, high + 0.1)), apart=0.15)
            extra += [run for run in align.runs(anchors) if max(a.match for a in run) > 0.6]
    return extra


def _solid(active: Mask, delivered: Mask) -> Mask:
    """Without the scraps of less than 100 ms, which may be chance."""
    frames = np.flatnonzero(active)
    solid = np.zeros_like(delivered)
    for start, end in verdict.stretches(delivered[frames]):
        if end - start >= 5:
            solid[frames[start:end]] = True
    return solid


def _measured(active: Mask, delivered: Mask, follow: Follow, repeats: tuple[Stretch, ...]) -> Measured:
    speech, heard = np.flatnonzero(active), np.flatnonzero(delivered)
    begin, end = float(speech[0]) * FRAME_MS, float(speech[-1] + 1) * FRAME_MS
    seconds = round(len(speech) * FRAME_MS / 1000, 3)
    if not len(heard):
        return Measured(0.0, end - begin, end - begin, 0.0, (), (), None, None, seconds, begin, end)
    inner = active & ~delivered
    inner[: heard[0]] = inner[heard[-1] :] = False
    gaps = [Stretch(a * FRAME_MS, (b - a) * FRAME_MS) for a, b in _gaps(inner, delivered)]
    return Measured(
        fraction=round(len(heard) / len(speech), 4),
        front_ms=float(heard[0]) * FRAME_MS - begin,
        tail_ms=end - float(heard[-1] + 1) * FRAME_MS,
        longest_gap_ms=max((gap.length_ms for gap in gaps), default=0.0),
        gaps=tuple(gap for gap in gaps if gap.length_ms >= GAP_MS),
        repeats=repeats,
        drift_ppm=_drift(follow, delivered),
        lag_s=round(float(follow.lag[heard][np.isfinite(follow.lag[heard])][0]), 4),
        speech_s=seconds,
        speech_from_ms=begin,
        speech_to_ms=end,
    )


def _gaps(missing: Mask, delivered: Mask) -> list[tuple[int, int]]:
    """The missing stretches; one goes on through a pause of the announcement."""
    joined: list[tuple[int, int]] = []
    for start, end in verdict.stretches(missing):
        if joined and not delivered[joined[-1][1] : start].any():
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _drift(follow: Follow, delivered: Mask) -> float | None:
    """The slope of the lag in ppm, common to all the stretches between the jumps of a jitter buffer."""
    frames = np.flatnonzero(delivered & (follow.match > 0.5))
    if len(frames) < 50:
        return None
    at, lag, track = frames * FRAME_MS / 1000, follow.lag[frames], follow.track[frames]
    smooth = align.smooth(lag)
    part = np.cumsum((np.abs(np.diff(smooth, prepend=smooth[0])) > _JUMPED) | (np.diff(track, prepend=track[0]) != 0))
    kept = np.ones(len(at), bool)
    slope = 0.0
    for _ in range(6):
        count = np.maximum(np.bincount(part[kept], minlength=part[-1] + 1), 1)
        mean_at, mean_lag = (np.bincount(part[kept], x[kept], part[-1] + 1) / count for x in (at, lag))
        x, y = at - mean_at[part], lag - mean_lag[part]
        spread = float(np.sum(x[kept] ** 2))
        if spread < _SPREAD:
            return None
        slope = float(np.sum(x[kept] * y[kept])) / spread
        rest = np.abs(y - slope * x)
        kept = rest < max(2e-4, 3 * float(np.median(rest)))
    return round(slope * 1e6, 1)


def _unused(found: list[list[Anchor]], delivered: Mask, follow: Follow) -> list[list[Anchor]]:
    """The anchors in parts of the recording of which nothing was delivered; none if nothing was at all."""
    frames = np.flatnonzero(delivered & np.isfinite(follow.lag))
    if not len(frames):
        return []
    used = np.sort(frames * FRAME_MS / 1000 + follow.lag[frames])

    def free(anchor: Anchor) -> bool:
        middle = anchor.at + anchor.lag
        there = np.diff(np.searchsorted(used, [middle - _HALF, middle + _HALF]))[0]
        return bool(there * FRAME_MS / 1000 < 0.5 * _HALF)

    return [[anchor for anchor in anchors if free(anchor)] for anchors in found]


def _repeats(found: list[list[Anchor]], delivered: Mask, follow: Follow) -> tuple[Stretch, ...]:
    """What matches in parts of the recording that were not used."""
    groups: list[list[Anchor]] = []
    for anchors in _unused(found, delivered, follow):
        for anchor in anchors:
            for group in groups:
                if 0 < anchor.at - group[-1].at <= 2 * _HALF and abs(anchor.lag - group[-1].lag) < 0.01:
                    group.append(anchor)
                    break
            else:
                groups.append([anchor])
    heard: list[tuple[float, float]] = []
    repeats = []
    for group in sorted((g for g in groups if align.sure(g)), key=len, reverse=True):
        begin, end = group[0].at + group[0].lag - _HALF, group[-1].at + group[-1].lag + _HALF
        if all(end <= a + 0.5 or begin >= b - 0.5 for a, b in heard):
            heard.append((begin, end))
            start = max(0.0, group[0].at - _HALF)
            repeats.append((begin, Stretch(round(1000 * start, 1), round(1000 * (end - begin), 1))))
    return tuple(stretch for _, stretch in sorted(repeats, key=lambda pair: pair[0]))

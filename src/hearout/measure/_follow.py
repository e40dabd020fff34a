"""The announcement followed through the recording, frame by frame: the tracks in one.

What was received counts once: where the lag falls by 300 ms, 300 ms of the announcement are in neither track.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._align import Floats, Track

Mask = npt.NDArray[np.bool_]

SURE = 0.5
"""Correlation of a frame that is there; what is not stays below 0.2 but for chance."""

_EITHER = 0.3  # correlation that is as likely with a frame as without


@dataclass(frozen=True)
class Seam:
    """Frames between two tracks, of which no waveform tells to which of the two they belong.

    Attributes:
        first: index of the first frame.
        fall: how many of them, one after the other, are in neither, as what was received counts once.
        left: number of the track before them; the one after them has the next.
        lag: of each frame in the left and in the right track, seconds, shape (2, frames).
        match: the same of the correlation.
    """

    first: int
    fall: int
    left: int
    lag: Floats
    match: Floats


@dataclass(frozen=True)
class Follow:
    """The announcement followed through the recording, frame by frame.

    Attributes:
        lag: seconds, recording time less announcement time; NaN where nothing was found.
        match: correlation of the waveforms, 0 where nothing was found.
        track: which track a frame belongs to, -1 for none.
        seams: where two tracks meet; their frames belong to none until their sound is known.
    """

    lag: Floats
    match: Floats
    track: npt.NDArray[np.int_]
    seams: tuple[Seam, ...] = ()


def joined(tracks: list[Track], active: Mask) -> Follow:
    """The tracks in one; where two of them overlap, changed from one to the other where both match best."""
    lag, match = np.full(len(active), np.nan), np.zeros(len(active))
    number, seams = np.full(len(active), -1), []
    starts = [track.first for track in tracks]
    ends = [track.first + len(track.lag) for track in tracks]
    for k, (left, right) in enumerate(itertools.pairwise(tracks)):
        if min(ends[k], right.first + len(right.lag)) > max(left.first, right.first):
            seam = _change(k, left, right, active)
            size = seam.lag.shape[1]
            ends[k], starts[k + 1] = seam.first, seam.first + size
            seams += [seam] if size > seam.fall else []
    for k, (track, start, end) in enumerate(zip(tracks, starts, ends, strict=True)):
        if end > start:
            part = slice(start - track.first, end - track.first)
            lag[start:end], match[start:end], number[start:end] = track.lag[part], track.match[part], k
    return Follow(lag, match, number, tuple(seams))


def _change(number: int, left: Track, right: Track, active: Mask) -> Seam:
    """What is between the frame at which `left` ends and the one at which `right` begins."""
    # in a recording that stutters one may begin before the other, or lie within it
    begin, end = max(left.first, right.first), min(left.first + len(left.lag), right.first + len(right.lag))
    size, share, before, skipped = end - begin, active[begin:end], begin - left.first, begin - right.first
    until = np.concatenate([[0.0], np.cumsum(np.where(share, left.match[before : before + size] - _EITHER, 0))])
    of_right = np.where(share, right.match[skipped : skipped + size] - _EITHER, 0)
    onward = np.concatenate([np.cumsum(of_right[::-1])[::-1], [0.0]])
    best = np.maximum.accumulate(onward[::-1])[::-1]
    p, q, fall = size, 0, -1
    for _ in range(4):  # the lags are those where the tracks part, for beyond they follow what is like by chance
        of_left = _last(left.lag[: before + p], left.match[: before + p])
        onwards_lag = _last(right.lag[skipped + q :][::-1], right.match[skipped + q :][::-1])
        known, fall = fall, max(0, round((of_left - onwards_lag) * 50))
        if fall == known:
            break
        first = np.minimum(np.arange(size + 1) + fall, size)
        p = int(np.argmax(until + best[first]))
        q = int(first[p] + np.argmax(onward[first[p] :]))
    between, mine = slice(skipped + p, skipped + q), slice(before + p, before + q)
    pairs = (
        np.stack(pair) for pair in ((left.lag[mine], right.lag[between]), (left.match[mine], right.match[between]))
    )
    return Seam(begin + p, min(fall, q - p), number, *pairs)


def _last(lag: Floats, match: Floats) -> float:
    """The lag at a track's last frames that match; beyond them it wanders."""
    sure = np.flatnonzero(match >= SURE)
    return float(np.median(lag[sure[-5:]] if len(sure) else lag)) if len(lag) else 0.0

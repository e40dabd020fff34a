"""Which frames of the announcement are in the recording, once it is known where to look.

Two things speak for a frame: that its waveform is there, and, as codecs do not keep the waveform of unvoiced sounds,
that its spectrum is what the channel makes of it. A frame that the channel cannot carry (an *s* through a telephone)
goes with its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .align import FRAME, Floats, Track
from .audio import RATE, Samples

Mask = npt.NDArray[np.bool_]

_SILENT = 1e-3  # of full scale: an announcement whose loudest frame is below has no speech
_ACTIVE = 10**-2.5  # 25 dB below the active level
_SURE = 0.5  # correlation of a frame that is there; what is not stays below 0.2 but for chance
_EITHER = 0.3  # correlation that is as likely with a frame as without
_NEAR = 12  # frames, 240 ms: longer than an unvoiced sound
# Log odds of a frame: fitted to 108 000 frames, a tenth of them missing, two voices, through Opus and G.711; 0.3 %
# were wrong either way. `match` is the waveform's correlation, `off` how many dB the spectrum is off.
_MATCH, _OFF, _EVEN = 15.0, 1.75, 1.3
_CLEAR = 5.0  # log odds; a frame is not believed more than this
_CHANGE = 4.0  # log odds that a change between there and not there costs: 40 ms that say clearly otherwise
_FAINT = 4.0  # dB over the noise
# Clear frames that make a short piece more than a resemblance. The same word in another announcement in espeak's voice
# reached 23; a chance likeness near the lag of what was found reached 10.
_IN_PLACE = 5  # at the lag of what is before or after it
_ENCLOSED, _ENCLOSED_SEEN = 12, 9  # between two others; if a block of it was found before it was followed
_BESIDE, _ALONE = 16, 24
_FEW = 12  # frames by which the channel can be told
_MOVED, _STRETCHED = 0.005, 0.15  # seconds by which the lag changes where a receiver stretches time
_BLURRED = 1.0  # dB by which its spectrum is off for that
_BANDS = 18
_CODEC = 1e-3  # of a frame's power, in each band: a codec's own noise, which follows the voice
_WINDOW = 512


@dataclass(frozen=True)
class Follow:
    """The announcement followed through the recording, frame by frame.

    Attributes:
        lag: seconds, recording time less announcement time; NaN where nothing was found.
        match: correlation of the waveforms, 0 where nothing was found.
        track: which track a frame belongs to, -1 for none.
    """

    lag: Floats
    match: Floats
    track: npt.NDArray[np.int_]


def speech(reference: Samples) -> Mask:
    """Which frames of the announcement are speech: within 25 dB of its active level."""
    padded = np.pad(reference, (0, -len(reference) % FRAME)).astype(np.float64)
    power = np.mean(padded.reshape(-1, FRAME) ** 2, axis=1)
    if not len(power) or power.max() < _SILENT**2:
        return np.zeros(len(power), bool)
    level = power[power > 1e-3 * power.max()].mean()
    mask: Mask = power > level * _ACTIVE
    return mask


def joined(tracks: list[Track], active: Mask) -> Follow:
    """The tracks in one; where two of them overlap, changed from one to the other where both match best.

    What was received counts once: if the lag falls by 300 ms, 300 ms of the announcement are in neither track.
    """
    follow = Follow(np.full(len(active), np.nan), np.zeros(len(active)), np.full(len(active), -1))
    starts = [track.first for track in tracks]
    ends = [track.first + len(track.lag) for track in tracks]
    for k in range(1, len(tracks)):
        ends[k - 1], starts[k] = _change(tracks[k - 1], tracks[k], active)
    for k, (track, start, end) in enumerate(zip(tracks, starts, ends, strict=True)):
        if end > start:
            part = slice(start - track.first, end - track.first)
            follow.lag[start:end], follow.match[start:end] = track.lag[part], track.match[part]
            follow.track[start:end] = k
    return follow


def _change(left: Track, right: Track, active: Mask) -> tuple[int, int]:
    """The frame at which `left` ends, and the one at which `right` begins."""
    ends = left.first + len(left.lag)
    # in a recording that stutters one may begin before the other, or lie within it
    begin, end = max(left.first, right.first), min(ends, right.first + len(right.lag))
    if end <= begin:
        return ends, right.first
    share = active[begin:end]
    of_left = np.where(share, left.match[begin - left.first : end - left.first] - _EITHER, 0)
    of_right = np.where(share, right.match[begin - right.first : end - right.first] - _EITHER, 0)
    fall = max(0, round((_last(left.lag, left.match) - _last(right.lag[::-1], right.match[::-1])) * 50))
    until = np.concatenate([[0.0], np.cumsum(of_left)])
    onward = np.concatenate([np.cumsum(of_right[::-1])[::-1], [0.0]])
    size = end - begin
    best = np.maximum.accumulate(onward[::-1])[::-1]
    first = np.minimum(np.arange(size + 1) + fall, size)
    p = int(np.argmax(until + best[first]))
    q = int(first[p] + np.argmax(onward[first[p] :]))
    return begin + p, begin + q


def _last(lag: Floats, match: Floats) -> float:
    """The lag at a track's last frames that match; beyond them it wanders."""
    sure = np.flatnonzero(match >= _SURE)
    return float(np.median(lag[sure[-5:]] if len(sure) else lag))


class Spectra:
    """What the announcement sounds like frame by frame, and the recording anywhere."""

    def __init__(self, recording: Samples, reference: Samples) -> None:
        self._recording = recording
        self._noise = _noise(recording)
        self._centre = (np.arange(-(-len(reference) // FRAME)) + 0.5) * FRAME
        self._wanted = _bands(reference, self._centre)

    def delivered(self, follow: Follow, active: Mask, doubted: Sequence[int] = ()) -> Mask:
        """Which frames of speech are in the recording; what is of `doubted` tracks must be more than a few."""
        result = np.zeros(len(active), bool)
        sure = active & (follow.match >= _SURE)
        trusted = sure & ~np.isin(follow.track, doubted)
        if not sure.any():
            return result
        off, weight = self._compared(follow, sure, trusted if trusted.sum() >= _FEW else sure)
        odds = np.clip(_MATCH * follow.match - _OFF * np.minimum(off, 10) + _EVEN, -_CLEAR, _CLEAR)
        odds[weight < _FAINT] = 0  # the channel cannot carry it: it goes with its neighbours
        odds[follow.track < 0] = -_CLEAR
        result[active] = _likeliest(odds[active])
        for island in _unbelieved(follow, active, result, odds, doubted):
            result[island] = False
        return result

    def _compared(self, follow: Follow, sure: Mask, trusted: Mask) -> tuple[Floats, Floats]:
        """How many dB each frame is off what it should sound like, and how many it should be above the noise."""
        there = self._heard(follow.lag, slice(None))
        channel = _channel(self._wanted, there, self._noise, _within(trusted, _NEAR))
        carried = self._wanted * channel
        noise = self._noise + 1e-6 * carried[trusted].mean(axis=0)
        expected = _decibel(carried + noise + _CODEC * carried.mean(axis=1, keepdims=True))
        weight = np.clip(expected - _decibel(noise), 0, 12) * (channel > 0.03 * np.median(channel))

        def off(heard: Floats, frames: Any) -> Floats:
            apart = np.abs(_decibel(heard) - expected[frames]) * weight[frames]
            mean: Floats = apart.sum(axis=1) / (weight[frames].sum(axis=1) + 1e-9)
            return mean

        result = off(there, slice(None))
        frames, *lags = _between(follow, sure)
        for lag in lags if len(frames) else ():
            result[frames] = np.minimum(result[frames], off(self._heard(lag, frames), frames) - _BLURRED)
        return result, weight.max(axis=1)

    def _heard(self, lag: Floats, frames: Any) -> Floats:
        return _bands(self._recording, self._centre[frames] + np.nan_to_num(lag) * RATE)


def _unbelieved(
    follow: Follow, active: Mask, found: Mask, odds: Floats, doubted: Sequence[int]
) -> list[npt.NDArray[np.int_]]:
    """The frames of each piece apart from the others that is too short for where it is.

    Speech of the same voice has a sound, or a word, in common with what was cut, and somewhere near its place.
    """
    pieces = _pieces(follow, active, found, doubted)
    clear = [float(odds[piece].sum()) / _CLEAR for piece in pieces]
    solid = [k for k, frames in enumerate(clear) if frames >= _BESIDE]
    enough_alone = min(_ALONE, 0.6 * active.sum())  # a single word is not longer
    unbelieved = []
    for k, piece in enumerate(pieces):
        before, after = [pieces[j] for j in solid if j < k], [pieces[j] for j in solid if j > k]
        ends = [one[-1][-_NEAR:] for one in (before,) if one] + [one[0][:_NEAR] for one in (after,) if one]
        lag = float(np.median(follow.lag[piece]))
        if any(abs(float(np.median(follow.lag[end])) - lag) < _MOVED for end in ends):
            enough: float = _IN_PLACE
        elif len(ends) == 2:
            enough = _ENCLOSED_SEEN if follow.track[piece[0]] in doubted else _ENCLOSED
        else:
            enough = _BESIDE if ends else enough_alone
        if clear[k] < enough and (k not in solid or not ends):
            unbelieved.append(piece)
    return unbelieved


def _pieces(follow: Follow, active: Mask, found: Mask, doubted: Sequence[int]) -> list[npt.NDArray[np.int_]]:
    """The frames that were found, divided where more than :data:`_NEAR` are missing, and where a doubted track ends."""
    frames = np.flatnonzero(active)
    there = np.flatnonzero(found[frames])
    track = np.where(np.isin(follow.track, doubted), follow.track, -1)[frames[there]]
    divided = np.flatnonzero((np.diff(there) > _NEAR) | (np.diff(track) != 0)) + 1
    return [frames[part] for part in np.split(there, divided) if len(part)]


def _between(follow: Follow, sure: Mask) -> tuple[npt.NDArray[np.int_], Floats, Floats, Floats]:
    """Frames without a match between two lags, and where they may be: at either, or between them.

    A receiver that stretches time does so in unvoiced sounds too, where no waveform tells by how much so far.
    """
    at, frames = np.flatnonzero(sure), np.flatnonzero(~sure)
    after = np.searchsorted(at, frames)
    frames, after = frames[(after > 0) & (after < len(at))], after[(after > 0) & (after < len(at))]
    first, last = at[after - 1], at[after]
    moved = np.abs(follow.lag[last] - follow.lag[first])
    doubtful = (last - first <= 2 * _NEAR) & (moved > _MOVED) & (moved < _STRETCHED)
    frames, first, last = frames[doubtful], first[doubtful], last[doubtful]
    share = (frames - first) / np.maximum(last - first, 1)
    before, behind = follow.lag[first], follow.lag[last]
    return frames, before, before + share * (behind - before), behind


def _likeliest(odds: Floats) -> Mask:
    """There or not, frame by frame: the sequence with the best odds, a change paid for (Viterbi, two states)."""
    kept = np.zeros((len(odds), 2), bool)
    not_there = there = 0.0
    for k, value in enumerate(odds):
        kept[k] = not_there >= there - _CHANGE, there >= not_there - _CHANGE
        not_there, there = max(not_there, there - _CHANGE), max(there, not_there - _CHANGE) + float(value)
    verdict = np.zeros(len(odds), bool)
    state = int(there > not_there)
    for k in range(len(odds) - 1, -1, -1):
        verdict[k] = bool(state)
        if not kept[k, state]:
            state = 1 - state
    return verdict


def _channel(wanted: Floats, there: Floats, noise: Floats, near: Mask) -> Floats:
    """What the channel made of each band's power, by the frames in which the band is loud."""
    loud = wanted[near] >= 0.1 * np.percentile(wanted[near], 95, axis=0)
    ratio = np.where(loud, (there[near] - noise) / (wanted[near] + 1e-12), np.nan)
    channel: Floats = np.maximum(np.nanmedian(ratio, axis=0), 1e-6)
    return channel


def _bands(audio: Samples, centre: Floats) -> Floats:
    """The power in each band around each of these samples."""
    half = _WINDOW // 2
    padded = np.pad(audio, (half, _WINDOW))
    starts = np.clip(np.rint(centre).astype(int), 0, len(audio))
    view = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
    window = np.hanning(_WINDOW).astype(np.float32)
    powers: Floats = np.concatenate(
        [np.abs(np.fft.rfft(view[starts[k : k + 512]] * window)) ** 2 @ _FILTERS for k in range(0, len(starts), 512)]
    )
    return powers


def _noise(recording: Samples) -> Floats:
    """The power of the line's noise in each band: what is there in the quietest tenth of the frames."""
    centre = np.arange(FRAME, max(FRAME + 1, len(recording) - FRAME), max(FRAME, len(recording) // 2000), dtype=float)
    return np.percentile(_bands(recording, centre), 10, axis=0)


def _filters() -> Floats:
    """Triangular bands, equally wide on the mel scale, 100-7000 Hz."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (100, 7000))
    mel = np.linspace(low, high, _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    rise = np.diff(edges)
    grid = np.fft.rfftfreq(_WINDOW, 1 / RATE)[:, None]
    filters: Floats = np.maximum(0, np.minimum((grid - edges[:-2]) / rise[:-1], (edges[2:] - grid) / rise[1:]))
    return filters.astype(np.float32)


_FILTERS = _filters()


def _decibel(power: Floats) -> Floats:
    level: Floats = 10 * np.log10(power + 1e-12)
    return level


def _within(mask: Mask, reach: int) -> Mask:
    """Which frames have a true one within `reach` on both sides, or are one."""
    at = np.arange(len(mask))
    last = np.maximum.accumulate(np.where(mask, at, -len(mask) - reach))
    following = np.minimum.accumulate(np.where(mask, at, 2 * len(mask) + reach)[::-1])[::-1]
    near: Mask = (at - last <= reach) & (following - at <= reach)
    return near


def stretches(mask: Mask) -> list[tuple[int, int]]:
    """The runs of true frames: first, and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

"""Which frames of the announcement are in the recording, once it is known where to look.

Two things speak for a frame: that its waveform is there, and, as codecs do not keep the waveform of unvoiced sounds,
that its spectrum is what the channel makes of it. A frame that the channel cannot carry (an *s* through a telephone)
goes with its neighbours.
"""

import itertools
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
# A codec that does not keep the waveform of unvoiced sounds keeps their spectrum: it tells all the more, the louder the
# frame is than the noise. Fitted to 11 000 frames that did not match, of other texts than the sweep's.
_SOUND, _ALOUD, _SOUND_OFF, _LOUD = 4.2, 0.5, 2.4, 10.0
_VOICED = 24.0  # what it costs to say so of a voiced frame: half periodic nothing, three quarters 6
# Log odds that a change costs between not there, there with its waveform, and there by its sound alone; between there
# and not there: 40 ms that say clearly otherwise.
_CHANGE = 4.0
_CHANGES = np.array([[0.0, _CHANGE, _CHANGE], [_CHANGE, 0.0, 2.0], [_CHANGE, 2.0, 0.0]])
_FAINT = 4.0  # dB over the noise
# Clear frames that make a short piece more than a resemblance. The same word in another announcement in espeak's voice
# reached 23; a chance likeness near the lag of what was found reached 10.
_IN_PLACE = 5  # at the lag of what is before or after it
_ENCLOSED, _ENCLOSED_SEEN = 12, 9  # between two others; if a block of it was found before it was followed
_BESIDE, _ALONE = 16, 24
_FEW = 12  # frames by which the channel can be told
_MOVED, _STRETCHED = 0.005, 0.15  # seconds by which the lag changes where a receiver stretches time
_SHIFTS = (-0.04, -0.03, -0.02, -0.01, 0.01, 0.02, 0.03, 0.04)  # seconds by which a jitter buffer's start may be off
_BLURRED = 1.0  # dB by which its spectrum is off for that
_BANDS = 18
_CODEC = 1e-3  # of a frame's power, in each band: a codec's own noise, which follows the voice
_WINDOW = 512


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
    lag, match = np.full(len(active), np.nan), np.zeros(len(active))
    number, seams = np.full(len(active), -1), []
    starts = [track.first for track in tracks]
    ends = [track.first + len(track.lag) for track in tracks]
    for k, (left, right) in enumerate(itertools.pairwise(tracks)):
        if ends[k] > right.first:
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
    begin, end = right.first, left.first + len(left.lag)
    size, share, before = end - begin, active[begin:end], begin - left.first
    until = np.concatenate([[0.0], np.cumsum(np.where(share, left.match[before:] - _EITHER, 0))])
    of_right = np.where(share, right.match[:size] - _EITHER, 0)
    onward = np.concatenate([np.cumsum(of_right[::-1])[::-1], [0.0]])
    best = np.maximum.accumulate(onward[::-1])[::-1]
    p, q, fall = size, 0, -1
    for _ in range(4):  # the lags are those where the tracks part, for beyond they follow what is like by chance
        of_left = _last(left.lag[: before + p], left.match[: before + p])
        known, fall = fall, max(0, round((of_left - _last(right.lag[q:][::-1], right.match[q:][::-1])) * 50))
        if fall == known:
            break
        first = np.minimum(np.arange(size + 1) + fall, size)
        p = int(np.argmax(until + best[first]))
        q = int(first[p] + np.argmax(onward[first[p] :]))
    between, mine = slice(p, q), slice(before + p, before + q)
    pairs = (
        np.stack(pair) for pair in ((left.lag[mine], right.lag[between]), (left.match[mine], right.match[between]))
    )
    return Seam(begin + p, min(fall, q - p), number, *pairs)


def _last(lag: Floats, match: Floats) -> float:
    """The lag at a track's last frames that match; beyond them it wanders."""
    sure = np.flatnonzero(match >= _SURE)
    return float(np.median(lag[sure[-5:]] if len(sure) else lag)) if len(lag) else 0.0


class Spectra:
    """What the announcement sounds like frame by frame, and the recording anywhere."""

    def __init__(self, recording: Samples, reference: Samples, voiced: Floats) -> None:
        """`voiced`: how periodic each frame of the announcement is, 0..1."""
        self._recording = _windows(recording)
        self._noise = _noise(self._recording)
        self._centre = (np.arange(-(-len(reference) // FRAME)) + 0.5) * FRAME
        self._wanted = _bands(_windows(reference), self._centre)
        self._voiced = voiced

    def delivered(self, follow: Follow, active: Mask, doubted: Sequence[int] = ()) -> tuple[Follow, Mask]:
        """Which frames of speech are in the recording, and the follow, its seams settled.

        What is of `doubted` tracks must be more than a few frames.
        """
        result = np.zeros(len(active), bool)
        sure = active & (follow.match >= _SURE)
        trusted = sure & ~np.isin(follow.track, doubted)
        if not sure.any():
            return follow, result
        sound = self._sound(follow, trusted if trusted.sum() >= _FEW else sure)
        follow = self._settled(follow, sound, active)
        off = self._off(follow, sound, active)
        odds, blurred = sound.odds(follow.match, off, slice(None))
        odds[follow.track < 0] = blurred[follow.track < 0] = -_CLEAR
        state = _likeliest(np.stack([np.zeros(active.sum()), odds[active], blurred[active]], axis=1))
        result[active] = state > 0
        odds = np.maximum(odds, 0)  # what has only its sound does not speak against a piece, but not for it either
        for island in _unbelieved(follow, active, result, odds, doubted):
            result[island] = False
        return follow, result

    def _sound(self, follow: Follow, trusted: Mask) -> "_Sound":
        """What the frames must sound like in this recording."""
        there = self._heard(follow.lag, slice(None))
        channel = _channel(self._wanted, there, self._noise, _within(trusted, _NEAR) & (follow.track >= 0))
        carried = self._wanted * channel
        noise = self._noise + 1e-6 * carried[trusted].mean(axis=0)
        expected = _decibel(carried + noise + _CODEC * carried.mean(axis=1, keepdims=True))
        weight = np.clip(expected - _decibel(noise), 0, 12) * (channel > 0.03 * np.median(channel))
        return _Sound(expected, weight, _decibel(noise), self._voiced)

    def _settled(self, follow: Follow, sound: "_Sound", active: Mask) -> Follow:
        """The follow, each frame of a seam in the track of which it sounds."""
        lag, match, track = follow.lag.copy(), follow.match.copy(), follow.track.copy()
        for seam in follow.seams:
            size = seam.lag.shape[1]
            frames, odds = slice(seam.first, seam.first + size), []
            for side in (0, 1):
                off = sound.off(self._heard(seam.lag[side], frames), frames)
                odds.append(np.maximum(*sound.odds(seam.match[side], off, frames)) * active[frames])
            of_left = np.concatenate([[0.0], np.cumsum(odds[0])])[: size - seam.fall + 1]
            of_right = np.concatenate([np.cumsum(odds[1][::-1])[::-1], [0.0]])[seam.fall :]
            split = int(np.argmax(of_left + of_right))
            for side, first, last in ((0, 0, split), (1, split + seam.fall, size)):
                part = slice(seam.first + first, seam.first + last)
                lag[part], match[part] = seam.lag[side, first:last], seam.match[side, first:last]
                track[part] = seam.left + side
        return Follow(lag, match, track)

    def _off(self, follow: Follow, sound: "_Sound", active: Mask) -> Floats:
        """How many dB each frame is off what it should sound like."""
        off = sound.off(self._heard(follow.lag, slice(None)), slice(None))
        sure = active & (follow.match >= _SURE)
        frames, *lags = _between(follow, sure)
        for lag in lags if len(frames) else ():
            off[frames] = np.minimum(off[frames], sound.off(self._heard(lag, frames), frames) - _BLURRED)
        for first in _beginnings(sure):
            frames = np.arange(max(0, first - _NEAR), first)
            self._lead(follow, sound, off, frames[active[frames] & (follow.track[frames] >= 0)])
        return off

    def _lead(self, follow: Follow, sound: "_Sound", off: Floats, frames: npt.NDArray[np.int_]) -> None:
        """Correct `off` of the frames before the first that matches: where a receiver starts, it stretches time.

        The frames are unvoiced, so that only their sound tells by how much it did.
        """
        known = np.maximum(*sound.odds(follow.match[frames], off[frames], frames))
        if np.sum(_CLEAR - known) <= _CHANGE:
            return
        heard = self._heard(
            np.concatenate([follow.lag[frames] + shift for shift in _SHIFTS]), np.tile(frames, len(_SHIFTS))
        )
        best, gained = off[frames], _CHANGE
        for shift, one in zip(_SHIFTS, np.split(heard, len(_SHIFTS)), strict=True):
            moved = np.minimum(off[frames], sound.off(one, frames))
            late = frames > frames[-1] - round(50 * shift)  # what comes that late in the recording is what matches
            moved[late] = off[frames][late]
            _, blurred = sound.odds(follow.match[frames], moved, frames)
            gain = float(np.maximum(blurred - known, 0).sum())
            if gain > gained:
                best, gained = moved, gain
        off[frames] = best

    def _heard(self, lag: Floats, frames: Any) -> Floats:
        return _bands(self._recording, self._centre[frames] + np.nan_to_num(lag) * RATE)


@dataclass(frozen=True)
class _Sound:
    """What every frame should sound like in the recording.

    Attributes:
        expected: its level in each band, dB.
        weight: how much each band tells.
        noise: the level of the line's noise in each band, dB.
        voiced: how periodic it is, 0..1.
    """

    expected: Floats
    weight: Floats
    noise: Floats
    voiced: Floats

    def off(self, heard: Floats, frames: Any) -> Floats:
        """How many dB these frames are off, whose power per band is `heard`."""
        return self._apart(_decibel(heard), frames)

    def odds(self, match: Floats, off: Floats, frames: Any) -> tuple[Floats, Floats]:
        """The log odds of each frame: as one whose waveform is kept, and as one of which the sound is all there is."""
        alone = np.minimum(self._apart(self.noise, frames), _LOUD)
        kept = np.clip(_MATCH * match - _OFF * np.minimum(off, 10) + _EVEN, -_CLEAR, _CLEAR)
        voiced = _VOICED * (np.clip(self.voiced[frames], 0.5, 0.75) - 0.5)
        blurred = np.clip(_SOUND + _ALOUD * alone - _SOUND_OFF * off - voiced, -_CLEAR, _CLEAR)
        faint = self.weight[frames].max(axis=1) < _FAINT
        kept[faint] = blurred[faint] = 0  # the channel cannot carry it: it goes with its neighbours
        return kept, blurred

    def _apart(self, heard: Floats, frames: Any) -> Floats:
        weight = self.weight[frames]
        mean: Floats = (np.abs(heard - self.expected[frames]) * weight).sum(axis=1) / (weight.sum(axis=1) + 1e-9)
        return mean


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


def _beginnings(sure: Mask) -> npt.NDArray[np.int_]:
    """The frames that match, with none shortly before them."""
    at = np.flatnonzero(sure)
    return at[np.diff(at, prepend=-2 * _NEAR) > _NEAR]


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


def _likeliest(odds: Floats) -> npt.NDArray[np.int_]:
    """The state of each frame: the sequence with the best odds, its changes paid for (Viterbi).

    Args:
        odds: of each frame and state: not there, there with its waveform, there by its sound; shape (frames, 3).
    """
    came = np.empty(odds.shape, int)
    total = np.zeros(3)
    for k, row in enumerate(odds):
        paths = total[:, None] - _CHANGES
        came[k] = paths.argmax(axis=0)
        total = paths.max(axis=0) + row
    states = np.empty(len(odds), int)
    state = int(total.argmax())
    for k in range(len(odds) - 1, -1, -1):
        states[k] = state
        state = int(came[k, state])
    return states


def _channel(wanted: Floats, there: Floats, noise: Floats, near: Mask) -> Floats:
    """What the channel made of each band's power, by the frames in which the band is loud."""
    loud = wanted[near] >= 0.1 * np.percentile(wanted[near], 95, axis=0)
    ratio = np.where(loud, (there[near] - noise) / (wanted[near] + 1e-12), np.nan)
    channel: Floats = np.maximum(np.nanmedian(ratio, axis=0), 1e-6)
    return channel


def _windows(audio: Samples) -> Samples:
    """The samples around each one."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(audio, (_WINDOW // 2, _WINDOW)), _WINDOW)


def _bands(windows: Samples, centre: Floats) -> Floats:
    """The power in each band around each of these samples."""
    starts = np.clip(np.rint(centre).astype(int), 0, len(windows) - 1 - _WINDOW // 2)
    powers: Floats = np.concatenate(
        [np.abs(np.fft.rfft(windows[starts[k : k + 512]] * _HANN)) ** 2 @ _FILTERS for k in range(0, len(starts), 512)]
    )
    return powers


def _noise(windows: Samples) -> Floats:
    """The power of the line's noise in each band: what is there in the quietest tenth of the frames."""
    size = len(windows) - 1 - _WINDOW // 2
    centre = np.arange(FRAME, max(FRAME + 1, size - FRAME), max(FRAME, size // 2000), dtype=float)
    return np.percentile(_bands(windows, centre), 10, axis=0)


def _filters() -> Floats:
    """Triangular bands, equally wide on the mel scale, 100-7000 Hz."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (100, 7000))
    mel = np.linspace(low, high, _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    rise = np.diff(edges)
    grid = np.fft.rfftfreq(_WINDOW, 1 / RATE)[:, None]
    filters: Floats = np.maximum(0, np.minimum((grid - edges[:-2]) / rise[:-1], (edges[2:] - grid) / rise[1:]))
    return filters.astype(np.float32)


_FILTERS, _HANN = _filters(), np.hanning(_WINDOW).astype(np.float32)


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

"""Which frames of the announcement are in the recording, once it is known where to look.

Two things speak for a frame: that its waveform is there, and, as codecs do not keep the waveform of unvoiced sounds,
that its spectrum is what the channel makes of it. A frame that the channel cannot carry (an *s* through a telephone)
goes with its neighbours.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _sound as sound
from ._align import FRAME, Floats
from ._audio import RATE, Samples
from ._follow import SURE, Follow, Mask
from ._sound import CLEAR, Sound

_SILENT = 1e-3  # of full scale: an announcement whose loudest frame is below has no speech
_ACTIVE = 10**-2.5  # 25 dB below the active level
_NEAR = 12  # frames, 240 ms: longer than an unvoiced sound
# Log odds that a change costs between not there, there with its waveform, and there by its sound alone; between there
# and not there: 40 ms that say clearly otherwise.
_CHANGE = 4.0
_CHANGES = np.array([[0.0, _CHANGE, _CHANGE], [_CHANGE, 0.0, 2.0], [_CHANGE, 2.0, 0.0]])
# Clear frames that make a short piece more than a resemblance. The same word in another announcement in espeak's voice
# reached 23; a chance likeness near the lag of what was found reached 10.
_IN_PLACE = 5  # at the lag of what is before or after it
_ENCLOSED, _ENCLOSED_SEEN = 12, 9  # between two others; if a block of it was found before it was followed
_BESIDE, _ALONE = 16, 24
_LOOSE = 3.5  # frames
_FEW = 12  # frames by which the channel can be told
_MOVED, _STRETCHED = 0.005, 0.15  # seconds by which the lag changes where a receiver stretches time
_SHIFTS = (-0.04, -0.03, -0.02, -0.01, 0.01, 0.02, 0.03, 0.04)  # seconds by which a jitter buffer's start may be off
_BLURRED = 1.0  # dB by which its spectrum is off for that


def speech(reference: Samples) -> Mask:
    """Which frames of the announcement are speech: within 25 dB of its active level."""
    padded = np.pad(reference, (0, -len(reference) % FRAME)).astype(np.float64)
    power = np.mean(padded.reshape(-1, FRAME) ** 2, axis=1)
    if not len(power) or power.max() < _SILENT**2:
        return np.zeros(len(power), bool)
    level = power[power > 1e-3 * power.max()].mean()
    mask: Mask = power > level * _ACTIVE
    return mask


class Spectra:
    """What the announcement sounds like frame by frame, and the recording anywhere."""

    def __init__(self, recording: Samples, reference: Samples, voiced: Floats) -> None:
        """`voiced`: how periodic each frame of the announcement is, 0..1."""
        self._recording = sound.windows(recording)
        self._noise = sound.noise(self._recording)
        self._centre = (np.arange(-(-len(reference) // FRAME)) + 0.5) * FRAME
        self._wanted = sound.bands(sound.windows(reference), self._centre)
        self._voiced = voiced

    def delivered(self, follow: Follow, active: Mask, doubted: Sequence[int] = ()) -> tuple[Follow, Mask]:
        """Which frames of speech are in the recording, and the follow, its seams settled.

        What is of `doubted` tracks must be more than a few frames.
        """
        result = np.zeros(len(active), bool)
        sure = active & (follow.match >= SURE)
        trusted = sure & ~np.isin(follow.track, doubted)
        if not sure.any():
            return follow, result
        like = self._expected(follow, trusted if trusted.sum() >= _FEW else sure)
        follow = self._settled(follow, like, active)
        off = self._off(follow, like, active)
        odds, blurred = like.odds(follow.match, off, slice(None))
        odds[follow.track < 0] = blurred[follow.track < 0] = -CLEAR
        state = _likeliest(np.stack([np.zeros(active.sum()), odds[active], blurred[active]], axis=1))
        result[active] = state > 0
        result[_counted_twice(follow, active, result)] = False
        result[_repeated_end(follow, active, result)] = False
        odds = np.maximum(odds, 0)  # what has only its sound does not speak against a piece, but not for it either
        for island in _unbelieved(follow, active, result, odds, doubted):
            result[island] = False
        return follow, result

    def _expected(self, follow: Follow, trusted: Mask) -> Sound:
        """What the frames must sound like in this recording."""
        near = _within(trusted, _NEAR) & (follow.track >= 0)
        return sound.expected(
            self._wanted, self._heard(follow.lag, slice(None)), self._noise, self._voiced, trusted, near
        )

    def _settled(self, follow: Follow, like: Sound, active: Mask) -> Follow:
        """The follow, with each frame at a seam of two tracks given to the track whose place sounds more like it."""
        lag, match, track = follow.lag.copy(), follow.match.copy(), follow.track.copy()
        for seam in follow.seams:
            size = seam.lag.shape[1]
            frames, odds = slice(seam.first, seam.first + size), []
            for side in (0, 1):
                off = like.off(self._heard(seam.lag[side], frames), frames)
                odds.append(np.maximum(*like.odds(seam.match[side], off, frames)) * active[frames])
            of_left = np.concatenate([[0.0], np.cumsum(odds[0])])[: size - seam.fall + 1]
            of_right = np.concatenate([np.cumsum(odds[1][::-1])[::-1], [0.0]])[seam.fall :]
            split = int(np.argmax(of_left + of_right))
            for side, first, last in ((0, 0, split), (1, split + seam.fall, size)):
                part = slice(seam.first + first, seam.first + last)
                lag[part], match[part] = seam.lag[side, first:last], seam.match[side, first:last]
                track[part] = seam.left + side
        return Follow(lag, match, track)

    def _off(self, follow: Follow, like: Sound, active: Mask) -> Floats:
        """How many dB each frame is off what it should sound like."""
        off = like.off(self._heard(follow.lag, slice(None)), slice(None))
        sure = active & (follow.match >= SURE)
        frames, *lags = _between(follow, sure)
        for lag in lags if len(frames) else ():
            off[frames] = np.minimum(off[frames], like.off(self._heard(lag, frames), frames) - _BLURRED)
        for first in _beginnings(sure):
            frames = np.arange(max(0, first - _NEAR), first)
            self._lead(follow, like, off, frames[active[frames] & (follow.track[frames] >= 0)])
        return off

    def _lead(self, follow: Follow, like: Sound, off: Floats, frames: npt.NDArray[np.int_]) -> None:
        """Correct `off` of the frames before the first that matches: where a receiver starts, it stretches time.

        The frames are unvoiced, so that only their sound tells by how much it did.
        """
        known = np.maximum(*like.odds(follow.match[frames], off[frames], frames))
        if np.sum(CLEAR - known) <= _CHANGE:
            return
        heard = self._heard(
            np.concatenate([follow.lag[frames] + shift for shift in _SHIFTS]), np.tile(frames, len(_SHIFTS))
        )
        best, gained = off[frames], _CHANGE
        for shift, one in zip(_SHIFTS, np.split(heard, len(_SHIFTS)), strict=True):
            moved = np.minimum(off[frames], like.off(one, frames))
            late = frames > frames[-1] - round(50 * shift)  # what comes that late in the recording is what matches
            moved[late] = off[frames][late]
            _, blurred = like.odds(follow.match[frames], moved, frames)
            gain = float(np.maximum(blurred - known, 0).sum())
            if gain > gained:
                best, gained = moved, gain
        off[frames] = best

    def _heard(self, lag: Floats, frames: Any) -> Floats:
        return sound.bands(self._recording, self._centre[frames] + np.nan_to_num(lag) * RATE)


def _unbelieved(
    follow: Follow, active: Mask, found: Mask, odds: Floats, doubted: Sequence[int]
) -> list[npt.NDArray[np.int_]]:
    """The frames of each piece apart from the others that is too short for where it is.

    Speech of the same voice has a sound, or a word, in common with what was cut, and somewhere near its place.
    """
    pieces = _pieces(follow, active, found, doubted)
    clear = [float(odds[piece].sum()) / CLEAR for piece in pieces]
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


def _counted_twice(follow: Follow, active: Mask, found: Mask) -> list[int]:
    """The frames next to missing ones that are like what was received for the frames beyond them.

    A vowel's periods resemble each other: the last of what was received matches what should follow, too, and the lag
    falls by as long as the frames last. Where a receiver left something out to catch up, more frames follow.
    """
    frames, twice = np.flatnonzero(active), []
    for start, end in stretches(found[frames]):
        run = frames[start:end]
        fall = np.maximum(-np.diff(follow.lag[run]), 0)
        for part, falls, missing in ((run, fall, start > 0), (run[::-1], fall[::-1], end < len(frames))):
            size = np.arange(1, len(part))
            like = np.flatnonzero((falls > _MOVED) & (size <= np.cumsum(falls) * RATE / FRAME + 1.5))
            if missing and len(like):
                twice += [int(frame) for frame in part[: like[-1] + 1]]
    return twice


def _repeated_end(follow: Follow, active: Mask, found: Mask) -> list[int]:
    """The last frames of a tone whose end is missing: they match the sound that was received for earlier frames.

    A tone that is cut matches to its end all the same, with a lag that falls by what is missing: a period of it is like
    the next. Nothing tells it from a tone of which a receiver left as much out to catch up; so close to the end, that
    is missing too. Where in the tone the lag falls is a matter of chance: up to :data:`_LOOSE` frames early.
    """
    frames = np.flatnonzero(active)
    run = frames[-_NEAR:]
    run = run[found[run] & (follow.match[run] >= SURE)]
    if not len(run) or run[-1] != frames[-1]:
        return []
    fallen = np.cumsum(np.maximum(-np.diff(follow.lag[run]), 0)[::-1])
    size = np.arange(1, len(run))
    like = np.flatnonzero((fallen > _MOVED) & (size <= fallen * RATE / FRAME + _LOOSE))
    return [int(frame) for frame in run[len(run) - round(fallen[like[-1]] * RATE / FRAME) :]] if len(like) else []


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

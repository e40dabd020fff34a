"""Where each stretch of the announcement is in the recording.

Three steps. *Anchors*: blocks of 1 s, looked for in the whole recording by normalised cross-correlation, and later
blocks of 0.5 s, looked for where something is still missing. *Chain*: the
heaviest selection of anchors that runs forward in both, so that nothing received counts twice. *Track*: between and
around the anchors, the lag of every frame, which a drifting clock moves slowly and a jitter buffer in jumps.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._audio import RATE, Samples

FRAME = RATE // 50
"""Samples of a frame of the verdict: 20 ms."""

Floats = npt.NDArray[np.floating]

_SLOW = 4_000  # Hz, of the search for anchors
_FINE = 8_000  # Hz, of the tracking
_BLOCK = _SLOW
_FFT = 1 << 15
_PEAKS = 6  # candidates per block: as many times may a sentence be in a recording, or resemble another
_SIMILAR = 0.35  # normalised correlation at which a block is worth looking at
_SURE, _CERTAIN = 0.6, 0.7  # one block of another announcement in the same voice reached 0.58
_REACH = 8.0  # seconds beyond an anchor that are looked at: what is longer has an anchor of its own
_SAME = 0.06  # seconds by which the lag may change within a track

_SPAN = 512  # fine samples to either side of the expected lag: 64 ms, a jitter buffer's start-up is 20-40 ms
_FAR = 0.02  # seconds off the expected lag after which the frames are followed once more, around what was found
_WINDOW = 320  # fine samples that are compared: 40 ms
_JUMP = 1.5  # what a jump of the lag costs, in frames that match perfectly
_LATE = 0.1  # what a jump that comes later is given: in a tone, and in silence, any frame is as good for it
_STEP = 0.02  # what a step by one fine sample costs


@dataclass(frozen=True)
class Anchor:
    """A block of the announcement and where it was found: `at` and `lag` in seconds, `match` 0..1."""

    at: float
    lag: float
    match: float


@dataclass(frozen=True)
class Track:
    """Frames `first` .. `first + len(lag)` of the announcement followed through the recording.

    Attributes:
        first: index of the first frame.
        lag: of each frame, in seconds: recording time less announcement time.
        match: of each frame, the correlation of the waveforms, -1..1.
    """

    first: int
    lag: Floats
    match: Floats


class Finder:
    """Looks for blocks of the announcement in the recording, below 2 kHz."""

    def __init__(self, recording: Samples, reference: Samples) -> None:
        self._there = band(recording, _SLOW, 100, 1900)
        self._wanted = band(reference, _SLOW, 100, 1900)
        self._usual = float(np.mean(self._wanted**2))

    def everywhere(self) -> list[list[Anchor]]:
        """For every second of the announcement the places that resemble it, best first."""
        return self._search(0, len(self._wanted), 0, len(self._there), _BLOCK)

    def between(self, wanted: tuple[float, float], there: tuple[float, float]) -> list[list[Anchor]]:
        """The same for half seconds of a part of the announcement in a part of the recording, from and to in s."""
        edges = [max(0, int(second * _SLOW)) for second in (*wanted, *there)]
        return self._search(edges[0], edges[1], edges[2], edges[3], _BLOCK // 2)

    def _search(self, first: int, last: int, begin: int, end: int, size: int) -> list[list[Anchor]]:
        size = min(size, len(self._wanted))
        hop = size // 2 if last - first > 10 * _SLOW or size > _BLOCK // 2 else size // 4
        places = _Places(np.pad(self._there[begin:end], size), size)
        found: list[list[Anchor]] = []
        for start in range(first, max(first + 1, last - size // 2), hop):
            block = self._wanted[start : start + size]
            energy = float(np.sum(block**2))
            if energy < 0.01 * self._usual * size:
                found.append([])
                continue
            match = places.match(block / np.sqrt(energy))
            middle = (start + len(block) / 2) / _SLOW
            found.append([Anchor(middle, (k + begin - size - start) / _SLOW, float(match[k])) for k in _peaks(match)])
        return found


class _Places:
    """A recording, prepared for many searches: overlapping pieces and their spectra."""

    def __init__(self, there: Samples, size: int) -> None:
        self._fft = min(_FFT, _fast(len(there)))
        self._stride = self._fft - size + 1
        self._lags = len(there) - size + 1
        count = -(-self._lags // self._stride)
        padded = np.pad(there, (0, count * self._stride + self._fft - len(there)))
        pieces = np.lib.stride_tricks.sliding_window_view(padded, self._fft)[: count * self._stride : self._stride]
        self._spectra = np.fft.rfft(pieces)
        self._norm = _norms(there, size)

    def match(self, block: Samples) -> Floats:
        """The normalised correlation with a block of unit energy, at every place."""
        products = np.fft.irfft(self._spectra * np.conj(np.fft.rfft(block, self._fft)), self._fft)
        match: Floats = products[:, : self._stride].reshape(-1)[: self._lags] / self._norm
        return match


def chain(found: list[list[Anchor]], apart: float = 0.75) -> list[Anchor]:
    """The heaviest selection of anchors, at most one per block, that runs forward in both; `apart` in s."""
    flat = [anchor for block in found for anchor in block]
    if not flat:
        return []
    at, lag, match = np.array([(a.at, a.lag, a.match) for a in flat]).T
    best, before = match - _SIMILAR + 0.05, np.full(len(flat), -1)
    alone = best.copy()
    for k in range(1, len(flat)):
        change = lag[k] - lag[:k]
        ahead = at[k] - at[:k]
        forward = (ahead > 0) & ((np.abs(change) <= _SAME) | (ahead + change >= apart))
        cost = np.where(np.abs(change) <= 0.005, 0.0, np.where(np.abs(change) <= _SAME, 0.1, 0.7))
        gain = np.where(forward, best[:k] - cost, -np.inf)
        j = int(np.argmax(gain))
        if gain[j] > 0:
            best[k], before[k] = alone[k] + gain[j], j
    links = [int(np.argmax(best))]
    while before[links[-1]] >= 0:
        links.append(int(before[links[-1]]))
    return [flat[k] for k in reversed(links)]


def runs(anchors: list[Anchor]) -> list[list[Anchor]]:
    """The chain, divided where the lag jumps."""
    divided: list[list[Anchor]] = []
    for anchor in anchors:
        if divided and abs(anchor.lag - divided[-1][-1].lag) <= _SAME:
            divided[-1].append(anchor)
        else:
            divided.append([anchor])
    return divided


def sure(run: list[Anchor]) -> bool:
    """Whether these anchors of one second each, of one lag, are more than a resemblance."""
    best = sorted((a.match for a in run), reverse=True)
    return best[0] >= _CERTAIN or (len(best) > 1 and best[0] >= _SURE and best[1] >= 0.5)


def inserted(into: list[list[Anchor]], new: list[Anchor]) -> list[list[Anchor]]:
    """The runs with a new one in its place, for which another one may have to be divided."""
    parts = []
    for run in into:
        before, after = [a for a in run if a.at < new[0].at], [a for a in run if a.at > new[-1].at]
        parts += [part for part in (before, after) if part] or [run]
    return sorted([*parts, new], key=lambda run: run[0].at)


class Tracker:
    """Follows the lag frame by frame, in a band that every telephone keeps (100-3400 Hz)."""

    def __init__(self, recording: Samples, reference: Samples) -> None:
        self._there = np.pad(band(recording, _FINE, 100, 3400), _FINE)
        wanted = band(reference, _FINE, 100, 3400)
        self._hop = FRAME * _FINE // RATE
        self.frames = -(-len(reference) // FRAME)
        edge = (_WINDOW - self._hop) // 2
        padded = np.pad(wanted, (edge, edge + self._hop))
        self._windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[:: self._hop][: self.frames]
        self._edge = edge
        self._tracks: dict[tuple[tuple[Anchor, ...], float, float], Track] = {}
        self._floor = 1e-3 * float(np.sqrt(np.mean(wanted**2) * _WINDOW))

    def voiced(self) -> Floats:
        """How periodic each frame is, 0..1: its autocorrelation at the periods of a voice, 2.5-12.5 ms."""
        taper = np.hanning(_WINDOW)
        spectra = np.fft.rfft(np.vstack([self._windows, np.ones(_WINDOW)]) * taper, 2 * _WINDOW)
        alike = np.fft.irfft(np.abs(spectra) ** 2)[:, : _FINE // 80 + 1]
        alike /= alike[:, :1] + 1e-9
        voiced: Floats = (alike[:-1, _FINE // 400 :] / alike[-1, _FINE // 400 :]).max(axis=1)
        return voiced

    def track(self, anchors: list[Anchor], after: float, until: float) -> Track:
        """The frames around these anchors, but none before `after` or beyond `until` (s of the announcement)."""
        key = (tuple(anchors), after, until)
        if key not in self._tracks:
            self._tracks[key] = self._track(anchors, after, until)
        return self._tracks[key]

    def _track(self, anchors: list[Anchor], after: float, until: float) -> Track:
        per_second = RATE / FRAME
        first = max(0, int(max(after, anchors[0].at - _REACH) * per_second))
        last = min(self.frames, int(min(until, anchors[-1].at + _REACH) * per_second) + 1)
        at = (np.arange(first, last) + 0.5) / per_second
        expected = np.interp(at, [a.at for a in anchors], [a.lag for a in anchors])
        found = self._followed(first, last, expected)
        # A receiver that catches up after a delay may move by more than the span; it is seen to go that way.
        for _ in range(2):
            like = found.match >= _SURE
            seen = np.flatnonzero(like & (np.convolve(like, np.ones(9), "same") >= 5))  # one alone may be chance
            lag = smooth(found.lag[seen])
            if np.abs(lag - expected[seen]).max(initial=0) < _FAR:
                break
            expected = np.interp(at, at[seen], lag)
            found = self._followed(first, last, expected)
        return found

    def _followed(self, first: int, last: int, expected: Floats) -> Track:
        centre = np.rint(expected * _FINE).astype(int)
        match = self._correlogram(first, last, centre)
        path = _cheapest(match, np.diff(centre, prepend=centre[0]))
        rows = np.arange(len(path))
        fraction = _vertex(match, path)
        lag = (centre + path - _SPAN + fraction) / _FINE
        return Track(first, lag, match[rows, path])

    def _correlogram(self, first: int, last: int, centre: npt.NDArray[np.int_]) -> Floats:
        """Per frame and lag the normalised correlation."""
        reach = _WINDOW + 2 * _SPAN
        size = _fast(reach)
        starts = np.arange(first, last) * self._hop - self._edge + centre - _SPAN + _FINE
        starts = np.clip(starts, 0, len(self._there) - 1)
        padded = np.pad(self._there, (0, reach))
        windows = self._windows[first:last]
        match = np.empty((last - first, 2 * _SPAN + 1), np.float32)
        view = np.lib.stride_tricks.sliding_window_view(padded, reach)
        for k in range(0, last - first, 256):
            piece, block = view[starts[k : k + 256]], windows[k : k + 256]
            product = np.fft.irfft(np.fft.rfft(piece, size) * np.conj(np.fft.rfft(block, size)), size)
            sums = np.cumsum(np.pad(piece.astype(np.float64) ** 2, ((0, 0), (1, 0))), axis=1)
            there = np.sqrt(np.maximum(sums[:, _WINDOW:] - sums[:, :-_WINDOW], 0)) + self._floor
            wanted = np.sqrt(np.sum(block**2, axis=1, keepdims=True)) + self._floor
            match[k : k + 256] = product[:, : 2 * _SPAN + 1] / (there * wanted)
        return match


def band(audio: Samples, rate: int, low: float, high: float) -> Samples:
    """The audio between `low` and `high` Hz, its treble raised, at `rate`, which divides :data:`RATE`."""
    taps = _taps(low, high)
    half, size = len(taps) // 2, 1 << 16
    stride = size - len(taps) + 1
    stride -= stride % (RATE // rate)
    count = max(1, -(-len(audio) // stride))
    padded = np.pad(audio, (half, count * stride + size - len(audio)))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, size)[: count * stride : stride]
    response = np.fft.rfft(taps, size).astype(np.complex64)
    filtered = [np.fft.irfft(np.fft.rfft(p) * response, size)[len(taps) - 1 :][:stride] for p in pieces]
    joined: Samples = np.concatenate(filtered)[: len(audio) : RATE // rate].astype(np.float32)
    return joined


def _taps(low: float, high: float) -> Samples:
    """A linear-phase band-pass of 16 ms that raises the treble by 6 dB per octave above 500 Hz."""
    grid = np.fft.rfftfreq(512, 1 / RATE)
    wanted = np.sqrt(1 + (grid / 500) ** 2) * ((grid >= low) & (grid <= high))
    taps: Samples = (np.roll(np.fft.irfft(wanted), 128)[:257] * np.hanning(257)).astype(np.float32)
    return taps


def _norms(audio: Samples, size: int) -> Floats:
    sums = np.cumsum(np.pad(audio.astype(np.float64) ** 2, (1, 0)))
    energy = np.maximum(sums[size:] - sums[:-size], 0)
    norms: Floats = np.sqrt(energy) + 1e-2 * np.sqrt(np.mean(audio**2) * size) + 1e-9
    return norms


def _peaks(match: Floats) -> list[int]:
    """The best local maxima, at least 20 ms apart."""
    inner = match[1:-1]
    peaks = 1 + np.flatnonzero((inner > _SIMILAR) & (inner >= match[:-2]) & (inner > match[2:]))
    chosen: list[int] = []
    for k in peaks[np.argsort(-match[peaks])][:200]:
        if all(abs(int(k) - c) > _SLOW // 50 for c in chosen):
            chosen.append(int(k))
            if len(chosen) == _PEAKS:
                break
    return chosen


def _cheapest(match: Floats, moved: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """The lag index of every frame: the path that matches most, its steps and jumps paid for (Viterbi)."""
    rows, states = match.shape
    reward = np.maximum(match - 0.3, 0) / 0.7
    before = np.empty((rows, states), reward.dtype)  # of each frame but the first, how good it is to come from each lag
    best = np.empty(rows, int)
    total = reward[0]
    for k in range(1, rows):
        # When the window moved, the same lag has another index.
        before[k] = came = _shifted(total, int(moved[k])) if moved[k] else total
        best[k] = came.argmax()
        stepped = came - np.float32(_STEP)
        total = np.maximum(came, came[best[k]] - _JUMP)
        np.maximum(total[1:], stepped[:-1], out=total[1:])
        np.maximum(total[:-1], stepped[1:], out=total[:-1])
        total += reward[k]
    path = np.empty(rows, int)
    path[-1] = int(np.argmax(total))
    for k in range(rows - 1, 0, -1):
        at, jump, came = int(path[k]), int(best[k]), before[k]
        ways = [(float(came[at]), at), (float(came[jump]) - _JUMP + _LATE, jump)]
        ways += [(float(came[to]) - _STEP, to) for to in (at - 1, at + 1) if 0 <= to < states]
        path[k - 1] = min(max(max(ways, key=lambda way: way[0])[1] + int(moved[k]), 0), states - 1)
    return path


def smooth(lag: Floats) -> Floats:
    """The median of each nine: a jump stays, a frame that is off does not."""
    if not len(lag):
        return lag
    near = np.lib.stride_tricks.sliding_window_view(np.pad(lag, 4, mode="edge"), 9)
    smoothed: Floats = np.median(near, axis=1)
    return smoothed


def _shifted(total: Floats, by: int) -> Floats:
    moved = np.full_like(total, total.min())
    if by > 0:
        moved[:-by] = total[by:]
    else:
        moved[-by:] = total[:by]
    return moved


def _vertex(match: Floats, path: npt.NDArray[np.int_]) -> Floats:
    """How far the true maximum lies from the sampled one, in samples, by a parabola."""
    rows = np.arange(len(path))
    inside = np.clip(path, 1, match.shape[1] - 2)
    left, middle, right = (match[rows, inside + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend < -1e-6, 0.5 * (left - right) / np.where(bend < -1e-6, bend, 1), 0.0)
    return np.where(inside == path, np.clip(shift, -0.5, 0.5), 0.0)


def _fast(size: int) -> int:
    """The next size that is quick to transform."""
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1

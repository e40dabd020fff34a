"""The expected sound of the announcement in this recording, and how much evidence each frame gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._align import FRAME, Floats
from ._audio import RATE, Samples
from ._follow import Mask

CLEAR = 5.0
"""Log odds; a frame is not believed more than this."""

# Log odds of a frame: fitted to 108 000 frames, a tenth of them missing, two voices, through Opus and G.711; 0.3 %
# were wrong either way. `match` is the waveform's correlation, `off` how many dB the spectrum is off.
_MATCH, _OFF, _EVEN = 15.0, 1.75, 1.3
# A spectrum that is more than 3 dB off counts for more, and 5 dB for as much as any more: where a voice begins, a lag
# that is off by 10 ms makes 10 dB. Fitted to 2,900 such frames of other texts than the sweep's.
_NEAR_OFF, _FAR_OFF, _MORE = 3.0, 5.0, 1.5
# A codec that does not keep the waveform of unvoiced sounds keeps their spectrum: it tells the more, the louder the
# frame is than the noise. Fitted to frames whose waveforms do not match (below 0.1), 470 there and 7,800 missing, of
# other texts than the sweep's and in three voices.
_SOUND, _ALOUD, _SOUND_OFF, _LOUD = 4.2, 0.5, 2.4, 10.0
_VOICED = 40.0  # what it costs to say so of a voiced frame, which keeps its waveform: periodic by 0.6 0, by 0.75 6
_FAINT = 4.0  # dB over the noise
_BANDS = 18
_CODEC = 1e-3  # of a frame's power, in each band: a codec's own noise, which follows the voice
_WINDOW = 512


@dataclass(frozen=True)
class Sound:
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
        far = np.minimum(off, _FAR_OFF)
        apart = _OFF * far + _MORE * np.maximum(far - _NEAR_OFF, 0)
        kept = np.clip(_MATCH * match - apart + _EVEN, -CLEAR, CLEAR)
        voiced = _VOICED * (np.clip(self.voiced[frames], 0.6, 0.75) - 0.6)
        blurred = np.clip(_SOUND + _ALOUD * alone - _SOUND_OFF * off - voiced, -CLEAR, CLEAR)
        faint = self.weight[frames].max(axis=1) < _FAINT
        kept[faint] = blurred[faint] = 0  # the channel cannot carry it: it goes with its neighbours
        return kept, blurred

    def _apart(self, heard: Floats, frames: Any) -> Floats:
        weight = self.weight[frames]
        mean: Floats = (np.abs(heard - self.expected[frames]) * weight).sum(axis=1) / (weight.sum(axis=1) + 1e-9)
        return mean


def expected(wanted: Floats, there: Floats, line: Floats, voiced: Floats, trusted: Mask, near: Mask) -> Sound:
    """What the frames must sound like through the channel of this recording.

    Args:
        wanted: the power of the announcement in each band, shape (frames, bands).
        there: that of the recording where the frames should be.
        line: that of the line's noise, shape (bands,).
        voiced: how periodic each frame is, 0..1.
        near: frames by which the channel is told.
    """
    gains = _channel(wanted, there, line, near)
    carried = wanted * gains
    floor = line + 1e-6 * carried[trusted].mean(axis=0)
    level = _decibel(carried + floor + _CODEC * carried.mean(axis=1, keepdims=True))
    weight = np.clip(level - _decibel(floor), 0, 12) * (gains > 0.03 * np.median(gains))
    return Sound(level, weight, _decibel(floor), voiced)


def _channel(wanted: Floats, there: Floats, noise: Floats, near: Mask) -> Floats:
    """What the channel made of each band's power, by the frames in which the band is loud."""
    loud = wanted[near] >= 0.1 * np.percentile(wanted[near], 95, axis=0)
    ratio = np.where(loud, (there[near] - noise) / (wanted[near] + 1e-12), np.nan)
    gains: Floats = np.maximum(np.nanmedian(ratio, axis=0), 1e-6)
    return gains


def windows(audio: Samples) -> Samples:
    """The samples around each one."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(audio, (_WINDOW // 2, _WINDOW)), _WINDOW)


def bands(windows: Samples, centre: Floats) -> Floats:
    """The power in each band around each of these samples."""
    starts = np.clip(np.rint(centre).astype(int), 0, len(windows) - 1 - _WINDOW // 2)
    powers: Floats = np.concatenate(
        [np.abs(np.fft.rfft(windows[starts[k : k + 512]] * _HANN)) ** 2 @ _FILTERS for k in range(0, len(starts), 512)]
    )
    return powers


def noise(windows: Samples) -> Floats:
    """The power of the line's noise in each band: what is there in the quietest tenth of the frames."""
    size = len(windows) - 1 - _WINDOW // 2
    centre = np.arange(FRAME, max(FRAME + 1, size - FRAME), max(FRAME, size // 2000), dtype=float)
    return np.percentile(bands(windows, centre), 10, axis=0)


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

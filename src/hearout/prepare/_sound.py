"""The sound of an announcement: silence, loudness, peaks. Mono float32 in ±1, at :data:`SAMPLE_RATE`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyloudnorm
from scipy import ndimage, signal

from ..errors import AnnouncementError

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 24_000
"""Hz."""

LEADING, TRAILING = 0.2, 0.1
"""Seconds of silence before and after each stretch that the TTS made. A jitter buffer that starts up may swallow the
first tenth; what a person perceives as the gap before the answer is what is kept at the end."""

TRUE_PEAK = -1.0
"""dB of full scale that no peak passes, not between the samples either (4 times oversampled, ITU-R BS.1770)."""

MOST_LIMITED = 12.0
"""dB by which a peak may be held down; speech that is limited more sounds crushed."""

TOLERANCE = 0.5
"""LU by which the loudness may be off."""

_SILENT = 0.02  # of the highest peak: above a TTS's noise floor, below its quietest fricatives
_BLOCK = 0.4  # seconds: the meter's block; what is shorter is measured as if it were said again and again
_LOOK = 0.005  # seconds for which the limiter looks ahead, and holds


@dataclass(frozen=True)
class Levelled:
    """Audio at the loudness that was asked for.

    Attributes:
        pcm: int16.
        lufs: measured on `pcm`.
        true_peak: dB of full scale, measured on `pcm`.
        limited: dB by which the highest peak was held down.
    """

    pcm: npt.NDArray[np.int16]
    lufs: float
    true_peak: float
    limited: float


def trimmed(audio: Samples) -> Samples:
    """The audio with exactly :data:`LEADING` and :data:`TRAILING` around its sound; empty if there is no sound."""
    peak = np.abs(audio).max(initial=0.0)
    loud = np.flatnonzero(np.abs(audio) > _SILENT * peak)
    if not len(loud):
        return np.zeros(0, np.float32)
    first = int(loud[0]) - round(LEADING * SAMPLE_RATE)
    last = int(loud[-1]) + 1 + round(TRAILING * SAMPLE_RATE)
    padding = (max(0, -first), max(0, last - len(audio)))
    return np.pad(audio[max(0, first) : last], padding).astype(np.float32)


def loudness(audio: Samples) -> float:
    """Integrated loudness in LUFS; minus infinity for silence."""
    if not len(audio):
        return float("-inf")
    times = int(np.ceil(_BLOCK * SAMPLE_RATE / len(audio)))
    long_enough = np.tile(audio, times) if times > 1 else audio
    return float(pyloudnorm.Meter(SAMPLE_RATE, block_size=_BLOCK).integrated_loudness(long_enough))


def true_peak(audio: Samples) -> float:
    """The highest peak, between the samples too, in dB of full scale."""
    peak = np.abs(signal.resample_poly(audio, 4, 1)).max(initial=0.0)
    return float(20 * np.log10(peak)) if peak > 0 else float("-inf")


def levelled(audio: Samples, lufs: float) -> Levelled:
    """The audio at `lufs`; never clipped: its highest peaks are held down to :data:`TRUE_PEAK`.

    Raises:
        AnnouncementError: it is silent, or cannot be that loud without being distorted.
    """
    if not np.isfinite(loudest := loudness(audio)):
        raise AnnouncementError("its audio is silent; look at what the voice gives for this text")
    gain, done = lufs - loudest, None
    for _ in range(8):
        done = _measured(*_limited(audio * np.float32(_ratio(gain))))
        if abs(done.lufs - lufs) < TOLERANCE / 10 or done.limited > MOST_LIMITED:
            break
        gain += lufs - done.lufs
    assert done is not None
    if done.limited > MOST_LIMITED or abs(done.lufs - lufs) > TOLERANCE:
        raise AnnouncementError(
            f"{lufs:g} LUFS would need its peaks held down by {done.limited:.0f} dB, which distorts; "
            f"ask for less with --lufs (it was {loudest:.1f} LUFS)"
        )
    return done


def _measured(audio: Samples, limited: float) -> Levelled:
    pcm = np.round(audio * 32767).astype(np.int16)
    stored = (pcm / np.float32(32768)).astype(np.float32)
    return Levelled(pcm, loudness(stored), true_peak(stored), limited)


def _limited(audio: Samples) -> tuple[Samples, float]:
    """The audio with its peaks at :data:`TRUE_PEAK` at most, and the dB by which the highest was held down.

    The gain that each sample needs is held for :data:`_LOOK` both ways, then smoothed over the same length: so it is
    down before the peak comes, and no sample gets more than it may.
    """
    high = np.abs(signal.resample_poly(audio, 4, 1)).reshape(-1, 4).max(axis=1)
    ceiling = _ratio(TRUE_PEAK - 0.1)  # lowering the gain in time moves the peaks between the samples a little
    needed = np.minimum(1.0, ceiling / np.maximum(high, 1e-9))
    reach = 2 * round(_LOOK * SAMPLE_RATE) + 1
    held = ndimage.minimum_filter1d(needed, reach, mode="nearest")
    gain = ndimage.uniform_filter1d(held, reach, mode="nearest")
    return (audio * gain).astype(np.float32), float(-20 * np.log10(gain.min(initial=1.0)))


def _ratio(decibel: float) -> float:
    return float(10 ** (decibel / 20))

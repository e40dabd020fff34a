"""Audio as the judge takes it: one channel, float32, at :data:`RATE`."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

RATE = 16_000
"""Hz, at which everything is compared: speech above 8 kHz tells the judge nothing."""

_HOLE = 0.03  # seconds without packets that are taken for lost time; less is a container's rounding
_LONGEST_HOLE = 600.0  # seconds; a longer one is a broken time stamp
_CHUNK = 160_000


class MeasureError(ValueError):
    """A recording or an announcement could not be measured; the message says what is wrong with which."""


def read(path: str | os.PathLike[str], channel: int | None = None) -> Samples:
    """The audio of a file that FFmpeg can read (wav, ogg, mp4, webm ...): mono, at :data:`RATE`.

    Where packets are missing, by the container's time stamps, there is silence.

    Args:
        path: the file; of several audio tracks the first is taken.
        channel: which channel, the first is 0; None mixes all of them.

    Raises:
        MeasureError: no such file, no audio in it, or no such channel.
    """
    name = os.fspath(path)
    try:
        with av.open(name) as container:
            if not container.streams.audio:
                raise MeasureError(f"{name}: there is no audio in this file")
            stream = container.streams.audio[0]
            rate, channels = stream.rate, stream.channels
            if channel is not None and not 0 <= channel < channels:
                raise MeasureError(f"{name}: there is no channel {channel}; it has {channels}, the first is 0")
            audio = _joined(_decoded(container.demux(stream), channel), rate)
    except (av.FFmpegError, OSError) as error:
        raise MeasureError(f"{name}: cannot be read as audio ({error.strerror})") from error
    if not len(audio):
        raise MeasureError(f"{name}: there is no audio in this file")
    return resampled(audio, rate)


def mono(samples: npt.NDArray[Any], what: str) -> Samples:
    """The samples as float32 in ±1; integers are scaled by their full scale.

    Raises:
        MeasureError: not one channel, or not finite.
    """
    if samples.ndim != 1:
        raise MeasureError(f"{what}: one channel is needed, an array of shape {samples.shape} was given")
    scale = float(np.iinfo(samples.dtype).max) if np.issubdtype(samples.dtype, np.integer) else 1.0
    audio: Samples = samples.astype(np.float32) / np.float32(scale)
    if not np.isfinite(audio).all():
        raise MeasureError(f"{what}: it has samples that are not numbers")
    return audio


def resampled(audio: Samples, rate: int) -> Samples:
    """The audio, given at `rate` Hz, at :data:`RATE`.

    Raises:
        MeasureError: that is no rate.
    """
    if rate <= 0:
        raise MeasureError(f"a sample rate of {rate} Hz makes no sense")
    if rate == RATE:
        return audio
    resampler = av.AudioResampler("fltp", "mono", RATE)
    pieces = []
    for start in range(0, len(audio), _CHUNK):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[None, start : start + _CHUNK]), "fltp", "mono")
        frame.sample_rate = rate
        pieces += resampler.resample(frame)
    pieces += resampler.resample(None)
    return np.concatenate([np.zeros(0, np.float32), *(piece.to_ndarray()[0] for piece in pieces)])


def _decoded(packets: "Iterable[av.Packet[Any]]", channel: int | None) -> Iterator[tuple[float | None, Samples]]:
    """Every decoded frame: when it is due (s) and the one channel that is wanted of it."""
    planar: av.AudioResampler | None = None
    for packet in packets:
        try:
            frames = packet.decode()
        except av.InvalidDataError:  # a damaged packet: a player would skip it, and its time stays silent
            continue
        for frame in frames:
            if not isinstance(frame, av.AudioFrame):
                continue
            planar = planar or av.AudioResampler("fltp", frame.layout, frame.sample_rate)
            for piece in planar.resample(frame):
                every: Samples = piece.to_ndarray()
                yield frame.time, every.mean(axis=0) if channel is None else every[channel]


def _joined(frames: Iterable[tuple[float | None, Samples]], rate: int) -> Samples:
    pieces: list[Samples] = [np.zeros(0, np.float32)]
    due: float | None = None
    for time, samples in frames:
        if time is not None and due is not None and _HOLE < time - due < _LONGEST_HOLE:
            pieces.append(np.zeros(round((time - due) * rate), np.float32))
            due = time
        due = (due if due is not None else time or 0.0) + len(samples) / rate
        pieces.append(samples)
    return np.concatenate(pieces)

"""The verdict as a picture: both waveforms, on the time of the announcement, and what is missing marked."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ._audio import RATE, MeasureError, Samples
from ._judge import Measured

_MISSING = "#d62728"
_COLUMNS = 2000
_AROUND = 10.0  # seconds of the recording that are shown before and after the announcement


def draw(recording: Samples, announcement: Samples, measured: Measured, path: Path) -> None:
    """Write the picture to `path`, for its owner only: it shows when the caller spoke, and how loud.

    The format is what the name ends with (png, svg, pdf).

    Args:
        recording: as it was measured, at :data:`RATE`.
        measured: what `measure` said of them.
        path: the file.

    Raises:
        MeasureError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MeasureError("a picture needs matplotlib; run: pip install 'hearout[prepare]'") from error
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    lag = measured.lag_s or 0.0
    _wave(upper, announcement, 0.0, "announcement")
    _wave(lower, recording, -lag, "recording")
    for axes in (upper, lower):
        for start, end in _missing(announcement, measured):
            axes.axvspan(start, end, color=_MISSING, alpha=0.25, linewidth=0)
    verdict = "in full" if measured.in_full else "not in full"
    upper.set_title(f"{measured.fraction:.1%} delivered, {verdict}; red: missing", loc="left")
    lower.set_xlabel("time of the announcement, s")
    end = max(len(announcement) / RATE, min(len(recording) / RATE - lag, len(announcement) / RATE + _AROUND))
    lower.set_xlim(max(min(0.0, -lag), -_AROUND), end)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    kind = path.suffix.removeprefix(".") or "png"
    if kind not in figure.canvas.get_supported_filetypes():
        raise MeasureError(f"{path}: the picture cannot be written: {kind} is no format of pictures")
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            os.fchmod(file.fileno(), 0o600)  # also one that was there
            figure.savefig(file, format=kind)
    except OSError as error:
        raise MeasureError(f"{path}: the picture cannot be written ({error.strerror})") from error


def _wave(axes: Any, audio: Samples, begin: float, name: str) -> None:
    """The envelope: the lowest and the highest sample per column."""
    step = max(1, min(len(audio) // _COLUMNS, RATE // 50))
    columns = audio[: len(audio) // step * step].reshape(-1, step)
    at = begin + np.arange(len(columns)) * step / RATE
    axes.fill_between(at, columns.min(axis=1), columns.max(axis=1), color="#444444", linewidth=0)
    axes.set_ylabel(name)
    axes.set_yticks([])


def _missing(announcement: Samples, measured: Measured) -> list[tuple[float, float]]:
    """From and to, in seconds of the announcement."""
    if measured.lag_s is None:
        return [(0.0, len(announcement) / RATE)]
    spans = [(gap.start_ms / 1000, (gap.start_ms + gap.length_ms) / 1000) for gap in measured.gaps]
    first, last = measured.speech_from_ms / 1000, measured.speech_to_ms / 1000
    if measured.front_ms:
        spans.append((first, first + measured.front_ms / 1000))
    if measured.tail_ms:
        spans.append((last - measured.tail_ms / 1000, last))
    return spans

"""The picture of a call: one lane for the agent, one for the caller, one for the words that were held."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from .line import Samples
from .timeline import CallRecord

INK, FAINT = "#1d2733", "#8a94a0"
AGENT, PROTECTED, CALLER, HELD, GAP = "#cfe3f7", "#f6cf8b", "#cfead6", "#e9def5", "#c0392b"

AGENT_LANE, CALLER_LANE, HELD_LANE = 2.0, 1.0, 0.0
HEIGHT = 0.8
"""Of a lane, in lanes."""


def draw(path: Path, record: CallRecord, caller: Samples, agent: Samples, sample_rate: int) -> None:
    """Draw the call into a PNG file.

    Raises:
        OSError: the file cannot be written.
    """
    seconds = max(len(caller) / sample_rate, 1.0)
    lanes = 3 if record.held else 2
    figure = Figure(figsize=(min(max(9.0, seconds * 0.28), 60.0), 1.35 * lanes + 0.9), dpi=110, facecolor="white")
    axes = figure.add_axes((0.06, 0.16, 0.925, 0.72))
    sketch = _Sketch(axes, seconds, figure.get_figwidth() * 0.925)
    for utterance in record.agent:
        colour = PROTECTED if utterance.protected else AGENT
        text = utterance.text + (" [cut]" if utterance.cut else "")
        sketch.block(AGENT_LANE, utterance.start, utterance.end, text, colour)
    for said in record.caller:
        sketch.block(CALLER_LANE, said.start, said.end, said.text, CALLER)
    sketch.wave(AGENT_LANE, agent, sample_rate)
    sketch.wave(CALLER_LANE, caller, sample_rate)
    _held(sketch, record)
    _gaps(sketch, record)
    _frame(axes, record, seconds, lanes)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")


class _Sketch:
    """Blocks with words on them, in lanes over one time axis."""

    def __init__(self, axes: Any, seconds: float, inches: float) -> None:
        self.axes = axes
        self._per_second = inches / seconds

    def block(self, lane: float, start: float, end: float, text: str, colour: str) -> None:
        """A rounded block from `start` to `end` with as much of `text` on it as fits."""
        width = max(end - start, 0.05)
        self.axes.add_patch(
            FancyBboxPatch(
                (start, lane - HEIGHT / 2),
                width,
                HEIGHT,
                boxstyle=f"round,pad=0,rounding_size={min(0.12, width / 2)}",
                mutation_aspect=1.0,
                linewidth=0,
                facecolor=colour,
            )
        )
        columns = int(width * self._per_second / 0.062)  # inches of one character at this size
        if columns >= 4:
            lines = textwrap.wrap(text, columns, max_lines=5, placeholder=" …")
            self.write(start + 0.07 / self._per_second, lane + HEIGHT / 2 - 0.07, "\n".join(lines))

    def write(self, at: float, height: float, text: str, *, colour: str = INK, **style: Any) -> None:
        """Text whose top left corner is at `at` seconds."""
        settings = {"ha": "left", "va": "top", "fontsize": 7.5, "linespacing": 1.15, **style}
        self.axes.text(at, height, text, color=colour, clip_on=True, **settings)

    def wave(self, lane: float, samples: Samples, sample_rate: int) -> None:
        """The sound's envelope along the bottom of the lane."""
        step = max(1, sample_rate // 25)
        count = len(samples) // step
        if not count:
            return
        peaks = np.abs(samples[: count * step].astype(np.int32)).reshape(count, step).max(axis=1) / 32768
        times = np.arange(count) * step / sample_rate
        foot = lane - HEIGHT / 2
        self.axes.fill_between(times, foot, foot + peaks * 0.3, color=INK, alpha=0.45, linewidth=0)


def _held(sketch: _Sketch, record: CallRecord) -> None:
    """Draw the held words, each with its fate, and a thread from each to the turn that carried the words."""
    free = -1.0
    for held in record.held:
        start = max(held.at, free)
        width = max(2.2, min(6.0, len(held.text) * 0.09))
        sketch.block(HELD_LANE, start, start + width, f"{held.text}\n→ {held.fate}", HELD)
        free = start + width + 0.1
        turn = next((turn for turn in record.turns if turn.at >= held.at and held.text in turn.text), None)
        if turn is not None and turn.at > start + width:
            sketch.axes.annotate(
                "",
                xy=(turn.at, AGENT_LANE - HEIGHT / 2),
                xytext=(start + width, HELD_LANE),
                arrowprops={"arrowstyle": "->", "color": FAINT, "connectionstyle": "arc3,rad=0.15", "linewidth": 0.8},
            )


def _gaps(sketch: _Sketch, record: CallRecord) -> None:
    for reply in record.replies:
        sketch.axes.axvline(reply.start, color=GAP, linewidth=0.8, alpha=0.7)
        label = f"{reply.gap * 1000:.0f} ms" if reply.gap < 10 else f"{reply.gap:.0f} s"
        sketch.write(reply.start, AGENT_LANE + HEIGHT / 2 + 0.04, label, colour=GAP, ha="center", va="bottom")


def _frame(axes: Any, record: CallRecord, seconds: float, lanes: int) -> None:
    names = ["held", "caller", "agent"] if lanes == 3 else ["caller", "agent"]
    axes.set_xlim(0, seconds)
    axes.set_ylim(AGENT_LANE - lanes + 0.5, AGENT_LANE + 0.72)
    axes.set_yticks([AGENT_LANE - lanes + 1 + row for row in range(lanes)], names, color=INK, fontsize=9)
    axes.set_xlabel("seconds", color=FAINT, fontsize=8)
    axes.tick_params(axis="both", length=0, labelcolor=INK, labelsize=8.5)
    axes.grid(axis="x", color="#eef1f4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    words = "orange: protected, barge-in does not stop it" if any(u.protected for u in record.agent) else ""
    axes.set_title(f"outcome: {record.outcome}", loc="left", fontsize=9, color=INK)
    axes.set_title(words, loc="right", fontsize=8, color=FAINT)

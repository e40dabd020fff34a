"""The picture of a call as PNG, and what of a call is drawn: its layout is in `hearout.receipts._picture`."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from ..receipts._picture import COLOURS, Flag, Mark, Picture, picture
from .timeline import CallRecord, SpokenRow

WIDE = 1000.0
"""Pixels of the picture; a screen shows it twice as fine (`FINE`)."""
FINE = 2.0
SAME = 0.5
"""Seconds by which the line's clock and the session's may differ on when an utterance began."""
SCRIPTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "Noto Sans Arabic",
    "Noto Sans",
)
"""Fonts that are tried in this order for a sign, as far as this machine has them."""


def draw(path: Path, record: CallRecord) -> None:
    """Draw the call into a PNG file.

    Raises:
        OSError: the file cannot be written.
    """
    lanes = ("agent", "caller", "held")
    words = "; orange: protected, barge-in does not stop it" if any(one.protected for one in record.agent) else ""
    title = f"outcome: {record.outcome}{words}"
    paint(path, picture(lanes, [*marks(record)], [*flags(record)], title=title, wide=WIDE))


def marks(record: CallRecord) -> Iterator[Mark]:
    """What is drawn of a call's words."""
    asked = {attempt["utterance"]: one for one in record.questions for attempt in one["attempts"]}
    for one in record.agent:
        receipt = next((each for each in record.receipts if _is_of(each, one, record.session_at)), None)
        question = None if receipt is None else asked.get(receipt["id"])
        kind = "question" if question else "protected" if one.protected else "agent"
        yield Mark("agent", one.start, one.end, one.text, kind, _ended(question, receipt, cut=one.cut))
    for said in record.caller:
        yield Mark("caller", said.start, said.end, said.text, "caller")
    for held in record.held:
        yield Mark("held", held.at, held.at, held.text, "held", f"→ {held.fate}")


def _is_of(receipt: Mapping[str, Any], utterance: SpokenRow, session_at: float) -> bool:
    """Whether a receipt is this utterance's: one of its attempts began then."""
    begins = [one["began_at"] + session_at for one in receipt["attempts"]]
    return utterance.protected and any(abs(begin - utterance.start) < SAME for begin in begins)


def _ended(question: Mapping[str, Any] | None, receipt: Mapping[str, Any] | None, *, cut: bool) -> str:
    """How a question or an utterance ended, where that is not the rule."""
    if receipt is not None and receipt["outcome"] != "finished":
        return f"{receipt['outcome']}{': ' if receipt['why'] else ''}{receipt['why']}"
    if question is not None:
        return f"asked → {question['choice'] or question['outcome']}"
    return "cut" if cut else ""


def flags(record: CallRecord) -> Iterator[Flag]:
    """The moments of a call: where an answer began, with the gap before it, and where an utterance was cut."""
    for reply in record.replies:
        yield Flag(reply.start, f"{reply.gap * 1000:.0f} ms" if reply.gap < 10 else f"{reply.gap:.0f} s")
    for one in record.agent:
        if one.cut:
            yield Flag(one.end, "cut in" if one.protected else "cut", "cut")


def paint(path: Path, drawn: Picture) -> None:
    """Write a picture as PNG."""
    there = set(font_manager.get_font_names())
    fonts = [name for name in SCRIPTS if name in there]
    figure = Figure(figsize=(drawn.width / 72, drawn.height / 72), dpi=72 * FINE, facecolor=COLOURS["paper"][0])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawn.width)
    axes.set_ylim(drawn.height, 0)
    axes.axis("off")
    for box in drawn.boxes:
        shape = f"round,pad=0,rounding_size={min(3.0, box.width / 2, box.height / 2)}"
        see = {"tick": 0.25, "gap": 0.7, "cut": 0.7}.get(box.kind, 1.0)
        style: dict[str, Any] = {"linewidth": 0, "facecolor": COLOURS[box.kind][0], "alpha": see}
        axes.add_patch(FancyBboxPatch((box.x, box.y), box.width, box.height, boxstyle=shape, **style))
    for label in drawn.labels:
        way: dict[str, Any] = {
            "ha": "right" if label.rtl else "left",
            "va": "baseline",
            "fontfamily": fonts,
            "parse_math": False,
        }
        weight = "bold" if label.kind == "title" else "normal"
        way |= {"fontsize": label.size, "fontweight": weight, "color": COLOURS[label.kind][0]}
        line = axes.text(label.x, label.y, label.text, **way)
        if (card := label.box) is not None:  # of signs that no font here has, what has no room is left out
            line.set_clip_path(Rectangle((card.x, card.y), card.width, card.height, transform=axes.transData))
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script that no font here has is drawn as boxes
        figure.savefig(path, format="png")

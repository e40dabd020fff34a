"""The picture of a call as its visitor's page saw it: drawn for that page, and kept nowhere."""

from collections.abc import Mapping
from typing import Any

from ..receipts._picture import Flag, Mark, picture, svg

LANES = ("agent", "caller")
KINDS = ("agent", "protected", "question", "caller", "held")
MOST, LONGEST, DAY = 500, 500, 86_400.0
"""Things that are drawn, signs of each text, and seconds of a call, at most."""
LARGEST = 256 * 1024
"""Bytes of what a page may tell."""


def drawn(told: Any) -> str:
    """The picture as SVG.

    Args:
        told: ``{"wide", "said": [{"lane", "start", "end", "text", "kind", "note"}], "moments": [{"at", "text"}]}``,
            in pixels, seconds and words.

    Raises:
        ValueError, TypeError, LookupError: it is none.
    """
    marks = [_mark(one) for one in told["said"][:MOST]]
    flags = [Flag(_seconds(one["at"]), _text(one["text"]), "cut") for one in told["moments"][:MOST]]
    return svg(picture(LANES, marks, flags, wide=_seconds(told["wide"])), title="What was said in the call, over time")


def _mark(told: Mapping[str, Any]) -> Mark:
    start = _seconds(told["start"])
    lane, kind = LANES[LANES.index(told["lane"])], KINDS[KINDS.index(told["kind"])]
    return Mark(lane, start, max(start, _seconds(told["end"])), _text(told["text"]), kind, _text(told["note"]))


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise TypeError("no text")
    return told[:LONGEST]


def _seconds(told: Any) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told < DAY:  # nor NaN
        raise ValueError("no seconds of a call")
    return float(told)

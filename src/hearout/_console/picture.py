"""The picture of a call as SVG, and what of a call is drawn: its layout is in `hearout.receipts._picture`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..receipts._picture import Flag, Mark, picture, svg
from .timeline import CallRecord, SpokenRow

WIDE = 1000.0
"""Pixels of the picture."""
SAME = 0.5
"""Seconds by which the line's clock and the session's may differ on when an utterance began."""


def draw(path: Path, record: CallRecord) -> None:
    """Draw the call into an SVG file.

    Raises:
        OSError: the file cannot be written.
    """
    lanes = ("agent", "caller", "held")
    words = "; orange: protected, barge-in does not stop it" if any(one.protected for one in record.agent) else ""
    title = f"outcome: {record.outcome}{words}"
    drawn = picture(lanes, [*marks(record)], [*flags(record)], title=title, wide=WIDE)
    path.write_text(svg(drawn, title="What was said in the call, over time"), "utf-8")


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

"""`hearout receipts --asked` and `--disclosed-before-first-answer`: who was asked, and what came before an answer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..receipts import Fate, Outcome, QuestionReceipt
from ..receipts._question_codec import question_to_json
from ._book import Ledger
from ._entries import Entry
from ._questions import questions
from ._read import entries


def question_json(at: float, receipt: QuestionReceipt) -> dict[str, Any]:
    """A question as `hearout receipts --asked ID --json` prints it."""
    document = question_to_json(replace(receipt, extra={}))
    return document | {"written": at, "revoked": receipt.revoked or None, "revoked_at": receipt.revoked_at}


def question_line(receipt: QuestionReceipt) -> tuple[str, str, str]:
    """The choice, its basis and the answers of a question, for a line of the table."""
    choice = receipt.choice or receipt.outcome.value
    if receipt.revoked:
        choice += " (revoked)"
    said = "; ".join(f"{answer.text or '…'} ({answer.verdict})" for answer in receipt.answers)
    return choice, receipt.basis.value, said


def answered_too_early(ledger: Ledger, id: str, *, now: float, call: str | None = None) -> Iterator[tuple[str, str]]:
    """The calls in which something was answered before an utterance had been played to its end, each with what.

    Answered is what the agent was given as a turn, and a question that has a choice. A call in which nothing was
    answered is none of them; one that never had the utterance is, once something was answered in it.
    """
    first: dict[str, tuple[float, str]] = {}
    played: dict[str, float] = {}
    for entry in entries(ledger, now=now, call=call):
        if entry.receipt is None:
            continue
        if entry.is_of(id) and entry.receipt.outcome is Outcome.FINISHED:
            played[entry.call] = min(entry.ended or 0.0, played.get(entry.call, float("inf")))
        if (answered := _answered(entry)) is not None:
            first[entry.call] = min((answered, f"what was said over {entry.id}"), first.get(entry.call, _NEVER))
    for at, receipt in questions(ledger, call=call):
        if receipt.choice:
            first[receipt.call] = min((at, f"question {receipt.id}"), first.get(receipt.call, _NEVER))
    for name, (at, what) in first.items():
        if at < played.get(name, float("inf")):
            yield name, what


_NEVER = (float("inf"), "")


def _answered(entry: Entry) -> float | None:
    """When the words held over an utterance were answered; None where they were not."""
    assert entry.receipt is not None
    delivered = any(fate is Fate.DELIVERED for _, fate in entry.receipt.held)
    return (entry.ended or 0.0) + (entry.receipt.gap or 0.0) if delivered else None

"""Questions in the ledger: a row for how one ended, and a later row where its choice was taken back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from ..policy import Retention
from ..receipts import Fate, Outcome, QuestionReceipt
from ..receipts._codec import question_from_json, question_to_json
from ._book import Ledger
from ._chain import Plaintext, plain, restored
from ._entries import Entry, Record, RowKind, checked, redacted_content
from ._read import UNREADABLE, changed, entries, found_rows, known_content
from ._tables import ROWS, of_call


def asked_record(receipt: QuestionReceipt, *, by: str, now: float, text: Retention) -> Record:
    """The record of how a question ended. The words of its answers are kept: they are the evidence for the choice.

    Args:
        receipt: how; its `entry` names the row.
        text: what becomes of the question's text.
    """
    content, said = redacted_content(question_to_json(receipt), words=Retention.KEEP, text=text)
    return Record(RowKind.ASKED, receipt.call, receipt.id, now, by, content, said, entry=receipt.entry)


def revoked_record(receipt: QuestionReceipt, *, by: str) -> Record:
    """The record that the choice of a question does not hold any more."""
    content = checked({"reason": receipt.revoked, "choice": receipt.choice})
    at = receipt.revoked_at or 0.0
    return Record(RowKind.REVOKED, receipt.call, receipt.id, at, by, content, Plaintext(None), receipt.entry)


def questions(
    ledger: Ledger, *, call: str | None = None, id: str | None = None
) -> Iterator[tuple[float, QuestionReceipt]]:
    """The questions of a book that have ended, in order, each with when that was written."""
    revoked = {row.of: row for row in reversed(_rows(ledger, RowKind.REVOKED, call, id))}  # the first one stands
    for row in _rows(ledger, RowKind.ASKED, call, id):
        try:
            content, said = known_content(row)
            receipt = replace(question_from_json(restored(content["receipt"], said)), entry=row.entry)
            if (later := revoked.get(row.seq)) is not None:
                receipt = replace(receipt, revoked=known_content(later)[0]["reason"], revoked_at=later.at)
        except UNREADABLE as error:
            raise changed(row.seq) from error
        yield row.at, receipt


def _rows(ledger: Ledger, kind: RowKind, call: str | None, id: str | None) -> list[sa.Row[Any]]:
    which = [ROWS.c.kind == kind.value]
    which += [] if call is None else [of_call(ROWS.c.call, ledger.book, call)]
    which += [] if id is None else [ROWS.c.utterance == plain(id)]
    return list(found_rows(ledger, *which))


# What the command prints of them


def question_json(at: float, receipt: QuestionReceipt) -> dict[str, Any]:
    """A question as `hearout receipts --asked ID --json` prints it."""
    document = question_to_json(replace(receipt, extra={}))
    return document | {"written": at, "revoked": receipt.revoked or None, "revoked_at": receipt.revoked_at}


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

"""Questions in the ledger: a row for how one ended, and a later row where its choice was taken back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from ..errors import LedgerError, ReceiptError
from ..policy import Retention
from ..receipts import QuestionReceipt
from ..receipts._question_codec import question_from_json, question_to_json
from ._book import Ledger
from ._chain import Plaintext, plain, unseal
from ._entries import Record, RowKind, checked, sealed
from ._read import known_content, rows_and_beside
from ._tables import ROWS, of_call


def asked_record(receipt: QuestionReceipt, *, by: str, now: float, text: Retention) -> Record:
    """The record of how a question ended. The words of its answers are kept: they are the evidence for the choice.

    Args:
        receipt: how; its `entry` names the row.
        text: what becomes of the question's text.
    """
    content, said = sealed(question_to_json(receipt), words=Retention.KEEP, text=text)
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
        caller = tuple(json.loads(row.caller)) if row.caller else None
        said = Plaintext(row.salt, caller, json.loads(row.text) if row.text else None)
        try:
            receipt = question_from_json(unseal(known_content(row.content, row, "names")["receipt"], said))
        except (ReceiptError, ValueError, TypeError, LookupError) as error:
            raise LedgerError(f"row {row.seq} cannot be read: it was changed; run hearout receipts verify") from error
        receipt = replace(receipt, entry=row.entry)
        if (later := revoked.get(row.seq)) is not None:
            reason = known_content(later.content, later, "names")["reason"]
            receipt = replace(receipt, revoked=reason, revoked_at=later.at)
        yield row.at, receipt


def _rows(ledger: Ledger, kind: RowKind, call: str | None, id: str | None) -> list[sa.Row[Any]]:
    query = rows_and_beside().where(ROWS.c.book == ledger.book, ROWS.c.kind == kind.value).order_by(ROWS.c.seq)
    query = query if call is None else query.where(of_call(ROWS.c.call, ledger.book, call))
    query = query if id is None else query.where(ROWS.c.utterance == plain(id))
    with ledger.transaction() as connection:
        return list(connection.execute(query).all())

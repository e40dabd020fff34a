"""Reading a book: what was said to whom, whether any row was changed, and every row for keeping elsewhere."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import sqlalchemy as sa

from ..errors import LedgerError
from ..receipts import Outcome, Receipt
from ..receipts._codec import (
    Json,
    from_json,
)
from ._book import Ledger
from ._chain import Plaintext, plain, unseal
from ._entries import Entry, RowKind, amended, told
from ._tables import (
    HEADS,
    LEASES,
    ROWS,
    SAID,
)
from ._verify import (
    Checker,
    Link,
    Verdict,
    Verifier,
    parsed,
)

CHUNK = 1000
"""Rows that are read at once."""

FIRST = ROWS.alias("first")
LAST = ROWS.alias("last")


def entries(
    ledger: Ledger, *, now: float, call: str | None = None, since: float | None = None, until: float | None = None
) -> Iterator[Entry]:
    """The utterances of a book, in the order in which they were promised.

    Args:
        ledger: the book.
        now: in seconds since 1970, UTC: what was not renewed for long counts as died.
        call: of this call only.
        since, until: promised (or settled, where it was not promised) from then on, and before then.

    Raises:
        LedgerError: as for every method of `Ledger`.
    """
    for page in _utterances(ledger, call=call, since=since, until=until):
        amendments = _amendments(ledger, page)
        for row in page:
            try:
                first, last = parsed(row.content), parsed(row.last_content) if row.last_content else None
                promised, settled = (first, last) if row.kind == RowKind.OWED.value else (None, first)
                yield _entry(row, promised, settled, amendments[row.last_seq or row.seq], now)
            except (ValueError, TypeError, LookupError) as error:
                raise LedgerError(
                    f"row {row.seq} cannot be read: it was changed; run hearout receipts verify"
                ) from error


def _amendments(ledger: Ledger, page: Sequence[sa.Row[Any]]) -> defaultdict[int, list[sa.Row[Any]]]:
    """What was added to the receipts of these rows, by the number of the receipt's row, in order."""
    found: defaultdict[int, list[sa.Row[Any]]] = defaultdict(list)
    of = ROWS.c.of.in_([row.last_seq or row.seq for row in page])
    query = sa.select(ROWS).where(ROWS.c.book == ledger.book, ROWS.c.kind == RowKind.AMENDED.value, of)
    with ledger.transaction() as connection:
        for row in connection.execute(query.order_by(ROWS.c.seq)):
            found[row.of].append(row)
    return found


def _utterances(
    ledger: Ledger, *, call: str | None, since: float | None, until: float | None
) -> Iterator[Sequence[sa.Row[Any]]]:
    said_first, said_last = SAID.alias("said_first"), SAID.alias("said_last")
    settled = sa.and_(LAST.c.book == FIRST.c.book, LAST.c.of == FIRST.c.seq, LAST.c.kind == RowKind.SETTLED.value)
    query = (
        sa.select(
            FIRST,
            LAST.c.seq.label("last_seq"),
            LAST.c.content.label("last_content"),
            said_first.c.text,
            said_first.c.salt,
            said_first.c.caller,
            said_last.c.text.label("last_text"),
            said_last.c.salt.label("last_salt"),
            said_last.c.caller.label("last_caller"),
            LEASES.c.played,
            LEASES.c.held,
            LEASES.c.until,
        )
        .outerjoin(LAST, settled)
        .outerjoin(said_first, sa.and_(said_first.c.book == FIRST.c.book, said_first.c.seq == FIRST.c.seq))
        .outerjoin(said_last, sa.and_(said_last.c.book == LAST.c.book, said_last.c.seq == LAST.c.seq))
        .outerjoin(LEASES, sa.and_(LEASES.c.book == FIRST.c.book, LEASES.c.of == FIRST.c.seq))
        .where(FIRST.c.book == ledger.book)
        .where(
            sa.or_(
                FIRST.c.kind == RowKind.OWED.value, sa.and_(FIRST.c.kind == RowKind.SETTLED.value, FIRST.c.of.is_(None))
            )
        )
    )
    if call is not None:
        query = query.where(FIRST.c.call == plain(call))
    if since is not None:
        query = query.where(FIRST.c.at >= since)
    if until is not None:
        query = query.where(FIRST.c.at < until)
    return _pages(ledger, query, FIRST.c.seq)


def _pages(ledger: Ledger, query: sa.Select[Any], seq: sa.ColumnElement[int]) -> Iterator[Sequence[sa.Row[Any]]]:
    """The query's rows in order, some at a time: whoever reads a long book keeps no transaction open."""
    page = query.order_by(seq).limit(CHUNK)
    while True:
        with ledger.transaction() as connection:
            found = connection.execute(page).all()
        if found:
            yield found
        if len(found) < CHUNK:
            return
        page = query.where(seq > found[-1].seq).order_by(seq).limit(CHUNK)


def _entry(
    row: sa.Row[Any], first: Json | None, last: Json | None, amendments: Sequence[sa.Row[Any]], now: float
) -> Entry:
    said = _said(row.salt, row.caller, row.text)
    added = [parsed(one.content) for one in amendments]
    receipt: Receipt | None = None
    if last is not None:
        beside = said if first is None else _said(row.last_salt, row.last_caller, row.last_text)
        receipt = reduce(amended, added, from_json(unseal(last["receipt"], beside)))
    elif now >= (row.until or 0.0):
        known = told(json.loads(row.held or "[]"))
        receipt = _died(row, said.text or (known[0] if known else ""), first or {})
    return Entry(
        call=row.call,
        id=row.utterance,
        agent=first["agent"] if first is not None else receipt.agent if receipt is not None else "",
        asked=row.at if first is not None else None,
        over=last["at"] if last is not None else None,
        rows=(row.seq, *([row.last_seq] if row.last_seq else []), *(one.seq for one in amendments)),
        receipt=receipt,
        played=receipt.played if receipt is not None else row.played or 0.0,
        spooled=any(content is not None and "spooled" in content for content in (first, last, *added)),
        amended=amendments[-1].at if amendments else None,
    )


def _died(row: sa.Row[Any], text: str, promised: Json) -> Receipt:
    played = row.played or 0.0
    return Receipt(
        id=row.utterance,
        outcome=Outcome.UNKNOWN,
        why="the process that owed it died",
        asked_at=0.0,
        started_at=0.0 if played else None,
        ended_at=played,
        played=played,
        made=0.0,
        text=text,
        held=(),
        call=row.call,
        agent=promised.get("agent", ""),
        omitted_text="" if text else promised.get("text_sha256", ""),
    )


def _said(salt: str | None, caller: str | None, text: str | None) -> Plaintext:
    return Plaintext(salt, tuple(json.loads(caller)) if caller else None, json.loads(text) if text else None)


def rows(ledger: Ledger, *, call: str | None = None) -> Iterator[Json]:
    """Every row of a book as an object of JSON, with what is still kept of what was said beside it."""
    for row in _rows(ledger, call=call):
        said = _said(row.salt, row.caller, row.text)
        yield {
            "book": row.book,
            "seq": row.seq,
            "before": row.before,
            "hash": row.hash,
            "key": row.key,
            "signature": row.signature,
            "content": row.content,
            "said": {"salt": said.salt, "caller": said.caller, "text": said.text},
        }


def _rows(ledger: Ledger, *, call: str | None = None) -> Iterator[sa.Row[Any]]:
    beside = sa.and_(SAID.c.book == ROWS.c.book, SAID.c.seq == ROWS.c.seq)
    query = sa.select(ROWS, SAID.c.salt, SAID.c.caller, SAID.c.text).outerjoin(SAID, beside)
    query = query.where(ROWS.c.book == ledger.book)
    query = query if call is None else query.where(ROWS.c.call == plain(call))
    return (row for page in _pages(ledger, query, ROWS.c.seq) for row in page)


def verify(ledger: Ledger, *, verifier: Verifier | None = None, head: str | None = None) -> Verdict:
    """Check every row of a book: its hash, its place after the one before, what is beside it, its signature.

    Args:
        ledger: the book.
        verifier: every row must be signed with its key; None looks at no signature.
        head: a hash that was noted before: it must be there still.
    """
    with ledger.transaction() as connection:
        last = connection.execute(sa.select(HEADS.c.seq).where(HEADS.c.book == ledger.book)).scalar()
    checker = Checker(verifier, head, lambda call: _forgotten(ledger, call))
    fault = checker.first_fault(map(_link, _rows(ledger)))
    if fault is None and last is not None and last > checker.rows:
        fault = checker.missing(f"it is missing: the book had {last} rows")
    return checker.verdict(fault)


def _link(row: sa.Row[Any]) -> Link:
    try:
        said: Plaintext | None = _said(row.salt, row.caller, row.text)
    except (ValueError, TypeError):
        said = None
    columns = {name: getattr(row, name) for name in ("kind", "call", "utterance", "at", "entry", "of")}
    return Link(row.book, row.seq, row.before, row.hash, row.content, row.key, row.signature, said, columns)


def _forgotten(ledger: Ledger, call: str) -> set[str]:
    """What was forgotten of a call by now."""
    which = (ROWS.c.book == ledger.book, ROWS.c.call == call, ROWS.c.kind == RowKind.FORGOTTEN.value)
    with ledger.transaction() as connection:
        contents = connection.execute(sa.select(ROWS.c.content).where(*which)).scalars().all()
    return {name for content in contents for name in json.loads(content)["what"]}


def is_signed(ledger: Ledger) -> bool:
    """Whether the last row of a book is signed."""
    last = sa.select(ROWS.c.signature).where(ROWS.c.book == ledger.book).order_by(ROWS.c.seq.desc()).limit(1)
    with ledger.transaction() as connection:
        return connection.execute(last).scalar() is not None

"""Reading a book: what was said to whom, whether any row was changed, and every row for keeping elsewhere."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import sqlalchemy as sa

from .._text import read_json
from .._text.progress import Told, counted
from ..errors import LedgerError
from ..receipts import Outcome, Receipt
from ..receipts._codec import Json, from_json
from ._book import DamagedHeadError, Ledger
from ._chain import CallName, Plaintext, parsed, renamed, restored
from ._checkpoint import LATEST, Checkpoint
from ._entries import Entry, RowKind, amended
from ._leases import said_over, told
from ._merkle import Forest
from ._signing import Verifier
from ._tables import HEADS, LEASES, NAMES, ROWS, SAID, of_call
from ._verify import FOUND_BY, WRITTEN, ChainVerdict, Checker, Fault, Forgettings, Link, plaintext

CHUNK = 1000
"""Rows that are read at once."""

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
"""The errors of what somebody changed: SQLite keeps any value in any column."""

FIRST = ROWS.alias("first")
LAST = ROWS.alias("last")


def entries(
    ledger: Ledger, *, now: float, call: str | None = None, since: float | None = None, until: float | None = None
) -> Iterator[Entry]:
    """The utterances of a book, in the order in which they were promised.

    Args:
        now: in seconds since 1970, UTC: what was not renewed for long counts as died.
        since, until: promised (or settled, where it was not promised) from then on, and before then.
    """
    for page in _utterances(ledger, call=call, since=since, until=until):
        amendments = _amendments(ledger, page)
        for row in page:
            try:
                known = bool(row.last_content) and row.mac is not None and ledger.seal.fits(row.seq, row.content, row)
                words = said_over(row.held) if known else ()
                yield _entry(row, amendments[row.last_seq or row.seq], now, words)
            except UNREADABLE as error:
                raise changed(row.seq) from error


def changed(seq: int) -> LedgerError:
    """The error of a row that somebody changed."""
    return LedgerError(f"row {seq} cannot be read: it was changed; run hearout receipts verify")


def _amendments(ledger: Ledger, page: Sequence[sa.Row[Any]]) -> defaultdict[int, list[sa.Row[Any]]]:
    """What was added to the receipts of these rows, by the number of the receipt's row, in order."""
    found: defaultdict[int, list[sa.Row[Any]]] = defaultdict(list)
    of = ROWS.c.of.in_([row.last_seq or row.seq for row in page])
    for row in found_rows(ledger, ROWS.c.kind == RowKind.AMENDED.value, of):
        found[row.of].append(row)
    return found


def _utterances(
    ledger: Ledger, *, call: str | None, since: float | None, until: float | None
) -> Iterator[Sequence[sa.Row[Any]]]:
    owed = FIRST.c.kind == RowKind.OWED.value
    unpromised = sa.and_(FIRST.c.kind == RowKind.SETTLED.value, FIRST.c.of.is_(None))
    query = _joined().where(FIRST.c.book == ledger.book, sa.or_(owed, unpromised))
    if call is not None:
        query = query.where(of_call(FIRST.c.call, ledger.book, call))
    if since is not None:
        query = query.where(FIRST.c.at >= since)
    if until is not None:
        query = query.where(FIRST.c.at < until)
    return _pages(ledger, query, FIRST.c.seq)


def _joined() -> sa.Select[Any]:
    """Each row with the receipt that belongs to it, if any, and with what stands beside the two."""
    said_first, said_last = SAID.alias("said_first"), SAID.alias("said_last")
    settled = sa.and_(LAST.c.book == FIRST.c.book, LAST.c.of == FIRST.c.seq, LAST.c.kind == RowKind.SETTLED.value)
    beside_first = (said_first.c.text, said_first.c.salt, said_first.c.caller, said_first.c.names)
    beside_last = [said_last.c[name].label(f"last_{name}") for name in ("text", "salt", "caller", "names")]
    last = (LAST.c.seq.label("last_seq"), LAST.c.content.label("last_content"))
    lease = (LEASES.c.played, LEASES.c.held, LEASES.c.until, LEASES.c.mac)
    return (
        sa.select(FIRST, *last, *beside_first, *beside_last, NAMES.c.name, *lease)
        .outerjoin(LAST, settled)
        .outerjoin(said_first, sa.and_(said_first.c.book == FIRST.c.book, said_first.c.seq == FIRST.c.seq))
        .outerjoin(said_last, sa.and_(said_last.c.book == LAST.c.book, said_last.c.seq == LAST.c.seq))
        .outerjoin(LEASES, sa.and_(LEASES.c.book == FIRST.c.book, LEASES.c.of == FIRST.c.seq))
        .outerjoin(NAMES, _names_of(FIRST))
    )


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


def found_rows(ledger: Ledger, *which: sa.ColumnElement[bool]) -> Iterator[sa.Row[Any]]:
    """Rows of a book in order, with the words and names beside each, and with the name and the salt of its call."""
    said = sa.and_(SAID.c.book == ROWS.c.book, SAID.c.seq == ROWS.c.seq)
    columns = (SAID.c.salt, SAID.c.caller, SAID.c.text, SAID.c.names, NAMES.c.name, NAMES.c.salt.label("call_salt"))
    query = sa.select(ROWS, *columns).outerjoin(SAID, said).outerjoin(NAMES, _names_of(ROWS))
    pages = _pages(ledger, query.where(ROWS.c.book == ledger.book, *which), ROWS.c.seq)
    return (row for page in pages for row in page)


def _names_of(rows: Any) -> sa.ColumnElement[bool]:
    """Joins each row of the chain with its call's name."""
    return sa.and_(NAMES.c.book == rows.c.book, NAMES.c.call == rows.c.call)


def known_content(row: sa.Row[Any], prefix: str = "") -> tuple[Json, Plaintext]:
    """The content of a row, with the names that are kept; and what stands beside the row.

    Args:
        row: has the `name` of its call.
        prefix: of the columns that have the content, and what stands beside it.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: it was changed.
    """
    document, said = parsed(getattr(row, f"{prefix}content")), beside(row, prefix)
    if not 0 <= document["at"] < LATEST or any(document[name] != getattr(row, name) for name in FOUND_BY if not prefix):
        raise ValueError("its time, or the columns by which it is found")
    names = {**(said.names or {}), **({} if row.name is None else {document["call"]: row.name})}
    return renamed(document, lambda one: names.get(one, one)), said


def _entry(row: sa.Row[Any], amendments: Sequence[sa.Row[Any]], now: float, said_over_it: tuple[str, ...]) -> Entry:
    content, said = known_content(row)
    first, last, its_own = (content, None, said) if row.kind == RowKind.OWED.value else (None, content, said)
    if row.last_content:
        last, its_own = known_content(row, "last_")
    added = [known_content(one)[0] for one in amendments]
    receipt: Receipt | None = None
    played = float(row.played or 0.0)
    if last is not None:
        receipt = reduce(amended, added, from_json(restored(last["receipt"], its_own)))
    elif now >= float(row.until or 0.0):
        so_far = told(read_json(row.held or "[]"))
        receipt = _died(row, played, said.text or (so_far[0] if so_far else ""), content)
    agent = first["agent"] if first is not None else receipt.agent if receipt is not None else ""
    if not isinstance(agent, str) or not isinstance(row.name, str | None):
        raise TypeError("a name is a text")
    return Entry(
        call=row.name or row.call,
        id=row.utterance,
        agent=agent,
        asked=row.at if first is not None else None,
        over=last["at"] if last is not None else None,
        rows=(row.seq, *([row.last_seq] if row.last_seq else []), *(one.seq for one in amendments)),
        receipt=receipt,
        played=receipt.played if receipt is not None else played,
        spooled=any(content is not None and "spooled" in content for content in (first, last, *added)),
        amended=amendments[-1].at if amendments else None,
        said=said_over_it,
    )


def _died(row: sa.Row[Any], played: float, text: str, promised: Json) -> Receipt:
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
        call=row.name or row.call,
        agent=promised.get("agent", ""),
        omitted_text="" if text else promised.get("text_sha256", ""),
    )


def beside(row: sa.Row[Any], prefix: str = "") -> Plaintext:
    """What stands beside a row.

    Args:
        prefix: of the columns that have it.

    Raises:
        ValueError: it was changed.
    """
    kept = {name: getattr(row, prefix + name) for name in ("caller", "text", "names")}
    fields = {name: read_json(one) if one else None for name, one in kept.items()}
    if (said := plaintext({"salt": getattr(row, f"{prefix}salt"), **fields})) is None:
        raise ValueError("what is beside it")
    return said


def rows(ledger: Ledger, *, call: str | None = None, anchors: Sequence[Checkpoint] = ()) -> Iterator[Json]:
    """A book or one call, as objects of JSON: each row with the words and names kept beside, and the checkpoint last.

    Args:
        call: the rows of this call only, and those that say what of all calls was forgotten. Each then has a proof that
            it is in the book, so that it can be checked without the others.
        anchors: the checkpoint comes with a proof that the book began as each of them says.
    """
    end = ledger.checkpoint()
    if end is None:
        return
    forest = Forest(_leaves(ledger, end.size)) if call is not None or anchors else None
    for link in map(_link, _rows(ledger, call=call, until=end.size)):
        if link.said is None:
            raise changed(link.seq)
        yield link.to_json(None if forest is None or call is None else forest.inclusion(link.seq - 1))
    begun = (
        {} if forest is None else {one.size: forest.consistency(one.size) for one in anchors if one.size <= end.size}
    )
    yield end.to_json() | {"beginnings": {str(size): [one.hex() for one in proof] for size, proof in begun.items()}}


def _leaves(ledger: Ledger, size: int) -> list[bytes]:
    hashes = sa.select(ROWS.c.hash).where(ROWS.c.book == ledger.book, ROWS.c.seq <= size).order_by(ROWS.c.seq)
    with ledger.transaction() as connection:
        found = list(connection.execute(hashes).scalars())
    try:
        return list(map(bytes.fromhex, found))
    except UNREADABLE as error:
        raise LedgerError("the hash of a row was changed; hearout receipts verify says of which") from error


def _rows(ledger: Ledger, *, call: str | None = None, until: int | None = None) -> Iterator[sa.Row[Any]]:
    which = [] if until is None else [ROWS.c.seq <= until]
    if call is not None:
        of_all = sa.and_(ROWS.c.call == "", ROWS.c.kind == RowKind.FORGOTTEN.value)
        which.append(sa.or_(of_call(ROWS.c.call, ledger.book, call), of_all))
    return found_rows(ledger, *which)


def verify(
    ledger: Ledger,
    *,
    verifier: Verifier | None = None,
    head: str | None = None,
    anchors: Sequence[Checkpoint] = (),
    told: Told = lambda _done, _of: None,
) -> ChainVerdict:
    """Check every row of a book: hash, place after the row before, words and names beside, signature; and the head.

    Args:
        verifier: every row, and the head, must be signed with its key; None looks at no signature.
        head: a hash that was noted before: it must be there still.
        anchors: what the book was before (:func:`hearout.ledger._checkpoint.anchors`): it must have begun so.
        told: how many rows were checked so far, and of how many.
    """
    said = sa.select(ROWS.c.seq, ROWS.c.content)
    said = said.where(ROWS.c.book == ledger.book, ROWS.c.kind == RowKind.FORGOTTEN.value)

    def forgettings() -> list[tuple[int, str]]:
        with ledger.transaction() as connection:
            return [(int(row.seq), str(row.content)) for row in connection.execute(said)]

    checker = Checker(verifier, head, Forgettings(forgettings), anchors)
    return checker.verdict(_first_fault(ledger, checker, told))


def _first_fault(ledger: Ledger, checker: Checker, told: Told) -> Fault | None:
    """Others may append meanwhile: the rows up to the head are one book, and what follows them another look's."""
    try:
        end = ledger.checkpoint()
    except DamagedHeadError:
        fault = checker.first_fault(map(_link, _rows(ledger)))
        return fault or checker.at_end("the book's head, which is to fit it, was changed")
    until = None if end is None else end.size
    links = counted(map(_link, _rows(ledger, until=until)), until or 0, told)
    if (fault := checker.first_fault(links)) is not None:
        return fault
    if end is not None and checker.rows < end.size:
        return checker.missing(f"it is missing: the book had {end.size} rows")
    if end is not None and not checker.is_now(end):
        return checker.at_end("the book's head is of another row: one of them was changed")
    if (fault := checker.wrong_end(end)) is not None:
        return fault
    with ledger.transaction() as connection:
        last = [sa.select(sa.func.max(one.c.seq)).where(one.c.book == ledger.book) for one in (ROWS, SAID)]
        head = sa.select(HEADS.c.seq).where(HEADS.c.book == ledger.book)
        seq = max(connection.execute(one).scalar() or 0 for one in last)
        now = connection.execute(head).scalar() or 0
    if seq > now:
        return Fault(
            now + 1, f"row {now + 1}", f"it is after the book's head, which says that row {now} is the last one"
        )
    return None


def _link(row: sa.Row[Any]) -> Link:
    written = {name: getattr(row, name) for name in WRITTEN}
    columns = {name: getattr(row, name) for name in FOUND_BY}
    name = None if row.name is None else CallName(row.call_salt, row.name)
    said: Plaintext | None = None
    with contextlib.suppress(*UNREADABLE):
        if not any(isinstance(one, bytes) for one in (*written.values(), row.name, row.call_salt)):
            said = beside(row)
    return Link(**written, said=said, name=name, columns=columns)


def is_signed(ledger: Ledger) -> bool:
    """Whether the last row of a book is signed."""
    last = sa.select(ROWS.c.signature).where(ROWS.c.book == ledger.book).order_by(ROWS.c.seq.desc()).limit(1)
    with ledger.transaction() as connection:
        return connection.execute(last).scalar() is not None

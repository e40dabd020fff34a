"""One book of the ledger: rows are appended to its chain, and what is owed is found there again."""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import sqlalchemy as sa

from ..errors import AlreadyOwedError, LedgerError
from ..policy import Retention
from . import _tables as tables
from ._chain import (
    GENESIS,
    Plaintext,
    canonical,
    plain,
    row_hash,
)
from ._entries import (
    LEASE,
    Record,
    RowKind,
    Unfinished,
    forgotten,
    told,
)
from ._tables import (
    HEADS,
    LEASES,
    ROWS,
    SAID,
    Mode,
)

DEFAULT_URL = "sqlite:///receipts.db"
DEFAULT_BOOK = "main"

OWED = ROWS.alias("owed")
SETTLED = ROWS.alias("settled")
IS_SETTLED = sa.exists().where(
    SETTLED.c.book == OWED.c.book, SETTLED.c.of == OWED.c.seq, SETTLED.c.kind == RowKind.SETTLED.value
)


class Signer(Protocol):
    """Signs rows; see :mod:`hearout.ledger._signing`."""

    @property
    def key(self) -> str:
        """Names the key."""

    def sign(self, row_hash: str) -> str:
        """The signature of a row, in hex."""


class Ledger:
    """A book in a database. Every method is one transaction, and blocks: from asyncio, use :class:`LedgerWriter`.

    It connects at its first use. Several processes may append to one book at once.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user@host/database``.
        book: which chain. Appends to one book wait for each other, to different books of PostgreSQL do not.
        words: what is kept of the caller's words.
        text: what is kept of the announcement's text; while it is owed, all of it is.
        signer: signs each row; None for no signatures.
        mode: `Mode.READ` makes and changes nothing.

    Raises:
        LedgerError: the URL makes no sense, or its driver is missing. From every method: the database holds no ledger,
            a newer one, or is damaged.
        LedgerDownError: from every method: the database is locked, full or cannot be reached.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        book: str = DEFAULT_BOOK,
        *,
        words: Retention = Retention.KEEP,
        text: Retention = Retention.KEEP,
        signer: Signer | None = None,
        mode: Mode = Mode.WRITE,
    ) -> None:
        if not book or plain(book) != book:
            raise LedgerError("a book of the ledger needs a name of printable text; set HEAROUT_BOOK, or --book")
        self.url, self.book, self.mode = url, book, mode
        self.words, self.text = words, text
        self._signer = signer
        self._engine = tables.engine(url, mode)
        self._prepared = False

    @property
    def name(self) -> str:
        """The database, as it may be shown: without a password."""
        return sa.make_url(self.url).render_as_string(hide_password=True)

    def close(self) -> None:
        """Close its connections; it may be used again."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction in a database that has our tables, with its errors translated."""
        with tables.translated(self.name):
            if not self._prepared:
                with self._engine.begin() as connection:
                    tables.prepare(connection, self.mode)
                self._prepared = True
            with self._engine.begin() as connection:
                yield connection

    # Writing

    def append(self, record: Record, *, spooled: bool = False) -> int:
        """Append a record, unless it is there already; its row's number.

        Args:
            record: what to append.
            spooled: whether it had to wait; then the row says so, and a promise that comes too late is kept as late.

        Raises:
            AlreadyOwedError: it is a promise of what is owed already, and did not wait.
        """
        with self.transaction() as connection:
            head = self._lock(connection)
            there = sa.select(ROWS.c.seq).where(ROWS.c.book == self.book, ROWS.c.entry == record.entry)
            if (seq := connection.execute(there).scalar()) is not None:
                return int(seq)
            kind, of = self._place(connection, record, spooled=spooled)
            return self._write(connection, head, record, kind, of, spooled=spooled)

    def renew(
        self, call: str, id: str, *, by: str, played: float, now: float, held: Sequence[Any] | None = None
    ) -> bool:
        """Say that it is still being said, and how far it is; False when it is not this process's any more."""
        values: dict[str, Any] = {
            "played": sa.case((LEASES.c.played > played, LEASES.c.played), else_=played),
            "until": now + LEASE,
        }
        if held is not None:
            values["held"] = canonical(list(held))
        mine = (LEASES.c.book == self.book, LEASES.c.call == plain(call), LEASES.c.utterance == plain(id))
        with self.transaction() as connection:
            renewed = connection.execute(LEASES.update().where(*mine, LEASES.c.holder == by).values(values))
            return renewed.rowcount > 0

    def take_over(self, call: str, id: str, *, by: str, now: float) -> Unfinished | None:
        """Owe what a process that died owed. Of several that try, one gets it; the others get None.

        None also where nothing is owed, or whoever owes it is alive; what `by` owes itself is given to it again.
        """
        with self.transaction() as connection:
            head = self._lock(connection)
            found = self._owings(connection, OWED.c.call == plain(call), OWED.c.utterance == plain(id))
            if not found:
                return None
            of, owing = found[-1]
            if owing.is_alive(now):
                return owing if owing.holder == by else None
            content = {"played": owing.played, "from": owing.holder}
            record = Record(RowKind.TAKEN_OVER, call, id, now, by, content, Plaintext(None), owing.entry)
            self._write(connection, head, record, RowKind.TAKEN_OVER, of, spooled=False)
            connection.execute(
                LEASES.update()
                .where(LEASES.c.book == self.book, LEASES.c.of == of)
                .values(holder=by, until=now + LEASE)
            )
            return self._owings(connection, OWED.c.seq == of)[0][1]

    def owed(self, call: str) -> tuple[Unfinished, ...]:
        """What is owed in a call, oldest first, whether or not somebody is saying it (`Unfinished.is_alive`)."""
        with self.transaction() as connection:
            return tuple(owing for _, owing in self._owings(connection, OWED.c.call == plain(call)))

    def forget(self, call: str, *, by: str, now: float, text: bool = False) -> int:
        """Remove what the caller said in a call; the chain stays as it is, and says that it was removed.

        Args:
            call: which call.
            by, now: who does it, and when.
            text: the announcements' texts, too.

        Returns:
            the number of rows that something was removed from.
        """
        what = ["caller", "text"] if text else ["caller"]
        record = Record(RowKind.FORGOTTEN, call, "", now, by, {"what": what}, Plaintext(None))
        with self.transaction() as connection:
            head = self._lock(connection)
            said = sa.and_(SAID.c.book == self.book, SAID.c.call == plain(call))
            kept = [SAID.c.salt.is_not(None), SAID.c.caller.is_not(None)] + ([SAID.c.text.is_not(None)] if text else [])
            gone: dict[str, None] = {"salt": None, "caller": None} | ({"text": None} if text else {})
            removed = connection.execute(SAID.update().where(said, sa.or_(*kept)).values(gone)).rowcount
            self._forget_leases(connection, plain(call), text=text)
            self._write(connection, head, record, RowKind.FORGOTTEN, None, spooled=False)
        with tables.translated(self.name):
            self._wipe()
        return int(removed)

    # Inside a transaction

    def _lock(self, connection: sa.Connection) -> tuple[int, str]:
        """The book's last row; until the transaction ends, nobody else appends."""
        head = sa.select(HEADS.c.seq, HEADS.c.hash).where(HEADS.c.book == self.book).with_for_update()
        if (found := connection.execute(head).one_or_none()) is None:
            first = "INSERT INTO hearout_heads (book, seq, hash) VALUES (:book, 0, :hash) ON CONFLICT DO NOTHING"
            connection.execute(sa.text(first), {"book": self.book, "hash": GENESIS})
            found = connection.execute(head).one()
        return int(found.seq), str(found.hash)

    def _place(self, connection: sa.Connection, record: Record, *, spooled: bool) -> tuple[RowKind, int | None]:
        """What a record is by now, and which row it belongs to: a promise, or what is amended or revoked."""
        if record.kind is RowKind.ASKED:
            return record.kind, None
        if record.kind in (RowKind.AMENDED, RowKind.REVOKED):
            to_what = RowKind.SETTLED if record.kind is RowKind.AMENDED else RowKind.ASKED
            to = (ROWS.c.book == self.book, ROWS.c.entry == record.owed, ROWS.c.kind == to_what.value)
            of = connection.execute(sa.select(ROWS.c.seq).where(*to)).scalar()
            return (RowKind.LATE, None) if of is None else (record.kind, int(of))
        mine = [OWED.c.book == self.book, OWED.c.kind == RowKind.OWED.value]
        if record.owed:
            mine.append(OWED.c.entry == record.owed)
        else:
            mine += [OWED.c.call == plain(record.call), OWED.c.utterance == plain(record.id), ~IS_SETTLED]
        found = sa.select(OWED.c.seq, IS_SETTLED.label("settled"), LEASES.c.holder).outerjoin(
            LEASES, sa.and_(LEASES.c.book == OWED.c.book, LEASES.c.of == OWED.c.seq)
        )
        promised = connection.execute(found.where(*mine).order_by(OWED.c.seq.desc()).limit(1)).one_or_none()
        if promised is None:
            return record.kind, None
        if record.kind is RowKind.OWED:
            if not spooled:
                raise AlreadyOwedError(
                    f"utterance {record.id!r} is owed in call {record.call!r} already; take it over, or use another id"
                )
            return RowKind.LATE, int(promised.seq)
        late = promised.settled or promised.holder not in (None, record.by)
        return RowKind.LATE if late else record.kind, int(promised.seq)

    def _write(
        self,
        connection: sa.Connection,
        head: tuple[int, str],
        record: Record,
        kind: RowKind,
        of: int | None,
        *,
        spooled: bool,
    ) -> int:
        seq = head[0] + 1
        columns = {"call": plain(record.call), "utterance": plain(record.id), "at": record.at, "entry": record.entry}
        facts = columns | {"kind": kind.value, "of": of, "by": record.by}
        content = canonical(record.content | facts | ({"spooled": True} if spooled else {}))
        hashed = row_hash(self.book, seq, head[1], content)
        signed = {"key": self._signer.key, "signature": self._signer.sign(hashed)} if self._signer else {}
        row = columns | {"kind": kind.value, "of": of, "book": self.book, "seq": seq, "before": head[1]} | signed
        connection.execute(ROWS.insert().values(row | {"hash": hashed, "content": content}))
        connection.execute(HEADS.update().where(HEADS.c.book == self.book).values(seq=seq, hash=hashed))
        self._write_beside(connection, seq, record, kind, of, spooled=spooled)
        return seq

    def _write_beside(
        self, connection: sa.Connection, seq: int, record: Record, kind: RowKind, of: int | None, *, spooled: bool
    ) -> None:
        """What was said, and the lease."""
        said, call = record.said, plain(record.call)
        if spooled and self._was_forgotten(connection, call, record.at):
            said = Plaintext(None, None, said.text)
        if said != Plaintext(None):
            beside = {"book": self.book, "seq": seq, "call": call, "salt": said.salt}
            caller = None if said.caller is None else canonical(said.caller)
            text = None if said.text is None else canonical(said.text)
            connection.execute(SAID.insert().values(beside | {"caller": caller, "text": text}))
        if kind is RowKind.OWED:
            lease = {"book": self.book, "of": seq, "call": call, "utterance": plain(record.id), "holder": record.by}
            connection.execute(
                LEASES.insert().values(lease | {"played": 0.0, "held": "[]", "until": record.at + LEASE})
            )
        elif kind is RowKind.SETTLED and of is not None:
            connection.execute(LEASES.delete().where(LEASES.c.book == self.book, LEASES.c.of == of))
            if not record.content["text_kept"]:
                connection.execute(SAID.update().where(SAID.c.book == self.book, SAID.c.seq == of).values(text=None))

    def _was_forgotten(self, connection: sa.Connection, call: str, at: float) -> bool:
        rows = (ROWS.c.book == self.book, ROWS.c.call == call, ROWS.c.kind == RowKind.FORGOTTEN.value, ROWS.c.at >= at)
        return connection.execute(sa.select(ROWS.c.seq).where(*rows).limit(1)).one_or_none() is not None

    def _forget_leases(self, connection: sa.Connection, call: str, *, text: bool) -> None:
        leases = sa.select(LEASES.c.of, LEASES.c.held).where(LEASES.c.book == self.book, LEASES.c.call == call)
        for of, held in connection.execute(leases).all():
            left = canonical(forgotten(json.loads(held), text=text))
            connection.execute(LEASES.update().where(LEASES.c.book == self.book, LEASES.c.of == of).values(held=left))

    def _owings(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[tuple[int, Unfinished]]:
        """What is owed, each with its row's number, oldest first."""
        of = sa.and_(LEASES.c.book == OWED.c.book, LEASES.c.of == OWED.c.seq)
        said = sa.and_(SAID.c.book == OWED.c.book, SAID.c.seq == OWED.c.seq)
        taken = (SETTLED.c.book == OWED.c.book, SETTLED.c.of == OWED.c.seq, SETTLED.c.kind == RowKind.TAKEN_OVER.value)
        attempts = sa.select(sa.func.count()).select_from(SETTLED).where(*taken).scalar_subquery()
        columns = (
            OWED,
            SAID.c.text,
            LEASES.c.holder,
            LEASES.c.played,
            LEASES.c.held,
            LEASES.c.until,
            attempts.label("n"),
        )
        query = sa.select(*columns).outerjoin(LEASES, of).outerjoin(SAID, said).order_by(OWED.c.seq)
        open_ones = (OWED.c.book == self.book, OWED.c.kind == RowKind.OWED.value, ~IS_SETTLED)
        found = connection.execute(query.where(*open_ones, *which)).all()
        return [(int(row.seq), _owing(row)) for row in found]

    def _wipe(self) -> None:
        """Take what was removed out of the database's files as far as it can be: see docs/receipts.md."""
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()  # not inside a transaction
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raw.close()
        else:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM hearout_said, hearout_leases")


def _owing(row: sa.Row[Any]) -> Unfinished:
    content, held = json.loads(row.content), tuple(json.loads(row.held or "[]"))
    text = (json.loads(row.text) if row.text else "", True)
    text = text if text[0] else told(held) or ("", False)
    return Unfinished(
        call=row.call,
        id=row.utterance,
        agent=content["agent"],
        text=text[0],
        policy=content["policy"],
        asked=row.at,
        holder=row.holder or "",
        played=row.played or 0.0,
        held=held,
        until=row.until or 0.0,
        attempts=row.n,
        entry=row.entry,
        complete=text[1],
        text_sha256=content.get("text_sha256", ""),
    )


def new_holder(host: str, pid: int) -> str:
    """A name for this process that no other has."""
    return f"{host}-{pid}-{secrets.token_hex(4)}"

"""One book of the ledger: rows are appended to its chain, and what is owed is found there again."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index
from typing import Any

import sqlalchemy as sa

from .._text import read_json, without_secrets
from ..errors import AlreadyOwedError, LedgerError
from ..receipts._codec import Json
from . import _leases as leases
from . import _names as names
from . import _tables as tables
from ._chain import GENESIS, CallName, Plaintext, canonical, plain, pseudonym, renamed, row_hash
from ._checkpoint import ANCHOR, Checkpoint
from ._entries import Record, RowKind, Unfinished, unfinished
from ._leases import LEASE
from ._merkle import Tree
from ._seal import Seal
from ._signing import Signer
from ._tables import HEADS, LEASES, NAMES, ROWS, SAID, Mode, of_call

DEFAULT_URL = "sqlite:///calls/receipts.db"
"""Where `console` and `web` keep the ledger that nobody named, and where `hearout receipts` looks for it."""

DEFAULT_BOOK = "main"

OWED = ROWS.alias("owed")
SETTLED = ROWS.alias("settled")
IS_SETTLED = sa.exists().where(
    SETTLED.c.book == OWED.c.book, SETTLED.c.of == OWED.c.seq, SETTLED.c.kind == RowKind.SETTLED.value
)


AT_ONCE = 500
"""Calls that expire in one transaction: others wait with their rows meanwhile."""


class DamagedHeadError(LedgerError):
    """A book's head is none of a tree of as many rows."""


@dataclass(frozen=True)
class Head:
    """Where the next row goes: the hash of the last row, and the tree over all of them."""

    hash: str
    tree: Tree


@dataclass(frozen=True)
class Placed:
    """The kind of a record's row, and where the row belongs.

    Args:
        of: the row that it belongs to; None for none.
        call: the pseudonym of its call.
        name: the call's name; None where that was forgotten, and so is what the record says.
    """

    kind: RowKind
    of: int | None
    call: str
    name: CallName | None


class Ledger:
    """A book in a database. Every method is one transaction, and blocks: a session has a thread of its own for it.

    It connects at its first use. Several processes may append to one book at once.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user@host/database``.
        book: which chain. Appends to one book wait for each other, to different books of PostgreSQL do not.
        signer: signs each row, and a checkpoint after each; None for no signatures. It appends to no book that is not
            whole by its own key: it would sign what somebody else wrote.
        anchors: where writers of it tell what it is, outside the database (:class:`hearout.ledger._anchors.Anchors`).
        mode: `Mode.READ` makes and changes nothing.

    Raises:
        LedgerError: the URL makes no sense, or its driver is missing. From every method: the database holds no ledger,
            a newer one, or is damaged.
        LedgerDownError: from every method: the database is locked, full or cannot be reached.
    """

    def __init__(
        self,
        url: str,
        book: str = DEFAULT_BOOK,
        *,
        signer: Signer | None = None,
        anchors: str = "",
        mode: Mode = Mode.WRITE,
    ) -> None:
        if not book or plain(book) != book:
            raise LedgerError("a book of the ledger needs a name of printable text; set HEAROUT_BOOK, or --book")
        self.url, self.book, self.mode, self.anchors = url, book, mode, anchors
        self.secret = ""
        """LiveKit's API secret, by which an agent knows what another wrote of a call that goes on."""
        self._signer = signer
        self._verifier = None if signer is None else signer.verifier
        self._written = 0
        self._engine = tables.engine(url, mode)
        self._prepared = False

    @property
    def name(self) -> str:
        """The database, as it may be shown: without a password."""
        return without_secrets(self.url)

    @property
    def seal(self) -> Seal:
        return Seal(self.book, self.secret)

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
            spooled: whether it had to wait; then the row says so, and a promise that comes too late is kept as late.

        Raises:
            AlreadyOwedError: it is a promise of what is owed already, and did not wait.
        """
        with self.transaction() as connection:
            head = self._lock(connection)
            there = sa.select(ROWS.c.seq).where(ROWS.c.book == self.book, ROWS.c.entry == record.entry)
            if (seq := connection.execute(there).scalar()) is not None:
                return int(seq)
            placed = self._place(connection, record, spooled=spooled)
            return self._write(connection, head, record, placed, spooled=spooled)

    def renew(
        self, call: str, id: str, *, by: str, played: float, now: float, held: Sequence[Any] | None = None
    ) -> bool:
        """Renew the lease of an utterance, with the seconds played so far; False when another process holds it."""
        mine = (of_call(LEASES.c.call, self.book, call), LEASES.c.utterance == plain(id), LEASES.c.holder == by)
        with self.transaction() as connection:
            if (lease := next(iter(self.seal.ours(connection, *mine)), None)) is None:
                return False
            sealed = self.seal.values(
                lease.of, lease.content, max(lease.played, played), lease.held if held is None else held
            )
            leases.update(connection, self.book, lease.of, sealed | {"until": now + LEASE})
            return True

    def take_over(self, call: str, id: str, *, by: str, now: float) -> Unfinished | None:
        """Owe what a process that died owed. Of several that try, one gets it; the others get None.

        None also where nothing is owed, or whoever owes it is alive; what `by` owes itself is given to it again.
        """
        with self.transaction() as connection:
            head = self._lock(connection)
            found = self._owings(connection, of_call(OWED.c.call, self.book, call), OWED.c.utterance == plain(id))
            if not found:
                return None
            of, owing = found[-1]
            if owing.is_alive(now):
                return owing if owing.holder == by else None
            content = {"played": owing.played, "from": owing.holder}
            record = Record(RowKind.TAKEN_OVER, call, id, now, by, content, Plaintext(None), owing.entry)
            where, name = self._call(connection, record, spooled=False)
            self._write(connection, head, record, Placed(RowKind.TAKEN_OVER, of, where, name), spooled=False)
            leases.update(connection, self.book, of, {"holder": by, "until": now + LEASE})
            return self._owings(connection, OWED.c.seq == of)[0][1]

    def owed(self, call: str) -> tuple[Unfinished, ...]:
        """The utterances that are owed in a call, oldest first; those that are being said, too (`is_alive`)."""
        with self.transaction() as connection:
            return tuple(owing for _, owing in self._owings(connection, of_call(OWED.c.call, self.book, call)))

    def ours(self, call: str) -> dict[str, int]:
        """The numbers of a call's rows that a process with :attr:`secret` wrote, by their entries."""
        with self.transaction() as connection:
            return self.seal.our_rows(connection, of_call(ROWS.c.call, self.book, call))

    def checkpoint(self) -> Checkpoint | None:
        """The book's head, to be kept elsewhere (an *anchor*); None while the book has no row."""
        with self.transaction() as connection:
            row = connection.execute(sa.select(HEADS).where(HEADS.c.book == self.book)).one_or_none()
        return None if row is None or row.seq == 0 else self._read_head(row)[1]

    def forget(self, call: str, *, by: str, now: float, text: bool = False) -> int:
        """Remove the caller's words and all names of a call from beside the chain; a row says so.

        What is said after that is not forgotten by it.

        Args:
            call: which call: its name, or once that is forgotten its pseudonym.
            by, now: who does it, and when.
            text: the announcements' texts, too.

        Returns:
            the number of rows that something was removed from.

        Raises:
            LedgerError: there is no such call, or it is being held.
        """
        what = ["caller", "names", *(["text"] if text else [])]
        with self.transaction() as connection:
            head = self._lock(connection)
            rows = sa.select(ROWS.c.call).where(ROWS.c.book == self.book, of_call(ROWS.c.call, self.book, call))
            if (one := connection.execute(rows.limit(1)).scalar()) is None:
                raise LedgerError(f"there is no call {call!r} in book {self.book!r}; nothing was changed")
            if one in names.held(connection, self.book, now):
                raise LedgerError(f"call {call!r} is being held; forget it when it is over. Nothing was changed")
            name = names.name_of(connection, self.book, one)
            if name is not None:
                names.remember_forgotten(connection, self.book, one, name.name, now)
            removed = names.remove(connection, self.book, [one], text=text)
            record = Record(RowKind.FORGOTTEN, call, "", now, by, {"what": what}, Plaintext(None))
            self._write(connection, head, record, Placed(RowKind.FORGOTTEN, None, one, None), spooled=False)
        self.wipe(vacuums=True)
        return removed

    def expire(self, *, before: float, by: str, now: float, text: bool = False) -> int:
        """Forget each call whose last row is older, as :meth:`forget` does; what is being held is not.

        Returns:
            the number of calls.
        """
        what = ["caller", "names", *(["text"] if text else [])]
        there = sa.or_(
            ROWS.c.call.in_(sa.select(NAMES.c.call).where(NAMES.c.book == self.book)),
            ROWS.c.call.in_(sa.select(SAID.c.call).where(SAID.c.book == self.book, names.something(text=text))),
        )
        old = sa.select(ROWS.c.call).where(ROWS.c.book == self.book, ROWS.c.call != "", there).group_by(ROWS.c.call)
        old = old.having(sa.func.max(ROWS.c.at) < before)
        gone = 0
        with self.transaction() as connection:
            tables.take_your_time(connection)
            calls = list(connection.execute(old).scalars())
        for some in (calls[number : number + AT_ONCE] for number in range(0, len(calls), AT_ONCE)):
            with self.transaction() as connection:
                head = self._lock(connection)
                still = set(connection.execute(old.where(ROWS.c.call.in_(some))).scalars())
                if expired := sorted(still - names.held(connection, self.book, now)):
                    names.remove(connection, self.book, expired, text=text)
                    content = {"what": what, "older_than": before}
                    record = Record(RowKind.FORGOTTEN, "", "", now, by, content, Plaintext(None))
                    self._write(connection, head, record, Placed(RowKind.FORGOTTEN, None, "", None), spooled=False)
                    gone += len(expired)
        self.wipe(vacuums=True)
        return gone

    def wipe(self, *, vacuums: bool = False) -> None:
        """Take what was removed out of the database's files as far as it can be: see docs/receipts.md.

        Args:
            vacuums: out of PostgreSQL's, too, which takes long; they are overwritten in time.
        """
        with tables.translated(self.name):
            if self._engine.dialect.name == "sqlite":
                raw = self._engine.raw_connection()  # not inside a transaction
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
                raw.close()
            elif vacuums:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.exec_driver_sql("VACUUM hearout_said, hearout_names, hearout_leases, hearout_calls")

    # Inside a transaction

    def _lock(self, connection: sa.Connection) -> Head:
        """Where the next row goes; until the transaction ends, nobody else appends."""
        head = sa.select(HEADS).where(HEADS.c.book == self.book).with_for_update()
        if (found := connection.execute(head).one_or_none()) is None:
            first = "INSERT INTO hearout_heads (book, seq, hash, at, peaks, note) VALUES (:book, 0, :hash, 0, '[]', '')"
            connection.execute(sa.text(f"{first} ON CONFLICT DO NOTHING"), {"book": self.book, "hash": GENESIS})
            found = connection.execute(head).one()
        tree, there = self._read_head(found)
        self._check_head(there)
        return Head(there.head, tree)

    def _read_head(self, row: sa.Row[Any]) -> tuple[Tree, Checkpoint]:
        try:
            tree = Tree(index(row.seq), map(bytes.fromhex, read_json(row.peaks)))
            known = {"schema": ANCHOR, "size": tree.size, "root": tree.root.hex(), "head": row.hash}
            return tree, Checkpoint.from_json(known | {"book": self.book, "at": row.at, "note": row.note})
        except (ValueError, TypeError, OverflowError) as error:
            raise DamagedHeadError(f"the head of book {self.book!r} was changed: it fits no {row.seq} rows") from error
        except LedgerError as error:  # SQLite keeps any value in any column
            raise DamagedHeadError(f"the head of book {self.book!r} was changed: {error}") from error

    def _check_head(self, there: Checkpoint) -> None:
        """Whether a row may follow: what is signed next would stand for all that is there."""
        if there.size < self._written:
            raise LedgerError(
                f"book {self.book!r} has {there.size} rows, and this process wrote row {self._written}: "
                "some were cut off; see what hearout receipts verify says"
            )
        if self._verifier is None:
            if there.note:
                raise LedgerError(f"book {self.book!r} is signed; set HEAROUT_LEDGER_KEY (or another HEAROUT_BOOK)")
            return
        if there.size and not there.is_signed(self._verifier):
            raise LedgerError(
                f"the head of book {self.book!r} is not signed with this key, so nothing is added to it: see what "
                "hearout receipts verify says, and begin another book (HEAROUT_BOOK)"
            )

    def _place(self, connection: sa.Connection, record: Record, *, spooled: bool) -> Placed:
        """The kind of a record's row, and the row that is settled, amended or revoked by it."""
        call, name = self._call(connection, record, spooled=spooled)
        if record.kind is RowKind.ASKED:
            return Placed(record.kind, None, call, name)
        if record.kind in (RowKind.AMENDED, RowKind.REVOKED):
            to_what = RowKind.SETTLED if record.kind is RowKind.AMENDED else RowKind.ASKED
            to = (ROWS.c.book == self.book, ROWS.c.entry == record.owed, ROWS.c.kind == to_what.value)
            of = connection.execute(sa.select(ROWS.c.seq).where(*to)).scalar()
            nameless = name is None and record.kind is RowKind.AMENDED  # of whom it speaks was forgotten
            if of is None or nameless:
                return Placed(RowKind.LATE, None, call, name)
            return Placed(record.kind, int(of), call, name)
        mine = [OWED.c.book == self.book, OWED.c.kind == RowKind.OWED.value]
        if record.owed:
            mine.append(OWED.c.entry == record.owed)
        else:
            mine += [OWED.c.call == call, OWED.c.utterance == plain(record.id), ~IS_SETTLED]
        found = sa.select(OWED.c.seq, IS_SETTLED.label("settled"), LEASES.c.holder).outerjoin(
            LEASES, sa.and_(LEASES.c.book == OWED.c.book, LEASES.c.of == OWED.c.seq)
        )
        promised = connection.execute(found.where(*mine).order_by(OWED.c.seq.desc()).limit(1)).one_or_none()
        if promised is None:
            return Placed(record.kind, None, call, name)
        if record.kind is RowKind.OWED:
            if not spooled:
                raise AlreadyOwedError(
                    f"utterance {record.id!r} is owed in call {record.call!r} already; take it over, or use another id",
                    id=record.id,
                    call=record.call,
                )
            return Placed(RowKind.LATE, int(promised.seq), call, name)
        late = promised.settled or promised.holder not in (None, record.by)
        return Placed(RowKind.LATE if late else record.kind, int(promised.seq), call, name)

    def _call(self, connection: sa.Connection, record: Record, *, spooled: bool) -> tuple[str, CallName | None]:
        """The pseudonym and the name of a record's call: those of the row it belongs to, or by the name."""
        owed = sa.select(ROWS.c.call).where(ROWS.c.book == self.book, ROWS.c.entry == record.owed)
        if record.owed and (call := connection.execute(owed).scalar()) is not None:
            return str(call), names.name_of(connection, self.book, call)
        if spooled and (call := names.forgotten_call(connection, self.book, record)) is not None:
            return call, None
        return names.named(connection, self.book, record.call)

    def _write(self, connection: sa.Connection, head: Head, record: Record, placed: Placed, *, spooled: bool) -> int:
        seq, kind = head.tree.size + 1, placed.kind
        said, content = self._apart(connection, record, placed)
        columns = {"call": placed.call, "utterance": plain(record.id), "at": record.at, "entry": record.entry}
        columns |= {"kind": kind.value, "of": placed.of}
        facts = columns | {"by": record.by} | ({"spooled": True} if spooled else {})
        written = canonical(content | facts)
        hashed = row_hash(self.book, seq, head.hash, written)
        head.tree.append(bytes.fromhex(hashed))
        signed: dict[str, str] = {}
        at, note = time.time(), ""
        if self._signer is not None:
            signed = {"key": self._signer.verifier.key, "signature": self._signer.sign(hashed.encode()).hex()}
            note = Checkpoint(self.book, seq, head.tree.root.hex(), hashed, at).signed(self._signer)
        row = columns | signed | {"book": self.book, "seq": seq, "before": head.hash, "seal": self.seal.row(hashed)}
        connection.execute(ROWS.insert().values(row | {"hash": hashed, "content": written}))
        peaks = canonical([peak.hex() for peak in head.tree.peaks])
        now = {"seq": seq, "hash": hashed, "at": at, "peaks": peaks, "note": note}
        connection.execute(HEADS.update().where(HEADS.c.book == self.book).values(now))
        self._write_beside(connection, seq, record, placed, said, written)
        self._written = seq
        return seq

    def _apart(self, connection: sa.Connection, record: Record, placed: Placed) -> tuple[Plaintext, Json]:
        """What stands beside a record's row, and its content without that."""
        people: dict[str, str] = {}
        salt = secrets.token_hex(16) if placed.name is None else placed.name.salt

        def change(name: str) -> str:
            if name == record.call:
                return placed.call
            one = pseudonym(salt, name)
            if one:
                people[one] = name
            return one

        content, said = renamed(record.content, change), record.said
        if placed.name is None:  # it waited, and was forgotten before it came
            text = said.text if not names.is_text_forgotten(connection, self.book, placed.call) else None
            said = Plaintext(None, None, text)
        elif people:
            said = Plaintext(said.salt, said.caller, said.text, people)
        if "kept" in content or people:
            promised = content.get("kept", ())
            kept = [name for name in said.kept if name == "names" or name in promised]
            content = content | {"kept": kept}
        return said, content

    def _write_beside(
        self, connection: sa.Connection, seq: int, record: Record, placed: Placed, said: Plaintext, written: str
    ) -> None:
        """What was said, and the lease."""
        mine = {"book": self.book, "call": placed.call}
        if said != Plaintext(None):
            texts = {"caller": said.caller, "text": said.text, "names": said.names}
            beside = {name: None if text is None else canonical(text) for name, text in texts.items()}
            connection.execute(SAID.insert().values(mine | beside | {"seq": seq, "salt": said.salt}))
        if placed.kind is RowKind.OWED:
            lease = mine | {"of": seq, "utterance": plain(record.id), "holder": record.by}
            lease |= self.seal.values(seq, written, 0.0, []) | {"until": record.at + LEASE}
            connection.execute(LEASES.insert().values(lease))
        elif placed.kind is RowKind.SETTLED and placed.of is not None:
            omits = "caller" not in record.content["kept"]
            leases.settle(connection, self.seal, placed.of, omits=omits, at=record.at)
            if not record.content["text_kept"]:
                owed = (SAID.c.book == self.book, SAID.c.seq == placed.of)
                connection.execute(SAID.update().where(*owed).values(text=None))

    # What is owed

    def _owings(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[tuple[int, Unfinished]]:
        """What is owed by promises and leases of our own processes, each with its row's number, oldest first."""
        of = sa.and_(LEASES.c.book == OWED.c.book, LEASES.c.of == OWED.c.seq)
        said = sa.and_(SAID.c.book == OWED.c.book, SAID.c.seq == OWED.c.seq)
        taken = (SETTLED.c.book == OWED.c.book, SETTLED.c.of == OWED.c.seq, SETTLED.c.kind == RowKind.TAKEN_OVER.value)
        attempts = sa.select(sa.func.count()).select_from(SETTLED).where(*taken).scalar_subquery()
        lease = (LEASES.c.holder, LEASES.c.played, LEASES.c.held, LEASES.c.until, LEASES.c.mac)
        columns = (OWED, NAMES.c.name, NAMES.c.salt, SAID.c.text, *lease, attempts.label("n"))
        named = sa.and_(NAMES.c.book == OWED.c.book, NAMES.c.call == OWED.c.call)
        query = sa.select(*columns).join(LEASES, of).outerjoin(SAID, said).outerjoin(NAMES, named)
        query = query.order_by(OWED.c.seq)
        open_ones = (OWED.c.book == self.book, OWED.c.kind == RowKind.OWED.value, ~IS_SETTLED)
        found = connection.execute(query.where(*open_ones, *which)).all()
        ours = [row for row in found if self.seal.knows(row.seq, row)]
        return [(int(row.seq), owing) for row in ours if (owing := unfinished(row)) is not None]


def new_holder(host: str, pid: int) -> str:
    """A name for this process that no other has."""
    return f"{host}-{pid}-{secrets.token_hex(4)}"

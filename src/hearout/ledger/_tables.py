"""The database: tables, version, and how to open one."""

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc

from ..errors import LedgerDownError, LedgerError
from ._chain import plain

VERSION = 5
"""The version of the tables below. A database with a newer one is refused."""

WAIT = 2.0
"""Seconds to wait for a connection or a lock. Longer than any append of another worker; the call does not wait so long
(`_writer.PATIENCE`)."""

METADATA = sa.MetaData()


def _texts(*names: str) -> Iterator[sa.Column[str]]:
    """Columns that always have a text."""
    return (sa.Column(name, sa.Text, nullable=False) for name in names)


SCHEMA = sa.Table("hearout_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True))

ROWS = sa.Table(
    "hearout_rows",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    *_texts("before", "hash", "content"),
    sa.Column("key", sa.Text),
    sa.Column("signature", sa.Text),
    *_texts("seal"),
    # taken out of the content, to be found by
    *_texts("kind", "call", "utterance", "entry"),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("of", sa.BigInteger),
    sa.UniqueConstraint("book", "entry"),
    sa.Index("hearout_rows_call", "book", "call", "utterance"),
    sa.Index("hearout_rows_of", "book", "of"),
)
"""The chain. Nothing updates or deletes here. `call`: its pseudonym. `at`: UTC, seconds since
1970. `of`: the owed row that it belongs to. `seal`: its MAC (`_seal.py`)."""

HEADS = sa.Table(
    "hearout_heads",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    *_texts("hash", "peaks", "note"),
)
"""Each book's last row, and what the tree over its rows grows from. Whoever appends locks it first, so that a chain
cannot fork. `peaks`: JSON, of `_merkle.Tree`. `note`: the signed checkpoint; empty where the book is not signed."""

NAMES = sa.Table(
    "hearout_names",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("call", sa.Text, primary_key=True),
    *_texts("salt", "name"),
    sa.Index("hearout_names_name", "book", "name", unique=True),
)
"""The name of each call, beside the chain, which has its pseudonym (`call`); gone when it is forgotten."""

FORGOTTEN = sa.Table(
    "hearout_forgotten",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("call", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    *_texts("salt", "hash"),
)
"""Calls whose name was forgotten lately, by a hash of it that is slow to guess at: what waited in a spool meanwhile is
known by it, and is not kept."""

SAID = sa.Table(
    "hearout_said",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("salt", sa.Text),
    sa.Column("caller", sa.Text),
    sa.Column("text", sa.Text),
    sa.Column("names", sa.Text),
    sa.Index("hearout_said_call", "book", "call"),
)
"""What was said and who it was, beside the chain: it can be forgotten. `caller`, `text`, `names`: JSON."""

LEASES = sa.Table(
    "hearout_leases",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("of", sa.BigInteger, primary_key=True, autoincrement=False),
    *_texts("call", "utterance", "holder", "held", "mac"),
    sa.Column("played", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
)
"""Who is saying what is owed, how far it is, and until when it counts as alive (UTC, seconds since 1970). `held`: JSON,
how far it is, and what the caller said over it (`_leases.py`). `mac`: `_seal.py`."""

CALLS = sa.Table(
    "hearout_calls",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("call", sa.Text, primary_key=True),
    *_texts("room", "sid", "job", "identity", "name", "metadata", "worker", "holder", "mac"),
    sa.Column("rescues", sa.Integer, nullable=False),
)
"""The calls that an agent is in, or that wait for another one; those that ended well are not here. `mac`: of all the
rest, by who has LiveKit's API secret."""

WORKERS = sa.Table(
    "hearout_workers",
    METADATA,
    sa.Column("book", sa.Text, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    *_texts("mac"),
)
"""The workers that look after each other's calls. `beat` grows as long as they live; `mac`: of it and of the worker."""


MIGRATIONS: Mapping[int, Callable[[sa.Connection], None]] = {}
"""From each older version to the next one; run in one transaction. None leads from before 0.1.0."""


def of_call(column: sa.ColumnElement[str], book: str, call: str) -> sa.ColumnElement[bool]:
    """Whether a column has a call's pseudonym; the call is given by name, or by the pseudonym itself."""
    named = sa.select(NAMES.c.call).where(NAMES.c.book == book, NAMES.c.name == plain(call))
    return sa.or_(column == call, column.in_(named)) if call.startswith("~") else column.in_(named)


class Mode(Enum):
    """What a ledger is opened for."""

    WRITE = "write"
    """Tables are made where there are none, and brought up to this version."""
    READ = "read"
    """Nothing is made or changed."""


def engine(url: str, mode: Mode) -> sa.Engine:
    """The database at a URL; it is not connected to yet.

    Raises:
        LedgerError: the URL makes no sense, its driver is missing, or there is no such file to read.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        wait = int(WAIT * 1000)
        own = " ".join(parsed.normalized_query.get("options", ()))
        try:
            return sa.create_engine(
                parsed.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
                connect_args={
                    "connect_timeout": max(2, int(WAIT)),  # the least that libpq takes
                    "tcp_user_timeout": wait,
                    "options": f"-c lock_timeout={wait} -c statement_timeout={0 if mode is Mode.READ else wait} {own}",
                },
                pool_pre_ping=True,
                hide_parameters=True,
            )
        except ImportError as error:
            raise LedgerError(
                "the ledger is in PostgreSQL, and its driver is missing; install hearout[postgres]"
            ) from error
    return _sqlite(parsed, mode)


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
        name = parsed.get_backend_name()
        if "@" in (parsed.host or ""):  # of a password that is not percent-encoded: it would be looked up, and logged
            raise ValueError("a host has no @")
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError):
        raise LedgerError(
            "the ledger's URL makes no sense; for a file write sqlite:///receipts.db, "
            "for PostgreSQL postgresql://user@host/database, an @ in its password as %40"
        ) from None  # what it is made of may be a password
    if name not in ("sqlite", "postgresql"):
        raise LedgerError(f"the ledger cannot be kept in {name}; use a sqlite:// or postgresql:// URL")
    if name == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise LedgerError("a ledger in memory would be lost with the process; name a file, as sqlite:///receipts.db")
    return parsed


def file(url: str) -> Path | None:
    """The SQLite file that a URL names; None for PostgreSQL."""
    parsed = _parsed(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _sqlite(parsed: sa.URL, mode: Mode) -> sa.Engine:
    path = Path(parsed.database or "").absolute()
    if mode is Mode.READ and not path.is_file():
        raise LedgerError(f"there is no ledger at {path}; name the right one with --ledger, or HEAROUT_LEDGER")
    # a reader that may write, and does not (query_only), takes SQLite's side files away again when it closes
    how = {"mode": "rwc" if mode is Mode.WRITE else "rw" if os.access(path, os.W_OK) else "ro"}
    if mode is Mode.READ and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        how["immutable"] = "1"  # a copy in a folder in which SQLite can make no side files, and nobody writes
    made = sa.create_engine(
        sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query={**how, "uri": "true"}),
        connect_args={"timeout": WAIT},
        hide_parameters=True,
    )

    @sa.event.listens_for(made, "do_connect")
    def _connecting(*_: Any) -> None:
        if mode is Mode.WRITE:
            _close_to_others(path)

    @sa.event.listens_for(made, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin ourselves, below: the driver's own way begins too late
        connection.execute(f"PRAGMA busy_timeout = {int(WAIT * 1000)}")
        if mode is Mode.WRITE:
            # WAL: whoever reads does not stop whoever appends. FULL: on disk when an append returns.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
        else:
            connection.execute("PRAGMA query_only = ON")

    @sa.event.listens_for(made, "begin")
    def _began(connection: sa.Connection) -> None:
        # IMMEDIATE: wait for the lock here, where it can be waited for, not in the middle of the transaction
        connection.exec_driver_sql("BEGIN" if mode is Mode.READ else "BEGIN IMMEDIATE")

    return made


def _close_to_others(path: Path) -> None:
    """Give SQLite's file to its owner only, whenever it was made; SQLite makes side files likewise."""
    with contextlib.suppress(OSError):  # SQLite says why it cannot be made
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600))
    for one in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
        with contextlib.suppress(OSError):  # it is not there, or somebody else's
            if one.stat().st_mode & 0o077:
                one.chmod(0o600)


def prepare(connection: sa.Connection, mode: Mode) -> None:
    """Look at the schema's version; when writing, make the tables, or bring them up to this version.

    Raises:
        LedgerError: the version is newer; or, when reading, older, or there is no ledger in the database.
    """
    if mode is Mode.WRITE and connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7230951284019)")  # two that make tables at once
    if not sa.inspect(connection).has_table(SCHEMA.name):
        if mode is Mode.READ:
            raise LedgerError("there is no ledger in that database; name the right one with --ledger")
        METADATA.create_all(connection)
        connection.execute(SCHEMA.insert().values(version=VERSION))
        return
    version = connection.execute(sa.select(SCHEMA.c.version)).scalar_one()
    if version > VERSION:
        raise LedgerError(
            f"the ledger has version {version}, and this hearout knows {VERSION}; use a newer one. Nothing was changed"
        )
    if version < VERSION and mode is Mode.READ:
        raise LedgerError(
            f"the ledger has version {version}; it is brought up to {VERSION} when an agent next writes to it"
        )
    if any(older not in MIGRATIONS for older in range(version, VERSION)):
        raise LedgerError(
            f"the ledger has version {version}, from before the first release, and cannot be brought up to {VERSION}; "
            "move it away, or name another one"
        )
    for older in range(version, VERSION):
        MIGRATIONS[older](connection)
        connection.execute(SCHEMA.update().values(version=older + 1))


class RefusedError(LedgerError):
    """The database will never take this record; it takes others."""


def _is_of_the_record(error: Exception) -> bool:
    """Whether the database is well, and one value is too long, too large or against a rule of its own."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state is not None:  # PostgreSQL: data exception, integrity constraint, program limit
        return str(state)[:2] in ("22", "23", "54")
    return isinstance(error, exc.DataError | exc.IntegrityError | sqlite3.DataError)


def take_your_time(connection: sa.Connection) -> None:
    """Until this transaction ends, a statement may take long: no call waits for it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn the database's errors into ours, with the first line of the message: the rest may hold words."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:  # the latter from a PRAGMA, while the connection is made
        cause = getattr(error, "orig", None) or error
        reason = re.split(r"[\n\r]", str(cause).strip() or type(cause).__name__)[0]
        if "unable to open" in reason:
            reason += "; is there such a folder, and may this user write in it?"
        if "not a database" in reason or "malformed" in reason:
            raise LedgerError(f"the ledger {name} is damaged, or is no database: {reason}") from error
        if _is_of_the_record(error):
            raise RefusedError(f"the ledger {name} will never take this: {reason}") from error
        if isinstance(error, exc.ProgrammingError | exc.DataError | exc.IntegrityError):
            raise LedgerError(f"the ledger {name} refused what it was asked: {reason}") from error
        raise LedgerDownError(f"the ledger {name} cannot be used now: {reason}") from error

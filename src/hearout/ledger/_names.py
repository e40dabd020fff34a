"""Who the calls and people of a book are: names stand beside the chain, which has pseudonyms, and can be forgotten.

Each function works inside a transaction that has the book's head locked.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from . import _leases as leases
from ._chain import CallName, plain, pseudonym
from ._entries import Record, RowKind
from ._tables import CALLS, FORGOTTEN, LEASES, NAMES, ROWS, SAID, WORKERS

FORGETS_LATE = 30 * 86400.0
"""Seconds for which a call that was forgotten is known again, should something of it wait in a spool that long."""

WATCHED = 60.0
"""Seconds since its last beat in which a worker counts as alive, and its calls as going on."""


def named(connection: sa.Connection, book: str, call: str) -> tuple[str, CallName]:
    """The pseudonym of a call, and its name; both are made where the book does not know the call."""
    known = (NAMES.c.book == book, NAMES.c.name == plain(call))
    if (row := connection.execute(sa.select(NAMES).where(*known)).one_or_none()) is not None:
        return str(row.call), CallName(row.salt, row.name)
    name = CallName(secrets.token_hex(16), plain(call))
    made = pseudonym(name.salt, name.name)
    connection.execute(NAMES.insert().values(book=book, call=made, salt=name.salt, name=name.name))
    return made, name


def name_of(connection: sa.Connection, book: str, call: str) -> CallName | None:
    """The name of the call with this pseudonym; None where it was forgotten."""
    row = connection.execute(sa.select(NAMES).where(NAMES.c.book == book, NAMES.c.call == call)).one_or_none()
    return None if row is None else CallName(row.salt, row.name)


def held(connection: sa.Connection, book: str, now: float) -> set[str]:
    """The calls that somebody has now: an agent says something in them, or a worker that lives looks after them."""
    saying = sa.select(LEASES.c.call).where(LEASES.c.book == book, LEASES.c.until > now)
    lives = sa.select(WORKERS.c.worker).where(WORKERS.c.book == book, WORKERS.c.at > now - WATCHED)
    calls = sa.select(NAMES.c.call).join(CALLS, sa.and_(CALLS.c.book == NAMES.c.book, CALLS.c.call == NAMES.c.name))
    watched = calls.where(NAMES.c.book == book, CALLS.c.worker.in_(lives))
    return set(connection.execute(saying.union(watched)).scalars())


def something(*, text: bool) -> sa.ColumnElement[bool]:
    """Whether something stands beside a row that would be forgotten."""
    kept = [SAID.c.salt, SAID.c.caller, SAID.c.names, *([SAID.c.text] if text else [])]
    return sa.or_(*(column.is_not(None) for column in kept))


def remove(connection: sa.Connection, book: str, calls: Sequence[str], *, text: bool) -> int:
    """Remove what stands beside the rows of these calls; of how many rows."""
    gone: dict[str, None] = {"salt": None, "caller": None, "names": None} | ({"text": None} if text else {})
    said = (SAID.c.book == book, SAID.c.call.in_(calls), something(text=text))
    removed = connection.execute(SAID.update().where(*said).values(gone)).rowcount
    names = (NAMES.c.book == book, NAMES.c.call.in_(calls))
    listed = CALLS.c.call.in_(sa.select(NAMES.c.name).where(*names))
    connection.execute(CALLS.delete().where(CALLS.c.book == book, listed))
    connection.execute(NAMES.delete().where(*names))
    leases.forget(connection, book, calls, text=text)
    return int(removed)


def remember_forgotten(connection: sa.Connection, book: str, call: str, name: str, now: float) -> None:
    """Let what waits in a spool of this call be known when it comes, for `FORGETS_LATE`."""
    salt = secrets.token_hex(16)
    connection.execute(FORGOTTEN.delete().where(FORGOTTEN.c.book == book, FORGOTTEN.c.at < now - FORGETS_LATE))
    values = {"book": book, "call": call, "at": now, "salt": salt, "hash": _slow_hash(salt, name)}
    connection.execute(FORGOTTEN.insert().values(values))


def forgotten_call(connection: sa.Connection, book: str, record: Record) -> str | None:
    """The pseudonym of the call of a record that waited while the call was forgotten; None where it was not."""
    later = (FORGOTTEN.c.book == book, FORGOTTEN.c.at >= record.at)
    for row in connection.execute(sa.select(FORGOTTEN).where(*later)).all():
        if _slow_hash(row.salt, plain(record.call)) == row.hash:
            return str(row.call)
    return None


def is_text_forgotten(connection: sa.Connection, book: str, call: str) -> bool:
    """Whether the announcements' texts of a call were forgotten, too."""
    which = (ROWS.c.book == book, ROWS.c.call == call, ROWS.c.kind == RowKind.FORGOTTEN.value)
    contents = connection.execute(sa.select(ROWS.c.content).where(*which)).scalars()
    return any("text" in json.loads(content)["what"] for content in contents)


def _slow_hash(salt: str, name: str) -> str:
    """Of a call's name: 50 ms for each guess, whoever guesses."""
    return hashlib.scrypt(name.encode(), salt=salt.encode(), n=1 << 14, r=8, p=1).hex()

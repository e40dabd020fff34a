"""The words of a call that goes on, for an agent that takes the call over, also where no words are to be kept.

They stand with the leases, outside the chain, and go when the call is over. Each function works inside a transaction.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from .._text import read_json
from ._chain import canonical
from ._entries import marks
from ._tables import LEASES, ROWS, SAID

TAKEN_UP = 600.0
"""Seconds after its agent's last sign of life in which a call may be taken up. Failover gives up after three minutes
(`_failover.IN_VAIN`), and LiveKit closes a room 20 s after its last participant."""

OVER = ""
"""The holder of what is settled: nobody says it any more."""


def settle(connection: sa.Connection, book: str, of: int, *, omits: bool, at: float) -> None:
    """End the lease of an utterance; words that the receipt omits stay until the call is over."""
    lease = (LEASES.c.book == book, LEASES.c.of == of)
    held = connection.execute(sa.select(LEASES.c.held).where(*lease)).scalar()
    said = _said(json.loads(held or "[]"))
    if omits and said:
        connection.execute(LEASES.update().where(*lease).values(holder=OVER, until=at, held=canonical(said)))
    else:
        connection.execute(LEASES.delete().where(*lease))


def end(connection: sa.Connection, book: str, *which: sa.ColumnElement[bool]) -> bool:
    """Remove the words that were kept for calls that are over; whether there were any.

    Of what is still owed, how far it was stays, and of its text and words what the policy keeps.

    Args:
        connection, book: where.
        which: the leases of these calls.
    """
    mine = (LEASES.c.book == book, *which)
    gone = connection.execute(LEASES.delete().where(*mine, LEASES.c.holder == OVER)).rowcount > 0
    promised = sa.and_(ROWS.c.book == LEASES.c.book, ROWS.c.seq == LEASES.c.of)
    query = sa.select(LEASES.c.of, LEASES.c.held, ROWS.c.content).join(ROWS, promised)
    for of, held, content in connection.execute(query.where(*mine)).all():
        omits, before = set(json.loads(content).get("omits", ())), json.loads(held)
        left = marks(before) if "caller" in omits else before
        if "text" in omits:
            left = [_untold(one) for one in left]
            said = (SAID.c.book == book, SAID.c.seq == of, SAID.c.text.is_not(None))
            gone |= connection.execute(SAID.update().where(*said).values(text=None)).rowcount > 0
        if left != before:
            changed = (LEASES.c.book == book, LEASES.c.of == of)
            connection.execute(LEASES.update().where(*changed).values(held=canonical(left)))
            gone = True
    return gone


def said_over(held: str | None) -> tuple[str, ...]:
    """The words that stand with the lease of what is settled, in order; of each entry of the receipt's `held` one."""
    return tuple(str(one.get("text", "")) for one in read_json(held or "[]") if isinstance(one, Mapping))


def _said(held: Sequence[Any]) -> list[Any]:
    return [one for one in held if not _is_mark(one)]


def _untold(one: Any) -> Any:
    """A mark without the agent's text; the caller's words as they are."""
    return _without_text(one) if _is_mark(one) else one


def _without_text(mark: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mark.items() if name != "text"}


def _is_mark(one: Any) -> bool:
    return isinstance(one, Mapping) and one.get("kind") == "mark"

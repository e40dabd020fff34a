"""The words of a call that goes on, for an agent that takes the call over, also where no words are to be kept.

They stand with the leases, outside the chain, and go when the call is over. Each function works inside a transaction.
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from .._text import read_json
from ._entries import marks
from ._seal import Seal
from ._tables import LEASES, SAID

TAKEN_UP = 600.0
"""Seconds after its agent's last sign of life in which a call may be resumed. Failover gives up after three minutes
(`_worker/failover.py`), and LiveKit closes a room 20 s after its last participant."""

OVER = ""
"""The holder of what is settled: nobody says it any more."""


def settle(connection: sa.Connection, seal: Seal, of: int, *, omits: bool, at: float) -> None:
    """End the lease of an utterance; words that the receipt omits stay until the call is over."""
    lease = (LEASES.c.book == seal.book, LEASES.c.of == of)
    for one in seal.ours(connection, LEASES.c.of == of) if omits else ():
        if said := [each for each in read_json(one.held) if not _is_mark(each)]:
            values = seal.values(of, one.content, one.played, said) | {"holder": OVER, "until": at}
            connection.execute(LEASES.update().where(*lease).values(values))
            return
    connection.execute(LEASES.delete().where(*lease))


def end(connection: sa.Connection, seal: Seal, *which: sa.ColumnElement[bool]) -> bool:
    """Remove the words that were kept for calls that are over, and leases that somebody else wrote; whether there were
    any.

    Of what is still owed, how far it was stays, and of its text and words what the policy keeps.
    """
    mine = (LEASES.c.book == seal.book, *which)
    gone = connection.execute(LEASES.delete().where(*mine, LEASES.c.holder == OVER)).rowcount > 0
    ours = seal.ours(connection, *which)
    gone |= connection.execute(LEASES.delete().where(*mine, LEASES.c.of.not_in([one.of for one in ours]))).rowcount > 0
    for one in ours:
        omits, before = set(json.loads(one.content).get("omits", ())), json.loads(one.held)
        left = marks(before) if "caller" in omits else before
        if "text" in omits:
            left = [{name: one[name] for name in one if name != "text"} if _is_mark(one) else one for one in left]
            said = (SAID.c.book == seal.book, SAID.c.seq == one.of, SAID.c.text.is_not(None))
            gone |= connection.execute(SAID.update().where(*said).values(text=None)).rowcount > 0
        if left != before:
            changed = (LEASES.c.book == seal.book, LEASES.c.of == one.of)
            connection.execute(
                LEASES.update().where(*changed).values(seal.values(one.of, one.content, one.played, left))
            )
            gone = True
    return gone


def said_over(held: str | None) -> tuple[str, ...]:
    """The words that stand with the lease of what is settled, in order; of each entry of the receipt's `held` one."""
    return tuple(str(one.get("text", "")) for one in read_json(held or "[]") if isinstance(one, Mapping))


def _is_mark(one: Any) -> bool:
    return isinstance(one, Mapping) and one.get("kind") == "mark"

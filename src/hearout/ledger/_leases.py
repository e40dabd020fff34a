"""Leases: how far an utterance that is owed has been said, and what the caller said over it.

They stand outside the chain, for an agent that takes the call over; their words go when the call is over. Each function
that takes a connection works inside a transaction.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from .._text import read_json
from ..receipts._codec import Json
from ._chain import canonical
from ._seal import Seal
from ._tables import LEASES, SAID

LEASE = 5.0
"""Seconds for which an utterance counts as being said after it was last renewed: five renewals may be missed."""

TAKEN_UP = 600.0
"""Seconds after its agent's last sign of life in which a call may be resumed. Failover gives up after three minutes
(`_worker/failover.py`), and LiveKit closes a room 20 s after its last participant."""

OVER = ""
"""The holder of what is settled: nobody says it any more."""


# What is `held`: the caller's words, and marks


def mark(*, at: float, characters: int, text: str | None = None, complete: bool = False) -> Json:
    """How far an utterance is: an entry of `held`, beside the caller's words.

    Args:
        at, characters: where it would be resumed, in seconds and in its text.
        text: as far as it is known, where it was promised before it was; None where the promise has it.
        complete: whether that is all of it.
    """
    told = {} if text is None else {"text": text, "complete": complete}
    return {"kind": "mark", "at": at, "characters": characters} | told


def marks(held: Sequence[Any]) -> list[Json]:
    """The marks among what was `held`; what somebody changed is none."""
    return [dict(one) for one in held if _is_mark(one)]


def told(held: Sequence[Any]) -> tuple[str, bool] | None:
    """The text of an utterance that was promised before that was known, and whether it is all; None where no mark has
    it."""
    return next(((one["text"], bool(one.get("complete"))) for one in marks(held) if one.get("text")), None)


def said_over(held: str | None) -> tuple[str, ...]:
    """The words that stand with the lease of what is settled, in order; of each entry of the receipt's `held` one."""
    return tuple(str(one.get("text", "")) for one in read_json(held or "[]") if isinstance(one, Mapping))


def _is_mark(one: Any) -> bool:
    if not isinstance(one, Mapping) or one.get("kind") != "mark":
        return False
    numbers = all(isinstance(one.get(name), int | float) for name in ("at", "characters"))
    return numbers and isinstance(one.get("text", ""), str)


def _without(held: Sequence[Any], *, words: bool, text: bool) -> list[Any]:
    """What is left of `held` when the caller's words are removed, and the agent's own text."""
    left = marks(held) if words else list(held)
    return [{name: one[name] for name in one if name != "text"} if text and _is_mark(one) else one for one in left]


# In the database


def settle(connection: sa.Connection, seal: Seal, of: int, *, omits: bool, at: float) -> None:
    """End the lease of an utterance; words that the receipt omits stay until the call is over."""
    for one in seal.ours(connection, LEASES.c.of == of) if omits else ():
        if said := [each for each in read_json(one.held) if not _is_mark(each)]:
            values = seal.values(of, one.content, one.played, said)
            update(connection, seal.book, of, values | {"holder": OVER, "until": at})
            return
    connection.execute(LEASES.delete().where(LEASES.c.book == seal.book, LEASES.c.of == of))


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
        omits, before = json.loads(one.content).get("omits", ()), json.loads(one.held)
        if "text" in omits:
            said = (SAID.c.book == seal.book, SAID.c.seq == one.of, SAID.c.text.is_not(None))
            gone |= connection.execute(SAID.update().where(*said).values(text=None)).rowcount > 0
        if (left := _without(before, words="caller" in omits, text="text" in omits)) != before:
            update(connection, seal.book, one.of, seal.values(one.of, one.content, one.played, left))
            gone = True
    return gone


def forget(connection: sa.Connection, book: str, calls: Sequence[str], *, text: bool) -> None:
    """Remove the caller's words of these calls, by their pseudonyms, and with `text` the agent's own."""
    mine = (LEASES.c.book == book, LEASES.c.call.in_(calls))
    connection.execute(LEASES.delete().where(*mine, LEASES.c.holder == OVER))
    for of, held in connection.execute(sa.select(LEASES.c.of, LEASES.c.held).where(*mine)).all():
        try:
            left = canonical(_without(read_json(held), words=True, text=text))
        except (ValueError, TypeError):  # somebody changed it
            left = "[]"
        update(connection, book, of, {"held": left})


def update(connection: sa.Connection, book: str, of: int, values: Mapping[str, Any]) -> None:
    """Change the lease of the promise in row `of`."""
    connection.execute(LEASES.update().where(LEASES.c.book == book, LEASES.c.of == of).values(values))

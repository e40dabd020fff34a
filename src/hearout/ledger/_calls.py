"""Which worker has which call: so that a call whose agent died is found, and one worker alone sends it another.

Not a part of the chain. A job says which call it has, and its worker's main process that it lives. A worker is taken to
be dead by what others *see* of it, a number that no longer changes; so no two machines' clocks are compared.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from . import _leases as leases
from ._book import Ledger
from ._chain import plain
from ._names import held
from ._seal import Seal, is_mac, log_foreign
from ._tables import CALLS, LEASES, WORKERS, of_call

NOBODY = ""
"""The worker of a call that any may take over."""

WORKERS_KEPT = 3600.0
"""Seconds after its last beat when a dead worker without calls is struck off."""

WORKER = "HEAROUT_WORKER"
"""The environment variable by which a job's process knows who looks after its call."""

SENT = "hearout.sent"
"""The attribute of LiveKit's job by which it knows that a worker sent it to a call whose agent had died."""


@dataclass(frozen=True)
class WatchedCall:
    """A call, and the agent in it.

    Args:
        call: names it, as on receipts.
        room, sid: LiveKit's room: its name, and the id of this one of that name.
        job: the agent's; empty while the worker that took the call over waits for another agent.
        identity: the agent's participant.
        name, metadata: of the job's dispatch: what sends the same agent again.
        worker: whose main process watches over the job.
        holder: names the agent's process in the ledger.
        rescues: how often another agent was sent.
    """

    call: str
    room: str
    sid: str
    job: str
    identity: str
    name: str
    metadata: str
    worker: str
    holder: str = ""
    rescues: int = 0


@dataclass(frozen=True)
class Seen:
    """What one look shows: the beat of each worker that is listed, and all calls."""

    beats: Mapping[str, int]
    calls: tuple[WatchedCall, ...]


class CallRegistry:
    """The calls of one book. Every method is one transaction, and blocks.

    A row makes workers act: they put an agent out of a room, and send another with its metadata; a beat keeps them from
    it. So each carries a MAC, and a row without one that fits is nobody's.

    Args:
        secret: LiveKit's API secret.

    Raises:
        LedgerError: from every method, as the ledger's.
    """

    def __init__(self, ledger: Ledger, secret: str) -> None:
        self._ledger = ledger
        self._book, ledger.secret = ledger.book, secret or ledger.secret
        self._seal = Seal(ledger.book, secret)
        self._told: set[tuple[str, str]] = set()

    def attend(self, watched: WatchedCall, *, is_sent: bool = False) -> bool:
        """An agent has this call now; how often it was rescued is kept.

        Of several that were sent (one whose process comes late cannot be called off), the first has it: False for the
        others.
        """
        with self._ledger.transaction() as connection:
            there = self._found(connection, watched.call)
            if is_sent and there is not None and there.job not in ("", watched.job):
                return False
            self._put(connection, replace(watched, rescues=0 if there is None else there.rescues))
            return True

    def rescues(self, call: str) -> int:
        """How often this call was sent another agent."""
        with self._ledger.transaction() as connection:
            there = self._found(connection, call)
            return 0 if there is None else there.rescues

    def leave(self, call: str, *, job: str) -> bool:
        """That job's agent left the call, or the call is over; False where another has it by now."""
        with self._ledger.transaction() as connection:
            if connection.execute(CALLS.delete().where(*self._of(call, job))).rowcount == 0:
                return False
            leases.end(connection, self._ledger.seal, of_call(LEASES.c.call, self._book, call))
            return True

    def end(self, call: str, now: float) -> None:
        """Remove the words that were kept while a call went on: it is over."""
        with self._ledger.transaction() as connection:
            mine = of_call(LEASES.c.call, self._book, call)
            dead = sa.or_(LEASES.c.holder == leases.OVER, LEASES.c.until <= now)  # not what another agent says
            leases.end(connection, self._ledger.seal, mine, dead)

    def end_stale(self, now: float) -> bool:
        """The same for each call whose agents died, and that nobody looks after; whether there was something."""
        with self._ledger.transaction() as connection:
            gone = LEASES.c.until < now - leases.TAKEN_UP
            return leases.end(
                connection, self._ledger.seal, gone, LEASES.c.call.not_in(held(connection, self._book, now))
            )

    def claim(self, watched: WatchedCall, *, by: str) -> bool:
        """Take over a call as it was seen; of several workers that try, one gets True.

        What its agent owed is that one's no longer, should it live: it renews and settles nothing any more. Only a call
        that an agent had counts as rescued: one that waits for an agent is sent another where none came.
        """
        mine = replace(watched, worker=by, job="", rescues=watched.rescues + bool(watched.job))
        its_leases = (
            LEASES.c.book == self._book,
            of_call(LEASES.c.call, self._book, watched.call),
            LEASES.c.holder == watched.holder,
        )
        with self._ledger.transaction() as connection:
            here = (*self._of(watched.call, watched.job), CALLS.c.worker == watched.worker)
            if connection.execute(CALLS.update().where(*here).values(self._values(mine))).rowcount == 0:
                return False
            connection.execute(LEASES.update().where(*its_leases).values(until=0.0, holder=by))
            return True

    def release(self, watched: WatchedCall, *, by: str) -> None:
        """A worker that can do nothing for its call lets any other take it over."""
        with self._ledger.transaction() as connection:
            there = self._found(connection, watched.call)
            if there is not None and there.worker == by and there.job in (watched.job, ""):
                self._put(connection, replace(there, worker=NOBODY))  # not one whose agent has come meanwhile

    def look(self, *, worker: str, beat: int) -> Seen:
        """Say that this worker lives, and see who else does, and who has which call.

        Args:
            beat: a greater number than the last time.
        """
        now = time.time()
        listed = (WORKERS.c.book == self._book, WORKERS.c.worker == worker)
        old = (WORKERS.c.book == self._book, WORKERS.c.at < now - WORKERS_KEPT)
        with self._ledger.transaction() as connection:
            mine = {"beat": beat, "at": now, "mac": self._seal.signed("worker", worker, beat)}
            if connection.execute(WORKERS.update().where(*listed).values(mine)).rowcount == 0:
                connection.execute(WORKERS.delete().where(*old))
                connection.execute(WORKERS.insert().values(book=self._book, worker=worker, **mine))
            beats = connection.execute(sa.select(WORKERS).where(WORKERS.c.book == self._book))
            lives = {str(row.worker): int(row.beat) for row in beats if self._is_beat(row)}
            calls = connection.execute(sa.select(CALLS).where(CALLS.c.book == self._book)).mappings()
            seen = [one for row in calls if (one := self._authentic(dict(row))) is not None]
            return Seen(lives, tuple(seen))

    def retire(self, worker: str) -> None:
        """This worker ends by itself: it is listed no longer."""
        with self._ledger.transaction() as connection:
            connection.execute(WORKERS.delete().where(WORKERS.c.book == self._book, WORKERS.c.worker == worker))

    def _found(self, connection: sa.Connection, call: str) -> WatchedCall | None:
        here = (CALLS.c.book == self._book, CALLS.c.call == plain(call))
        row = connection.execute(sa.select(CALLS).where(*here).with_for_update()).mappings().one_or_none()
        return None if row is None else self._authentic(dict(row))

    def _put(self, connection: sa.Connection, one: WatchedCall) -> None:
        here = (CALLS.c.book == self._book, CALLS.c.call == plain(one.call))
        if connection.execute(CALLS.update().where(*here).values(self._values(one))).rowcount == 0:
            connection.execute(CALLS.insert().values(self._values(one)))

    def _values(self, one: WatchedCall) -> dict[str, Any]:
        values = {name: plain(value) if isinstance(value, str) else value for name, value in asdict(one).items()}
        return values | {"book": self._book, "mac": self._mac(values)}

    def _mac(self, values: Mapping[str, Any]) -> str:
        return self._seal.signed("call", *(values[name] for name in WatchedCall.__match_args__))

    def _is_beat(self, row: Any) -> bool:
        """Whether that worker, or another that has the secret, wrote this beat."""
        return self._fits(row.mac, self._seal.signed("worker", row.worker, row.beat), "workers", row.worker)

    def _fits(self, there: object, mac: str, table: str, name: str) -> bool:
        fits = is_mac(there, mac)
        if not fits and (table, name) not in self._told:
            self._told.add((table, name))
            log_foreign(f"a row of hearout_{table}")
        return fits

    def _authentic(self, row: Mapping[str, Any]) -> WatchedCall | None:
        """The call of a row that a worker wrote; None for one that somebody else did."""
        if not self._fits(row["mac"], self._mac(row), "calls", row["call"]):
            return None
        return WatchedCall(**{name: row[name] for name in WatchedCall.__match_args__})

    def _of(self, call: str, job: str) -> tuple[sa.ColumnElement[bool], ...]:
        return CALLS.c.book == self._book, CALLS.c.call == plain(call), CALLS.c.job == job

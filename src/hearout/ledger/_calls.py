"""Which worker has which call: so that a call whose agent died is found, and one worker alone sends it another.

Not a part of the chain. A job says which call it has, and its worker's main process that it lives. A worker is taken to
be dead by what others *see* of it, a number that no longer changes; so no two machines' clocks are compared.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from ._book import Ledger
from ._chain import plain
from ._tables import CALLS, LEASES, WORKERS

NOBODY = ""
"""The worker of a call that any may take over."""

WORKERS_KEPT = 3600.0
"""Seconds after its last beat when a dead worker without calls is struck off."""

WORKER = "HEAROUT_WORKER"
"""The environment variable by which a job's process knows who looks after its call."""


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
    """What one look shows.

    Args:
        beats: of each worker that is listed.
        calls: of all of them.
    """

    beats: Mapping[str, int]
    calls: tuple[WatchedCall, ...]


class CallRegistry:
    """The calls of one book. Every method is one transaction, and blocks.

    Args:
        ledger: whose database and book they are in.

    Raises:
        LedgerError: from every method, as the ledger's.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._book = ledger.book

    def attend(self, attended: WatchedCall) -> None:
        """An agent has this call now; how often it was rescued is kept."""
        values = vars(attended) | {"book": self._book, "call": plain(attended.call)}
        here = (CALLS.c.book == self._book, CALLS.c.call == values["call"])
        with self._ledger.transaction() as connection:
            del values["rescues"]
            if connection.execute(CALLS.update().where(*here).values(values)).rowcount == 0:
                connection.execute(CALLS.insert().values(values | {"rescues": 0}))

    def rescues(self, call: str) -> int:
        """How often this call was sent another agent."""
        with self._ledger.transaction() as connection:
            here = (CALLS.c.book == self._book, CALLS.c.call == plain(call))
            return int(connection.execute(sa.select(CALLS.c.rescues).where(*here)).scalar() or 0)

    def leave(self, call: str, *, job: str) -> bool:
        """That job's agent left the call, or the call is over; False where another has it by now."""
        with self._ledger.transaction() as connection:
            return connection.execute(CALLS.delete().where(*self._of(call, job))).rowcount > 0

    def claim(self, attended: WatchedCall, *, by: str) -> bool:
        """Take over a call as it was seen; of several workers that try, one gets True.

        What its agent owed is that one's no longer, should it live: it renews and settles nothing any more. Only a call
        that an agent had counts as rescued: one that waits for an agent is sent another where none came.
        """
        mine = {"worker": by, "job": "", "rescues": attended.rescues + bool(attended.job)}
        its_leases = (
            LEASES.c.book == self._book,
            LEASES.c.call == plain(attended.call),
            LEASES.c.holder == attended.holder,
        )
        with self._ledger.transaction() as connection:
            here = self._of(attended.call, attended.job)
            if (
                connection.execute(CALLS.update().where(*here, CALLS.c.worker == attended.worker).values(mine)).rowcount
                == 0
            ):
                return False
            connection.execute(LEASES.update().where(*its_leases).values(until=0.0, holder=by))
            return True

    def release(self, attended: WatchedCall, *, by: str) -> None:
        """A worker that can do nothing for its call lets any other take it over."""
        with self._ledger.transaction() as connection:
            here = (CALLS.c.book == self._book, CALLS.c.call == plain(attended.call), CALLS.c.worker == by)
            mine = CALLS.c.job.in_((attended.job, ""))  # not one whose agent has come meanwhile
            connection.execute(CALLS.update().where(*here, mine).values(worker=NOBODY))

    def look(self, *, worker: str, beat: int) -> Seen:
        """Say that this worker lives, and see who else does, and who has which call.

        Args:
            worker: names this one.
            beat: another number than the last time.
        """
        now = time.time()
        listed = (WORKERS.c.book == self._book, WORKERS.c.worker == worker)
        old = (WORKERS.c.book == self._book, WORKERS.c.at < now - WORKERS_KEPT)
        with self._ledger.transaction() as connection:
            if connection.execute(WORKERS.update().where(*listed).values(beat=beat, at=now)).rowcount == 0:
                connection.execute(WORKERS.delete().where(*old))
                connection.execute(WORKERS.insert().values(book=self._book, worker=worker, beat=beat, at=now))
            beats = connection.execute(sa.select(WORKERS.c.worker, WORKERS.c.beat).where(WORKERS.c.book == self._book))
            calls = connection.execute(sa.select(CALLS).where(CALLS.c.book == self._book)).mappings()
            return Seen(
                {str(row.worker): int(row.beat) for row in beats},
                tuple(WatchedCall(**{name: row[name] for name in WatchedCall.__match_args__}) for row in calls),
            )

    def retire(self, worker: str) -> None:
        """This worker ends by itself: it is listed no longer."""
        with self._ledger.transaction() as connection:
            connection.execute(WORKERS.delete().where(WORKERS.c.book == self._book, WORKERS.c.worker == worker))

    def _of(self, call: str, job: str) -> tuple[sa.ColumnElement[bool], ...]:
        return CALLS.c.book == self._book, CALLS.c.call == plain(call), CALLS.c.job == job

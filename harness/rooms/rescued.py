"""Calls whose agent dies; the ledger names the agent of a call, as for the workers."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness import alike
from harness.rooms.caller import ALIKE
from hearout.ledger import Ledger
from hearout.ledger._calls import WatchedCall
from hearout.ledger._entries import Unfinished
from hearout.ledger._tables import CALLS

LISTED, SENT = 5.0, 30.0
"""Seconds until a job has said that it is in a call, and until another agent is there at the latest."""


@dataclass(frozen=True)
class Calls:
    """The calls of one ledger."""

    ledger: Ledger

    def attended(self, room: str) -> WatchedCall | None:
        """Who is in the call of this room; None where nobody is, or is wanted."""
        with self.ledger.transaction() as connection:
            found = connection.execute(CALLS.select().where(CALLS.c.room == room)).mappings().one_or_none()
        return None if found is None else WatchedCall(**{name: found[name] for name in WatchedCall.__match_args__})

    def wait(self, room: str, there: Callable[[WatchedCall | None], bool], seconds: float) -> WatchedCall | None:
        """Wait until it is so."""
        until = time.monotonic() + seconds
        while not there(found := self.attended(room)):
            assert time.monotonic() < until, f"room {room} is {found}"
            time.sleep(0.05)
        return found

    def owed(self, room: str) -> tuple[Unfinished, ...]:
        """What is owed there."""
        attended = self.attended(room)
        return () if attended is None else self.ledger.owed(attended.call)

    def has_words(self, room: str, text: str) -> bool:
        """Tell whether the ledger has what the caller said over owed speech; a renewal writes it at once."""
        held = [one for owing in self.owed(room) for one in owing.held if one.get("kind") == "spoken"]
        return alike(" ".join(str(one["text"]) for one in held), text) >= ALIKE

    def kill(self, room: str, *, whole_worker: bool = False) -> tuple[WatchedCall, float]:
        """SIGKILL for the agent of this room, or for the whole worker; the agent, and the second."""
        attended = self.wait(room, lambda one: one is not None and bool(one.job), LISTED)
        assert attended is not None
        victim = attended.worker if whole_worker else attended.holder
        os.kill(int(victim.rsplit("-", 2)[1]), signal.SIGKILL)
        return attended, time.monotonic()

    def wait_for_another(self, room: str, dead: WatchedCall) -> WatchedCall:
        """Wait for the agent that is sent in a dead one's place."""
        another = self.wait(room, lambda one: one is not None and one.job not in ("", dead.job), SENT)
        assert another is not None
        return another

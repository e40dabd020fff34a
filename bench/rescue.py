"""How long a caller hears nothing after the agent was killed: from SIGKILL to the next word, in real rooms."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ROOT
from hearout._worker.failover import DEAD, LOOK
from hearout.ledger import Ledger

from . import rooms
from .table import Row, Table, check, percentile

if TYPE_CHECKING:
    from harness.rooms.rescued import Calls
    from harness.rooms.server import Server, Worker

AGENT = ROOT / "harness" / "rooms" / "noting.py"

LIMIT = 5.0
"""Seconds from the kill to the next word: 95 of 100 calls."""

HEARD, RESCUED = 30.0, 30.0
"""Seconds within which the agent must be heard at first, and again."""

INTO = 3.0
"""Seconds of the announcement (8 s) after which the agent is killed."""

LEFTOVER = 0.3
"""Seconds after the kill in which what was on its way may still be heard."""


@dataclass(frozen=True)
class Case:
    """What is killed.

    Args:
        name: of it, as it is printed.
        workers: how many there are.
        whole: whether the worker is killed with its jobs, and not the call's job alone.
    """

    name: str
    workers: int
    whole: bool = False


CASES = (Case("a job; one worker", 1), Case("a job; two workers", 2), Case("a worker; another lives", 2, whole=True))

STAGES = ("claimed", "attended", "heard")


@dataclass(frozen=True)
class Kill:
    """The stages of one call after the kill, in seconds from it; None for a stage not reached within :data:`RESCUED`.

    Attributes:
        case: what was killed.
        claimed: one worker took it upon itself to send another agent.
        attended: that agent's job has the call.
        heard: the caller heard its first sound.
    """

    case: Case
    claimed: float | None = None
    attended: float | None = None
    heard: float | None = None


@dataclass
class Crew:
    """The workers of one case, with one ledger; one that was killed is replaced."""

    server: "Server"
    case: Case
    folder: Path
    calls: "Calls"
    _workers: list[tuple["Worker", contextlib.ExitStack]] = field(default_factory=list)
    _begun: int = 0

    def complete(self) -> None:
        """Start what is missing; back when each worker has a process ready for its next call."""
        for worker, held in list(self._workers):
            if worker.process.poll() is not None:
                self._workers.remove((worker, held))
                held.close()  # ends what is left of its group
        while len(self._workers) < self.case.workers:
            self._begun += 1
            held, url = contextlib.ExitStack(), str(self.calls.ledger.url)
            environment = {"ROOM_NOTES": str(self.folder), "HEAROUT_LEDGER": url}
            folder = self.folder / f"worker-{self._begun}"
            worker = held.enter_context(rooms.working(self.server, folder, AGENT, **environment))
            self._workers.append((worker, held))
        for worker, _ in self._workers:
            rooms.wait_until_warm(worker)

    def dismiss(self) -> None:
        """End them all."""
        for _, held in self._workers:
            held.close()

    def kill(self) -> Kill:
        """Hold one call, kill its agent in it, and hang up once another is heard."""
        from harness.rooms.caller import Caller

        room = self.server.new_room()
        with Caller.join(self.server, room, self.folder) as caller:
            caller.wait_until(caller.wait_for("sound", HEARD)["at"] + INTO)
            dead, at = self.calls.kill(room, whole_worker=self.case.whole)
            seen: dict[str, float] = {}
            while "heard" not in seen and time.monotonic() < at + RESCUED:
                now, found = time.monotonic(), self.calls.attended(room)
                if found is not None and found.rescues > dead.rescues:
                    seen.setdefault("claimed", now - at)
                    if found.job not in ("", dead.job):
                        seen.setdefault("attended", now - at)
                after = [one["at"] - at for one in caller.happened("sound") if one["at"] > at + LEFTOVER]
                if after:
                    seen["heard"] = after[0]
                time.sleep(0.05)
        return Kill(self.case, **seen)


def measure(kills: int, said: Callable[[str], None], cases: Sequence[Case] = CASES) -> list[Kill]:
    """Kill so many agents of each case, one call after the other.

    Args:
        kills: how many.
        said: told of each call before it begins.
        cases: what is killed.

    Raises:
        NoServerError: there is no livekit-server.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name, rooms.serving(Path(name)) as server:
        for number, case in enumerate(cases):
            with _crew(server, case, Path(name) / f"case-{number}") as crew:
                for turn in range(kills):
                    said(f"{case.name}, {turn + 1} of {kills}")
                    crew.complete()
                    found.append(crew.kill())
    return found


@contextlib.contextmanager
def _crew(server: "Server", case: Case, folder: Path) -> Iterator[Crew]:
    from harness.rooms.rescued import Calls

    folder.mkdir()
    ledger = Ledger(f"sqlite:///{folder / 'receipts.db'}")
    crew = Crew(server, case, folder, Calls(ledger))
    try:
        yield crew
    finally:
        crew.dismiss()
        ledger.close()


def table(kills: Sequence[Kill], load: str) -> Table:
    """The table: each case, by what had happened."""
    made = Table(
        "A call survives its agent: seconds from SIGKILL",
        ("what", "until", "n", "least", "p50", "p95", "most", "limit"),
        f"What is killed {INTO:g} s into an announcement, in a real room of a livekit-server on this machine, with "
        "workers in `dev`, each with one process kept warm, the local voice, and one ledger in SQLite. Claimed: one "
        f"worker has taken the call upon itself (it looks each {LOOK:g} s, and takes another worker for dead after "
        f"{DEAD:g} s). Attended: the new agent's job has the call. Heard: the caller's recording has its first sound; "
        f"the caller then hangs up. n: calls of all in which that came within {RESCUED:g} s. {load}.",
    )
    for case in CASES:
        own = [kill for kill in kills if kill.case == case]
        made.rows += [_row(case, stage, own) for stage in STAGES if own]
    return made


def _row(case: Case, stage: str, kills: Sequence[Kill]) -> Row:
    values = [value for kill in kills if (value := getattr(kill, stage)) is not None]
    half, most = percentile(values, 50), percentile(values, 95)
    limited = stage == STAGES[-1]
    figures = (min(values, default=None), half, most, max(values, default=None))
    return Row(
        (
            case.name if stage == STAGES[0] else "",
            stage,
            f"{len(values)}/{len(kills)}",
            *("–" if value is None else f"{value:.2f}" for value in figures),
            f"all, p95 ≤ {LIMIT:g}" if limited else "",
        ),
        check(len(values) == len(kills) and most is not None and most <= LIMIT) if limited else "",
    )

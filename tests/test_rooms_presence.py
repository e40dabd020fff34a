"""Who is there, in real rooms: callers who hang up, vanish, return, ring, and strangers beside them."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hearout import record
from hearout.local.tts import SAMPLE_RATE
from hearout.measure import Measured, measure
from hearout.receipt import Level, Outcome, Receipt
from rooms.caller import Caller, Recording, spoken
from rooms.notice import NOTICE, POLICY

if TYPE_CHECKING:
    from rooms.server import Server, Worker

pytest_plugins = ["rooms.server"]

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ANSWERED, ANNOUNCED = 30.0, 60.0
"""Seconds within which the agent must be heard (1-8 s), and its announcement (15 s) be over."""


@dataclass(frozen=True)
class Notes:
    """What the agent of one room wrote down; times are this machine's."""

    path: Path

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text())) if self.path.exists() else {}

    @property
    def zero(self) -> float:
        return float(self.read()["zero"])

    @property
    def receipts(self) -> list[Receipt]:
        return [record.from_json(one) for one in self.read().get("receipts", [])]

    def told(self, name: str) -> list[tuple[float, dict[str, Any]]]:
        """The events and actions of one name: when, in seconds of the call, and what."""
        return [(at, facts) for at, what, facts in self.read().get("events", []) if what == name]

    def wait(self, there: Callable[["Notes"], Any], seconds: float, wanted: str) -> Any:
        until = time.monotonic() + seconds
        while not (found := there(self)):
            if time.monotonic() > until:
                events = [(round(at, 1), what) for at, what, _ in self.read().get("events", [])]
                raise AssertionError(f"no {wanted} within {seconds} s; {self.receipts}; {events[-40:]}")
            time.sleep(0.2)
        return found


@pytest.fixture(scope="module")
def noting(room_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Worker"]:
    """A worker whose agent announces and leaves notes."""
    from rooms.server import working  # pytest wants to import a plugin itself, first

    folder = tmp_path_factory.mktemp("noting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOM_NOTES", str(folder))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        with working(room_server, folder, agent=Path(__file__).parent / "rooms" / "noting.py") as worker:
            yield worker


def notes_of(worker: "Worker", room: str) -> Notes:
    return Notes(worker.log.with_name(f"{room}.json"))


def judged(heard: Recording) -> Measured:
    return measure(heard.samples, spoken(NOTICE), heard.sample_rate)


def seconds_heard(heard: Recording) -> float:
    """To which second of the notice the recording goes."""
    arrived = judged(heard)
    return (arrived.speech_to_ms - arrived.tail_ms) / 1000


def halfway(caller: Caller) -> float:
    """Wait until half of the notice was heard; when its sound began."""
    began: float = caller.wait_for("sound", ANSWERED)["at"]
    caller.wait_until(began + len(spoken(NOTICE)) / SAMPLE_RATE / 2)
    return began


def test_a_caller_who_hangs_up_at_half_is_not_spoken_to_and_the_call_ends(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    with Caller.join(noting.server, room, tmp_path) as caller:
        began = halfway(caller)
    left = time.monotonic()
    notes.wait(lambda n: n.told("CallerLeft"), 5, "leaving")
    (at, facts), *more = notes.told("CallerLeft")
    assert (facts["known_until"], more) == (None, [])
    assert notes.zero + at == pytest.approx(left, abs=0.5)
    stopped = notes.told("StopUtterance")[0][0]
    assert stopped - at < 0.1
    notes.wait(lambda n: n.read()["closed"], POLICY.return_grace + 10, "end of the call")
    (receipt,) = notes.receipts
    assert (receipt.outcome, receipt.caller) == (Outcome.CALLER_GONE, "caller")
    assert receipt.played == pytest.approx(seconds_heard(caller.heard), abs=0.5)
    present = receipt.listeners[0].present
    assert notes.zero + present[-1][1] == pytest.approx(left, abs=0.5)
    assert began < left


def test_a_caller_who_listens_to_the_end_was_present_for_all_of_it(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    with Caller.join(noting.server, room, tmp_path, alive=True) as caller:
        caller.wait_for_quiet(1.5, ANSWERED + ANNOUNCED)
        (receipt,) = notes.wait(lambda n: n.receipts, 10, "receipt")
        notes.wait(lambda n: n.receipts[0].level is Level.PRESENT, 3, "presence")
    arrived = judged(caller.heard)
    assert arrived.fraction >= 0.98, arrived
    assert arrived.front_ms <= 60, arrived
    assert receipt.outcome is Outcome.FINISHED

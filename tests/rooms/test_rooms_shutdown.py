"""SIGTERM for `dev` in the middle of an announcement: it is finished first. For `start`: `test_rooms_deploy.py`."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import ROOT
from harness.rooms.caller import Caller, spoken
from harness.rooms.notice import NOTICE
from hearout.ledger import Ledger
from hearout.ledger._read import entries
from hearout.measure import measure
from hearout.receipts import Outcome

if TYPE_CHECKING:
    from harness.rooms.server import Server

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ANSWERED, ENDS = 30.0, 60.0
"""Seconds within which the agent must be heard (1-8 s), and within which the worker ends (8 s, and some more)."""


def test_a_worker_told_to_end_finishes_and_writes_its_receipt(
    room_server: "Server", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.rooms.server import working  # pytest wants to import a plugin itself, first

    book = f"sqlite:///{tmp_path / 'receipts.db'}"
    monkeypatch.setenv("ROOM_NOTES", str(tmp_path))
    monkeypatch.setenv("HEAROUT_LEDGER", book)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    agent = ROOT / "harness" / "rooms" / "noting.py"
    with working(room_server, tmp_path, agent=agent) as worker:
        with Caller.join(room_server, room_server.new_room(), tmp_path) as caller:
            caller.wait_until(caller.wait_for("sound", ANSWERED)["at"] + 3.0)
            worker.process.send_signal(signal.SIGTERM)
            caller.wait_for_quiet(2.0, ENDS)
        assert worker.process.wait(ENDS) == 0, worker.log.read_text()[-2000:]
    arrived = measure(caller.heard.samples, spoken(NOTICE), caller.heard.sample_rate)
    assert arrived.fraction >= 0.95, arrived  # a machine that is busy drops a frame or two
    assert arrived.tail_ms <= 200
    (entry,) = [one for one in entries(Ledger(book), now=time.time()) if one.id == "notice"]
    assert entry.receipt is not None
    assert entry.receipt.outcome is Outcome.FINISHED

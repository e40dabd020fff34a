"""A worker that LiveKit's own command line starts, with `hearout.attach` and without."""

import re
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import ROOT
from harness.rooms.caller import Caller
from harness.rooms.notes import Notes
from harness.rooms.rescued import Calls
from hearout.ledger import Ledger

if TYPE_CHECKING:
    from harness.rooms.server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

AGENT = ROOT / "harness" / "rooms" / "attached.py"
HEARD = 40.0
"""Seconds within which the agent must be heard, a cold process and another agent included."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the worker's notes and ledger; its metrics are on a free port."""
    monkeypatch.setenv("ROOM_NOTES", str(tmp_path))
    monkeypatch.setenv("HEAROUT_LEDGER", f"sqlite:///{tmp_path / 'receipts.db'}")
    monkeypatch.setenv("HEAROUT_METRICS_PORT", "0")
    return tmp_path


def test_livekits_own_start_runs_an_attached_worker_whole(room_server: "Server", folder: Path) -> None:
    from harness.rooms.server import working  # pytest wants to import a plugin itself, first

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOM_ATTACH", "1")
        with working(room_server, folder, agent=AGENT, command="start", by_livekit=True) as worker:
            calls, room = Calls(Ledger(f"sqlite:///{folder / 'receipts.db'}")), room_server.new_room()
            with Caller.join(room_server, room, folder) as caller:
                caller.wait_until(caller.wait_for("sound", HEARD)["at"] + 3.0)  # the local models speak
                dead, at = calls.kill(room)
                calls.wait_for_another(room, dead)  # failover
                notes = Notes(folder / f"{room}.json")
                notes.wait(lambda one: any(receipt.id == "notice" for receipt in one.receipts), HEARD, "receipt")
            assert time.monotonic() - at < HEARD
            log = worker.log.read_text()
            (url,) = re.findall(r"metrics: (http://127\.0\.0\.1:\d+/metrics)", log)
            with urllib.request.urlopen(url, timeout=10) as page:
                assert re.search(
                    r'hearout_receipts_total\{level="\w+",outcome="finished"\} [1-9]', page.read().decode()
                )
            assert "runs without hearout.attach" not in log
            assert worker.process.poll() is None


def test_a_worker_that_is_not_attached_says_once_what_is_off(
    room_server: "Server", folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.rooms import server

    given = server.Server.environment
    # no models: what it says is not heard, but asked for
    away = dict.fromkeys(("LIVEKIT_INFERENCE_API_KEY", "LIVEKIT_INFERENCE_API_SECRET"), "none")
    away["LIVEKIT_INFERENCE_URL"] = "http://127.0.0.1:9/v1"
    monkeypatch.setattr(server.Server, "environment", property(lambda one: given.fget(one) | away))
    said = "this worker runs without hearout.attach(server), so these are off: failover"
    with server.working(room_server, folder, agent=AGENT, command="start", by_livekit=True) as worker:
        with Caller.join(room_server, room_server.new_room(), folder):
            until = time.monotonic() + HEARD
            while said not in (log := worker.log.read_text()):
                assert time.monotonic() < until, log[-3000:]
                time.sleep(0.2)
        assert log.count(said) == 1
        assert "hearout's metrics (HEAROUT_METRICS_PORT is set)" in log
        assert "local models" not in log

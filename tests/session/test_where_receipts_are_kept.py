"""Receipts are written down where somebody asked for it: one changed import writes no file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import AGENT
from harness.scenes import QUESTION, call, receipts
from hearout._session.process import use_line
from hearout.testing import Say, first_sound


class AnyLine:
    """Takes the place of a room, and leaves the call's ears and mouth as they are."""

    def attach(self, session: Any) -> None:
        pass


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEAROUT_LEDGER", raising=False)
    use_line(AnyLine(), call="a call")
    yield tmp_path
    use_line(None)


def test_without_a_ledger_receipts_are_in_memory_and_a_line_says_so(
    empty_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = call(Say(first_sound(1.0), QUESTION))

    assert [held.text for held, _ in receipts(result)[0].held] == [QUESTION]
    assert list(empty_folder.iterdir()) == []
    (line,) = [one.getMessage() for one in caplog.records if "receipts are in memory" in one.getMessage()]
    assert "HEAROUT_LEDGER" in line


def test_whoever_wants_no_ledger_is_not_told_of_it(
    empty_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAROUT_LEDGER", "off")
    assert len(receipts(call())) == 1
    assert list(empty_folder.iterdir()) == []
    assert "receipts are in memory" not in caplog.text


def test_a_worker_without_a_ledger_writes_no_file(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
    nobody = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}
    log = tmp_path / "log"
    folder = tmp_path / "empty"
    folder.mkdir()
    with log.open("w") as out:
        worker = subprocess.Popen(
            [sys.executable, str(AGENT), "start"], cwd=folder, env=clean | nobody, stdout=out, stderr=out
        )
    try:
        until = time.monotonic() + 60
        while "failed to connect" not in log.read_text():  # it has begun whatever it does in its first moments
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert list(folder.iterdir()) == []

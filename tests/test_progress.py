"""Long work says on a terminal how far it is; in a pipe it is silent."""

import os
import pty
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from harness import ROOT
from harness.ledger_workers import NOW, Opened, receipt
from harness.recordings import NOTICE, heard
from hearout.ledger import _read as book
from hearout.measure import RATE

HEAROUT = (sys.executable, "-m", "hearout")
VERIFY = (*HEAROUT, "receipts", "verify", "--ledger", "sqlite:///receipts.db")
MEASURE = (*HEAROUT, "measure", "call.wav", "notice.wav")
PREPARE = (*HEAROUT, "prepare", "notice.txt", "--tts", "no_such_module:voice")
INSTALL = (sys.executable, str(ROOT / "harness" / "installing.py"), "lock.txt", "./pip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger, a call, a notice, and a pip that installs nothing."""
    ledger = Opened(f"sqlite:///{tmp_path / 'receipts.db'}")
    ledger.settle(receipt(call="room-1"), call="room-1", by="a", now=NOW)
    ledger.close()
    for name, sound in (("call", heard(NOTICE)), ("notice", NOTICE)):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound.clip(-1, 1) * 32767).astype(np.int16).tobytes())
    (tmp_path / "notice.txt").write_text("This call is recorded.")
    (tmp_path / "lock.txt").write_text("one==1 \\\n    --hash=sha256:00\ntwo[more]==2\n")
    pip = tmp_path / "pip"
    pip.write_text(
        '#!/bin/sh\ncase "$*" in *--quiet*) exit 3;; esac\necho Collecting one==1\necho Installing one\nexit 3\n'
    )
    pip.chmod(0o755)
    return tmp_path


def on_terminal(folder: Path, *command: str) -> tuple[int, str]:
    """The exit status of a command in a terminal of its own, and what that showed."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the terminal was closed with its last program
                break
    os.close(ours)
    return process.returncode, shown.decode()


def in_a_pipe(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "shows", "status", "error"),
    [
        (VERIFY, "checking rows", 0, ""),
        (MEASURE, "looking for the announcement", 0, ""),
        (PREPARE, "making announcements", 2, "failed: notice: no_such_module:voice: cannot be used"),
        (INSTALL, "1 of 2 packages", 3, ""),
    ],
    ids=["verify", "measure", "prepare", "set-up"],
)
def test_long_work_shows_itself_on_a_terminal_and_not_in_a_pipe(
    folder: Path, command: tuple[str, ...], shows: str, status: int, error: str
) -> None:
    ended, shown = on_terminal(folder, *command)
    assert (ended, shows in shown) == (status, True), shown
    ended, told = in_a_pipe(folder, *command)
    assert (ended, shows in told) == (status, False)
    assert told.startswith(error)
    assert bool(told) == bool(error)


def test_a_terminal_that_shows_errors_only_sees_no_progress(folder: Path) -> None:
    ended, shown = on_terminal(folder, "sh", "-c", f"{' '.join(VERIFY)} | cat >/dev/null")
    assert (ended, shown) == (0, "")


def test_verify_tells_its_rows_of_all_rows(folder: Path) -> None:
    ledger, told = Opened(f"sqlite:///{folder / 'receipts.db'}"), []
    book.verify(ledger, told=lambda *far: told.append(far))
    ledger.close()
    assert told == [(0, 1)]

"""Commands whose output nobody reads, or cannot be written: the exit status is the true one, without a traceback."""

import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from harness import AGENT, ROOT
from harness.ledger_workers import NOW, Opened, receipt
from harness.recordings import NOTICE, OTHER
from hearout._web import site
from hearout.errors import WebError
from hearout.ledger import _tables as tables
from hearout.measure import RATE
from hearout.measure._audio import Samples

HEAROUT = (sys.executable, "-m", "hearout")


def unread(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """A command whose standard output is a pipe that nobody reads."""
    ours, theirs = os.pipe()
    os.close(ours)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
    try:
        return subprocess.Popen(
            command, cwd=folder, env=clean | environment, stdout=theirs, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(theirs)


def ended(process: subprocess.Popen[str], seconds: float = 60.0) -> tuple[int, str]:
    """The exit status, and what was said on standard error."""
    try:
        _, error = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, error


@pytest.mark.parametrize(
    ("command", "rows_are_good"), [("verify", True), ("verify", False), ("list", True), ("export", True)]
)
def test_receipts_that_nobody_reads(tmp_path: Path, command: str, *, rows_are_good: bool) -> None:
    ledger = Opened(f"sqlite:///{tmp_path}/receipts.db")
    for index in range(3):
        ledger.settle(receipt(f"u{index}"), call="room", by="a", now=NOW)
    if not rows_are_good:
        with ledger.transaction() as connection:
            connection.execute(tables.ROWS.update().where(tables.ROWS.c.seq == 2).values(content="{}"))
    status = 0 if rows_are_good else 1
    assert ended(unread(tmp_path, *HEAROUT, "receipts", command, "--ledger", ledger.url)) == (status, "")


@pytest.mark.parametrize(("recorded", "status"), [(NOTICE, 0), (OTHER, 1)])
def test_a_measurement_that_nobody_reads(tmp_path: Path, recorded: Samples, status: int) -> None:
    for name, samples in (("announcement.wav", NOTICE), ("recording.wav", recorded)):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((samples * 32767).astype(np.int16).tobytes())
    measured = unread(tmp_path, *HEAROUT, "measure", "recording.wav", "announcement.wav")
    assert ended(measured) == (status, "")


@pytest.mark.parametrize("command", [("--help",), ("measure", "--help"), ("prepare", "--help"), ("receipts", "--help")])
def test_help_that_nobody_reads(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert ended(unread(tmp_path, *HEAROUT, *command)) == (0, "")


def test_a_page_of_which_nobody_reads_the_address_ends_by_ctrl_c(tmp_path: Path) -> None:
    try:
        site.check()
    except WebError as error:
        pytest.skip(str(error))
    given = {"LIVEKIT_URL": "ws://127.0.0.1:9", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s" * 32}
    given |= {"LIVEKIT_INFERENCE_URL": "http://127.0.0.1:9/v1", "HEAROUT_LEDGER": "off", "PYTHONPATH": str(ROOT)}
    web = unread(tmp_path, sys.executable, str(AGENT), "web", "--port", "0", **given)
    time.sleep(12)  # until it serves: what it prints nobody sees
    assert web.poll() is None
    web.send_signal(signal.SIGINT)
    status, error = ended(web)
    assert status == 0, error
    assert "BrokenPipe" not in error


# An output that takes not all: a full disk, another encoding, none at all


def arabic(folder: Path) -> str:
    """The URL of a ledger with a call whose name no Latin encoding has."""
    ledger = Opened(f"sqlite:///{folder}/receipts.db")
    ledger.settle(receipt("notice"), call="لوحة-الاستقبال", by="a", now=NOW)
    ledger.close()
    return ledger.url


def silent(folder: Path, output: str, *command: str, **environment: str) -> tuple[int, str]:
    """The exit status of a command in a shell, and what it said on standard error."""
    done = subprocess.run(
        ["bash", "-c", f'"$@" {output}', "bash", *HEAROUT, *command],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    said = "error: the output cannot be written: No space left on device\n"
    url = arabic(tmp_path)
    for command in (("list",), ("export",), ("verify", "--json")):
        assert silent(tmp_path, "> /dev/full", "receipts", *command, "--ledger", url) == (2, said), command
    assert silent(tmp_path, "> /dev/full", "--help") == (2, said)


def test_a_name_that_the_terminals_encoding_has_not_is_escaped(tmp_path: Path) -> None:
    asked = ("receipts", "list", "--ledger", arabic(tmp_path))
    status, error = silent(tmp_path, "> list.txt", *asked, PYTHONIOENCODING="latin-1")
    listed = (tmp_path / "list.txt").read_text("latin-1")
    assert (status, error) == (0, "")
    assert "\\u0644\\u0648\\u062d\\u0629" in listed
    assert "finished" in listed


def test_a_command_without_an_output_does_its_work(tmp_path: Path) -> None:
    assert silent(tmp_path, ">&-", "receipts", "verify", "--ledger", arabic(tmp_path)) == (0, "")

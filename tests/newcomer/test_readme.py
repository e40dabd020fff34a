"""What the README says is run: its commands, its two calls, its import, its table of settings."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import wave
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, run
from harness.rooms.caller import spoken
from harness.scenes import call, reading
from hearout import CutIn, Level, Outcome
from hearout.__main__ import main as hearout
from hearout._local.llm import MONOLOGUE
from hearout._session import settings

README = (ROOT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
CALLS = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

SHOWN_ELSEWHERE = {
    "make run": "test_both_commands_work_in_a_clean_clone",
    "make run < /dev/null": "test_both_commands_work_in_a_clean_clone",
    "make test": "this run; its target is looked at in test_make_test_runs_every_test",
    "hearout receipts": "test_the_main_jobs_receipts_are_in_its_ledger_and_a_changed_byte_is_found",
    "hearout receipts verify": "test_the_main_jobs_receipts_are_in_its_ledger_and_a_changed_byte_is_found",
    "python uninterruptable.py dev": "test_livekits_commands_say_what_they_need",
    "python uninterruptable.py start": "test_livekits_commands_say_what_they_need",
    "python uninterruptable.py console": "test_both_commands_work_in_a_clean_clone",
    "python uninterruptable.py console --stock": "test_the_call_without_hearout_is_what_the_program_prints",
    "python uninterruptable.py console --script bench/calls/talk-over.toml --out calls/mine": (
        "test_the_call_with_hearout_is_what_the_program_prints"
    ),
}


def test_every_command_is_run_by_a_test() -> None:
    assert set(COMMANDS) == set(SHOWN_ELSEWHERE)


def comparable(table: str) -> str:
    """The table without what differs from run to run: the times."""
    return " ".join(re.sub(r"\d+(\.\d)? (m?s)\b", r"N \2", table).split())


@pytest.mark.real
def test_the_call_without_hearout_is_what_the_program_prints(tmp_path: Path) -> None:
    done = run("console", "--stock", "--out", str(tmp_path / "stock"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("was lost") == 2
    assert comparable(CALLS[0]) in comparable(done.stdout)
    assert json.loads((tmp_path / "stock" / "timeline.json").read_text())["transcripts"] == []


@pytest.mark.real
def test_the_call_with_hearout_is_what_the_program_prints(main_job: tuple[Any, Any, Path]) -> None:
    assert comparable(CALLS[1]) in comparable(main_job[0].stdout)


def test_the_import_that_is_shown_is_the_agents_own() -> None:
    exec(PYTHON[0], {})
    exec(PYTHON[1].replace("session =", "session = lambda:"), {})
    agent = (ROOT / "uninterruptable.py").read_text()
    assert "from hearout import AgentSession, cli" in agent
    assert PYTHON[0].splitlines()[0] in agent


def test_the_announcement_that_is_shown_gets_its_receipt() -> None:
    shown: list[Any] = []

    async def read(session: Any) -> None:
        scope: dict[str, Any] = {"session": session, "CutIn": CutIn}
        code = textwrap.indent(PYTHON[2], "    ").replace("    receipt.outcome", "    return receipt.outcome")
        exec(f"async def shown():\n{code}", scope)
        shown.extend(await scope["shown"]())

    call(agent=reading(read))

    assert shown == [Outcome.FINISHED, pytest.approx(4.3, abs=0.5), Level.PLAYED, ()]


@pytest.mark.real
def test_the_main_jobs_receipts_are_in_its_ledger_and_a_changed_byte_is_found(
    main_job: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    _, timeline, folder = main_job
    database = tmp_path / "receipts.db"
    shutil.copy(folder.parent / "receipts.db", database)

    def receipts(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from hearout.__main__ import run; run()", "receipts", *arguments]
        ledger = {"HEAROUT_LEDGER": f"sqlite:///{database}"}
        return subprocess.run(command, env=os.environ | ledger, capture_output=True, text=True, check=False)

    listed = receipts()
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("finished") == len(timeline["receipts"]) == 2
    assert receipts("verify").returncode == 0
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE hearout_rows SET content = replace(content, 'finished', 'cut in')")
    connection.close()
    found = receipts("verify")
    assert found.returncode == 1
    assert "row" in found.stdout + found.stderr


@pytest.mark.real
def test_the_judge_finds_the_announcement_in_the_calls_own_recording(
    main_job: tuple[Any, Any, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announcement = tmp_path / "announcement.wav"
    with wave.open(str(announcement), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(spoken(MONOLOGUE).tobytes())

    status = hearout(["measure", str(main_job[2] / "call.wav"), str(announcement), "--channel", "1", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert (status, found["in_full"]) == (0, True), found
    assert main_job[1]["receipts"][0]["played"] == pytest.approx(len(spoken(MONOLOGUE)) / 24_000, abs=0.25)


def test_the_table_of_settings_is_the_one_in_the_code() -> None:
    assert len(re.findall(r"^\| `", README, re.MULTILINE)) == len(settings.WHY)
    for name in settings.WHY:
        assert re.split(r"[ =]", name)[0] in README


def test_make_test_runs_every_test() -> None:
    shown = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    chosen = re.findall(r"-m pytest.* -m (?=\D)(.*)$", shown.stdout, re.MULTILINE)
    assert [one.strip('"') for one in chosen] == ["not in_real_time", "in_company", "in_real_time and not in_company"]


@pytest.mark.parametrize("command", ["dev", "start"])
def test_livekits_commands_say_what_they_need(command: str) -> None:
    assert "LIVEKIT_URL" in run(command).stderr
    assert run(command, "--help").returncode == 0

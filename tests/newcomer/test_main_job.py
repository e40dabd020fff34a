"""The main job's call, held once as by `make run`: sound, files, receipts, and the README's table."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import ROOT, alike, run, without_times
from harness.rooms.caller import spoken
from hearout.__main__ import main as hearout
from hearout._local.llm import MONOLOGUE
from hearout._local.stt import transcribe

pytestmark = [pytest.mark.real, pytest.mark.one_of_each]


@pytest.fixture(scope="module")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """The call that `make run` plays without a terminal: the process, its timeline, and its folder."""
    out = tmp_path_factory.mktemp("main") / "call"
    ledger = f"sqlite:///{out.parent}/receipts.db"
    done = run("console", "--script", "bench/calls/talk-over.toml", "--out", str(out), HEAROUT_LEDGER=ledger)
    return done, json.loads((out / "timeline.json").read_text()), out


def channels(folder: Path) -> tuple[Any, Any, int]:
    with wave.open(str(folder / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 24_000, 2)
        both = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
        return both[:, 0], both[:, 1], file.getframerate()


def longest_pause(samples: Any, rate: int) -> float:
    """Seconds of the longest silence inside the sound."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 330)
    return float(np.diff(loud).max()) / rate


def test_the_announcement_finishes_while_it_is_talked_over(main_job: tuple[Any, Any, Path]) -> None:
    done, timeline, out = main_job
    assert done.returncode == 0, done.stdout + done.stderr
    assert timeline["version"] == 1
    assert timeline["outcome"] == "finished"
    announcement = timeline["agent"][0]
    assert announcement["protected"]
    assert not announcement["cut"]
    assert announcement["text"] == MONOLOGUE
    _, agent, rate = channels(out)
    start, end = (int(announcement[name] * rate) for name in ("start", "end"))
    assert alike(transcribe(agent[start:end], rate), MONOLOGUE) >= 0.95
    # Its own pauses are 0.3 s (0.1 s after a sentence, 0.2 s before the next); a cut or a hole would be longer.
    assert longest_pause(agent[start:end], rate) <= 0.3 + 0.3


def test_the_caller_talks_over_it_and_every_word_is_heard(main_job: tuple[Any, Any, Path]) -> None:
    _, timeline, out = main_job
    announcement, (first, second) = timeline["agent"][0], timeline["caller"]
    assert announcement["start"] < first["start"] < second["end"] < announcement["end"]
    assert first["start"] - announcement["start"] == pytest.approx(3.0, abs=0.05)
    assert second["start"] - announcement["start"] == pytest.approx(10.0, abs=0.05)
    caller, _, rate = channels(out)
    for said in (first, second):
        assert np.abs(caller[int(said["start"] * rate) : int(said["end"] * rate)]).max() > 3000
    finals = " ".join(heard["text"] for heard in timeline["transcripts"] if heard["final"])
    assert alike(finals, f"{first['text']} {second['text']}") >= 0.8
    assert any(not heard["final"] for heard in timeline["transcripts"])


def test_what_was_said_over_it_is_answered_at_once_in_one_turn(main_job: tuple[Any, Any, Path]) -> None:
    _, timeline, out = main_job
    announcement, answer = timeline["agent"]
    asked = " ".join(said["text"] for said in timeline["caller"])
    assert [held["fate"] for held in timeline["held"]] == ["delivered", "delivered"]
    assert {held["kind"] for held in timeline["held"]} == {"spoken"}
    assert alike(timeline["turns"][1]["text"], asked) >= 0.8
    assert len(timeline["turns"]) == 2
    assert alike(answer["text"], asked) >= 0.7  # the script says back what it was asked
    (reply,) = timeline["replies"]
    assert reply["gap"] <= 0.3
    # in the sound, not in what the program says of itself: from the last of one to the first of the other
    _, agent, rate = channels(out)
    loud = np.flatnonzero(np.abs(agent.astype(np.int32)) > 330) / rate
    last, first = loud[loud < announcement["end"]].max(), loud[loud > answer["start"]].min()
    assert first - last <= 0.3 + 0.45


def test_the_files_and_the_table_say_the_same(main_job: tuple[Any, Any, Path]) -> None:
    done, timeline, out = main_job
    assert (out / "timeline.svg").read_text().startswith("<svg ")
    assert "history of the paper clip" in done.stdout
    assert " ".join(done.stdout.split()).count("over the agent, heard") == len(timeline["caller"])
    assert "models: local" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith("/"))
    log = (out / "agent.log").read_text()
    assert "address" not in log  # the caller's words
    assert "deepgram/nova-3-general → local STT moonshine" in log


def test_the_call_with_hearout_is_what_the_program_prints(main_job: tuple[Any, Any, Path]) -> None:
    _, shown = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "console.md").read_text(), re.DOTALL)
    assert without_times(shown) in without_times(main_job[0].stdout)


def test_the_main_calls_ledger_shows_a_changed_byte(main_job: tuple[Any, Any, Path], tmp_path: Path) -> None:
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

"""The files of a call, from its record."""

import contextlib
import dataclasses
import json
import os
import subprocess
import time
import wave
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from harness.floors import ended, playing
from hearout import ConsoleError, Outcome, Receipt
from hearout._console import run
from hearout._console.call import HELD, CallLog
from hearout._console.report import FILES, flags, folder, marks, questions, receipts, table, write
from hearout._console.timeline import CallRecord, HeldRow, ReplyRow, SaidRow, SpokenRow, Transcript, Turn
from hearout._floor import events as e
from hearout._floor.actions import RecordFate
from hearout._floor.floor import Floor
from hearout.cli import _kept
from hearout.ledger import Ledger
from hearout.receipts import AskOutcome, Basis, Fate, GivenAnswer, Held, QuestionReceipt

FIVE = ("Can I change my address?", "What does it cost?", "When do you open?", "How long is it kept?", "No.")
ASKED = "Wait, can I change my address first?"
CALL = CallRecord(
    "finished",
    [SpokenRow("s1", 1.0, 9.00049, "This call is recorded. " * 8, protected=True, cut=False)],
    [SaidRow(3.0, 5.0, ASKED)],
    [Transcript(5.3, ASKED, final=True)],
    [Turn(9.0, ASKED)],
    [ReplyRow(9.02, 0.02)],
    [HeldRow(5.3, ASKED, "words", "answered")],
)


def silence(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.zeros(int(seconds * 24_000), np.int16)


@pytest.mark.parametrize("record", [CALL, CallRecord("hung up")])
@pytest.mark.parametrize("seconds", [0.0, 12.0, 200.0])
def test_every_call_gets_its_three_files(tmp_path: Path, record: CallRecord, seconds: float) -> None:
    write(tmp_path, record, silence(seconds), silence(seconds), 24_000)
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getnframes()) == (2, int(seconds * 24_000))
    assert json.loads((tmp_path / "timeline.json").read_text()) == json.loads(json.dumps(record.as_json()))
    picture = ET.fromstring((tmp_path / "timeline.svg").read_text())
    shown = " ".join(text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text"))
    assert (ASKED in shown) == ("20 ms" in shown) == (record is CALL)


def test_the_caller_is_left_and_the_agent_right(tmp_path: Path) -> None:
    write(tmp_path, CALL, silence(1) + 1, silence(1) + 2, 24_000)
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert np.frombuffer(file.readframes(2), np.int16).tolist() == [1, 2, 1, 2]


def test_the_timeline_has_the_form_that_is_promised() -> None:
    timeline = CALL.as_json()
    assert list(timeline) == [
        *("version", "outcome", "agent", "caller", "transcripts", "turns", "replies", "held", "receipts"),
        *("questions", "session_at"),
    ]
    assert list(timeline["agent"][0]) == ["id", "start", "end", "text", "protected", "cut"]
    assert timeline["agent"][0]["end"] == 9.0


def test_the_table_reads_well_at_eighty_columns() -> None:
    text = table(CALL)
    assert max(map(len, text.splitlines())) <= 80
    assert "over the agent" in text
    assert "20 ms" in text
    assert "over the agent, heard" in " ".join(text.split())
    deaf = dataclasses.replace(CALL, transcripts=[])
    assert "over the agent, not heard" in " ".join(table(deaf).split())
    assert [line.split()[2] for line in text.splitlines() if line[:6].strip()] == [
        "agent",
        "caller",
        "held",
        "turn",
        "gap",
    ]


def test_a_receipt_is_told_in_a_sentence() -> None:
    held = (Held("what does it cost", 2.0), Fate.DELIVERED)
    written = Receipt("notice", Outcome.FINISHED, "", 0.0, 0.5, 6.5, 6.0, 6.0, "A notice.", (held,), gap=0.017)
    cut = dataclasses.replace(written, outcome=Outcome.CUT_IN, why="key 0", played=2.0, held=(), gap=None)

    text = receipts([written, cut])

    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()) == (
        "receipt notice: finished, 6.0 of 6.0 s, level played, 1 held, answered after 17 ms "
        "receipt notice: cut in (key 0), 2.0 of 6.0 s, level nothing"
    )


def test_the_picture_shows_questions_and_cut_ins() -> None:
    spoken = [
        SpokenRow("a", 2.0, 5.0, "A notice.", protected=True, cut=True),
        SpokenRow("q", 6.0, 8.0, "May we?", protected=True, cut=False),
    ]
    written = [
        {"id": "notice", "outcome": "cut in", "why": "key 0", "attempts": [{"began_at": 1.0}]},
        {"id": "consent", "outcome": "finished", "why": "", "attempts": [{"began_at": 5.0}]},
    ]
    asked = [{"choice": "yes", "outcome": "answered", "attempts": [{"utterance": "consent"}]}]
    record = CallRecord("finished", spoken, receipts=written, questions=asked, session_at=1.0)

    assert [(mark.kind, mark.note) for mark in marks(record)] == [
        ("protected", "cut in: key 0"),
        ("question", "asked → yes"),
    ]
    assert [(flag.at, flag.text) for flag in flags(record)] == [(5.0, "cut in")]


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_call(tmp_path: Path) -> None:
    assert folder(tmp_path / "new" / "one").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConsoleError, match="choose another --out"):
        folder(tmp_path / "file")
    with pytest.raises(ConsoleError, match="cannot be written"):
        write(tmp_path / "gone", CALL, silence(1), silence(1), 24_000)


def test_a_question_is_told_in_a_line_with_the_verdict() -> None:
    answer = GivenAnswer("yes please", verdict="yes", rule="agreement, and nothing else")
    asked = QuestionReceipt("consent", "1", AskOutcome.ANSWERED, "yes", Basis.GIVEN, answers=(answer,))

    told = " ".join(questions([asked]).split())
    assert told == (
        "question consent: answered 'yes' (given), asked 0×: “yes please” is yes (agreement, and nothing else)"
    )


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_a_call_leaves_is_its_owners_only(tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEAROUT_LEDGER", raising=False)
    old, before = Path("calls") / "one", os.umask(umask)
    try:
        old.mkdir(parents=True)
        for name in FILES:
            (old / name).touch()  # as an older version made them
        with _kept(None):
            write(folder(old), CALL, silence(1), silence(1), 24_000)
            with contextlib.closing(Ledger(os.environ["HEAROUT_LEDGER"])) as ledger:
                ledger.owed("call")
    finally:
        os.umask(before)
    modes = {str(path): path.stat().st_mode & 0o777 for path in (Path("calls"), *Path("calls").rglob("*"))}
    assert {"calls/one/call.wav", "calls/one/timeline.svg", "calls/receipts.db"} <= set(modes)
    assert set(modes.values()) == {0o600, 0o700}
    assert (modes["calls"], modes["calls/one"], modes["calls/receipts.db"]) == (0o700, 0o700, 0o600)
    assert "HEAROUT_LEDGER" not in os.environ


def test_a_folder_that_holds_other_things_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "mine.txt").touch()
    assert folder(tmp_path).stat().st_mode & 0o777 == 0o755


def test_the_start_of_a_process_is_known_within_a_tenth_of_a_second() -> None:
    began = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as process:
        age = run._age(process.pid)
        passed = time.monotonic()
        process.kill()
    assert 0 <= age < passed - began + 0.02


def logged(floor: Floor, *steps: tuple[float, e.Event]) -> CallLog:
    """The log of a console that is told these events, and what a floor decides on them."""
    log = CallLog(lambda *_: None)
    for at, event in steps:
        log._floor(at, event)
        for action in floor.apply(event, at):
            log._floor(at, action)
    return log


@pytest.mark.parametrize("said", [e.WordsHeard, e.TextTyped])
def test_words_that_the_floor_holds_as_one_are_settled_in_the_table(said: type[e.WordsHeard | e.TextTyped]) -> None:
    log = logged(playing(), *((2.0 + at, said(text)) for at, text in enumerate(FIVE)), *ended())
    assert [one.fate for one in log.held] == [Fate.DELIVERED.value] * 4
    assert " ".join(" ".join(one.text for one in log.held).split()) == " ".join(FIVE)


def test_words_that_begin_like_others_are_settled_with_their_own() -> None:
    log = CallLog(lambda *_: None)
    for text in ("no", "nothing", "else"):
        log._floor(1.0, e.WordsHeard(text))
    log._floor(2.0, RecordFate(Held("nothing else", 1.0), Fate.DELIVERED))
    assert [(one.text, one.fate) for one in log.held] == [("no", HELD), ("nothing else", "delivered")]


def test_words_that_the_stt_gives_again_with_the_next_ones_are_settled() -> None:
    again = e.WordsHeard("What does it cost? And when?", began=2.0)
    log = logged(playing(), (3.0, e.WordsHeard("What does it cost?", began=2.0)), (4.0, again), *ended())
    assert HELD not in [one.fate for one in log.held]


def test_text_that_is_typed_over_nothing_was_not_held() -> None:
    assert logged(Floor(), (1.0, e.TextTyped("Hello?"))).held == []

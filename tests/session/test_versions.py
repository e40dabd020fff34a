"""A version that nobody ran the tests on is named in the log, once."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, compatibility
from harness.compatibility import TRIED, Run, bounds, counted, drawn, known
from harness.scenes import call
from hearout._session import process

PASSED = Run("3.12", "1.8.9", "tests/session", 7, 0)
FAILED = Run("3.13", "1.8.9", "tests/session", 6, 1, failing="`test_a`")
BROKEN = Run("3.14", "1.8.9", "tests/session", 0, 0, "not installed: no wheel")


@pytest.fixture(autouse=True)
def _said_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    process.say_what_was_never_tried.cache_clear()


def test_a_version_never_tried_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "version", lambda _: "1.8.99")
    with caplog.at_level(logging.WARNING, "hearout"):
        call()
        call()
    (warned,) = [one.getMessage() for one in caplog.records if "never tried" in one.getMessage()]
    assert "1.8.99" in warned
    assert bounds()[1] in warned


def test_versions_that_were_tried_are_not_spoken_of() -> None:
    for run in json.loads(TRIED.read_text())["runs"]:
        assert process.untried(run["python"], run["livekit-agents"]) == ""


@pytest.mark.parametrize("pair", [("3.10", bounds()[1]), ("3.11", "1.8.0"), ("3.11", "1.9.0"), ("3.99", "1.8.0")])
def test_other_versions_are_named_with_those_that_were_tried(pair: tuple[str, str]) -> None:
    why = process.untried(*pair)
    assert pair[0] in why
    assert pair[1] in why
    assert "but with" in why


def test_the_version_in_the_lock_file_was_tried() -> None:
    agents: list[Any] = [run["livekit-agents"] for run in json.loads(TRIED.read_text())["runs"]]
    assert bounds()[1] in agents


def test_only_pairs_that_ran_to_their_end_count_as_tried() -> None:
    pairs = json.loads(known([PASSED, FAILED, BROKEN]))["runs"]
    assert [run["python"] for run in pairs] == ["3.12", "3.13"]


@pytest.mark.parametrize(
    ("last", "code", "passed", "failed"),
    [
        ("7 passed in 1.20s", 0, 7, 0),
        ("FAILED tests/a.py::test_a - assert 0\n1 failed, 6 passed, 2 skipped in 1.2s", 1, 6, 1),
        ("5 passed, 1 error in 61.2s (0:01:01)", 1, 5, 1),
    ],
)
def test_pytests_last_line_is_counted(last: str, code: int, passed: int, failed: int) -> None:
    run = counted("3.12", "1.8.9", "tests", f"...\n{last}\n", code)
    assert (run.passed, run.failed, run.whole) == (passed, failed, True)


def test_a_run_that_broke_off_does_not_count() -> None:
    assert not counted("3.12", "1.8.9", "tests", "Killed", -9).whole


def test_pythons_that_are_not_here_are_skipped_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = "{}.{}".format(*sys.version_info), "3.12" if sys.version_info[:2] != (3, 12) else "3.13"
    monkeypatch.setattr(compatibility, "pythons", lambda: iter([(own, "here"), (other, "there")]))
    monkeypatch.setattr(compatibility, "tried", lambda python, *_: Run(python, "1.8.9", "tests", 7, 0))

    assert [run.python for run in compatibility.brief()] == [other]
    assert "Python 3.14 is not on this machine: skipped" in capsys.readouterr().out


def test_each_version_of_livekit_has_a_lock_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def uv(*command: str) -> None:
        if "--output-file" in command:
            Path(command[command.index("--output-file") + 1]).write_text(" ".join(command))
        elif "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(compatibility, "PLACE", tmp_path)
    monkeypatch.setattr(compatibility, "_uv", uv)
    for agents in ("1.8.1", "1.8.2"):
        compatibility.environment("3.11", "python", agents)

    assert {path.name for path in tmp_path.glob("*.lock")} == {"3.11-1.8.1.lock", "3.11-1.8.2.lock"}


def test_the_document_names_what_was_run_and_what_was_not() -> None:
    document = drawn([PASSED, FAILED], "2026-11-28")
    assert "| 3.13 | 1.8.9 | `tests/session` | 6 | 1 | `test_a` |" in document
    assert "Python 3.11, 3.14: not tried." in document


def test_the_document_is_of_the_runs_that_sessions_know() -> None:
    document = (ROOT / "docs" / "compatibility.md").read_text()
    for run in json.loads(TRIED.read_text())["runs"]:
        assert f"| {run['python']} | {run['livekit-agents']} |" in document

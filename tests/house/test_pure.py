"""The files that decide stay pure, and every branch of them is run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT
from harness.imports import imports, source_file

SOURCE = ROOT / "src" / "hearout"
PURE = {
    *(
        str(path.relative_to(SOURCE))
        for folder in ("_floor", "_text", "receipts")
        for path in (SOURCE / folder).glob("*.py")
    ),
    *("policy.py", "errors.py", "_room/presence.py", "_room/rendered.py"),
}
"""Files that import the standard library only, and no clock, task or log of it."""
LIBRARIES = {"_text/words.py": {"icu4py"}, "_text/sentences.py": {"icu4py"}}
"""Exceptions: where a word or a sentence of Chinese or Thai ends is known to no standard library. ICU is pure, too."""
CLOCKS = {"asyncio", "datetime", "logging", "os", "random", "threading", "time"}
TESTS = sorted(
    [
        *(path for folder in ("floor", "receipts", "text") for path in (ROOT / "tests" / folder).glob("test_*.py")),
        *(ROOT / "tests" / f"{name}.py" for name in ("test_policy", "test_errors", "room/test_participants")),
        *(ROOT / "tests" / "room" / f"test_{name}.py" for name in ("rendered", "telephone")),
    ]
)
"""Tests of the pure files."""
NOT_MEASURED = (
    *("work_grows", "costs_the_same", "costs_no_more", "bounded", "print", "mutant", "command_line"),
    *("as_if_each", "cards_edge", "calls_end_in_every_way", "excess_is_on_record"),
    *("missed_by_a_vanished_caller", "speech_the_floor_does_nothing", "claimed_only_for_a_whole"),
    *("random_calls_replay", "left_out_once_stays", "act_on", "was_never_there_has_nothing", "no_rung_holds"),
)
"""Parts of names: tests of speed and of prints, mutants, which are copies of the files, commands, which are other
processes, and tests that take long and run no branch that no other does."""


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_file_imports_the_standard_library_only(name: str) -> None:
    path = SOURCE / name
    for imported in imports(path):
        root = imported.partition(".")[0]
        if root == "hearout":
            assert source_file(imported) in PURE, f"{name} imports {imported}"
        else:
            assert root in (sys.stdlib_module_names - CLOCKS) | LIBRARIES.get(name, set()), f"{name} imports {imported}"


def test_every_branch_of_the_pure_files_is_run(tmp_path: Path) -> None:
    data = f"--data-file={tmp_path / 'coverage'}"
    include = "--include=" + ",".join(f"src/hearout/{name}" for name in sorted(PURE))
    tests = [str(path) for path in TESTS if path.stem != "test_mutants"]
    few = os.environ | {"HEAROUT_ORDERS": "200"}
    wanted = " and ".join(f"not {name}" for name in NOT_MEASURED)
    pytest_run = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", wanted, *tests]
    coverage = [sys.executable, "-m", "coverage"]
    run = [*coverage, "run", "--branch", data, include, *pytest_run]
    done = subprocess.run(run, cwd=ROOT, env=few, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    report = [*coverage, "report", data, "--show-missing", "--skip-covered", "--fail-under=100"]
    told = subprocess.run(report, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout

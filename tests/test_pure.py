"""The files that decide stay pure, and every branch of them is run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

PURE = (
    *("floor", "debts", "owed", "wording", "heard", "closing", "preparing", "events", "actions"),
    *("policy", "choices", "words", "receipt", "record", "spans", "trace", "presence", "rendered"),
)
CLOCKS = {"asyncio", "datetime", "logging", "os", "random", "threading", "time"}
TESTS = (
    "test_laws",
    "test_policy",
    "test_trace",
    "test_floor",
    "test_words",
    "test_receipt",
    "test_record",
    "test_room",
    "test_rendered",
)


@pytest.mark.parametrize("name", PURE)
def test_a_pure_file_imports_the_standard_library_only_and_no_clock_task_or_log_of_it(name: str) -> None:
    tree = ast.parse((ROOT / "src" / "hearout" / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            roots = {(node.module or "").partition(".")[0]}
        elif isinstance(node, ast.ImportFrom):
            roots = set()
            own = {node.module} if node.module else {alias.name for alias in node.names}
            assert own <= {*PURE, "errors"}, f"{name} imports {own}"
        else:
            continue
        assert roots <= sys.stdlib_module_names - CLOCKS, f"{name} imports {roots}"


def test_every_branch_of_the_pure_files_is_run(tmp_path: Path) -> None:
    data = f"--data-file={tmp_path / 'coverage'}"
    include = "--include=" + ",".join(f"src/hearout/{name}.py" for name in PURE)
    tests = [f"tests/{name}.py" for name in TESTS]
    few = os.environ | {"HEAROUT_ORDERS": "200"}
    coverage = [sys.executable, "-m", "coverage"]
    run = [*coverage, "run", "--branch", data, include, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(run, cwd=ROOT, env=few, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    report = [*coverage, "report", data, "--show-missing", "--skip-covered", "--fail-under=100"]
    told = subprocess.run(report, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout

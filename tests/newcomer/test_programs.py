"""What a newcomer runs beside calls: the quick benchmark, a type checker, `hearout prepare` without its extras."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import scenarios
from bench.peers import PEERS
from bench.table import OK, WIDTH
from harness import ROOT


@pytest.fixture(scope="module")
def quick() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--strict"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_quick_benchmark_keeps_its_limits(quick: subprocess.CompletedProcess[str]) -> None:
    assert quick.returncode == 0, quick.stdout + quick.stderr
    assert quick.stdout.rstrip().endswith("Every limit is kept.")
    assert max(map(len, quick.stdout.splitlines())) <= WIDTH


def test_every_scenario_is_shown_with_every_peer_and_has_a_verdict(quick: subprocess.CompletedProcess[str]) -> None:
    lines = quick.stdout.splitlines()
    for name in scenarios.QUICK:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{name} "))
        assert [line[len(max(scenarios.QUICK, key=len)) :].split()[0] for line in lines[at : at + 3]] == list(PEERS)
        assert lines[at + 2].endswith(OK)


def test_a_strict_project_that_subclasses_announces_and_asks_passes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "harness" / "user_agent.py", tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "user")]
    done = subprocess.run([*command, "user_agent.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stderr


PREPARES = """
import os, sys
from hearout.__main__ import main
for package in sys.argv[1:]:
    if not os.fork():  # as imported as before
        sys.modules[package] = None
        sys.exit(main(["prepare", "notice.txt"]))
    print(package, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def test_prepare_names_the_extras_that_bring_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "notice.txt").write_text("This call is recorded.")
    packages = ["hibari", "moonshine_voice", "pyloudnorm", "jiwer", "scipy"]
    command = [sys.executable, "-c", PREPARES, *packages]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"{package} 2" for package in packages], done.stderr
    assert done.stderr.count("hearout[local") == len(packages)
    assert "Traceback" not in done.stderr

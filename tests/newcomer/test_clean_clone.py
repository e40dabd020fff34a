"""What a newcomer does: the README's two commands in a clean clone."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT


def make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LIVEKIT_", "HEAROUT_", "VIRTUAL_ENV", "PYTHON"))}
    return subprocess.run(
        ["make", *targets], cwd=folder, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get("CI"), reason="sets up a second environment: run with CI=true")
def test_both_commands_work_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    first: Any = make(clone, "run")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Setting up .venv" in first.stdout
    (folder,) = [one for one in (clone / "calls").iterdir() if one.is_dir()]
    left = {"call.wav", "timeline.svg", "timeline.json", "floor.jsonl", "agent.log"}
    assert {file.name for file in folder.iterdir()} == left
    assert "receipt " in first.stdout
    assert (clone / "calls" / "receipts.db").exists()
    assert not (clone / "receipts.db").exists()
    again = make(clone, "setup")
    assert "Setting up" not in again.stdout
    assert make(clone, "clean").returncode == 0
    assert not (clone / ".venv").exists()
    shutil.rmtree(clone)

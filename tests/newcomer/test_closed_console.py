"""A scripted console call into a closed pipe (`… | head -2`): played to the end, with all files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT


@pytest.mark.real
def test_a_call_whose_reader_has_gone_ends_and_keeps_its_files(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
    (tmp_path / "call.toml").write_text('[call]\nexpect = "yes"\nat_most = 40\n[[caller]]\nfrom_end = 1\nkeys = "1"\n')
    agent, out = ROOT / "harness" / "rooms" / "asking_agent.py", tmp_path / "out"
    call = [sys.executable, str(agent), "console", "--script", str(tmp_path / "call.toml"), "--out", str(out)]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -n 2; exit ${PIPESTATUS[0]}', "-", *call],
        cwd=ROOT,
        env=clean | {"HEAROUT_LEDGER": "off", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 2
    files = {"call.wav", "timeline.svg", "timeline.json", "floor.jsonl", "agent.log"}
    assert {path.name for path in out.iterdir()} == files

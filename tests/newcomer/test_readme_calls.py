"""The call that docs/console.md shows without hearout is what the program prints."""

import json
import re
from pathlib import Path

import pytest

from harness import ROOT, run, without_times

CALLS = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "console.md").read_text(), re.DOTALL)


@pytest.mark.real
def test_the_call_without_hearout_is_what_the_program_prints(tmp_path: Path) -> None:
    done = run("console", "--stock", "--out", str(tmp_path / "stock"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("was lost") == 2
    assert without_times(CALLS[0]) in without_times(done.stdout)
    assert json.loads((tmp_path / "stock" / "timeline.json").read_text())["transcripts"] == []

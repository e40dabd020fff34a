"""What a team's type checker sees of hearout: as much as of LiveKit, and what hearout adds."""

import inspect
import shutil
import subprocess
import sys
from pathlib import Path

from livekit.agents import AgentSession

from harness import ROOT
from hearout._session.signatures import SessionArguments


def test_a_strict_project_that_subclasses_announces_and_asks_passes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "harness" / "user_agent.py", tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "user")]
    done = subprocess.run([*command, "user_agent.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stderr


def test_no_argument_of_livekits_session_is_unknown_to_type_checkers() -> None:
    assert set(SessionArguments.__annotations__) == set(inspect.signature(AgentSession.__init__).parameters) - {"self"}

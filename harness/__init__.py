"""What several tests share: words compared, agent files run as a user runs them."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
AGENT = ROOT / "uninterruptable.py"


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def alike(one: str, other: str) -> float:
    """The share of words that two texts have in common, in order."""
    return difflib.SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def without_times(table: str) -> str:
    """A printed table without what differs from run to run: its times."""
    return " ".join(re.sub(r"\d+(\.\d)? (m?s)\b", r"N \2", table).split())


def run(
    *arguments: str, agent: Path = AGENT, cwd: Path = ROOT, seconds: float = 100, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run an agent file as a user does, without a terminal and without keys."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
    return subprocess.run(
        [sys.executable, str(agent), *arguments],
        cwd=cwd,
        env=clean | {"HEAROUT_LEDGER": "off"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )

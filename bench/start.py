"""How long a newcomer waits: from the start of the console to the agent's first sound."""

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import ROOT, run

from .table import Row, Table, check, percentile

SCRIPT = ROOT / "bench" / "calls" / "first-sound.toml"

STARTS = 7

LIMIT = 3.0
"""Seconds: half of the starts."""

SAID = re.compile(r"first sound (\d+\.\d) s after start")


def measure(starts: int, said: Callable[[str], None]) -> list[float]:
    """Start the agent that `make run` starts so often, after a first time that is not counted; seconds.

    Raises:
        RuntimeError: it was not heard; the message has what it wrote.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(starts + 1):
            said(f"start {turn} of {starts}")
            done = run("console", "--virtual", "--script", str(SCRIPT), "--out", str(Path(folder) / str(turn)))
            if (sound := SAID.search(done.stdout)) is None:
                raise RuntimeError(f"no first sound:\n{done.stdout}{done.stderr}")
            found.append(float(sound[1]))
    return found[1:]


def table(seconds: Sequence[float], load: str) -> Table:
    """The table."""
    made = Table(
        "From the start of `make run` to the agent's first sound, in s",
        ("what", "n", "least", "p50", "most", "limit"),
        "The process's own count, with the local models; a first start, which reads all from the disk, is left out. "
        f"{load}.",
    )
    half = percentile(seconds, 50)
    assert half is not None
    figures = (f"{value:.1f}" for value in (min(seconds), half, max(seconds)))
    made.rows.append(Row(("second start", str(len(seconds)), *figures, f"p50 ≤ {LIMIT:g}"), check(half <= LIMIT)))
    return made

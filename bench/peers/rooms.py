"""voicebench's LiveKit adapter against a room on this machine: its own calls, its own numbers."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.course import write
from bench.rooms import serving, wait_until_warm, working

from . import HEAROUT, STOCK
from .callers import Studio
from .play import HERE, LONGEST, TOOLS

if TYPE_CHECKING:
    from harness.rooms.server import Server

PEERS = (STOCK, HEAROUT)

# Its own end, the agent's last sample, never comes: a LiveKit track goes on in silence. So each call has a longest.
SCENARIO = """
name: notice
description: a question and a sign of listening over an announcement, and a question after it
sample_rate: 24000
max_duration_ms: 40000
turns:
  - id: question
    audio: {file: question.wav}
    start: {after: agent_speech_start, delay_ms: 1000}
  - id: murmur
    audio: {file: murmur.wav}
    start: {after: previous_turn_end, delay_ms: 1000}
    expect: ignore
  - id: afterwards
    audio: {file: afterwards.wav}
    start: {after: previous_turn_end, delay_ms: 8000}
"""

LINES = {
    "question": "Can I change my address first?",
    "murmur": "Okay.",
    "afterwards": "What are your opening hours?",
}


def measure(studio: Studio, turns: int, folder: Path, said: Callable[[str], None]) -> dict[str, Mapping[str, Any]]:
    """voicebench's summary of so many calls of each peer.

    Raises:
        NoServerError: there is no livekit-server.
        RuntimeError: voicebench failed, or did not end.
        TimeoutError: the machine had no time for the worker.
    """
    (folder / "notice.yaml").write_text(SCENARIO)
    for name, text in LINES.items():
        write(folder / f"{name}.wav", studio.spoken(text))
    found = {}
    with serving(folder) as server:
        for peer in PEERS:
            said(f"voicebench in rooms, {peer}")
            with working(server, folder / peer, HERE / "in_room.py", BENCH_PEER=peer, HEAROUT_LEDGER="off") as worker:
                wait_until_warm(worker)
                found[peer] = _run(server, turns, folder, peer)
    return found


def _run(server: "Server", turns: int, folder: Path, peer: str) -> Mapping[str, Any]:
    program = TOOLS / "voicebench" / "bin" / "voicebench"
    out = folder / f"{peer}-report"
    arguments = ["run", str(folder / "notice.yaml"), "-a", "livekit", "-n", str(turns), "--format", "json"]
    try:
        done = subprocess.run(
            [str(program), *arguments, "--out", str(out)],
            env=os.environ | server.environment,
            capture_output=True,
            text=True,
            timeout=LONGEST * turns,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"voicebench was not done within {error.timeout:.0f} s") from error
    if not (out / "report.json").exists():
        raise RuntimeError(f"voicebench ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    summary: Mapping[str, Any] = json.loads((out / "report.json").read_text())["summary"]
    return summary

"""Calls with the local voice, in real time, as a user runs them: how soon answers come, in the sound itself."""

import json
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import AGENT, ROOT, run

from . import peers
from .table import Row, Table, check, milliseconds, percentile
from .virtual import P50, P95

NOTICE_AGENT = ROOT / "bench" / "notice.py"
CALLS = ROOT / "bench" / "calls"

IN_TIME = ("early", "middle", "two-questions")
AT_THE_END = ("just-before-the-end", "across-the-end")
"""Calls of `bench/calls`, by whether their questions end early enough for an answer without a gap."""

MAIN = "talk-over"
"""The call that `make run` plays, with the agent that it runs."""

LOUD = 330
"""Of 32,768, 1 %: the local voice's noise lies below, its quietest fricatives above."""

PERCEIVED = 0.45
"""Limit of what a person perceives as the gap, in seconds: half of the answers."""


@dataclass(frozen=True)
class Held:
    """One call that was held.

    Attributes:
        call: its name.
        peer: whose session.
        done: the process, ended.
        timeline: ``timeline.json``.
        gap: seconds from the announcement's last frame to the answer's first; None without an answer.
        perceived: the same from sound to sound, in ``call.wav``.
    """

    call: str
    peer: str
    done: CompletedProcess[str]
    timeline: Mapping[str, Any]
    gap: float | None
    perceived: float | None


def hold(call: str, peer: str, folder: Path) -> Held:
    """Hold one call of `bench/calls`; its files go to `folder`."""
    agent = AGENT if call == MAIN else NOTICE_AGENT
    stock = [] if peer == peers.HEAROUT else ["--stock"]
    script = str(CALLS / f"{call}.toml")
    done = run("console", *stock, "--script", script, "--out", str(folder), agent=agent, BENCH_PEER=peer)
    timeline = json.loads((folder / "timeline.json").read_text())
    gap = perceived = None
    if len(timeline["agent"]) > 1:
        announcement, answer = timeline["agent"][:2]
        gap = answer["start"] - announcement["end"]
        perceived = _from_sound_to_sound(folder, announcement["end"], answer["start"])
    return Held(call, peer, done, timeline, gap, perceived)


def agent_sound(folder: Path) -> tuple[npt.NDArray[np.int16], int]:
    """The agent's sound in the call whose files are in `folder`, and the sample rate in Hz."""
    with wave.open(str(folder / "call.wav")) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
        return both[:, 1], file.getframerate()


def _from_sound_to_sound(folder: Path, ended: float, begun: float) -> float:
    agent, rate = agent_sound(folder)
    loud = np.flatnonzero(np.abs(agent.astype(np.int32)) > LOUD) / rate
    return float(loud[loud >= begun].min() - loud[loud < ended].max())


def play(rounds: int, said: Callable[[str], None]) -> list[Held]:
    """Hold the calls one after the other, so many rounds, peers interleaved.

    LiveKit's session as it comes answers none of them in time: it takes part in the first round only.

    Args:
        rounds: how often.
        said: told of each call before it begins.
    """
    held = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for call, peer in _calls(first=turn == 0):
                said(f"{call}, {peer}")
                held.append(hold(call, peer, Path(folder) / f"{turn}-{call}-{peer}"))
    return held


def _calls(*, first: bool) -> Iterator[tuple[str, str]]:
    for call in (*IN_TIME, *AT_THE_END):
        for peer in peers.PEERS if first else (peers.STRONGEST, peers.HEAROUT):
            yield call, peer
    yield MAIN, peers.HEAROUT


def table(held: Sequence[Held], load: str) -> Table:
    """The table of reply gaps, and of what a person perceives."""
    made = Table(
        "With the local voice, in real time, in ms",
        ("where", "peer", "calls", "n", "least", "p50", "p95", "most", "of strongest", "limit"),
        f"n: calls that were answered. Gap: from the last frame to the first. Perceived: from sound to sound in "
        f"call.wav (louder than 1 %). One call at a time; {load}.",
    )
    in_time = [one for one in held if one.call in IN_TIME]
    made.rows += _rows("gap, in time", in_time, lambda one: one.gap, limits=(P50, P95))
    for call in AT_THE_END:
        made.rows += _rows(f"gap, {call}", [one for one in held if one.call == call], lambda one: one.gap)
    heard = [*in_time, *(one for one in held if one.call == MAIN)]
    made.rows += _rows("perceived, in time", heard, lambda one: one.perceived, limits=(PERCEIVED,))
    return made


def _rows(
    where: str, held: Iterable[Held], figure: Callable[[Held], float | None], limits: Sequence[float] = ()
) -> Iterator[Row]:
    values: dict[str, list[float]] = {peer: [] for peer in peers.PEERS}
    calls = dict.fromkeys(peers.PEERS, 0)
    for one in held:
        calls[one.peer] += 1
        if (value := figure(one)) is not None:
            values[one.peer].append(value)
    base = percentile(values[peers.STRONGEST], 50)
    for peer, own in values.items():
        found = [percentile(own, 50), percentile(own, 95)]
        limited = bool(limits) and peer == peers.HEAROUT
        kept = all(value is not None and value <= limit for value, limit in zip(found, limits, strict=False))
        complete = len(own) == calls[peer]
        yield Row(
            (
                where if peer == peers.PEERS[0] else "",
                peer,
                str(calls[peer]),
                str(len(own)),
                milliseconds(min(own, default=None)),
                milliseconds(found[0]),
                milliseconds(found[1]),
                milliseconds(max(own, default=None)),
                f"× {found[0] / base:.2f}" if found[0] is not None and base else "–",
                ", ".join(milliseconds(limit) for limit in limits) if limited else "",
            ),
            check(kept and complete) if limited else "",
        )

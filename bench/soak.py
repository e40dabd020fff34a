"""Many short calls in one process, one after the other: what stays in memory, which files stay open, and the ledger."""

import gc
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from harness.kept_in_loop import InTheLoop
from harness.ledger_workers import Opened
from harness.scenes import Announcing, reading
from hearout.ledger._read import verify
from hearout.testing import Call, Say

from . import peers
from .table import Row, Table, check

CALLS, EVERY = 2000, 50
"""Calls of hearout's, and after how many of them it is looked at what is left. Stock has half as many."""

SETTLED = 0.25
"""The share of the calls in the beginning that does not count: caches fill, and Python keeps what it has allocated."""

GROWTH = 1.0
"""Limit: kB a call that memory may grow, by the upper end of the interval. 2,000 calls are a day of a busy line."""

NOTICE = "This call is recorded. If you do not agree, please say so now."


@dataclass
class Kept:
    """What is left of one peer's calls.

    Attributes:
        peer: whose sessions.
        calls: after how many calls it was looked at.
        memory: kB of the process (RSS), at each look.
        files: open files, at each look.
        whole: calls in which every word of both questions reached the LLM.
        rows: of the ledger, all of which `verify` found in order; 0 where there is none (stock).
    """

    peer: str
    calls: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    whole: int = 0
    rows: int = 0

    def growth(self) -> tuple[float, float]:
        """kB a call, and the half of its 95 % interval, by least squares over the calls that count."""
        first = int(len(self.calls) * SETTLED)
        (slope, _), covariance = np.polyfit(self.calls[first:], self.memory[first:], 1, cov=True)
        return float(slope), 1.96 * float(np.sqrt(covariance[0, 0]))


def hold(peer: str, calls: int, folder: Path, said: Callable[[str], None]) -> Kept:
    """Hold so many calls: an announcement, a question over it, its answer, another question.

    Args:
        peer: whose sessions.
        calls: how many.
        folder: for the ledger.
        said: told now and then how many are over.

    Raises:
        CallError: a call did not end, or left a task behind.
    """
    kept, process = Kept(peer), psutil.Process()
    ledger = Opened(f"sqlite:///{folder / 'receipts.db'}")
    for number in range(1, calls + 1):
        result = _call(peer, number, ledger)
        kept.whole += result.kept == 1.0
        if number % EVERY == 0:
            gc.collect()
            kept.calls.append(number)
            kept.memory.append(process.memory_info().rss / 1024)
            kept.files.append(process.num_fds())
        if number % (EVERY * 10) == 0:
            said(f"{number} of {calls}, {peer}")
    if peer == peers.HEAROUT:
        verdict = verify(ledger)
        assert verdict.fault is None, verdict.fault
        kept.rows = verdict.rows
    ledger.close()
    return kept


def _call(peer: str, number: int, ledger: Opened) -> Any:
    async def read(session: Any) -> None:
        await session._bridge.keep(InTheLoop(ledger, "soak"), f"soak/{number}")
        session.announce(NOTICE, id="notice")

    return Call(
        agent=reading(read) if peer == peers.HEAROUT else Announcing,
        session=peers.SESSIONS[peer],
        caller=[Say(2.0, "Can I change my address first?", 1.5), Say(14.0, "And my telephone number?", 1.5)],
        ends_after=20.0,
    ).play()


def measure(calls: int, said: Callable[[str], None]) -> list[Kept]:
    """What is left of so many calls of hearout's, and of half as many of stock's."""
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name:
        return [hold(peers.STOCK, calls // 2, Path(name), said), hold(peers.HEAROUT, calls, Path(name), said)]


def table(found: list[Kept]) -> Table:
    """The table of it."""
    made = Table(
        "Many calls in one process, one after the other",
        ("peer", "calls", "whole", "kB a call", "±", "files", "rows", "limit"),
        "In virtual time, with an announcement, a question over it and one after it, and, for hearout, a ledger. "
        "Whole: calls in which all the words of both questions reached the LLM. kB a call: by how much "
        f"the process grows (RSS), by least squares over the last {100 - SETTLED * 100:.0f} % of the calls, with its "
        "95 % interval. Files: open at the end, less those at the first look. No call left a task behind: it would "
        "have ended the benchmark. Rows: of the ledger, which `verify` found whole.",
    )
    for one in found:
        slope, half = one.growth()
        ours = one.peer == peers.HEAROUT
        flat = slope - half < GROWTH and one.files[-1] <= one.files[0]
        cells = (
            one.peer,
            f"{one.calls[-1]}",
            f"{one.whole}",
            f"{slope:.2f}",
            f"{half:.2f}",
            f"{one.files[-1] - one.files[0]:+d}",
            f"{one.rows}" if ours else "–",
            f"< {GROWTH:g} kB, +0" if ours else "",
        )
        made.rows.append(Row(cells, check(flat) if ours else ""))
    return made

"""The ledger under many calls at once: what a promise waits for, what is spooled, and how many rows a second."""

import asyncio
import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import databases
from hearout.ledger import Ledger
from hearout.ledger._entries import Written
from hearout.ledger._read import verify
from hearout.ledger._writer import PATIENCE, LedgerWriter

from . import ledger
from .table import Row, Table, check, milliseconds, percentile

CALLS = (20, 80, 160, 320)
"""Calls at once; each says one announcement after the other."""

PROCESSES = 2
"""Which share the calls: a call's writer is a thread of its own, with a connection of its own, as in a job."""

SECONDS, SAID, PAUSE = 24.0, 8.0, 2.0
"""Of one measurement; of one announcement, which renews its promise each second; of what is between two of them."""

WRITERS, FLAT_OUT = 16, 8.0
"""Calls that write one utterance after the other without a pause, and for how many seconds: the most rows a second."""

LIMITED = 20
"""Calls at once with which 99 of 100 promises must keep `PATIENCE`: more than a worker of two cores carries."""


@dataclass(frozen=True)
class Wrote:
    """What the calls of one process wrote.

    Attributes:
        promises: seconds of each.
        spooled: rows that were not in the database when they should have been.
        rows: in the database, promises and settlements.
    """

    promises: list[float]
    spooled: int
    rows: int


@dataclass(frozen=True)
class Loaded:
    """What came of so many calls at once.

    Attributes:
        where: the database, and how many books.
        calls: how many at once.
        promises: seconds of each.
        spooled: rows that were not in the database when they should have been.
        rows: written, a second.
    """

    where: str
    calls: int
    promises: list[float]
    spooled: int
    rows: float


@dataclass(frozen=True)
class Pace:
    """The pace at which a call writes.

    Attributes:
        said: seconds of an announcement, which renews its promise each second.
        pause: seconds between two of them.
        lasts: seconds of all.
    """

    said: float = SAID
    pause: float = PAUSE
    lasts: float = SECONDS


async def _call(url: str, book: str, name: str, spool: Path, pace: Pace, delay: float) -> Wrote:
    until = time.monotonic() + pace.lasts
    await asyncio.sleep(delay)
    writer = LedgerWriter(Ledger(url, book=book), holder=name, spool=spool / name)
    found: list[float] = []
    settled: list[asyncio.Future[Written]] = []
    spooled = 0
    try:
        while time.monotonic() < until:
            receipt = ledger.receipt(f"{name}-{len(found)}")
            began = time.perf_counter()
            spooled += await writer.owe(name, receipt.id, ledger.TEXT, now=time.time()) is not Written.LEDGER
            found.append(time.perf_counter() - began)
            for second in range(round(pace.said)):
                await asyncio.sleep(1.0)
                writer.renew(name, receipt.id, played=float(second), now=time.time())
            settled.append(writer.settle(receipt, call=name, now=time.time()))
            await (asyncio.sleep(pace.pause) if pace.pause else settled[-1])
    finally:
        await writer.close()
    spooled += sum(not one.done() or one.result() is not Written.LEDGER for one in settled)
    return Wrote(found, spooled, 2 * len(found) - spooled)


def _process(url: str, books: int, numbers: range, folder: Path, pace: Pace) -> Wrote:
    async def main() -> Wrote:
        apart = (pace.said + pace.pause) / len(numbers)
        begun = (
            _call(url, f"book{number % books}", f"call{number}", folder, pace, apart * place)
            for place, number in enumerate(numbers)
        )
        found = await asyncio.gather(*begun)
        promises = [seconds for one in found for seconds in one.promises]
        return Wrote(promises, sum(one.spooled for one in found), sum(one.rows for one in found))

    return asyncio.run(main())


def hold(where: str, url: str, books: int, calls: int, pace: Pace | None = None) -> Loaded:
    """Hold so many calls at once, and check that every book is whole afterwards.

    Args:
        where: the name of the database, as it is printed.
        url: of an empty database.
        books: into which the calls are split.
        calls: how many at once.
        pace: at which each writes; by default that of announcements one after the other.
    """
    pace = pace or Pace()
    for book in range(books):
        Ledger(url, book=f"book{book}").close()
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name:
        shares = [range(first, calls, PROCESSES) for first in range(PROCESSES)]
        with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
            same = ([one] * PROCESSES for one in (url, books, Path(name), pace))
            urls, split, folders, paces = same
            found = list(pool.map(_process, urls, split, shares, folders, paces))
    for book in range(books):
        read = Ledger(url, book=f"book{book}")
        verdict = verify(read)
        read.close()
        assert verdict.fault is None, verdict.fault
    promises = [each for one in found for each in one.promises]
    rows = sum(one.rows for one in found) / pace.lasts
    name = f"{where}, {books} book{'s' * (books > 1)}{'' if pace.pause else ', flat out'}"
    return Loaded(name, calls, promises, sum(one.spooled for one in found), rows)


@contextlib.contextmanager
def _postgres() -> Iterator[databases.Postgres | None]:
    """A server of its own, where PostgreSQL is installed; it does not wait for the disk."""
    where = databases.binaries()
    if where is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="hearout-pg-") as name:
        server = databases.Postgres(where, Path(name))
        try:
            yield server
        finally:
            server.stop()


def measure(numbers: tuple[int, ...], said: Callable[[str], None]) -> list[Loaded]:
    """What SQLite and PostgreSQL take, each as one book and as several."""
    found = []
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name, _postgres() as server:
        for calls in numbers:
            said(f"{calls} at once, SQLite")
            found.append(hold("SQLite", f"sqlite:///{name}/{calls}.db", 1, calls))
            for books in (1, 8) if server else ():
                said(f"{calls} at once, PostgreSQL, {books}")
                found.append(hold("PostgreSQL", server.database(), books, calls))
        said("flat out")
        flat_out = Pace(0.0, 0.0, FLAT_OUT)
        found.append(hold("SQLite", f"sqlite:///{name}/flat-out.db", 1, WRITERS, flat_out))
        split = (1, 8) if server else ()
        found += [hold("PostgreSQL", server.database(), books, WRITERS, flat_out) for books in split]
    return sorted(found, key=lambda one: ("flat out" in one.where, one.where, one.calls))


def table(found: list[Loaded], load: str) -> Table:
    """The table of it."""
    made = Table(
        "The ledger under many calls at once",
        ("where", "calls", "p50 ms", "p95 ms", "p99 ms", "n", "spooled", "rows/s", "limit"),
        f"Each call promises an announcement of {SAID:g} s, renews it each second, settles it, and begins the next "
        f"{PAUSE:g} s later, for {SECONDS:g} s. Each has a writer and a connection of its own; {PROCESSES} processes "
        f"share them, on {os.cpu_count()} cores with the database. What is shown is what a promise waits for before "
        f"its first sample may play. Flat out: {WRITERS} calls write without a pause. Spooled: rows that went to the "
        f"disk beside the ledger first. PostgreSQL runs without fsync, and takes {databases.CONNECTIONS} connections. "
        f"Every book was verified afterwards. {load}. Limit: with {LIMITED} calls 99 of 100 promises "
        f"take less than {PATIENCE:g} s, and nothing is spooled.",
    )
    for one in found:
        cuts = [percentile(one.promises, percent) for percent in (50, 95, 99)]
        limited = one.calls <= LIMITED and "flat out" not in one.where
        kept = (cuts[-1] or 0.0) < PATIENCE and not one.spooled
        figures = (*map(milliseconds, cuts), f"{len(one.promises)}", f"{one.spooled}", f"{one.rows:.0f}")
        row = (one.where, f"{one.calls}", *figures, f"p99 < {PATIENCE * 1000:g}, 0 spooled" if limited else "")
        made.rows.append(Row(row, check(kept) if limited else ""))
    return made

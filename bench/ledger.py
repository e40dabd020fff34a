"""The ledger's cost: the wait of a call that promises and settles, and the speed of reading a book."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.ledger_workers import Opened, receipt
from hearout.ledger import Ledger
from hearout.ledger._entries import Written
from hearout.ledger._read import entries, verify
from hearout.ledger._writer import PATIENCE, LedgerWriter

from .table import Row, Table, check, milliseconds, percentile

ROUNDS, ROWS = 300, 5000

TEXT = "This call is recorded. Your data is kept for thirty days, and then it is erased."


@dataclass(frozen=True)
class Cost:
    """What one database takes.

    Args:
        name: of it.
        seconds: of each thing that is written.
        verified, listed: how many rows, or utterances, were read, and the seconds that took.
    """

    name: str
    seconds: dict[str, list[float]]
    verified: tuple[int, float]
    listed: tuple[int, float]


async def costs(url: str, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Seconds of each promise, renewal and settlement, one after the other; of each that was in the ledger then."""
    writer = LedgerWriter(Ledger(url), spool=folder / "spool", patience=60.0)
    found: dict[str, list[float]] = {"promise": [], "renewal": [], "settlement": []}
    for index in range(rounds):
        id = f"u{index}-{time.time_ns()}"
        began = time.perf_counter()
        assert await writer.owe("room", id, TEXT, now=time.time()) is Written.LEDGER
        owed = time.perf_counter()
        writer.renew("room", id, played=1.0, now=time.time())
        await writer.owed("nobody")  # after it, and next to nothing
        renewed = time.perf_counter()
        assert await writer.settle(receipt(id), call="room", now=time.time()) is Written.LEDGER
        over = time.perf_counter()
        for name, seconds in (("promise", owed - began), ("renewal", renewed - owed), ("settlement", over - renewed)):
            found[name].append(seconds)
    await writer.close()
    return found


def fill(ledger: Opened, rows: int) -> None:
    """Append rows until the book has so many."""
    for index in range((rows - verify(ledger).rows) // 2):
        id = f"f{index}-{time.time_ns()}"
        ledger.owe("room", id, TEXT, by="bench", now=time.time())
        ledger.settle(receipt(id), call="room", by="bench", now=time.time())


def measure(name: str, url: str, folder: Path, *, rounds: int = ROUNDS, rows: int = ROWS) -> Cost:
    """Write and read a ledger in an empty database.

    Args:
        name: of the database, as it is printed.
        url: where it is.
        folder: for what has to wait.
        rounds: utterances that are written one after the other.
        rows: how many rows the book that is read has at least.
    """
    seconds = asyncio.run(costs(url, rounds, folder))
    ledger = Opened(url)
    fill(ledger, rows)
    began = time.perf_counter()
    verdict = verify(ledger)
    middle = time.perf_counter()
    listed = sum(1 for _ in entries(ledger, now=time.time()))
    end = time.perf_counter()
    ledger.close()
    assert verdict.fault is None
    return Cost(name, seconds, (verdict.rows, middle - began), (listed, end - middle))


def everywhere(postgres: str | None, *, rounds: int = ROUNDS, rows: int = ROWS) -> list[Cost]:
    """The ledger's cost on SQLite, in a new folder, and on PostgreSQL where a URL of an empty database is given."""
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name:
        where = {"SQLite": f"sqlite:///{name}/receipts.db"} | ({"PostgreSQL": postgres} if postgres else {})
        return [measure(one, url, Path(name), rounds=rounds, rows=rows) for one, url in where.items()]


def tables(costs: Sequence[Cost], load: str) -> list[Table]:
    """The tables: what a call waits for, and how fast a book is read."""
    notes = (
        f"As an agent waits for it: from asyncio, through the writer's thread, until it is on disk; {load}. None of it "
        f"is the event loop's own time. Limit: of 100 promises 99 take less than the {PATIENCE:g} s after which an "
        "announcement no longer waits for its own."
    )
    written = Table("The ledger: writing", ("where", "what", "p50 ms", "p95 ms", "p99 ms", "n"), notes)
    reading = Table("The ledger: reading", ("where", "what", "a second", "n"), "A whole book, from its first row.")
    for cost in costs:
        for what, seconds in cost.seconds.items():
            cuts = [percentile(seconds, percent) for percent in (50, 95, 99)]
            verdict = check((cuts[-1] or 0.0) < PATIENCE) if what == "promise" else ""
            written.rows.append(Row((cost.name, what, *map(milliseconds, cuts), f"{len(seconds)}"), verdict))
        for what, (count, spent) in (("rows verified", cost.verified), ("utterances listed", cost.listed)):
            reading.rows.append(Row((cost.name, what, f"{count / spent:,.0f}", f"{count:,}")))
    return [written, reading]

"""What the ledger costs: ``python -m bench.ledger [--postgres URL] [--rows N]``; by itself, on SQLite in a new folder.

A promise is measured as an agent waits for it: from asyncio, through the scribe's thread, until it is on disk.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from hearout.ledger import Ledger, Scribe, Written
from hearout.ledger.read import entries, verify
from hearout.receipt import Attempt, Listener, Outcome, Receipt
from hearout.words import Fate, Held

TEXT = "This call is recorded. Your data is kept for thirty days, and then it is erased."


def receipt(id: str) -> Receipt:
    held = ((Held("my address has changed", 3.0), Fate.DELIVERED),)
    listeners = (Listener("ann", ((0.0, 9.0),)),)
    attempts = (Attempt(1.0, 8.0, 7.0),)
    return Receipt(
        id, Outcome.FINISHED, "", 0.5, 1.0, 8.0, 7.0, 7.0, TEXT, held, attempts=attempts, listeners=listeners
    )


async def costs(url: str, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Seconds of each promise, renewal and settlement, one after the other; of each that was in the ledger then."""
    scribe = Scribe(Ledger(url), spool=folder / "spool", patience=60.0)
    found: dict[str, list[float]] = {"owe": [], "renew": [], "settle": []}
    for index in range(rounds):
        id = f"u{index}-{time.time_ns()}"
        began = time.perf_counter()
        assert await scribe.owe("room", id, TEXT, now=time.time()) is Written.LEDGER
        owed = time.perf_counter()
        scribe.renew("room", id, played=1.0, now=time.time())
        await scribe.owed("nobody")  # after it, and next to nothing
        renewed = time.perf_counter()
        assert await scribe.settle(receipt(id), call="room", now=time.time()) is Written.LEDGER
        over = time.perf_counter()
        for name, seconds in (("owe", owed - began), ("renew", renewed - owed), ("settle", over - renewed)):
            found[name].append(seconds)
    await scribe.close()
    return found


def fill(ledger: Ledger, rows: int) -> None:
    """Append rows until the book has so many."""
    for index in range((rows - verify(ledger).rows) // 2):
        id = f"f{index}-{time.time_ns()}"
        ledger.owe("room", id, TEXT, by="bench", now=time.time())
        ledger.settle(receipt(id), call="room", by="bench", now=time.time())


def measure(name: str, url: str, rounds: int, rows: int, folder: Path) -> None:
    for what, seconds in asyncio.run(costs(url, rounds, folder)).items():
        cut = statistics.quantiles(seconds, n=100)
        figures = "  ".join(f"p{p} {cut[p - 1] * 1000:6.1f} ms" for p in (50, 95, 99))
        print(f"{name:<11}{what:<7}{figures}  n {len(seconds)}")
    ledger = Ledger(url)
    fill(ledger, rows)
    began = time.perf_counter()
    verdict = verify(ledger)
    middle = time.perf_counter()
    listed = sum(1 for _ in entries(ledger, now=time.time()))
    end = time.perf_counter()
    assert verdict.fault is None
    print(f"{name:<11}verify {verdict.rows / (middle - began):9,.0f} rows/s  n {verdict.rows}")
    print(f"{name:<11}list   {listed / (end - middle):9,.0f} utterances/s  n {listed}")
    ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--postgres", metavar="URL", help="measure this empty database, too")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--rows", type=int, default=5000)
    asked = parser.parse_args()
    print(f"Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name:
        folder = Path(name)
        measure("SQLite", f"sqlite:///{folder}/receipts.db", asked.rounds, asked.rows, folder)
        if asked.postgres:
            measure("PostgreSQL", asked.postgres, asked.rounds, asked.rows, folder)


if __name__ == "__main__":
    main()

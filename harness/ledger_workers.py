"""Shared by the ledger's tests: receipts, ledgers that get closed, and functions for processes."""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from multiprocessing.context import ForkServerContext
from typing import Any, ClassVar

import sqlalchemy as sa

from hearout.errors import LedgerDownError
from hearout.ledger import Ledger
from hearout.ledger import _tables as tables
from hearout.ledger._command import main
from hearout.ledger._entries import Record, amendment, promise, settlement
from hearout.ledger._writer import LedgerWriter
from hearout.policy import Retention
from hearout.receipts import Attempt, Cause, Fate, Held, Outcome, Receipt

NOW = 1_800_000_000.0
"""A moment in 2027."""
NOTICE = "This call is recorded. Your data is kept for thirty days."
MINE = "my address is 4 Elm Street"
SECRET = "what all workers share and the database does not have"


class Opened(Ledger):
    """A ledger that is closed when the test is over (`databases.close_ledgers`), and is written to without a thread.

    It keeps all words, where a test does not say otherwise.
    """

    all: ClassVar[list[Ledger]] = []

    def __init__(
        self, *arguments: Any, words: Retention = Retention.KEEP, text: Retention = Retention.KEEP, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.words, self.text = words, text
        self.secret = SECRET
        self.all.append(self)

    def owe(
        self,
        call: str,
        id: str,
        text: str,
        *,
        by: str,
        now: float,
        agent: str = "",
        policy: Mapping[str, Any] | None = None,
    ) -> Record:
        """Promise an utterance."""
        kept = {"words": self.words, "keep": self.text}
        record = promise(call, id, text, agent=agent, policy=policy or {}, by=by, now=now, **kept)
        self.append(record)
        return record

    def settle(self, receipt: Receipt, *, call: str, by: str, now: float, owed: str = "", entry: str = "") -> Record:
        """Write down how an utterance ended; without `owed`, that utterance's open promise, if any, is settled."""
        kept = {"words": self.words, "text": self.text}
        record = settlement(receipt, call, by=by, now=now, owed=owed, entry=entry, **kept)
        self.append(record)
        return record

    def amend(self, before: Receipt, after: Receipt, *, call: str, by: str, now: float, settled: str) -> Record | None:
        """Add what has become known of who heard a settled utterance; None where that is nothing new."""
        record = amendment(before, after, call, by=by, now=now, settled=settled)
        if record is not None:
            self.append(record)
        return record


HELD = {"kind": "spoken", "at": 3.0, "text": MINE}


def owing(url: str, *held: Any, **kept: Any) -> Opened:
    """A ledger with an utterance that is being said, and words held over it."""
    ledger = Opened(url, **{"words": Retention.OMIT} | kept)
    ledger.owe("room", "notice", NOTICE, by="dead", now=NOW, policy={"redeliver": "from cut"})
    ledger.renew("room", "notice", by="dead", played=2.0, now=NOW, held=[*held, HELD])
    return ledger


def writing(ledger: Ledger, work: Callable[[LedgerWriter], Awaitable[Any]], **options: Any) -> Any:
    """Do it with a writer of its own, which is closed at the end."""

    async def with_a_writer() -> Any:
        one = LedgerWriter(ledger, **{"secret": SECRET} | options)
        try:
            return await work(one)
        finally:
            await one.close()

    return asyncio.run(with_a_writer())


def receipts_command(ledger: Ledger, *arguments: str, after: float = 7200.0) -> int:
    """Run `hearout receipts` on a book, so many seconds after `NOW`; the exit status."""
    return main([*arguments, "--ledger", ledger.url, "--book", ledger.book], clock=lambda: NOW + after)


def receipt(id: str = "notice", **fields: Any) -> Receipt:
    """An announcement of 7 s that finished, with words said over it."""
    whole: dict[str, Any] = {
        "outcome": Outcome.FINISHED,
        "why": "",
        "asked_at": 0.5,
        "started_at": 1.0,
        "ended_at": 8.0,
        "played": 7.0,
        "made": 7.0,
        "expected": 7.0,
        "text": NOTICE,
        "held": ((Held(MINE, 3.0), Fate.DELIVERED),),
        "attempts": (Attempt(1.0, 8.0, 7.0),),
    }
    return Receipt(id, **(whole | fields))


def cut_in(id: str = "notice") -> Receipt:
    return receipt(id, outcome=Outcome.CUT_IN, cause=Cause.KEY, why="key 0", played=3.0, ended_at=4.0, attempts=())


def kinds(ledger: Ledger) -> list[str]:
    """The kinds of all rows, in order."""
    with ledger.transaction() as connection:
        return list(connection.execute(sa.select(tables.ROWS.c.kind).order_by(tables.ROWS.c.seq)).scalars())


def processes() -> ForkServerContext:
    """Cheap processes: what takes long to import is imported once, in the server that they are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hearout.ledger", "sqlalchemy.dialects.sqlite", "psycopg"])
    return context


def all_at_once(work: Callable[..., None], count: int, *arguments: Any) -> list[Any]:
    """Run a function in so many processes that begin together; the item that each put into a queue."""
    context = processes()
    barrier, results = context.Barrier(count), context.Queue()
    workers = [context.Process(target=work, args=(number, barrier, results, *arguments)) for number in range(count)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    return found


def append_many(number: int, barrier: Any, results: Any, url: str, utterances: int) -> None:
    """Owe and settle, as fast as it goes."""
    ledger, by = Opened(url), f"w{number}"
    barrier.wait(30)
    for index in range(utterances):
        id = f"u{number}-{index}"
        until_it_works(partial(ledger.owe, "room", id, NOTICE, by=by, now=NOW + index))
        until_it_works(partial(ledger.settle, receipt(id), call="room", by=by, now=NOW + index + 7))
    results.put(number)


def until_it_works(write: Callable[[], object]) -> None:
    """Another's lock may take longer than the ledger waits."""
    while True:
        try:
            write()
        except LedgerDownError:
            continue
        else:
            return


def take_over(number: int, barrier: Any, results: Any, url: str) -> None:
    ledger = Ledger(url)
    ledger.secret = SECRET
    barrier.wait(30)
    won = ledger.take_over("room", "notice", by=f"w{number}", now=NOW + 100)
    results.put((number, None if won is None else won.holder))


def say_and_never_end(url: str, started: Any) -> None:
    """Owe an utterance, play two seconds of it, and go on until killed."""

    async def say() -> None:
        writer = LedgerWriter(Ledger(url), holder="victim", secret=SECRET, patience=60.0)
        await writer.owe(
            "room", "notice", NOTICE, now=time.time(), agent="Front desk", policy={"redeliver": "from cut"}
        )
        writer.renew("room", "notice", played=2.0, now=time.time(), held=[{"text": MINE, "at": 1.2}])
        (owing,) = await writer.owed("room")  # after the renewal: everything is done in order
        assert owing.played
        started.set()
        await asyncio.sleep(60)

    asyncio.run(say())

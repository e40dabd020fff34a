"""The ledger from asyncio: one thread writes, in order, and a ledger that is down holds nobody up."""

import asyncio
import contextlib
import dataclasses
import functools
import logging
import math
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ..errors import AlreadyOwedError, LedgerError
from ..policy import Retention
from ..receipts import QuestionReceipt, Receipt
from . import _read as read
from . import _tables as tables
from ._anchors import ANSWERS, EVERY, Anchors
from ._book import Ledger, new_holder
from ._calls import CallRegistry, WatchedCall
from ._entries import Entry, Record, Unfinished, Written, amendment, promise, settlement
from ._questions import asked_record, questions, revoked_record
from ._spool import Spool

logger = logging.getLogger("hearout.ledger")

TAKES_OVER = 5.0
"""Seconds to wait for what a dead agent owed: the caller hears silence anyway, and would hear all of it once more."""

PATIENCE = 0.5
"""Seconds for which an announcement waits for its promise to be in the ledger. A healthy one takes some milliseconds;
after that, the promise is on the disk beside it."""

RETRY = 1.0
"""Seconds after which a ledger that was down is tried again."""

STANDS = 1.9
"""Seconds for which a lease that says nothing new is not written again: of the renewals that come each second, each
second one keeps it alive (`LEASE`)."""

CLOSES = 3.0
"""Seconds for which a close waits for what is still to be written; after that, it is on the disk beside the ledger."""

T = TypeVar("T")


class _Listing(Enum):
    """What the workers that look after each other's calls are told of this process's one."""

    NONE = "none"
    WATCHED = "watched"
    LEFT = "left"
    RELEASED = "released"


@dataclasses.dataclass(frozen=True)
class Lease:
    """What the ledger was last told of an utterance that is being said.

    Args:
        played: seconds of it.
        at: when, in seconds since 1970, UTC; minus infinity for never.
        held: what was said over it; None where nothing was told of that.
    """

    played: float = 0.0
    at: float = -math.inf
    held: Sequence[Any] | None = None

    def says_nothing_new(self, before: "Lease") -> bool:
        """Whether the one before stands, and will for a while."""
        return (self.played, self.held) == (before.played, before.held) and self.at < before.at + STANDS


class LedgerWriter:
    """Writes the receipts of a process. Made and used in a running event loop.

    Nothing here raises because the ledger is down: what it cannot take waits in memory and on disk beside it, is
    appended in order when it is back, and its rows say so.

    Args:
        holder: names this process, as no other is named; by default from the host, the process and chance.
        spool: the folder for what has to wait; by default ``<file>-spool`` beside SQLite's file, and
            ``receipts-spool`` for PostgreSQL.
        patience: how long the ledger may hold up an announcement, in seconds.
        secret: LiveKit's API secret, by which workers know that a process of theirs says which call it has.
        words: what is kept of the caller's words, once the call is over.
        text: what is kept of an announcement's text; while it is owed, all of it is.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        holder: str = "",
        spool: Path | None = None,
        patience: float = PATIENCE,
        secret: str = "",
        words: Retention = Retention.OMIT,
        text: Retention = Retention.KEEP,
    ) -> None:
        self.words, self._text = words, text
        self.holder = holder or new_holder(socket.gethostname(), os.getpid())
        self._ledger = ledger
        file = tables.file(ledger.url)
        beside = file.with_name(file.name + "-spool") if file else Path("receipts-spool")
        self._spool = Spool(spool or beside, self.holder)
        self._patience = patience
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._pending: dict[str, Record] = {}
        self._promises: dict[tuple[str, str], str] = {}
        self._renewals: dict[tuple[str, str], Lease] = {}
        """What waits for the thread; the newest counts."""
        self._leases: dict[tuple[str, str], Lease] = {}
        """What the thread has written."""
        self._calls = CallRegistry(ledger, secret)
        self._watched: WatchedCall | None = None
        self._anchors = Anchors(ledger.anchors) if ledger.anchors else None
        self._anchored_at, self._is_anchored = time.monotonic(), True
        self._wanted = self._listed = _Listing.NONE
        self._down_until = 0.0
        self._over, self._has_words = "", False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="hearout-ledger", daemon=True)
        self._thread.start()

    async def owe(
        self, call: str, id: str, text: str, *, now: float, agent: str = "", policy: Mapping[str, Any] | None = None
    ) -> Written:
        """Promise an utterance; await this before its first sample.

        Args:
            now: in seconds since 1970, UTC; so everywhere here.
            policy: an object of JSON for whoever says it again.

        Returns:
            where the promise is: within `patience`, and the time that a line takes to the disk.

        Raises:
            AlreadyOwedError: it is owed already.
        """
        kept = {"words": self.words, "keep": self._text}
        record = promise(call, id, text, agent=agent, policy=policy or {}, by=self.holder, now=now, **kept)
        written = self._submit_record(record)
        done, _ = await asyncio.wait({written}, timeout=self._patience)
        where = written.result() if done else None
        self._promises[call, id] = record.entry
        if where is not None:
            return where
        written.add_done_callback(_noted)
        logger.warning("the ledger takes long; the promise of utterance %r is kept beside it", id)
        return await asyncio.to_thread(self._spool.keep, record)

    def renew(self, call: str, id: str, *, played: float, now: float, held: Sequence[Any] | None = None) -> None:
        """Renew the lease of an utterance: each second, and when the caller has said more over it.

        Args:
            played: seconds of it that have been played.
            held: objects of JSON: what the caller said meanwhile; None leaves it as it is.
        """
        waits = self._renewals.get((call, id), Lease())  # the thread may take it in this moment
        self._renewals[call, id] = Lease(played, now, waits.held if held is None else held)
        if not self._closed:
            self._jobs.put(lambda: self._renew(call, id))

    def settle(self, receipt: Receipt, *, call: str, now: float, entry: str = "") -> "asyncio.Future[Written]":
        """Write down how an utterance ended; one that was never promised may be settled, too.

        Args:
            entry: names the row, for :meth:`amend`.

        Returns:
            where it is, once it is there; it need not be awaited, :meth:`close` does.
        """
        owed = self._promises.pop((call, receipt.id), "")
        self._jobs.put(lambda: self._leases.pop((call, receipt.id), None))
        kept = {"words": self.words, "text": self._text}
        record = settlement(receipt, call, by=self.holder, now=now, owed=owed, entry=entry, **kept)
        return self._submit_record(record)

    def amend(self, before: Receipt, after: Receipt, *, call: str, now: float, settled: str) -> None:
        """Add what has become known of who heard a settled utterance, where that is something.

        Args:
            settled: what :meth:`settle` was given as its `entry`.
        """
        record = amendment(before, after, call, by=self.holder, now=now, settled=settled)
        if record is not None:
            self._submit_record(record)

    def asked(self, receipt: QuestionReceipt, *, now: float) -> None:
        """Write down how a question ended; its `entry` names the row, for :meth:`revoked`."""
        self._submit_record(asked_record(receipt, by=self.holder, now=now, text=self._text))

    def revoked(self, receipt: QuestionReceipt) -> None:
        """Write down that the choice of a question does not hold any more."""
        self._submit_record(revoked_record(receipt, by=self.holder))

    async def questions(self, call: str) -> tuple[QuestionReceipt, ...]:
        """The questions that have ended in a call, of our own rows; none where the ledger is down, which is logged."""

        def work() -> tuple[QuestionReceipt, ...]:
            ours = self._ledger.ours(call)
            return tuple(one for _, one in questions(self._ledger, call=call) if one.entry in ours)

        return await self._ask(work, (), within=TAKES_OVER)

    async def owed(self, call: str) -> tuple[Unfinished, ...]:
        """What is owed in a call, oldest first; nothing where the ledger is down, which is logged."""
        return await self._ask(lambda: self._ledger.owed(call), ())

    async def entries(self, call: str, *, now: float) -> tuple[Entry, ...]:
        """What was said in a call, by our own rows, in order; nothing where the ledger is down, which is logged."""

        def work() -> tuple[Entry, ...]:
            ours = set(self._ledger.ours(call).values())
            return tuple(one for one in read.entries(self._ledger, now=now, call=call) if ours.issuperset(one.rows))

        return await self._ask(work, (), within=TAKES_OVER)

    async def take_over(self, call: str, id: str, *, now: float) -> Unfinished | None:
        """Take over an utterance of a process that died; then renew and settle it as one that was promised here.

        None where another process has it, nothing is owed, or the ledger is down, which is logged.
        """
        taken = functools.partial(self._ledger.take_over, call, id, by=self.holder, now=now)
        owing = await self._ask(taken, None, within=TAKES_OVER)
        if owing is not None:
            self._promises[call, id] = owing.entry
        return owing

    async def rescues(self, call: str) -> int:
        """How often a call was sent another agent; 0 where the ledger is down, which is logged."""
        return await self._ask(lambda: self._calls.rescues(call), 0)

    async def attend(self, watched: WatchedCall, *, is_sent: bool) -> bool:
        """Say which call this process has, to the workers that look after each other's, until :meth:`leave`.

        Args:
            is_sent: whether a worker sent this agent to a call whose agent had died.

        Returns:
            False where another that was sent has the call; where the ledger is down nobody knows, and it is True.
        """
        mine = dataclasses.replace(watched, holder=self.holder)
        has_it = functools.partial(self._calls.attend, mine, is_sent=True)
        if is_sent and not await self._ask(has_it, otherwise=True, within=TAKES_OVER):
            return False
        self._watched = mine
        self._want(_Listing.WATCHED)
        return True

    def leave(self, call: str) -> None:
        """The call is over, and needs no other agent; the words that were kept for one go."""
        self._over = call
        self._want(_Listing.LEFT)

    def release(self) -> None:
        """The call goes on, and needs another agent at once: this process can do nothing for it, and may linger."""
        self._want(_Listing.RELEASED)

    async def close(self) -> None:
        """Write what waits, for `CLOSES` seconds at most, and stop; what is left is on disk for the next process."""
        if self._closed:
            return
        self._closed = True
        stopped = self._submit(self._end)
        self._jobs.put(None)
        await asyncio.wait({stopped}, timeout=CLOSES)
        stopped.add_done_callback(_noted)
        if stopped.done():
            await asyncio.to_thread(self._thread.join, CLOSES)
        # where the thread hangs: should it go on, the entry tells them apart
        for record in [*self._pending.values(), *self._spool.unwritten]:
            self._spool.keep(record)
        lost = len(self._spool.unwritten)
        if left := len(self._spool.waiting) - lost:
            logger.error("%d receipts are not in the ledger yet; they wait beside it for the next process", left)
        if lost:
            logger.error("%d receipts are lost: neither the ledger nor the disk beside it could be written", lost)
        self._spool.close()

    # In the loop

    def _want(self, listing: "_Listing") -> None:
        self._wanted = listing
        self._jobs.put(self._list)

    def _submit_record(self, record: Record) -> "asyncio.Future[Written]":
        if not self._closed:
            self._pending[record.entry] = record
            written = self._submit(lambda: self._append(record))
            written.add_done_callback(lambda _: self._pending.pop(record.entry, None))
            return written
        done: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        done.set_result(self._spool.keep(record))
        self._spool.close()  # nothing in this process will append it
        return done

    def _submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        done: Future[T] = Future()

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread writes on; the future has it
                done.set_exception(error)
            else:
                done.set_result(result)

        written = asyncio.wrap_future(done)
        if (stand := getattr(asyncio.get_running_loop(), "await_thread", None)) is not None:
            stand(done)  # a loop in virtual time (`hearout.testing`): none passes meanwhile
        self._jobs.put(run)
        return written

    async def _ask(self, work: Callable[[], T], otherwise: T, *, within: float = 0.0) -> T:
        asked = self._submit(work)
        done, _ = await asyncio.wait({asked}, timeout=max(within, self._patience))
        asked.add_done_callback(_noted)
        if done and asked.exception() is None:
            return asked.result()
        why = asked.exception() if done else "it takes long"
        logger.error("the ledger could not be asked what is owed: %s", why)
        return otherwise

    # In the thread

    def _work(self) -> None:
        job: Callable[[], object] | None = self._adopt
        while job is not None:
            try:
                job()
            except Exception:  # whatever it is, the receipts of the other utterances are still to be written
                logger.exception("a part of the ledger's work failed")
            if time.monotonic() >= self._anchored_at + EVERY:
                self._anchor()
            try:
                job = self._jobs.get(timeout=RETRY)
            except queue.Empty:
                job = self._look_around
        self._ledger.close()

    def _look_around(self) -> None:
        self._list()
        if self._drain():
            self._adopt()

    def _append(self, record: Record) -> Written:
        if not self._drain():
            return self._spool.keep(record)  # after what waits already
        try:
            written = self._appended(record, spooled=False)
        except AlreadyOwedError:
            raise
        except LedgerError as error:
            self._is_down(error)
            return self._spool.keep(record)
        self._spool.drop(record)  # it is there, too, where the ledger took long
        return written

    def _appended(self, record: Record, *, spooled: bool) -> Written:
        """Append a record; one that the ledger will never take is set aside, and holds up none of the others.

        Raises:
            LedgerError: the ledger takes none, now.
        """
        try:
            self._ledger.append(record, spooled=spooled)
        except tables.RefusedError as error:
            return self._spool.set_aside(record, str(error))
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a record has in it that no database takes
            return self._spool.set_aside(record, type(error).__name__)
        self._is_anchored = False
        return Written.LEDGER

    def _anchor(self) -> None:
        """Tell the outside what the book is, where rows were written since that was last told."""
        self._anchored_at = time.monotonic()
        if self._anchors is None or self._is_anchored or self._anchored_at < self._down_until:
            return
        with self._trying():
            if (checkpoint := self._ledger.checkpoint()) is not None:
                self._anchors.tell(checkpoint)
                self._is_anchored = True

    def _drain(self, *, again: bool = False) -> bool:
        """Append what waits; False when it has to wait on."""
        waiting = self._spool.waiting
        if waiting and time.monotonic() < self._down_until and not again:
            return False
        try:
            for record in waiting:
                self._appended(record, spooled=True)
                self._spool.drop(record)
        except LedgerError as error:
            self._is_down(error)
            return False
        if waiting:
            logger.warning("the ledger is back; %d receipts that waited are in it", len(waiting))
        return True

    def _end(self) -> None:
        self._drain(again=True)
        self._down_until = 0.0
        self._list()
        self._end_call()
        if self._anchors is not None:
            self._anchors.wait(CLOSES / 3)  # one that is on its way is of less than this one will be
            self._anchor()
            self._anchors.wait(ANSWERS)
        if self._listed is _Listing.WATCHED is not self._wanted:
            logger.error("the ledger could not be told that the call is over; if its caller stays, it is sent an agent")

    def _end_call(self) -> None:
        """Remove the words that an agent would have needed to take the call over."""
        if not self._over or not self._has_words:
            return
        with self._trying():
            self._calls.end(self._over, time.time())
            if self.words is Retention.OMIT:
                self._ledger.wipe()

    def _adopt(self) -> None:
        """Append what processes that died could not, and remove what was kept for calls that nobody took up."""
        with self._trying():
            if self._calls.end_stale(time.time()):
                self._ledger.wipe()
            for records in self._spool.orphans():
                for record in records:
                    self._appended(record, spooled=True)

    def _list(self) -> None:
        """Bring what the workers are told of the call up to what is wanted."""
        wanted = self._wanted
        if self._watched is None or self._listed is wanted or time.monotonic() < self._down_until:
            return
        with self._trying():
            if wanted is _Listing.WATCHED:
                self._calls.attend(self._watched)
            elif wanted is _Listing.LEFT:
                self._calls.leave(self._watched.call, job=self._watched.job)
            elif wanted is _Listing.RELEASED:
                self._calls.release(self._watched, by=self._watched.worker)
            self._listed = wanted

    def _renew(self, call: str, id: str) -> None:
        self._list()
        lease, before = self._renewals.pop((call, id), None), self._leases.get((call, id), Lease())
        if lease is None:  # an earlier job took the newest
            return
        self._has_words |= lease.held is not None
        lease = lease if lease.held is not None else dataclasses.replace(lease, held=before.held)
        if time.monotonic() < self._down_until or lease.says_nothing_new(before):
            return
        new = None if lease.held == before.held else lease.held
        with self._trying():
            if self._ledger.renew(call, id, by=self.holder, played=lease.played, now=lease.at, held=new):
                self._leases[call, id] = lease

    @contextlib.contextmanager
    def _trying(self) -> Iterator[None]:
        """Go on where the ledger cannot be used, which is logged."""
        try:
            yield
        except LedgerError as error:
            self._is_down(error)

    def _is_down(self, error: LedgerError) -> None:
        if time.monotonic() >= self._down_until + RETRY:
            logger.error("%s; receipts wait beside it", error)
        self._down_until = time.monotonic() + RETRY


def _noted(future: "asyncio.Future[Any]") -> None:
    """Take a future's error, which is on the log already, so that asyncio does not report a lost one."""
    if not future.cancelled():
        future.exception()

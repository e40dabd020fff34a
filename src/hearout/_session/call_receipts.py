"""The receipts of one call: written, waited for, kept in the ledger, and amended when more becomes known."""

import asyncio
import dataclasses
import math
from collections.abc import Callable, Coroutine
from typing import Any

from .. import _metrics as metrics
from .._room.evidence import Evidence
from ..receipts import Fate, Receipt
from .call_ledger import CallLedger
from .speeches import Speeches


class CallReceipts:
    """What became of the protected utterances of one call."""

    def __init__(
        self,
        speeches: Speeches,
        *,
        agent: Callable[[], str],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.all: list[Receipt] = []
        self.ledger: CallLedger | None = None
        """The rows of this call in the ledger; None while there is none."""
        self.evidence: Evidence | None = None
        """Who knows who was there; None where there is no room."""
        self.on_amended: list[Callable[[str], None]] = []
        """Called with the key of an utterance when more has become known than its receipt said."""
        self.on_settled: list[Callable[[Receipt], None]] = []
        """Called with each receipt, once, when what could be waited for is known."""
        self.on_looked: list[Callable[[], None]] = []
        """Called when more may have become known of who was there."""
        self.unsettled = 0
        """Receipts that are written and not done: what may still become known is waited for, and the tail."""
        self.start = start
        self.speeches = speeches
        self._agent = agent
        self._awaited: dict[str, asyncio.Future[Receipt]] = {}
        self._number: dict[str, int] = {}

    @property
    def call(self) -> str:
        """Names the call; empty without a ledger."""
        return "" if self.ledger is None else self.ledger.call

    def awaited(self, key: str) -> asyncio.Future[Receipt]:
        """Done with the receipt of this utterance."""
        return self._awaited.setdefault(key, asyncio.get_running_loop().create_future())

    def of(self, key: str) -> Receipt | None:
        """The newest receipt of an utterance; None where none is written."""
        number = self._number.get(key)
        return None if number is None else self.all[number]

    def write(self, receipt: Receipt) -> None:
        """An utterance is over; the floor calls it by its key."""
        key, asked = receipt.id, self.speeches.written(receipt.id)
        receipt = dataclasses.replace(receipt, id=asked.id, call=self.call, agent=self._agent())
        self._number[key] = len(self.all)
        self.all.append(receipt if self.evidence is None else self.evidence.witnessed(key, receipt))
        if self.evidence is None:
            self._settle(key)
        else:
            self.unsettled += 1
            self.start(self._confirmed(key, self.evidence))

    def look_again(self, since: float = -math.inf) -> None:
        """Look again at the evidence for utterances that ended since a second of the call."""
        for tell in self.on_looked:
            tell()
        for key, number in reversed(self._number.items()):
            if self.all[number].ended_at < since:
                return
            self.look_at(key)

    def look_at(self, key: str) -> None:
        """Look at the evidence for an utterance again; does nothing while it is not over."""
        if self.evidence is None or (receipt := self.of(key)) is None:
            return
        known = self.evidence.witnessed(key, receipt)
        if known != receipt:
            self.all[self._number[key]] = known
            for tell in self.on_amended:
                tell(key)
            if self.ledger is not None:
                self.ledger.amend(key, known)

    def reopen(self, key: str, of: str) -> None:
        """The caller missed the end of an utterance: it is owed again, under another key."""
        asked = self.speeches.reopen(key, of)
        if self.ledger is not None:
            self.ledger.promise_again(key, of, asked)

    async def _confirmed(self, key: str, evidence: Evidence) -> None:
        """Wait for the evidence of the caller's presence at the end, which comes a moment later; then settle."""
        try:
            await evidence.confirm(key, self.all[self._number[key]])
            self.look_at(key)
        finally:
            self.unsettled -= 1
            self._settle(key)

    def _settle(self, key: str) -> None:
        receipt = self.all[self._number[key]]
        metrics.settled(receipt)
        if self.ledger is not None:
            answer = receipt.gap is None and any(fate is Fate.DELIVERED for _, fate in receipt.held)
            self.ledger.settle(key, receipt, answer=answer)
        if (waiting := self._awaited.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(receipt)
        for tell in self.on_settled:
            tell(receipt)

    def note_gap(self, key: str, seconds: float) -> None:
        """Note the gap: the words said over the utterance were answered so many seconds after its end."""
        metrics.answered(seconds)
        number = self._number[key]
        self.all[number] = receipt = dataclasses.replace(self.all[number], gap=seconds)
        if self.ledger is not None:
            self.ledger.answered(key, receipt)

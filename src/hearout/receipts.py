"""The receipts of one call: written, waited for, kept in the ledger, and amended when the answer has begun."""

import asyncio
import dataclasses
from collections.abc import Callable

from .bookkeeping import Bookkeeper
from .receipt import Receipt
from .speeches import Speeches
from .words import Fate


class Receipts:
    """What became of the protected utterances of one call.

    Args:
        speeches: what was asked for.
        agent: tells who speaks.
    """

    def __init__(self, speeches: Speeches, *, agent: Callable[[], str]) -> None:
        self.all: list[Receipt] = []
        self.book: Bookkeeper | None = None
        """The ledger's book of this call; None while there is none."""
        self._speeches = speeches
        self._agent = agent
        self._awaited: dict[str, asyncio.Future[Receipt]] = {}
        self._number: dict[str, int] = {}

    def awaited(self, key: str) -> asyncio.Future[Receipt]:
        """Done with the receipt of this utterance."""
        return self._awaited.setdefault(key, asyncio.get_running_loop().create_future())

    def write(self, receipt: Receipt) -> None:
        """An utterance is over; the floor calls it by its key."""
        key, asked = receipt.id, self._speeches.utterances.pop(receipt.id)
        call = self.book.call if self.book is not None else ""
        receipt = dataclasses.replace(receipt, id=asked.id, call=call, agent=self._agent())
        self._number[key] = len(self.all)
        self.all.append(receipt)
        if self.book is not None:
            self.book.settle(key, receipt, answer=any(fate is Fate.DELIVERED for _, fate in receipt.held))
        if (waiting := self._awaited.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(receipt)

    def note_gap(self, key: str, seconds: float) -> None:
        """What was said over it has been answered, so many seconds after its end."""
        number = self._number[key]
        self.all[number] = receipt = dataclasses.replace(self.all[number], gap=seconds)
        if self.book is not None:
            self.book.answered(key, receipt)

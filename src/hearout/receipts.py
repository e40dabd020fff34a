"""The receipts of one call: written, waited for, kept in the ledger, and amended when the answer has begun."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

from .bookkeeping import Bookkeeper
from .receipt import Receipt
from .room import Room
from .speeches import Speeches
from .words import Fate


class Receipts:
    """What became of the protected utterances of one call.

    Args:
        speeches: what was asked for.
        agent: tells who speaks.
        start: runs work of which nobody waits for the end.
    """

    def __init__(
        self,
        speeches: Speeches,
        *,
        agent: Callable[[], str],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.all: list[Receipt] = []
        self.book: Bookkeeper | None = None
        """The ledger's book of this call; None while there is none."""
        self.room: Room | None = None
        """Knows who was there; None where the call is in no room."""
        self._speeches = speeches
        self._agent = agent
        self._start = start
        self._awaited: dict[str, asyncio.Future[Receipt]] = {}
        self._number: dict[str, int] = {}

    def awaited(self, key: str) -> asyncio.Future[Receipt]:
        """Done with the receipt of this utterance."""
        return self._awaited.setdefault(key, asyncio.get_running_loop().create_future())

    def write(self, receipt: Receipt) -> None:
        """An utterance is over; the floor calls it by its key."""
        key, asked = receipt.id, self._speeches.written(receipt.id)
        call = self.book.call if self.book is not None else ""
        receipt = dataclasses.replace(receipt, id=asked.id, call=call, agent=self._agent())
        self._number[key] = len(self.all)
        self.all.append(receipt)
        if self.room is None:
            self._hand_over(key)
        else:
            self.all[self._number[key]] = self.room.witnessed(receipt)
            self._start(self._confirm(key, self.room))

    def note_gap(self, key: str, seconds: float) -> None:
        """What was said over it has been answered, so many seconds after its end."""
        number = self._number[key]
        self.all[number] = receipt = dataclasses.replace(self.all[number], gap=seconds)
        if self.book is not None:
            self.book.answered(key, receipt)

    async def _confirm(self, key: str, room: Room) -> None:
        """Who was there at its end is known a moment later; what is awaited waits for it."""
        number = self._number[key]
        try:
            await room.confirm(self.all[number])
            self.all[number] = room.witnessed(self.all[number])
        finally:
            self._hand_over(key)

    def _hand_over(self, key: str) -> None:
        receipt = self.all[self._number[key]]
        if self.book is not None:
            delivered = any(fate is Fate.DELIVERED for _, fate in receipt.held)
            self.book.settle(key, receipt, answer=delivered and receipt.gap is None)
        if (waiting := self._awaited.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(receipt)

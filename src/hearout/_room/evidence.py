"""Completes a receipt with evidence: from the room, and from the caller's own web page."""

import asyncio
import contextlib
from collections.abc import Callable

from ..receipts import Receipt
from .page import CallersPage
from .participants import Participants

REPORTED = 1.0
"""Seconds that a receipt waits for the page's report, at most: an answer takes 5 ms, and 1 s when the line is bad."""


class Evidence:
    """What is known of the caller's hearing.

    Args:
        acknowledge: seconds to wait for an acknowledgement that was asked for.
    """

    def __init__(self, room: Participants, page: CallersPage, *, acknowledge: float) -> None:
        self._room = room
        self._page = page
        self._acknowledge = acknowledge
        self._closed = False
        self._news = asyncio.Event()
        page.reports.on_news.append(lambda _: self._news.set())
        page.reports.on_gone.append(self._news.set)

    def witnessed(self, key: str, receipt: Receipt) -> Receipt:
        return self._page.reports.completed(key, self._room.witnessed(receipt))

    async def confirm(self, key: str, receipt: Receipt) -> None:
        """Wait for what may still become known of it: a bounded time."""
        reports = self._page.reports
        await self._room.confirm(receipt)
        if reports.page is not None:
            await self._until(lambda: reports.reported(key) is not None, REPORTED)
        if reports.waits_for_acknowledgement(key):
            await self._until(lambda: not reports.waits_for_acknowledgement(key), self._acknowledge)

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def _until(self, known: Callable[[], bool], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not known() and not self._closed:
                    await self._news.wait()
                    self._news.clear()

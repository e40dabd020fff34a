"""An agent that reaches its room no more, while its caller may be there and wait: the call is left to another agent.

LiveKit (rtc 1.1.21) notices a dead network after 14 to 21 s, and then tries for many minutes to come back; its server
has missed the agent by then, and the caller hears silence.
"""

import asyncio
from collections.abc import Callable

from livekit import rtc
from livekit.agents import get_job_context

from .._failover import is_cut_off
from .._session.call_ledger import RENEW, CallLedger
from .participants import Participants

CUT_OFF = 5.0
"""Seconds of trying to come back after which the call is left. What comes back at all mostly does so in 1-3 s."""


class ConnectionLoss:
    """Watches the connection of one agent whose call is looked after.

    Args:
        room: LiveKit's.
        book: of the call; as an agent that died leaves it, so does this one.
        follows: who is there, as the session's :class:`Participants` knows it, once it does.
    """

    def __init__(self, room: rtc.Room, book: CallLedger, *, follows: Callable[[], Participants | None]) -> None:
        self._book = book
        self._follows = follows
        self._job = get_job_context(required=False)
        self._waits: asyncio.TimerHandle | None = None
        room.on("reconnecting", self._reconnecting)
        room.on("reconnected", self._stop_waiting)
        room.on("disconnected", self._disconnected)

    def _reconnecting(self) -> None:
        if self._waits is None:  # a try after another is the same outage
            self._waits = asyncio.get_running_loop().call_later(CUT_OFF, self._leave)

    def _stop_waiting(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._stop_waiting()
        if is_cut_off(reason):
            self._book.abandon()

    def _leave(self) -> None:
        if (follows := self._follows()) is not None:
            follows.nobody_hears()
        # what is owed again by that is in the ledger first, with where it begins
        self._waits = asyncio.get_running_loop().call_later(2 * RENEW, self._end)

    def _end(self) -> None:
        self._book.abandon()
        if self._job is not None:
            self._job.shutdown(reason="the agent was cut off from its room")

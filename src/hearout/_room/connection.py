"""An agent that cannot reach its room any more, while its caller may wait there: the call is left to another agent.

LiveKit (rtc 1.1.21) notices a dead network after 14 to 21 s, and then tries for many minutes to come back; its server
has missed the agent by then, and the caller hears silence.
"""

from collections.abc import Callable
from typing import Protocol

from livekit import rtc
from livekit.agents import get_job_context

CUT_OFF = 5.0
"""Seconds of trying to come back after which the call is left. What comes back at all mostly does so in 1-3 s."""

_AS_WANTED = frozenset(
    (
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.DUPLICATE_IDENTITY,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.ROOM_CLOSED,
    )
)
"""Reasons with which somebody takes an agent out of a room, or the room from under it; the others befall it."""


def is_cut_off(reason: rtc.DisconnectReason.ValueType) -> bool:
    """Whether an agent that lost its room so has left a caller behind, who waits for another."""
    return reason not in _AS_WANTED


class Waiting(Protocol):
    """Something that comes later."""

    def cancel(self) -> None:
        """It does not come any more."""


class ConnectionLoss:
    """Watches the connection of one agent whose call is registered for failover.

    Args:
        unheard: called when nobody hears the agent any more.
        abandon: leaves the call's ledger rows as an agent that died leaves them.
        later: calls back after so many seconds in which the event loop ran.
        written: seconds after `unheard` in which what is owed by it is in the ledger, with where it begins.
    """

    def __init__(
        self,
        room: rtc.Room,
        *,
        unheard: Callable[[], None],
        abandon: Callable[[], None],
        later: Callable[[float, Callable[[], None]], Waiting],
        written: float,
    ) -> None:
        self._unheard = unheard
        self._abandon = abandon
        self._later = later
        self._written = written
        self._job = get_job_context(required=False)
        self._waits: Waiting | None = None
        room.on("reconnecting", self._reconnecting)
        room.on("reconnected", self._stop_waiting)
        room.on("disconnected", self._disconnected)

    def _reconnecting(self) -> None:
        if self._waits is None:  # a try after another is the same outage
            self._waits = self._later(CUT_OFF, self._leave)

    def _stop_waiting(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._stop_waiting()
        if is_cut_off(reason):
            self._abandon()

    def _leave(self) -> None:
        self._unheard()
        self._waits = self._later(self._written, self._end)

    def _end(self) -> None:
        self._abandon()
        if self._job is not None:
            self._job.shutdown(reason="the agent was cut off from its room")

"""Feeds one call's floor in order, stamps what happens, and holds its alarm."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from .._floor import actions as a
from .._floor import events as e
from .._floor.floor import Floor

logger = logging.getLogger("hearout")

FloorListener = Callable[[float, e.Event | a.Action], None]
"""Called with the second of the call and what happened or was decided."""


class Runner:
    """One floor and its clock.

    Args:
        floor: decides.
        perform: does what it decides.
        before_alarm: called before the floor is told that its alarm rang.
    """

    def __init__(self, floor: Floor, *, perform: Callable[[a.Action], None], before_alarm: Callable[[], None]) -> None:
        self.listeners: list[FloorListener] = []
        self._floor = floor
        self._perform = perform
        self._before_alarm = before_alarm
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._upcoming: deque[tuple[e.Event, float]] = deque()
        self._feeding = self._closed = False
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return self._loop.time() - self._began

    def feed(self, event: e.Event, *, at: float | None = None) -> None:
        """Tell the floor what happened, and do what it decides.

        What happens while something is done (LiveKit calls back) waits until that is done: the floor sees one thing
        after the other.

        Args:
            event: what happened.
            at: when, in seconds from the session's begin; now, where it is None.
        """
        self._upcoming.append((event, self.now if at is None else at))
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._upcoming:
                event, at = self._upcoming.popleft()
                self._tell(at, event)
                for action in self._floor.apply(event, at):
                    self._tell(at, action)
                    self._do(action)
        finally:
            self._feeding = False
            self._set_alarm()

    def close(self) -> None:
        """The alarm rings no more."""
        self._closed = True
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        at = self._floor.next_alarm
        if at is not None and not self._closed:
            self._alarm = self._loop.call_at(self._began + at, self._ring, at)

    def _ring(self, at: float) -> None:
        self._before_alarm()
        # not a rounding error before its time: it would ring again and again
        self.feed(e.AlarmRang(), at=max(at, self.now))

    def _do(self, action: a.Action) -> None:
        """Whatever goes wrong with one, the floor believes that all of them are done."""
        try:
            self._perform(action)
        except Exception:
            logger.exception("what the floor decided (%s) could not be done", type(action).__name__)

    def _tell(self, at: float, what: e.Event | a.Action) -> None:
        for listener in list(self.listeners):
            try:
                listener(at, what)
            except Exception:  # of the user, or the caller's page: the floor goes on
                logger.exception("a listener of the floor failed at %s", type(what).__name__)

"""Runs one call's floor: one event after the other, one alarm, and the call's tasks."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from .._floor import actions as a
from .._floor import events as e
from .._floor.floor import Floor
from .._pipeline.awake import Awake

logger = logging.getLogger("hearout")

FloorListener = Callable[[float, e.Event | a.Action], None]
"""Called with the second of the call and what happened or was decided."""


class Runner:
    """One floor, its clock and the tasks of its call."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.listeners: list[FloorListener] = []
        self.perform: Callable[[a.Action], None] = lambda _: None
        """Carries out one of the floor's actions; set before the first event."""
        self.modes: dict[type[e.TurnsByHand] | type[e.TurnsBySound], Callable[[], bool]] = {}
        """Whether the caller's turns are of this kind now; asked before each event."""
        self._modes: dict[type[e.TurnsByHand] | type[e.TurnsBySound], bool] = {}
        self.before_alarm: Callable[[], None] = lambda: None
        """Called before the floor is told that its alarm rang."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.awake = Awake()
        """Tells how long the loop really ran."""
        self.awake.on_standstill = self._stood_still
        self._watches = False
        self.loop = asyncio.get_running_loop()
        self._began = self.loop.time()
        self._upcoming: deque[tuple[e.Event, float]] = deque()
        self.closed = False
        self._feeding = False
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return self.loop.time() - self._began

    def feed(self, event: e.Event, *, at: float | None = None) -> None:
        """Tell the floor about an event, and perform its actions.

        What happens while something is done (LiveKit calls back) waits until that is done: the floor sees one thing
        after the other.

        Args:
            at: when, in seconds from the session's begin; now, where it is None.
        """
        self.awake.look()
        self._upcoming.append((event, self.now if at is None else at))
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._upcoming:
                event, at = self._upcoming.popleft()
                for kind, is_so in self.modes.items():  # LiveKit has no event for it
                    if (now := is_so()) is not self._modes.get(kind, False):
                        self._modes[kind] = now
                        self._apply(kind(now), at)
                self._apply(event, at)
        finally:
            self._feeding = False
            self._set_alarm()

    def _apply(self, event: e.Event, at: float) -> None:
        self._tell(at, event)
        for action in self.floor.apply(event, at):
            self._tell(at, action)
            self._do(action)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task of the call; :meth:`settled` waits for it."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a decision of the floor could not be carried out", exc_info=error)

    async def settled(self) -> None:
        """Wait until the call's tasks are done."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # since Python 3.12 gather() of done tasks returns before their callbacks ran

    def close(self) -> None:
        """The alarm rings no more."""
        self.closed = True
        self._set_alarm()

    def _stood_still(self, seconds: float) -> None:
        logger.warning("the event loop stood still for %.1f s, by a blocking call or a stopped process", seconds)
        self.feed(e.StoodStill(seconds))

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        at = None if self.closed else self.floor.next_alarm
        if at is not None:
            self._alarm = self.loop.call_at(self._began + at, self._ring, at)
        if (at is not None) is not self._watches:
            self._watches = at is not None
            (self.awake.watch if self._watches else self.awake.rest)()

    def _ring(self, at: float) -> None:
        self.awake.look()
        if (due := self.floor.next_alarm) is None or due > at:
            return  # the loop stood still: the floor was told so, and has another alarm
        self.before_alarm()
        # not a rounding error before its time: it would ring again and again
        self.feed(e.AlarmRang(), at=max(at, self.now))

    def _do(self, action: a.Action) -> None:
        """Whatever goes wrong with one, the floor believes that all of them are done."""
        try:
            self.perform(action)
        except Exception:
            logger.exception("what the floor decided (%s) could not be done", type(action).__name__)

    def _tell(self, at: float, what: e.Event | a.Action) -> None:
        for listener in list(self.listeners):
            try:
                listener(at, what)
            except Exception:  # of the user, or the caller's page: the floor goes on
                logger.exception("a listener of the floor failed at %s", type(what).__name__)

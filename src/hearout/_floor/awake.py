"""A floor to which the time in which the agent's event loop stood still is no time.

A blocking call, the garbage collector or a stopped process keeps a loop from running for seconds. What the caller, TTS,
STT and page did meanwhile arrives afterwards, and all timers have run out at once. So the floor counts seconds in which
the loop ran, *awake* seconds: no wait of any rule runs out by a standstill, whichever rule it is. What goes in is
translated into awake seconds and what comes out back into seconds of the call, which receipts and traces have.
"""

import bisect
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from ..policy import Policy
from ..receipts._question import QuestionReceipt
from . import events as e
from .actions import Action
from .floor import Floor
from .state import Progress

T = TypeVar("T")

INSTANT = 0.001
"""Awake seconds that a standstill counts for: what came after it is told from what came before."""

TIMES = frozenset({"at", "asked_at", "asked_for_at", "began", "began_at", "decided_at", "ended", "ended_at"}) | {
    *("alive_at", "known_at", "known_until", "started_at")
}
"""The fields of events and actions that are seconds of the call; all others are lengths, or seconds of an utterance."""


class AwakeTime:
    """Translates seconds of the call into awake seconds, and back."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        """When each standstill ended, in seconds of the call."""
        self._begins: list[float] = [0.0]
        """When the next one began, in awake seconds; before the first, the call did."""
        self._lost: list[float] = [0.0]
        """Seconds lost by then, in all."""

    def __bool__(self) -> bool:
        return bool(self._ends)

    def stood_still(self, at: float, seconds: float) -> None:
        """Note a standstill of so many seconds that ended at this second of the call."""
        self._begins.append(self.awake(at - seconds))
        self._lost.append(self._lost[-1] + max(0.0, seconds - INSTANT))
        self._ends.append(at)

    def awake(self, at: float) -> float:
        """The awake second; of one in a standstill, that at which the standstill began."""
        number = bisect.bisect_right(self._ends, at)
        awake = at - self._lost[number]
        return awake if number == len(self._ends) else min(awake, self._begins[number + 1])

    def real(self, awake: float) -> float:
        """The second of the call."""
        return awake + self._lost[bisect.bisect_left(self._begins, awake, lo=1) - 1]


class AwakeFloor(Floor):
    """The floor of one call, told and asked in seconds of the call."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(policy)
        self._time = AwakeTime()

    def takes(self, text: str, at: float) -> bool:
        return super().takes(text, self._time.awake(at))

    def new_for_livekit(self, event: e.WordsHeard, at: float) -> str:
        return super().new_for_livekit(_moved(event, self._time.awake), self._time.awake(at))

    @property
    def next_alarm(self) -> float | None:
        alarm = super().next_alarm
        return None if alarm is None else self._time.real(alarm)

    def progress(self, name: str) -> Progress:
        return _moved(super().progress(name), self._time.real)

    def apply(self, event: e.Event, at: float) -> list[Action]:
        if isinstance(event, e.StoodStill):
            self._time.stood_still(at, event.seconds)
            self._queue.stood_still(event.seconds)
        if not self._time:
            return super().apply(event, at)
        actions = super().apply(_moved(event, self._time.awake), self._time.awake(at))
        return [_moved(action, self._time.real) for action in actions]


def _moved(what: T, to: Callable[[float], float]) -> T:
    """The same with its seconds of the call translated, however deep they stand."""
    moved: Any = what
    if isinstance(what, tuple):
        moved = tuple(_moved(one, to) for one in what)
    elif dataclasses.is_dataclass(what) and not isinstance(what, type):
        fields = ((one.name, getattr(what, one.name)) for one in dataclasses.fields(what))
        moved = dataclasses.replace(what, **{name: _in(name, value, to) for name, value in fields})
    if isinstance(moved, QuestionReceipt) and moved.delay is not None:  # from one second to another
        moved = dataclasses.replace(moved, delay=max(0.0, moved.decided_at - (moved.attempts[-1].asked_at or 0.0)))
    same: T = moved
    return same


def _in(name: str, value: Any, to: Callable[[float], float]) -> Any:
    if name in TIMES:
        return None if value is None else to(value)
    return _moved(value, to)

"""L12, the law of standstills: two calls, in one of which the event loop stood still."""

import dataclasses
from typing import Any

from harness.orders import POLICY, Call
from hearout._floor import events as e
from hearout._floor.actions import Action, WriteReceipt
from hearout._floor.awake import INSTANT, TIMES, AwakeFloor
from hearout._floor.floor import Floor

STANDSTILL = 512.0
"""Seconds of it: longer than any wait, and such that no second is rounded by it."""


def stood_still_and_not(call: Call, cut: int, *, floor: type[AwakeFloor] = AwakeFloor) -> None:
    """L12: the same events, the ones after the cut as much later as the standstill took."""
    steps = [(round(step.at * 1024) / 1024, step.event) for step in call.steps]
    if not steps:
        return
    cut %= len(steps)
    began = steps[cut][0]
    plain, stood = Call(Floor(POLICY)), floor(POLICY)
    for number, (at, event) in enumerate(steps):
        if number == cut + 1:
            if at < began + INSTANT:  # in the same instant: nothing can lie between
                return
            stood.apply(e.StoodStill(STANDSTILL + INSTANT), began + STANDSTILL + INSTANT)
            plain.floor.apply(e.AlarmRang(), began + INSTANT)
        late = STANDSTILL if number > cut else 0.0
        usual = plain.floor.apply(event, at)
        _same(usual, stood.apply(_later(event, began, late), at + late), began)
        alarm, other = plain.floor.next_alarm, stood.next_alarm
        assert (alarm is None) is (other is None)
        if alarm is not None and other is not None:
            assert abs(other - alarm - (late if alarm > began else 0.0)) < 1e-6, f"rings at {other}, not {alarm}"


def _later(event: e.Event, began: float, late: float) -> e.Event:
    """The event with the seconds of the call that it tells, which are later if they are after the cut."""
    told = {one.name: getattr(event, one.name) for one in dataclasses.fields(event) if one.name in TIMES}
    moved = {name: at + late if at > began else at for name, at in told.items() if at is not None}
    return dataclasses.replace(event, **moved)


def _same(usual: list[Action], other: list[Action], began: float) -> None:
    for one, two in zip(usual, other, strict=True):
        if isinstance(two, WriteReceipt):
            two = WriteReceipt(dataclasses.replace(two.receipt, stood_still=0.0))
        _compare(one, two, began)


def _compare(one: Any, two: Any, began: float, name: str = "") -> None:
    if name in TIMES and one is not None:
        expected = one + (STANDSTILL if one > began else 0.0)
        assert abs(expected - two) < 1e-6, f"{name}: {two}, not {expected}"
    elif dataclasses.is_dataclass(one):
        assert type(one) is type(two)
        for field in dataclasses.fields(one):
            if field.name != "delay":  # longer by the standstill
                _compare(getattr(one, field.name), getattr(two, field.name), began, field.name)
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            _compare(first, second, began)
    elif isinstance(one, float):
        assert abs(one - two) < 1e-6, f"{name}: {two}, not {one}"
    else:
        assert one == two, f"{name}: {two}, not {one}"

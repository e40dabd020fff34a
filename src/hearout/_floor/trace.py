"""A call as its floor saw it, in lines of JSON: to look at, to send with a report of a fault, and to play again.

It holds the caller's words. Pure: what a trace is written to is the caller's choice.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from ..policy import Policy, choices_from_json, choices_to_json
from ..receipts import Cause
from . import events as e
from .actions import Action
from .answering import Expected
from .awake import AwakeFloor

Step: TypeAlias = tuple[float, e.Event | Action]
"""When, in seconds from the call's start, and what happened or was decided."""


def line(at: float, what: e.Event | Action) -> str:
    """One step as one line of JSON: events with all their fields, actions as Python writes them."""
    name = type(what).__name__
    if type(what).__module__ == e.__name__:
        given = choices_to_json({f.name: getattr(what, f.name) for f in _fields(what) if f.name != "narrow"})
        return json.dumps({"at": at, "event": name} | given, default=_plain)
    return json.dumps({"at": at, "action": name, "is": _exact(what)})


def replayed(lines: Iterable[str], policy: Policy | None = None) -> Iterator[tuple[str, str]]:
    """Play a trace on a new floor; what the trace says and what the floor does now, wherever the two differ.

    Args:
        lines: of the trace.
        policy: of the call's session.
    """
    floor = AwakeFloor(policy)
    due: list[str] = []
    for text in lines:
        step = json.loads(text)
        if "action" in step:
            expected = due.pop(0) if due else "nothing"
            if step["is"] != expected:
                yield step["is"], expected
            continue
        for missing in due:
            yield "nothing", missing
        due = [_exact(action) for action in floor.apply(_event(step), step["at"])]
    for missing in due:
        yield "nothing", missing


def _plain(value: Any) -> Any:
    """A cause, a transcript in another event, or what a question may be answered by. What `decide=` said of an answer
    is code, and in no trace."""
    return dataclasses.asdict(value) if isinstance(value, Expected | e.WordsHeard) else value.value


def _exact(action: Any) -> str:
    """With the words, which `repr` leaves out."""
    if dataclasses.is_dataclass(action) and not isinstance(action, type):
        inside = ", ".join(f"{f.name}={_exact(getattr(action, f.name))}" for f in dataclasses.fields(action))
        return f"{type(action).__name__}({inside})"
    if isinstance(action, tuple):
        return f"({', '.join(_exact(item) for item in action)})"
    return repr(action)


def _fields(what: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(what)


def _event(step: dict[str, Any]) -> e.Event:
    given = {name: value for name, value in step.items() if name not in ("at", "event")}
    if "words" in given:
        given["words"] = tuple(given["words"])
    if step["event"] == "QuestionAsked":
        expected = given["expected"]
        choices = tuple((name, tuple(phrases)) for name, phrases in expected["choices"])
        given["expected"] = Expected(**expected | {"choices": choices})
        given["keys"] = tuple(map(tuple, given["keys"]))
    if given.get("heard"):
        given["heard"] = e.WordsHeard(**given["heard"])
    if "cause" in given:
        given["cause"] = Cause(given["cause"])
    made: e.Event = getattr(e, step["event"])(**given | choices_from_json(given))
    return made

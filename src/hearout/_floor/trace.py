"""A call as its floor saw it, in lines of JSON: to look at, and to send with a report of a fault.

It holds the caller's words. Pure: what a trace is written to is the caller's choice.
"""

import dataclasses
import json
from typing import Any, TypeAlias

from ..policy import choices_to_json
from . import events as e
from .actions import Action
from .answering import Expected

Step: TypeAlias = tuple[float, e.Event | Action]
"""When, in seconds from the call's start, and what happened or was decided."""


def line(at: float, what: e.Event | Action) -> str:
    """One step as one line of JSON: events with all their fields, actions as Python writes them.

    ``harness/replay.py`` plays such lines on a new floor.
    """
    name = type(what).__name__
    if isinstance(what, e.Event):
        kept = [one.name for one in dataclasses.fields(what) if one.name != "narrow"]  # type: ignore[arg-type]
        given = choices_to_json({name: getattr(what, name) for name in kept})
        return json.dumps({"at": at, "event": name} | given, default=_plain)
    return json.dumps({"at": at, "action": name, "is": exact(what)})


def _plain(value: Any) -> Any:
    """A cause, a transcript in another event, or what a question may be answered by. What `decide=` said of an answer
    is code, and in no trace."""
    return dataclasses.asdict(value) if isinstance(value, Expected | e.WordsHeard) else value.value


def exact(action: Any) -> str:
    """An action as Python writes it, with the words, which `repr` leaves out."""
    if dataclasses.is_dataclass(action) and not isinstance(action, type):
        inside = ", ".join(f"{f.name}={exact(getattr(action, f.name))}" for f in dataclasses.fields(action))
        return f"{type(action).__name__}({inside})"
    if isinstance(action, tuple):
        return f"({', '.join(exact(item) for item in action)})"
    return repr(action)

"""A trace of a call (`floor.jsonl`), played again on a new floor: for whoever looks at a report of a fault."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from hearout._floor import events as e
from hearout._floor.answering import Expected
from hearout._floor.awake import AwakeFloor
from hearout._floor.trace import exact
from hearout.policy import Policy, choices_from_json
from hearout.receipts import Cause


def replayed(lines: Iterable[str], policy: Policy | None = None) -> Iterator[tuple[str, str]]:
    """Play a trace on a new floor; what the trace says and what the floor does now, wherever the two differ."""
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
        due = [exact(action) for action in floor.apply(_event(step), step["at"])]
    for missing in due:
        yield "nothing", missing


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

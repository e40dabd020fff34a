"""Draws docs/floor.md from the floor itself: every way from one state to another that random calls took.

`make docs` writes it; a test fails when it is stale.
"""

import random
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator

from harness import ROOT
from harness.orders import POLICY, Call, decoded
from hearout._floor import events as e
from hearout._floor.floor import Floor

CALLS = 1500
RARE = 20
"""Ways that fewer of the calls took are left out: they need events that rarely come together."""

STATES = {
    "free": "nothing is owed: LiveKit takes the turns, as ever",
    "waiting": "protected speech is expected, thought out, or waits to play or for a tool",
    "playing": "protected speech plays, or was told to stop and has not ended yet",
    "away": "the caller is gone; what was broken off waits to be said again",
    "last words": "nothing is said any more, but words of the caller may still come, or are not settled",
}
"""The main states: each is one that a caller would notice."""


def state(floor: Floor) -> str:
    """Where a call is, in a word of `STATES`."""
    one = floor._queue.current()
    if one is not None and not one.suspended:
        return "playing" if one.stopping or one.playing else "waiting"
    if any(other.away for other in floor._queue.all):
        return "away"
    if floor._expected_since is not None:
        return "waiting"
    return "last words" if floor.holding else "free"


def ways() -> dict[tuple[str, str], dict[str, set[int]]]:
    """From where to where, by which event, in which of the calls."""
    found: dict[tuple[str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for number in range(CALLS):
        call, before = Call(Floor(POLICY)), "free"
        for event in _with_alarms(random.Random(number).randbytes(120), call):
            call.apply(event)
            after = state(call.floor)
            if after != before:
                found[before, after][type(event).__name__].add(number)
            before = after
    return found


def _with_alarms(order: bytes, call: Call) -> Iterator[e.Event]:
    """The events of an order, and the alarms between them, as they ring in a call."""
    for event in decoded(order, call):
        at = call.at
        while (alarm := call.floor.next_alarm) is not None and alarm < at:
            call.at = alarm
            yield e.AlarmRang()
        call.at = at
        yield event
    while (alarm := call.floor.next_alarm) is not None:
        call.at = alarm
        yield e.AlarmRang()


def drawn() -> str:
    """docs/floor.md."""
    found = _often()
    lines = [
        "# The floor's states",
        "",
        *_wrapped(
            "Made by `make docs` from the floor itself; a test fails when it is stale. The floor has no state "
            "variable: it notes facts, and the rules in `src/hearout/_floor/floor.py` hold whichever way the call "
            f"came to where it is. The picture shows where {CALLS:,} random calls were after each event, and which "
            f"ways at least {RARE} of them took."
        ),
        "",
        *_picture(found),
        "",
        *_states(),
        "",
        "| from | to | at |",
        "|---|---|---|",
        *(f"| {a} | {b} | {', '.join(f'`{event}`' for event in found[a, b])} |" for a, b in sorted(found)),
        "",
        *_wrapped(
            "`AlarmRang` is the floor's own clock: each state that could last for ever has one, so that from every "
            "state the alarms alone lead back to *free* within a bounded time (law L5)."
        ),
        "",
        "## The laws",
        "",
        *_wrapped(
            "Each is a property over random calls (`tests/floor/test_laws.py`), and has killed mutants "
            "(`tests/floor/test_mutants.py`)."
        ),
        "",
        *(f"- {law}" for law in _laws()),
        "",
    ]
    return "\n".join(lines)


def _often() -> dict[tuple[str, str], list[str]]:
    """The ways that are not rare, with the events that they are taken at."""
    found = {
        way: sorted(name for name, calls in events.items() if len(calls) >= RARE) for way, events in ways().items()
    }
    return {way: events for way, events in found.items() if events}


def _picture(found: Iterable[tuple[str, str]]) -> list[str]:
    name = {one: one.replace(" ", "_") for one in STATES}
    arrows = [f"    {name[a]} --> {name[b]}" for a, b in sorted(found)]
    return ["```mermaid", "stateDiagram-v2", "    [*] --> free", *arrows, "```"]


def _states() -> list[str]:
    return [
        "| state | |",
        "|---|---|",
        *(f"| {one} | {what} |" for one, what in STATES.items()),
        "",
        *_wrapped(
            "Whether the caller talks is none of these states: it may be so in each of them. While any state "
            "but *free* holds, no transcript reaches LiveKit's turn detection."
        ),
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


def _laws() -> list[str]:
    """The sentences above the laws, in the order of their numbers."""
    text = (ROOT / "tests" / "floor" / "test_laws.py").read_text()
    found, sentence = [], ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("# L"):
            sentence = line[2:]
        elif line.startswith("# ") and sentence:
            sentence += " " + line[2:]
        elif sentence:
            found.append(sentence)
            sentence = ""
    return sorted(found, key=lambda one: int(one.strip()[1:].partition(":")[0]))


if __name__ == "__main__":
    sys.stdout.write(drawn())

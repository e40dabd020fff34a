"""τ-voice's measures of turn taking, computed on our recordings: an outside definition of what is good.

Definitions and windows are those that tau2-bench publishes (`docs/interaction-metrics.md`, ticks of 0.2 s), with one
difference: there, the agent speaks while its provider sends sound; here, while its sound is loud, pauses of less than
:data:`PAUSE` included. They were made for agents that should let themselves be interrupted: an agent that finishes
what it must say has R_Y = 0 there, on purpose.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.course import FRAME, RATE, Samples

from .callers import Says, Scene
from .judge import stretches

TICK = 0.2
"""Seconds."""

YIELDS, ERRS = 2.0, 1.0
"""Seconds within which an agent that yields to an interruption stops, and within which stopping for a sign of
listening, an "um" or somebody else's talk is an error."""

PAUSE = 0.5
"""Seconds of quiet within the agent's speech that do not end it: between two sentences there are 0.3."""

BACKCHANNEL, TIC, OTHERS, TURN = "backchannel", "vocal tic", "non-directed", "turn"


@dataclass(frozen=True)
class Event:
    """One thing that the caller said.

    Attributes:
        kind: :data:`BACKCHANNEL`, :data:`TIC`, :data:`OTHERS` or :data:`TURN`.
        stopped: seconds until the agent stopped, in ticks; None where it was silent, or went on for `YIELDS`.
        over: whether the agent spoke when the caller began.
        latency: seconds from the end of a turn, at which the agent was silent, to its answer; None without one.
        is_owed: whether a turn ended with the agent silent: only such turns have a latency.
    """

    kind: str
    over: bool
    stopped: float | None = None
    is_owed: bool = False
    latency: float | None = None


def kind(scene: Scene, number: int) -> str | None:
    """What τ-voice calls the caller's line of this number; None for a noise that is no voice."""
    one = scene.caller[number]
    if not isinstance(one, Says):
        return OTHERS if one.name == "people_talking" else None
    if one.answered or scene.agrees is not None:
        return TURN
    return TIC if one.is_tic else BACKCHANNEL


def events(scene: Scene, agent: Samples, lines: Sequence[tuple[float, float]]) -> list[Event]:
    """What happened in one call.

    Args:
        scene: who said what.
        agent: what the agent played.
        lines: seconds of the caller's sound at which each line begins and ends.
    """
    speech = [(_tick(begin), math.ceil(end / TICK)) for begin, end in stretches(agent, PAUSE)]
    if not speech:
        return []
    zero = stretches(agent, PAUSE)[0][0] + FRAME / RATE
    spans = [(_tick(zero + begin), math.ceil((zero + end) / TICK)) for begin, end in lines]
    found = []
    for number, (begin, end) in enumerate(spans):
        if (what := kind(scene, number)) is not None:
            next_line = spans[number + 1][0] if number + 1 < len(spans) else math.inf
            found.append(_event(what, speech, begin, end, next_line))
    return found


def _event(what: str, speech: Sequence[tuple[int, int]], begin: int, end: int, next_line: float) -> Event:
    stops = next((last for first, last in speech if first <= begin < last), None)
    stopped = None if stops is None else (stops - begin) * TICK
    owed = what == TURN and not any(first < end < last for first, last in speech)
    answer = next((first for first, _ in speech if end <= first < next_line), None) if owed else None
    latency = None if answer is None else (answer - end) * TICK
    return Event(what, stops is not None, stopped if stopped is None or stopped <= YIELDS else None, owed, latency)


@dataclass(frozen=True)
class Panel:
    """The measures of one peer, each as (value, events); None where nothing was counted."""

    r_y: tuple[float | None, int]
    l_r: tuple[float | None, int]
    s_bc: tuple[float | None, int]
    s_vt: tuple[float | None, int]
    s_nd: tuple[float | None, int]


def panel(found: Iterable[Event]) -> Panel:
    """The measures over all calls of one peer."""
    every = list(found)
    over = [one for one in every if one.kind == TURN and one.over]
    latencies = [one.latency for one in every if one.latency is not None]
    return Panel(
        r_y=_mean([float(one.stopped is not None) for one in over]),
        l_r=_mean(latencies),
        s_bc=_correct(every, BACKCHANNEL),
        s_vt=_correct(every, TIC),
        s_nd=_correct(every, OTHERS),
    )


def _correct(found: Sequence[Event], what: str) -> tuple[float | None, int]:
    own = [one for one in found if one.kind == what and one.over]
    return _mean([float(one.stopped is None or one.stopped > ERRS) for one in own])


def _mean(values: Sequence[float]) -> tuple[float | None, int]:
    return (sum(values) / len(values) if values else None, len(values))


def _tick(seconds: float) -> int:
    return int(seconds / TICK + 1e-9)

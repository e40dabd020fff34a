"""Announcements that come again (`announce(every=…)`): each time when it is due, at the next pause.

A pause is where nobody speaks and nothing is on its way: the caller has been silent for a second, LiveKit has no turn
to answer, the agent neither speaks nor thinks, and nothing protected is owed. A sound in which no word shows counts as
noise, as ever, after a while: it holds nothing up for ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..receipts import Cause, Outcome
from . import actions as a
from . import events as e
from .actions import Action
from .held import HeldWords
from .utterance import Utterance

PAUSE = 1.0
"""Seconds of the caller's silence from which on it is a pause: LiveKit's turn detection waits 0.5 s for their next word
(1.8.9, ``min_endpointing_delay``), and longer where it expects one."""

TURN = 10.0
"""Seconds after the caller's last word within which LiveKit answers it, or never will."""

NOISE = 30.0
"""Seconds without a final transcript after which a sound that goes on is noise: a fan, music on hold."""

AGAIN = 5.0
"""Seconds from when it could not be said to the next try: LiveKit changes the agent."""

_OVER = (Outcome.CALLER_GONE, Outcome.NOT_ANSWERED, Outcome.SHUT_DOWN)


@dataclass
class _Due:
    """An announcement that is to be said again, and its last utterance; None where another agent said it."""

    at: float
    utterance: Utterance | None


class Repeats:
    """Those of one call."""

    def __init__(self, heard: HeldWords) -> None:
        self._heard = heard
        self._due: dict[str, _Due] = {}
        """By the id of its first utterance."""
        self._agent_is_busy = self._has_a_turn = False

    def note(self, event: e.RepeatAsked | e.AgentChanged | e.TurnTaken, at: float) -> None:
        """Another agent's announcement comes again; the agent has a turn to answer, or becomes busy or idle."""
        if isinstance(event, e.RepeatAsked):
            self._due[event.id] = _Due(at + event.due_in, None)
        elif isinstance(event, e.TurnTaken):
            self._has_a_turn = True
        else:
            self._has_a_turn, self._agent_is_busy = False, event.busy

    def over(self, one: Utterance) -> None:
        """Let an utterance that is over come again, unless it was stopped or nobody is there."""
        every = one.request.every
        if every and one.outcome not in _OVER and one.cause is not Cause.OPERATOR:
            self._due[one.repeats or one.id] = _Due((one.ended_at or 0.0) + every, one)

    def stop(self, name: str | None) -> None:
        """An announcement comes no more, or is being said."""
        self._due.pop(name or "", None)

    def settle(self, at: float, *, free: bool, passed: bool) -> Iterator[Action]:
        """Say what is due, if this is a pause.

        Args:
            free: whether nothing protected is owed or expected, and the call goes on.
            passed: whether LiveKit has words of which it has made no turn.
        """
        pause = self._pause(passed=passed) if free and self._due else None
        for name, due in list(self._due.items()):
            if due.utterance is not None and due.utterance.owed_again:  # its end was missed: it is said before that
                del self._due[name]
            elif pause is not None and at >= max(pause, due.at):
                due.at = at + AGAIN
                yield a.SayAgain(name)
                return  # one pause, one announcement

    def alarms(self, *, free: bool, passed: bool) -> Iterator[float]:
        """When something is due, if nothing happens before; nothing while this is no pause."""
        pause = self._pause(passed=passed) if free and self._due else None
        if pause is not None:
            yield max(pause, min(due.at for due in self._due.values()))

    def _pause(self, *, passed: bool) -> float | None:
        """From when on this is a pause; None while only something that happens can make it one."""
        heard = self._heard
        if self._agent_is_busy:
            return None
        if heard.talking:
            return max(heard.worded_at or 0.0, heard.final_at or 0.0) + NOISE
        quiet = max(heard.stopped_at or 0.0, heard.final_at or 0.0)
        longest = TURN if passed or self._has_a_turn else PAUSE
        return max(quiet + longest, heard.due_by or 0.0)

"""The record of one protected utterance: what was witnessed, and what became of the caller's words."""

from dataclasses import dataclass, field
from enum import Enum

from .words import Fate, Held


class Outcome(Enum):
    """How an utterance ended."""

    FINISHED = "finished"
    """All that was made of it left the loudspeaker, and nothing was known to be missing."""
    CUT_IN = "cut in"
    """Somebody who was allowed to ended it; `why` says how."""
    CALLER_GONE = "caller gone"
    SHUT_DOWN = "shut down"
    """The session was closed, and the grace was over."""
    FAILED = "failed"
    """The voice, the model or the loudspeaker failed, or nobody listened; `why` says which."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at saying an utterance.

    Args:
        began_at: when its first sample left, in seconds from the call's start; None when none did.
        begins: the second of the utterance at which it began.
        played: the second of the utterance to which it came.
        why: what ended it; empty when it came to the end.
    """

    began_at: float | None
    begins: float
    played: float
    why: str = ""


@dataclass(frozen=True)
class Receipt:
    """What is known of one protected utterance.

    Args:
        id: names the utterance.
        outcome: how it ended.
        why: in words, what ended it; empty when it finished.
        asked_at: when it was asked for, in seconds from the call's start.
        started_at: when its first sample left; None when none did.
        ended_at: when it was over.
        played: seconds of it that left the loudspeaker.
        made: seconds of it that were given to the loudspeaker.
        text: what was to be said, as far as it was known.
        held: what the caller said meanwhile, in order, and what became of it.
        sounds: how often the caller made a sound in which no words were recognised.
        attempts: each attempt at saying it, in order; more than one when the caller was gone in between.
        holes: parts of it that were taken out of what was played, from and to in its own seconds.
        expected: seconds that all of it lasts, where that was known from the beginning.
        gap: seconds from its end to the answer of what the caller said over it; None when there was none.
    """

    id: str
    outcome: Outcome
    why: str
    asked_at: float
    started_at: float | None
    ended_at: float
    played: float
    made: float
    text: str = field(repr=False)
    held: tuple[tuple[Held, Fate], ...]
    sounds: int = 0
    attempts: tuple[Attempt, ...] = ()
    holes: tuple[tuple[float, float], ...] = ()
    expected: float | None = None
    gap: float | None = None

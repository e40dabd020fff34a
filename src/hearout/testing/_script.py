"""What the caller does, as data: said, typed, pressed, hung up, and when."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import CallError


@dataclass(frozen=True)
class Moment:
    """A moment that is not known before the call: `seconds` after something has happened (before it, if negative)."""

    seconds: float
    after: str


def first_sound(seconds: float = 0.0) -> Moment:
    """So many seconds after the agent's first sound left the audio output."""
    return Moment(seconds, "first sound")


def from_end(seconds: float = 0.0) -> Moment:
    """So many seconds after the end of the first protected utterance; negative is before it.

    The end is known from when the TTS has given the last of its audio. Where that is too late for a negative
    moment, the call fails and says so.
    """
    return Moment(seconds, "end of the first protected utterance")


When: TypeAlias = float | Moment
"""Seconds from the start of the call, or a `Moment`."""


@dataclass(frozen=True)
class Say:
    """The caller says `words`.

    Args:
        at: when the first word begins.
        words: said one after the other, each for the same time.
        duration: seconds for all of it; 0.3 s a word where it is not given.
        answered: whether a reply is due. False for a backchannel, or an echo: then a reply to it counts as false.
        noticed: whether the voice activity detector takes it for speech; the STT hears it either way.
    """

    at: When
    words: str
    duration: float | None = None
    answered: bool = field(default=True, kw_only=True)
    noticed: bool = field(default=True, kw_only=True)

    @property
    def seconds(self) -> float:
        return 0.3 * len(self.words.split()) if self.duration is None else self.duration


@dataclass(frozen=True)
class Noise:
    """Something that the voice activity detector takes for speech and in which there is no word: a cough, a door."""

    at: When
    duration: float


@dataclass(frozen=True)
class Type:
    """The caller types `words`; a reply is due."""

    at: When
    words: str


@dataclass(frozen=True)
class Press:
    """The caller presses `digits` on the phone."""

    at: When
    digits: str


@dataclass(frozen=True)
class HangUp:
    """The caller hangs up: nothing is heard any more at either end, and the session learns of it as in a room.

    hearout's is told that the user left, LiveKit's is shut down.
    """

    at: When


@dataclass(frozen=True)
class Return:
    """The caller who hung up is back, and hearout's session is told so; LiveKit's ended when they hung up."""

    at: When


@dataclass(frozen=True)
class Do:
    """Something is done to the session.

    Args:
        what: called with the session; what it returns is awaited where that can be.
        raises: the exception that is expected, if one is. Any other ends the run, and so does the lack of it.
    """

    at: When
    what: Callable[[Any], Any]
    raises: type[Exception] | None = field(default=None, kw_only=True)


Act: TypeAlias = Say | Noise | Type | Press | HangUp | Return | Do


def check_caller(acts: Sequence[Act]) -> None:
    """Refuse what is no act, or has no time.

    Raises:
        CallError: says which.
    """
    for act in acts:
        if not isinstance(act, Act):
            raise CallError(f"Call(caller=…) needs acts, as Say(2.0, 'hello'), not {act!r}")
        if not isinstance(act.at, Moment) and not (isinstance(act.at, int | float) and math.isfinite(act.at)):
            raise CallError(f"{act!r}: `at` must be a number of seconds, or a Moment")


def check_above_0(one: object, *names: str) -> None:
    """Refuse a rate or a number of things that is not above 0.

    Raises:
        CallError: says which.
    """
    for name in names:
        value = getattr(one, name)
        if value is not None and not value > 0:
            raise CallError(f"{type(one).__name__}({name}={value!r}) must be above 0")

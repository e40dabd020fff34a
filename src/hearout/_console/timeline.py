"""The timeline of a call as data: each thing that was said, heard, held or answered, with its second."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SpokenRow:
    """Something the agent said.

    Attributes:
        id: LiveKit's name of the speech.
        start: seconds from the start of ``call.wav``; `end` too.
        text: as it is in the conversation's history.
        protected: whether barge-in did not stop it.
        cut: whether it ended before its end.
    """

    id: str
    start: float
    end: float
    text: str
    protected: bool
    cut: bool


@dataclass(frozen=True)
class SaidRow:
    """Something the caller said: from `start` to `end`, in seconds from the start of ``call.wav``."""

    start: float
    end: float
    text: str

    def is_heard_at(self, moments: Iterable[float], said: Iterable["SaidRow"]) -> bool:
        """Whether one of these moments is while this was said, or within 3 s, and before what was said next."""
        until = min([*(other.start for other in said if other.start > self.start), self.end + 3.0])
        return any(self.start < at <= until for at in moments)


@dataclass(frozen=True)
class Transcript:
    """What the STT made of the caller, `at` seconds from the start."""

    at: float
    text: str
    final: bool


@dataclass(frozen=True)
class Turn:
    """What the agent was given as the caller's turn, `at` seconds from the start."""

    at: float
    text: str


@dataclass(frozen=True)
class ReplyRow:
    """An answer: its first frame at `start`, `gap` seconds after the last frame of the utterance before it."""

    start: float
    gap: float


@dataclass(frozen=True)
class HeldRow:
    """Words said over protected speech, with their `kind` and their `fate`."""

    at: float
    text: str
    kind: str
    fate: str


@dataclass(frozen=True)
class CallRecord:
    """A call, as ``timeline.json`` has it."""

    outcome: str
    agent: list[SpokenRow] = field(default_factory=list)
    caller: list[SaidRow] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    replies: list[ReplyRow] = field(default_factory=list)
    held: list[HeldRow] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    """As :mod:`hearout.receipts._codec` writes them; their times are seconds from the session's start."""
    questions: list[dict[str, Any]] = field(default_factory=list)
    """As :mod:`hearout.receipts._codec` writes them; their times, too."""
    session_at: float = 0.0
    """The second of ``call.wav`` at which the session's own seconds begin."""

    def as_json(self) -> dict[str, Any]:
        """The record in the form of ``timeline.json``, version 1; seconds to the millisecond."""
        return {"version": 1, **_rounded(dataclasses.asdict(self))}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value

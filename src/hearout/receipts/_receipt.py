"""The record of one protected utterance: what was witnessed, and what became of the caller's words.

A receipt rests on evidence, and :class:`Level` names it. It never says that somebody *heard*.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from itertools import pairwise
from typing import Any

from . import _spans as spans
from ._spans import Span

SHORT = 0.25
"""Seconds that may be missing from an utterance, in all, before it counts as not whole: a sink rounds to its frames,
and a room's loses at most the 0.2 s that it queues. Of one shorter than 0.5 s, half."""

HOLE = 0.1
"""Seconds that may be missing in one place between its first and its last: a pause of a room's output discards what it
had queued, up to 0.2 s, which is a word; rounding makes no holes."""

MISSED = 0.015
"""How much may be missing from a listener's report of a whole utterance: this share of its length, but at least `HOLE`
and at most `SHORT` (of one shorter than 0.2 s, half). A report does not say where its missing seconds are. With 0.25 s
of 8 s missing, 0.96 of the speech was found in what a browser had rendered."""

ROUNDING = 1e-6
"""Seconds: what sums of floats may be off."""


def sha256(text: str) -> str:
    """The SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Kind(Enum):
    """How words came."""

    SPOKEN = "spoken"
    TYPED = "typed"
    PRESSED = "pressed"
    """By keys of a telephone."""
    BUTTON = "button"
    """By a button on the caller's page."""


class Fate(Enum):
    """What became of held words."""

    DELIVERED = "delivered"
    """In the turn that the agent was given right after the protected speech."""
    HANDED_BACK = "handed back"
    """The caller went on talking: they became the beginning of LiveKit's next turn."""
    NOTED = "noted"
    """In the chat context, unanswered, as the policy says."""
    DROPPED = "dropped"
    """On the record only, as the policy says."""
    BACKCHANNEL = "backchannel"
    ECHO = "echo"
    REPEATED = "repeated"
    """The STT's late last word on what had been settled by its guess."""
    TOO_MUCH = "too much"
    """More was said or typed than is held (20,000 characters), or more keys were pressed than are listed (100): nobody
    was told of it. A receipt has the first of them only."""
    CUT_IN = "cut in"
    """Keys that ended the utterance."""
    RECORDED = "recorded"
    """Keys that did not: LiveKit gives keys to no model."""
    JUDGED = "judged"
    """Said to a question of `ask()`: in the chat context, and the question's receipt has the verdict."""
    MACHINE = "machine"
    """An answering machine said or pressed it: on the record only."""
    CALLER_GONE = "caller gone"
    """In the chat context; there was nobody left to answer."""
    SHUT_DOWN = "shut down"
    """In the chat context; the session ended first."""


@dataclass(frozen=True)
class Held:
    """Something that the caller said while protected speech was owed.

    Args:
        text: as the STT wrote it, or as it was typed or pressed.
        at: when the caller began to say it, in seconds from the call's start.
        kind: how it came.
        early: whether it began before the utterance's question was asked, so that it cannot be an answer to it.
    """

    text: str = field(repr=False)
    at: float
    kind: Kind = Kind.SPOKEN
    early: bool = False


class Outcome(Enum):
    """How an utterance ended."""

    FINISHED = "finished"
    """All that was made of it left the audio output, and nothing was known to be missing."""
    SENT = "sent"
    """Its text was sent: the session has no audio output. Nothing of it was made or played."""
    CUT_IN = "cut in"
    """Somebody who was allowed to ended it; `cause` says how."""
    CALLER_GONE = "caller gone"
    NOT_ANSWERED = "not answered"
    """The telephone was never answered; `cause` says how. Nothing was played to anybody."""
    SHUT_DOWN = "shut down"
    """The session was closed, and the grace was over; or the agent was taken out of the room."""
    FAILED = "failed"
    """The TTS, the LLM or the audio output failed, or nobody listened; `cause` says which."""
    UNKNOWN = "unknown"
    """The process died while it was owed. `played` is what was known last: it may have been more, never less."""


class Cause(Enum):
    """What ended an utterance that did not finish."""

    PHRASE = "phrase"
    KEY = "key"
    TIME = "time"
    OPERATOR = "operator"
    VOICE = "voice"
    MODEL = "model"
    SINK = "sink"
    NOBODY_LISTENING = "nobody listening"
    STOOD_STILL = "stood still"
    """The agent's own event loop did, and what it waited for broke off meanwhile."""
    REJECTED = "rejected"
    """Busy, or declined."""
    NOT_ANSWERED = "not answered"
    MACHINE = "machine"
    """An answering machine is at the telephone."""
    TRANSFERRED = "transferred"
    """The agent sent the caller's telephone elsewhere."""
    REPLACED = "replaced"
    """Another participant came with the caller's identity, which puts the first one out."""
    REMOVED = "removed"
    """Somebody took the caller out of the room."""
    AGENT_REPLACED = "agent replaced"
    AGENT_REMOVED = "agent removed"
    ROOM_DELETED = "room deleted"


class Level(IntEnum):
    """The evidence behind a receipt. Each level says what was witnessed, and leaves open what is not shown."""

    NOTHING = 0
    """Not even made in full, as far as is known."""
    SYNTHESISED = 1
    """Its sound was made. Not shown: that any of it left."""
    PLAYED = 2
    """It left our audio source and could no longer be taken back. Not shown: that anybody was there, or that the
    network carried it."""
    PRESENT = 3
    """Meanwhile the listener was in the room and subscribed to the agent's track. Not shown: that packets arrived, that
    the loudspeaker was on, that a person was near it."""
    REPORTED = 4
    """The listener's own program says that it played so much of it. Not shown: that it is true, or was heard."""
    ACKNOWLEDGED = 5
    """The listener said so (by a button or a key that they were asked for) once it was over. Not shown: that it was
    understood, or by whom. It does not need REPORTED below it: a telephone reports nothing."""

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Attempt:
    """One playout of the utterance, or of the rest of it.

    Args:
        began_at, ended_at: its first and its last sample, in seconds from the call's start.
        played: seconds of it that left the audio output, the holes not counted.
        starts_from: the second of the utterance's own time at which it begins; above 0 when it goes on from a cut.
        holes: what it left out, as spans of the utterance's own time.
        ended_why: in words, what ended it; empty when it went to the end.
    """

    began_at: float
    ended_at: float
    played: float
    starts_from: float = 0.0
    holes: tuple[Span, ...] = ()
    ended_why: str = ""

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans played, in the utterance's own time: as much as `played` says, around the holes."""
        return spans.part(spans.without([(self.starts_from, math.inf)], self.holes), 0.0, self.played)

    def witnessed(self, present: Span) -> tuple[Span, ...]:
        """The spans certainly played while a participant was present from one second of the call to another.

        Where it paused is not known. So at the beginning it may have been as far on as if it had not paused yet, and at
        the end as far back as if it had paused already; what lies between counts.
        """
        elapsed = self.ended_at - self.began_at
        paused, ahead = max(0.0, elapsed - self.played), max(0.0, self.played - elapsed)
        first = present[0] - self.began_at + ahead if present[0] > self.began_at else 0.0
        last = self.played if present[1] >= self.ended_at else present[1] - self.began_at - paused
        return spans.part(self.spans, first, last)


@dataclass(frozen=True)
class Listener:
    """A participant in the room, and the evidence that the participant heard the utterance.

    Args:
        present: when they were in the room and subscribed to the agent's track: spans of seconds from the call's start.
        reported: seconds of the utterance that their own program says it played; None when it said nothing.
        acknowledged_at: when they said that they had got it, in seconds from the call's start; None when they did not.
    """

    identity: str
    present: tuple[Span, ...] = ()
    reported: float | None = None
    acknowledged_at: float | None = None


@dataclass(frozen=True)
class Receipt:
    """What is known of one protected utterance. Times in seconds from the call's start, lengths in seconds.

    Args:
        id: names the utterance.
        outcome: how it ended.
        why: in words, what ended it; empty when it finished.
        asked_at: when it was asked for.
        started_at: when its first sample left; None when none did.
        ended_at: when it was over.
        played: seconds of it that left the audio output, each counted once, holes not counted.
        made: seconds of it that were given to the audio output.
        text: what was to be said, as far as it was known, as the TTS was given it: without markdown and emoji.
        held: what the caller said meanwhile, in order: pairs, ``for words, fate in receipt.held``.
        sounds: how often the caller made a sound in which no words were recognised.
        call, agent: where and by whom it was said; empty when not known.
        caller: the identity of the caller among the listeners; empty when not known.
        expected: how long the whole utterance is; None as long as nobody knows (a TTS that broke off).
        attempts: each playout of it; empty for one that began at `started_at` and ended at `ended_at`.
        holes: what was left out in every attempt, as spans of the utterance's own time.
        listeners: who could have heard it.
        cause: what ended it, when it did not finish; None also of a caller who left by themselves.
        cut_in_by: who cut in: an identity, or "operator"; empty otherwise.
        gap: seconds from its last sample to the answer's first; None when there was no answer.
        stood_still: seconds for which the agent's event loop did not run while the utterance was owed; nobody else's
            failure. `docs/receipts.md` says what that can be.
        omitted_text: the SHA-256 of a text that was left out of the record.
        extra: what a newer version of hearout wrote into the record, kept for it.
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
    call: str = ""
    agent: str = ""
    caller: str = ""
    expected: float | None = None
    attempts: tuple[Attempt, ...] = ()
    holes: tuple[Span, ...] = ()
    listeners: tuple[Listener, ...] = ()
    cause: Cause | None = None
    cut_in_by: str = ""
    gap: float | None = None
    stood_still: float = 0.0
    omitted_text: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def text_sha256(self) -> str:
        """The SHA-256 of the text (UTF-8, in hex), also where the text itself was left out."""
        return self.omitted_text or sha256(self.text)

    @property
    def length(self) -> float:
        """How long the whole utterance is, as far as is known."""
        return max(self.expected or 0.0, self.made)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans that left the audio output, in the utterance's own time; never more than `played`, nor beyond the
        length."""
        played = spans.without((span for one in self._attempts for span in one.spans), self.holes)
        return spans.part(spans.shared(played, [(0.0, max(self.length, self.played))]), 0.0, self.played)

    @property
    def level(self) -> Level:
        """The highest rung that holds for the whole utterance, for the caller.

        Where it is not known which listener is the caller, the rung that holds for each of them: to take the best would
        say of the caller what was witnessed of somebody else. Where there is no listener it is `PLAYED` at most.
        """
        if self.caller or not self.listeners:
            return self.level_of(self.caller)
        return min(self.level_of(listener.identity) for listener in self.listeners)

    def level_of(self, identity: str) -> Level:
        """The highest rung that holds for the whole utterance, for this listener; one who is not listed was not there.

        An utterance is whole when its length is known (`expected`, or it finished), at most `SHORT` is missing (of a
        report, `MISSED`), and no hole in it is longer than `HOLE`.
        """
        if self.expected is None and self.outcome is not Outcome.FINISHED:
            return Level.NOTHING
        rungs = [level for level, witnessed in self._evidence(identity).items() if self._is_whole(witnessed, level)]
        if Level.PLAYED not in rungs:  # what was not played whole cannot have come whole to anybody
            rungs = [level for level in rungs if level < Level.PLAYED]
        return max(rungs, default=Level.NOTHING)

    def levels(self, identity: str) -> dict[Level, float]:
        """For how many seconds of the utterance each rung holds, for this listener."""
        return {level: spans.total(witnessed) for level, witnessed in self._evidence(identity).items()}

    def _evidence(self, identity: str) -> dict[Level, tuple[Span, ...]]:
        """What of the utterance each rung covers. Of a report, which is an amount, the first seconds."""
        heard = next((one for one in self.listeners if one.identity == identity), Listener(identity))
        played = self.spans
        present = self._while_present(heard, until=math.inf)
        reported = heard.reported or 0.0
        if not reported <= spans.total(played) + SHORT:
            reported = 0.0  # of more than was played: whatever it counted, it was not this
        acknowledged: tuple[Span, ...] = ()
        if heard.acknowledged_at is not None:
            acknowledged = self._while_present(heard, until=heard.acknowledged_at)
            if heard.reported is not None:
                acknowledged = spans.part(acknowledged, 0.0, reported)
        return {
            Level.SYNTHESISED: spans.joined([(0.0, max(self.made, spans.total(played)))]),
            Level.PLAYED: played,
            Level.PRESENT: present,
            Level.REPORTED: spans.part(present, 0.0, reported),
            Level.ACKNOWLEDGED: acknowledged,
        }

    def _is_whole(self, witnessed: tuple[Span, ...], level: Level) -> bool:
        short = max(HOLE, MISSED * self.length) if level is Level.REPORTED else SHORT
        least = self.length - min(short, SHORT, self.length / 2)
        holes = (after[0] - before[1] for before, after in pairwise(witnessed))
        missed = least - spans.total(witnessed)
        return bool(witnessed) and missed <= ROUNDING and max(holes, default=0.0) <= HOLE + ROUNDING

    @property
    def _attempts(self) -> tuple[Attempt, ...]:
        if self.attempts or self.started_at is None:
            return self.attempts
        return (Attempt(self.started_at, self.ended_at, self.played, holes=self.holes),)

    def _while_present(self, listener: Listener, *, until: float) -> tuple[Span, ...]:
        """What was played while the listener was present, up to one second of the call."""
        present = spans.joined((begin, min(until, end)) for begin, end in listener.present)
        heard = (span for one in self._attempts for stay in present for span in one.witnessed(stay))
        return spans.shared(heard, self.spans)

"""What the floor keeps of one call: its utterances, the prepared answer, typed texts, and how the call ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..policy import Policy, Timeouts
from ..receipts import Cause, Held, Outcome
from . import events as e
from .actions import NoteGap, PrepareAnswer, StopInterruptible
from .utterance import Utterance

WAITED = 0.25
"""Seconds from the end of protected speech after which an answer was not ready: LiveKit takes a few hundredths."""

LATE = 1.25
"""By how much an answer may take longer than the slowest one of this call."""

EVERY = 1.0
"""Seconds from one typed text's answer to the next one's; what is typed meanwhile is one text. Nobody types faster than
that and reads the answers, and each is an LLM call."""

CHARACTERS = 20_000
"""Characters that wait, or are held, at most: ten pages. What is typed beyond it is left out, and its fate says so."""


@dataclass(frozen=True)
class Progress:
    """How far an utterance is.

    Args:
        played: seconds of it that have left so far, as far as the audio output has said.
        resumes_at: the second of it at which it would be resumed if it were broken off now.
        characters: the character of its text there.
        held: what the caller said over it and is not settled yet.
        text: of it, as far as it is known.
        complete: whether that is all of it, as far as can be told: of a reply, once all of its sound is made.
    """

    played: float = 0.0
    resumes_at: float = 0.0
    characters: int = 0
    held: tuple[Held, ...] = ()
    text: str = field(default="", repr=False)
    complete: bool = False

    @classmethod
    def of(cls, one: Utterance, held: tuple[Held, ...]) -> "Progress":
        complete = one.alignment.complete or one.ends_at() is not None
        return cls(one.claimed(), *one.resumes_at(), held, one.text, complete)


@dataclass
class LiveKitsTurn:
    """What LiveKit has of the caller's turn.

    Args:
        passed: it has a final transcript of which it has not made a turn.
        leftover: it had one when the floor began to hold.
        replies: an interruptible reply was expected, and is now LiveKit's.
        by_sound: the model hears the caller's sound, so that words can be no part of its turn.
    """

    passed: bool = False
    leftover: bool = False
    replies: bool = False
    by_sound: bool = False

    @property
    def takes_words(self) -> bool:
        """Whether held words are a part of LiveKit's turn."""
        return not self.by_sound and (self.leftover or self.replies)


class Queue:
    """The utterances of one call whose receipts are not written."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used: set[str] = set()
        self._closed: list[Utterance] = []
        self.all: list[Utterance] = []
        self.freed_at = 0.0
        """When the last utterance ended, or the last wait for one."""
        self.breaks_in = False
        """Whether what stands before protected speech has to make room: the caller cut in, or it hangs."""

    def make_room(self, _at: float) -> Iterator[StopInterruptible]:
        """Stop what stands before protected speech, where it may be interrupted."""
        if self.breaks_in:
            self.breaks_in = False
            yield StopInterruptible()

    def ask(self, event: e.SpeechRequested, at: float) -> None:
        """An utterance is asked for; an id is used once in a call."""
        if event.id not in self._used:
            self._used.add(event.id)
            self.all.append(Utterance(event, self._policy, at))

    def note(self, event: e.OfSpeech, at: float) -> Utterance | None:
        """Note a fact about the utterance that it names; which one that is, if it is not over."""
        if isinstance(event, e.SpeechQueued) and event.alive_at is not None:
            self.breaks_in = self.breaks_in or at >= event.alive_at + self._policy.timeouts.voice
        for one in self.open(suspended=True):
            if one.id == event.id:
                one.note(event, at)
                return one
        return None

    def stood_still(self, seconds: float) -> None:
        for one in self.all:
            one.stood_still += seconds

    def shut_down(self, at: float) -> None:
        """The session is closed: nothing is said any more."""
        for one in self.open(suspended=True):
            one.stop(Outcome.SHUT_DOWN, "the session was closed")
            one.note(e.SpeechEnded(one.id, interrupted=True), at)

    def close(self, one: Utterance, at: float) -> None:
        """The receipt of an utterance is written; that the caller missed its end may show later."""
        self.all.remove(one)
        since = at - self._policy.timeouts.vanish
        self._closed = [other for other in self._closed if (other.ended_at or 0.0) >= since] + [one]

    def reopen(self, known_until: float, at: float, cause: Cause | None) -> list[tuple[str, str]]:
        """Owe what the caller missed of utterances that are over, before all else; the new ids, with the old ones."""
        missed = [one for one in self._closed + self.all if one.is_missed(known_until)]
        again = [(one.again(self._unused(one.id), known_until, at, cause), one) for one in missed]
        owed = [(new, old) for new, old in again if new.away]
        for _, old in again:
            old.owed_again = True
        self._used |= {new.id for new, _ in owed}
        self.all = [new for new, _ in owed] + self.all
        return [(new.id, old.id) for new, old in owed]

    def _unused(self, name: str) -> str:
        number = 2
        while f"{name}+{number}" in self._used:
            number += 1
        return f"{name}+{number}"

    def open(self, *, suspended: bool = False) -> list[Utterance]:
        """What is to be said, or is being said; what waits for the caller's own task only if `suspended`."""
        return [one for one in self.all if one.is_open and (suspended or not one.suspended)]

    @property
    def away(self) -> list[Utterance]:
        """Utterances that the caller's leaving broke off, owed on return. Words that come late were said over them."""
        return [one for one in self.all if one.away]

    def has_asked_but(self, but: Utterance) -> bool:
        """Whether another utterance than this, whose receipt is not written, has begun and asks something."""
        return any(one.asks for one in self.all if one is not but and one.started_at is not None)

    def named(self, name: str) -> Utterance | None:
        return next((one for one in self.all if one.id == name), None)

    def current(self) -> Utterance | None:
        """The utterance that the caller speaks over: the one that plays, otherwise the next one."""
        owed = self.open(suspended=True)
        return next((one for one in owed if one.playing), next(iter(owed), None))

    def alarms(self, cuts_at: float | None) -> Iterator[float]:
        """When an open utterance counts as stuck, or is cut by a shutdown at `cuts_at`, if nothing happens before."""
        for one in self.open(suspended=True):
            gives_up = one.gives_up_at(free_since=self.free_since(one))
            if gives_up is not None:
                yield gives_up
            if cuts_at is not None and not one.stopping:
                yield cuts_at

    def free_since(self, one: Utterance) -> float | None:
        """Since when no other protected speech stands before this one; None while some does."""
        owed = self.open()
        others = [other for other in owed if other is not one]
        waits = any(other.playing for other in others) or (bool(others) and owed[0] is not one)
        return None if waits else self.freed_at


@dataclass
class Gap:
    """From the end of an utterance to the answer to what was said over it."""

    utterance: tuple[str, float] | None = None
    """The utterance whose held words were delivered last, and when it ended."""
    answer_began_at: float | None = None
    """When the first sample of the answer left, until the gap is noted."""

    def settle(self, _at: float) -> Iterator[NoteGap]:
        if self.answer_began_at is not None:
            if self.utterance is not None:
                yield NoteGap(*self.utterance, self.answer_began_at)
            self.utterance = self.answer_began_at = None


@dataclass
class Preparing:
    """One call's prepared answer.

    Args:
        calls_at_most: calls of the LLM that may be in vain while the floor is held, answers that are not prepared
            aside.
    """

    calls_at_most: int
    ready: PrepareAnswer | None = None
    """The one that is made, or being made."""
    number: int = 0
    calls: int = 0
    needed: float = 0.0
    """Seconds from asking the LLM to the first sample, of the slowest answer that was waited for."""
    _begun_at: float = 0.0
    _awaited: tuple[float, float] | None = None
    """When the answer that was delivered last was begun, and when it could have been heard."""

    @property
    def may_begin(self) -> bool:
        return self.ready is None and self.calls < self.calls_at_most

    def begin(self, words: tuple[Held, ...], at: float) -> PrepareAnswer:
        self.calls += 1
        self._begun_at = at
        self.number += 1
        self.ready = PrepareAnswer(self.number, words)
        return self.ready

    def take(self) -> PrepareAnswer | None:
        ready, self.ready = self.ready, None
        return ready

    def delivered(self, ready: PrepareAnswer | None, at: float) -> None:
        self._awaited = (at if ready is None else self._begun_at), at

    def heard(self, at: float) -> None:
        """The answer has begun; where it was waited for, that says how long one takes."""
        if self._awaited is not None and at > self._awaited[1] + WAITED:
            self.needed = max(self.needed, at - self._awaited[0])
        self._awaited = None

    def seconds_before(self, least: float) -> float:
        """How long before the end an answer is prepared: at least so many seconds, and longer for a slow LLM."""
        return max(least, LATE * self.needed)

    def release(self) -> None:
        """The floor is held no longer: what was in vain is forgotten."""
        self.calls = 0


@dataclass
class Closing:
    """The events that have begun to end a call.

    Times in seconds from the call's start; None where one has not happened.
    """

    timeouts: Timeouts
    gone_at: float | None = None
    known_until: float | None = None
    """When the caller who is gone was last known to be there; None also where they said so as they left."""
    cause: Cause | None = None
    """Why the caller is not there; None of one who left by themselves."""
    shutdown_at: float | None = None
    cuts_at: float | None = None
    """When a shutdown ends what is still being said."""

    @property
    def begun(self) -> bool:
        return self.gone_at is not None or self.shutdown_at is not None

    @property
    def gone_for_good_at(self) -> float | None:
        """When a caller who is gone counts as not returning."""
        return None if self.gone_at is None else self.gone_at + self.timeouts.caller_return

    def left(self, at: float, known_until: float | None, cause: Cause | None) -> None:
        """The caller is gone; what is told again of the same leaving counts once."""
        if self.gone_at is None:
            self.gone_at, self.known_until, self.cause = at, known_until, cause

    def asked(self, at: float, *, drain: bool) -> None:
        """A shutdown was asked for; only one that does not drain cuts anything, after its grace."""
        self.shutdown_at = at if self.shutdown_at is None else self.shutdown_at
        if not drain and self.cuts_at is None:
            self.cuts_at = at + self.timeouts.shutdown

    def is_gone_for_good(self, at: float) -> bool:
        return self.gone_for_good_at is not None and at >= self.gone_for_good_at

    def cuts(self, at: float) -> bool:
        return self.cuts_at is not None and at >= self.cuts_at


@dataclass
class TypedTexts:
    """The typed texts that wait for their answer, as one. Times in seconds from the call's start."""

    waiting: str = ""
    answered_at: float | None = None
    """When the last one was given to the agent."""

    @property
    def due_at(self) -> float | None:
        """When it may be answered; None where none waits."""
        if not self.waiting:
            return None
        return 0.0 if self.answered_at is None else self.answered_at + EVERY

    def add(self, text: str) -> None:
        """One more was typed; it waits, unless there is no room for it."""
        joined = f"{self.waiting}\n{text}" if self.waiting else text
        if len(joined) <= CHARACTERS:
            self.waiting = joined

    def let_go(self) -> str:
        """The waiting text; it is not answered by itself any more."""
        text, self.waiting = self.waiting, ""
        return text

    def take(self, at: float) -> str:
        """The waiting text, which is answered now; empty while it is too early."""
        if (due := self.due_at) is None or at < due:
            return ""
        self.answered_at = at
        return self.let_go()

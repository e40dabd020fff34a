"""What is owed, in the order in which it was asked for. It keeps; `floor.py` decides."""

from dataclasses import dataclass, field

from ..policy import Policy
from ..receipts import Held, Outcome
from . import events as e
from .utterance import Owed


@dataclass(frozen=True)
class Standing:
    """How far an utterance is.

    Args:
        played: seconds of it that have left so far.
        resumes_at: the second of it at which it would be taken up if it were broken off now.
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
    def of(cls, one: Owed, held: tuple[Held, ...], at: float) -> "Standing":
        """How far this one is now."""
        complete = one.wording.complete or one.ends_at() is not None
        return cls(one.so_far(at), *one.resumes_at(at), held, one.text, complete)


class Debts:
    """The utterances of one call whose receipts are not written.

    Args:
        policy: the choices of the team.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used: set[str] = set()
        self._closed: list[Owed] = []
        self.all: list[Owed] = []

    def ask(self, event: e.SpeechRequested, at: float) -> None:
        """An utterance is asked for; an id is used once in a call."""
        if event.id not in self._used:
            self._used.add(event.id)
            self.all.append(Owed.asked(event, self._policy, at))

    def note(self, event: e.OfSpeech, at: float) -> Owed | None:
        """Note a fact about the utterance that it names; which one that is, if it is not over."""
        for one in self.open(suspended=True):
            if one.id == event.id:
                one.note(event, at)
                return one
        return None

    def shut_down(self, at: float) -> None:
        """The session is closed: nothing is said any more."""
        for one in self.open(suspended=True):
            one.stop(Outcome.SHUT_DOWN, "the session was closed")
            one.note(e.SpeechEnded(one.id, interrupted=True), at)

    def close(self, one: Owed, at: float) -> None:
        """The receipt of an utterance is written; that the caller missed its end may show later."""
        self.all.remove(one)
        since = at - self._policy.vanish_grace
        self._closed = [other for other in self._closed if (other.ended_at or 0.0) >= since] + [one]

    def owe_again(self, known_until: float, at: float) -> list[tuple[str, str]]:
        """What the caller missed of utterances that are over is owed under new ids, before all else.

        Returns:
            The new ids, each with the old one.
        """
        missed = [one for one in self._closed + self.all if one.is_missed(known_until)]
        again = [(one.again(self._unused(one.id), known_until, at), one) for one in missed]
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

    def open(self, *, suspended: bool = False) -> list[Owed]:
        """What is to be said, or is being said; what waits for the caller's own task only if `suspended`."""
        return [one for one in self.all if one.is_open and (suspended or not one.suspended)]

    def named(self, name: str) -> Owed | None:
        """The utterance of this id, if its receipt is not written."""
        return next((one for one in self.all if one.id == name), None)

    def current(self) -> Owed | None:
        """What the caller speaks over: what plays, else what is next."""
        owed = self.open(suspended=True)
        return next((one for one in owed if one.playing), next(iter(owed), None))

    def free_since(self, one: Owed, freed_at: float) -> float | None:
        """Since when no other protected speech stands before this one; None while some does.

        Args:
            one: it.
            freed_at: when the last one that stood before others was over.
        """
        owed = self.open()
        others = [other for other in owed if other is not one]
        waits = any(other.playing for other in others) or (bool(others) and owed[0] is not one)
        return None if waits else freed_at

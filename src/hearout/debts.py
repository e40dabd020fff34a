"""What is owed, in the order in which it was asked for. It keeps; `floor.py` decides."""

from . import events as e
from .owed import Owed
from .policy import Policy


class Debts:
    """The utterances of one call whose receipts are not written.

    Args:
        policy: the choices of the team.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used: set[str] = set()
        self.all: list[Owed] = []

    def ask(self, event: e.SpeechRequested, at: float) -> None:
        """An utterance is asked for; an id is used once in a call."""
        if event.id not in self._used:
            self._used.add(event.id)
            self.all.append(Owed.asked(event, self._policy, at))

    def open(self, *, suspended: bool = False) -> list[Owed]:
        """What is to be said, or is being said; what waits for the caller's own task only if `suspended`."""
        return [one for one in self.all if one.is_open and (suspended or not one.suspended)]

    def current(self) -> Owed | None:
        """What the caller speaks over: what plays, else what is next."""
        owed = self.open(suspended=True)
        return next((one for one in owed if one.playing), next(iter(owed), None))

    def stands_before(self, one: Owed) -> bool:
        """Whether other protected speech is said before this one."""
        owed = self.open()
        others = [other for other in owed if other is not one]
        return any(other.playing for other in others) or (bool(others) and owed[0] is not one)

"""The answer that is made while protected speech still plays. It keeps; `floor.py` decides."""

from dataclasses import dataclass

from ..receipts import Held
from .actions import PrepareAnswer


@dataclass
class Preparing:
    """One call's prepared answer.

    Args:
        calls_at_most: calls of the model that may be in vain while the floor is held, answers that are not prepared
            aside.
    """

    calls_at_most: int
    ready: PrepareAnswer | None = None
    """The one that is made, or being made."""
    number: int = 0
    calls: int = 0

    @property
    def may_begin(self) -> bool:
        """Whether another may be made."""
        return self.ready is None and self.calls < self.calls_at_most

    def begin(self, words: tuple[Held, ...]) -> PrepareAnswer:
        """One is made, for these words."""
        self.calls += 1
        self.number += 1
        self.ready = PrepareAnswer(self.number, words)
        return self.ready

    def take(self) -> PrepareAnswer | None:
        """It is delivered, or dropped."""
        ready, self.ready = self.ready, None
        return ready

    def let_go(self) -> None:
        """The floor is held no longer: what was in vain is forgotten."""
        self.calls = 0

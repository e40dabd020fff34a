"""Texts that the caller types over nothing: answered at a bounded rate. It notes; `floor.py` decides."""

from dataclasses import dataclass

EVERY = 1.0
"""Seconds from one typed text's answer to the next one's; what is typed meanwhile is one text. Nobody types faster than
that and reads the answers, and each is an LLM call."""

CHARACTERS = 20_000
"""Characters that wait, or are held, at most: ten pages. What is typed beyond it is left out, and its fate says so."""


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

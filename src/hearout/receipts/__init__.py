"""The record of one protected utterance: what was witnessed, and what became of the caller's words."""

from ._receipt import Attempt, Cause, Fate, Held, Kind, Level, Listener, Outcome, Receipt
from ._spans import Span

__all__ = ["Attempt", "Cause", "Fate", "Held", "Kind", "Level", "Listener", "Outcome", "Receipt", "Span"]

"""The record of one protected utterance: what was witnessed, and what became of the caller's words."""

from ._question import AskAttempt, AskOutcome, Basis, GivenAnswer, QuestionReceipt
from ._receipt import Attempt, Cause, Fate, Held, Kind, Level, Listener, Outcome, Receipt
from ._spans import Span

__all__ = [
    "AskAttempt",
    "AskOutcome",
    "Attempt",
    "Basis",
    "Cause",
    "Fate",
    "GivenAnswer",
    "Held",
    "Kind",
    "Level",
    "Listener",
    "Outcome",
    "QuestionReceipt",
    "Receipt",
    "Span",
]

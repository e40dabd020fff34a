"""The record of one question: the attempts, the answers, the choice and the rule that made it.

The words of an answer are evidence: whoever must show that somebody agreed needs what they said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ._receipt import Kind, sha256
from ._spans import Span


class AskOutcome(Enum):
    """How a question ended."""

    ANSWERED = "answered"
    """There is a choice."""
    SILENT = "silent"
    """Nothing was said to it the last time that it was asked."""
    UNCLEAR = "unclear"
    """What was said the last time was no answer."""
    MACHINE = "answering machine"
    """No person is at the telephone: nothing that is said or pressed there is an answer."""
    CALLER_GONE = "caller gone"
    CUT_IN = "cut in"
    """Somebody who was allowed to stopped it."""
    FAILED = "failed"
    """It could not be asked to its end."""
    SHUT_DOWN = "shut down"


class Basis(Enum):
    """What a choice rests on."""

    GIVEN = "given"
    """The caller said it, typed it or pressed it."""
    IMPLIED = "implied"
    """The caller said nothing, and the program takes that for a yes."""
    NONE = "none"
    """There is no choice."""


@dataclass(frozen=True)
class AskAttempt:
    """One time that the question was asked.

    Args:
        utterance: names its own receipt in this call.
        asked_at: the second of the call at which it had been asked; None where it never was to its end.
        brief: whether its short form was said.
        spans: from when until when it was played, in seconds of the call.
        level: what its receipt rested on when the question ended, of ``"synthesised"`` to ``"acknowledged"``.
    """

    utterance: str
    asked_at: float | None = None
    brief: bool = False
    spans: tuple[Span, ...] = ()
    level: str = ""


@dataclass(frozen=True)
class GivenAnswer:
    """Something that the caller said, typed or pressed to it.

    Args:
        text: the words, or the keys.
        kind: how it came.
        attempt: which time of asking it belongs to, from 0 on.
        began_at, ended_at, known_at: in seconds of the call: when it began, ended, and was known.
        early: whether it began before the question had been asked, so that it counts for nothing.
        stt: what recognised it; empty for keys and typed words, and where that is not known.
        confidence: of the STT, from 0 to 1; None where it does not say.
        language: that it was judged in, as in BCP 47; empty where it is not known.
        verdict: what all that was said in one go is to the question: ``"yes"``, ``"no"``, ``"choice"``,
            ``"hold-off"``, ``"aside"`` or ``"unclear"``.
        rule: the rule that says so, in words.
    """

    text: str = field(repr=False)
    kind: Kind = Kind.SPOKEN
    attempt: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0
    known_at: float = 0.0
    early: bool = False
    stt: str = ""
    confidence: float | None = None
    language: str = ""
    verdict: str = ""
    rule: str = ""


@dataclass(frozen=True)
class QuestionReceipt:
    """The record of one question.

    Args:
        id, version: name the question and its wording, as the program does.
        outcome: how it ended.
        choice: which choice was made; empty where none was.
        basis: what the choice rests on.
        text: the question, in full.
        language: that it was asked in, as in BCP 47; empty where it is not known.
        choices: what it may be answered by; of digits, their number: ``"4 digits"``.
        rules: the version of the rules that judged.
        asked_for_at, decided_at: when `ask()` was called, and when it ended, in seconds of the call.
        attempts: each time that it was asked, in order.
        answers: what was said to it, in order.
        delay: seconds from when it had been asked the last time to the decision; None where it never was.
        call, agent, caller: as on a `Receipt`.
        revoked: why the choice no longer holds; empty while it does.
        revoked_at: when that was said, in seconds since 1970, UTC.
        entry: names its row in the ledger; empty where there is none.
    """

    id: str
    version: str
    outcome: AskOutcome
    choice: str = ""
    basis: Basis = Basis.NONE
    text: str = field(default="", repr=False)
    language: str = ""
    choices: tuple[str, ...] = ()
    rules: str = ""
    asked_for_at: float = 0.0
    decided_at: float = 0.0
    attempts: tuple[AskAttempt, ...] = ()
    answers: tuple[GivenAnswer, ...] = ()
    delay: float | None = None
    call: str = ""
    agent: str = ""
    caller: str = ""
    revoked: str = ""
    revoked_at: float | None = None
    omitted_text: str = field(default="", repr=False)
    entry: str = field(default="", compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def text_sha256(self) -> str:
        """The SHA-256 of the question, in hex."""
        return self.omitted_text or sha256(self.text)

    @property
    def deciding(self) -> GivenAnswer | None:
        """The answer that made the choice; None where there is no choice, or nobody said one."""
        given = (one for one in reversed(self.answers) if not one.early and one.verdict in ("yes", "no", "choice"))
        return next(given, None) if self.basis is Basis.GIVEN else None

"""`AgentSession.ask()`: what a question may be answered by, the question while it waits, and the answer."""

import asyncio
import dataclasses
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from .._floor import actions as a
from .._floor import events as e
from .._floor.answering import Expected
from .._text import has_words, split
from ..errors import AlreadyOwedError, QuestionError
from ..policy import KEYS, Redeliver, refusal, refusal_of_language
from ..receipts import AskOutcome, Basis, Kind, Level, Outcome, QuestionReceipt, Receipt
from .announce import OwedHandle
from .call_receipts import CallReceipts
from .speeches import SpeechRequest

if TYPE_CHECKING:
    from .bridge import Bridge

logger = logging.getLogger("hearout")

ABSENT = "the caller is not known to have been there"

Decide = Callable[[str], str | None]
"""Told the words and keys of an answer; the choice that it sees in them, or None."""


class Aside(Enum):
    """What becomes of a question that the caller asks back."""

    ANSWER = "answer"
    """The agent answers it; then ours is asked again."""
    REPEAT = "repeat"
    """Ours is asked again at once."""


class Silence(Enum):
    """The meaning of the caller's silence."""

    NOTHING = "nothing"
    """Neither yes nor no."""
    IMPLIED = "implied"
    """It means yes, and the receipt says that nobody said so."""


@dataclass(frozen=True)
class YesNo:
    """The choices ``"yes"`` and ``"no"``.

    Args:
        keys: keys of a telephone, each with the choice that it makes: ``{"1": "yes", "2": "no"}``.

    Raises:
        QuestionError: a key is none, or makes none of the choices.
    """

    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_keys(self.keys, ("yes", "no"))


@dataclass(frozen=True, init=False)
class Choices:
    """Several choices, each with the phrases that make it.

    Args:
        names: the choices; each is made by its own name.
        phrases: more phrases that make a choice: ``{"sales": ["buy", "an order"]}``.
        keys: as for `YesNo`.

    Raises:
        QuestionError: fewer than two choices, an empty one or one twice, or a key or phrase of none of them.
    """

    names: tuple[str, ...]
    phrases: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, str]

    def __init__(
        self,
        *names: str,
        phrases: Mapping[str, tuple[str, ...] | list[str]] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        if len(names) < 2 or len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise QuestionError("Choices needs two names or more, none of them empty and none twice", field="choices")
        if unknown := set(phrases or ()) - set(names):
            raise QuestionError(f"phrases are of {sorted(unknown)}, which are no choices", field="choices")
        for name, several in (phrases or {}).items():
            if isinstance(several, str) or not all(isinstance(one, str) and has_words(one) for one in several):
                why = f"phrases[{name!r}] must be a list of phrases, each with a letter or digit, not {several!r}"
                raise QuestionError(why, field="choices")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "phrases", {name: (name, *(phrases or {}).get(name, ())) for name in names})
        _check_apart(self.phrases)
        object.__setattr__(self, "keys", dict(keys or {}))
        _check_keys(self.keys, self.names)


@dataclass(frozen=True)
class Digits:
    """So many digits, said or pressed.

    Raises:
        QuestionError: it is no number from 1 to 20.
    """

    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool) or not 1 <= self.count <= 20:
            raise QuestionError(f"Digits takes a number from 1 to 20, not {self.count!r}", field="choices")


def _check_apart(phrases: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a phrase that makes two choices: whoever says it would never be understood."""
    makes: dict[tuple[str, ...], str] = {}
    for name, several in phrases.items():
        for phrase in several:
            if (other := makes.setdefault(tuple(split(phrase)), name)) != name:
                raise QuestionError(f"{phrase!r} makes both {other!r} and {name!r}", field="choices")


def _check_keys(keys: Mapping[str, str], names: tuple[str, ...]) -> None:
    if not isinstance(keys, Mapping):
        raise QuestionError(f'keys must be a mapping like {{"1": "yes"}}, not {keys!r}', field="keys")
    for key, choice in keys.items():
        if not isinstance(key, str) or key not in KEYS or len(key) != 1:
            raise QuestionError(f"{key!r} is no key of a telephone (0-9, *, #, A-D)", field="keys")
        if choice not in names:
            raise QuestionError(f"key {key} makes {choice!r}, which is none of {', '.join(names)}", field="keys")


@dataclass(frozen=True)
class CallerAnswer:
    """What came of a question."""

    receipt: QuestionReceipt
    _revoke: Callable[[QuestionReceipt], QuestionReceipt] = field(repr=False, compare=False)

    @property
    def choice(self) -> str:
        """The choice that was made: ``"yes"``, ``"no"``, a name of `Choices`, digits; empty where there is none."""
        return self.receipt.choice

    @property
    def outcome(self) -> AskOutcome:
        """How the question ended."""
        return self.receipt.outcome

    @property
    def words(self) -> str:
        """The words or keys that made the choice; empty where there is none."""
        return "" if self.receipt.deciding is None else self.receipt.deciding.text

    @property
    def kind(self) -> Kind | None:
        """How the choice was made; None where nobody made one."""
        return None if self.receipt.deciding is None else self.receipt.deciding.kind

    @property
    def at(self) -> float | None:
        """The second of the call at which the caller began to make the choice; None where nobody made one."""
        return None if self.receipt.deciding is None else self.receipt.deciding.began_at

    @property
    def after_question(self) -> float | None:
        """Seconds from when the question had been asked until `at`; None where nobody made a choice."""
        asked_at = self.receipt.attempts[-1].asked_at if self.receipt.attempts else None
        return None if self.at is None or asked_at is None else self.at - asked_at

    def revoke(self, reason: str) -> "CallerAnswer":
        """Take the choice back: the record, and a row of the ledger, get the reason. It gives the same answer, revoked.

        Of an answer without a choice nothing is revoked, and of a revoked one nothing more: the first reason stands.
        """
        if not self.choice or self.receipt.revoked:
            return self
        revoked = dataclasses.replace(self.receipt, revoked=reason or "revoked", revoked_at=time.time())
        return dataclasses.replace(self, receipt=self._revoke(revoked))


class QuestionHandle(OwedHandle[CallerAnswer]):
    """A question that waits for its answer: await it for a :class:`hearout.CallerAnswer`.

    Awaiting raises nothing for what a caller does. Whoever stops waiting does not stop the question. When stopped, its
    outcome is *cut in*.
    """

    def __repr__(self) -> str:
        return f"<QuestionHandle {self.id!r} {self._result.result().outcome.value if self.done() else 'is open'}>"


_KINDS: Mapping[str, type] = {
    "text": str,
    "id": str,
    "version": str,
    "repeat": str,
    "aside": Aside,
    "silence": Silence,
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What `AgentSession.ask()` was given; its arguments are described there.

    Raises:
        QuestionError: an argument makes no sense; the message says what to change.
    """

    text: str
    id: str
    version: str = ""
    choices: YesNo | Choices | Digits
    attempts: int = 3
    wait: float = 6.0
    repeat: str = ""
    aside: Aside = Aside.ANSWER
    decide: Decide | None = None
    silence: Silence = Silence.NOTHING
    language: str = ""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if why := refusal(name, getattr(self, name), kind):
                raise QuestionError(why, field=name)
        for name in ("text", "id"):
            if not getattr(self, name).strip():
                raise QuestionError(f"a question needs its {name}: it is empty", field=name)
        for name in ("text", "repeat"):
            if (text := getattr(self, name)) and not has_words(text):
                raise QuestionError(f"there is no word in {name}={text!r}: nothing would be asked", field=name)
        if why := refusal_of_language(self.language):
            raise QuestionError(why, field="language")
        if self.decide is not None and (not callable(self.decide) or inspect.iscoroutinefunction(self.decide)):
            raise QuestionError("decide must be a plain function, not async: nothing awaits it", field="decide")
        self._check_choices()

    def _check_choices(self) -> None:
        if not isinstance(self.choices, YesNo | Choices | Digits):
            raise QuestionError(
                f"choices must be YesNo(…), Choices(…) or Digits(…), not {self.choices!r}", field="choices"
            )
        if not isinstance(self.attempts, int) or isinstance(self.attempts, bool) or self.attempts < 1:
            raise QuestionError(
                f"attempts must be a whole number of 1 or more, not {self.attempts!r}", field="attempts"
            )
        if isinstance(self.wait, bool) or not isinstance(self.wait, int | float) or not 0 < self.wait < 600:
            raise QuestionError(f"wait must be seconds between 0 and 600, not {self.wait!r}", field="wait")
        if self.silence is Silence.IMPLIED and not isinstance(self.choices, YesNo):
            raise QuestionError(
                "silence=Silence.IMPLIED needs YesNo(): of other choices none is implied", field="silence"
            )

    @property
    def event(self) -> e.QuestionAsked:
        chosen = self.choices
        return e.QuestionAsked(
            self.id,
            self.version,
            self.text,
            expected=Expected(
                yes_no=isinstance(chosen, YesNo),
                choices=tuple(chosen.phrases.items()) if isinstance(chosen, Choices) else (),
                digits=chosen.count if isinstance(chosen, Digits) else 0,
            ),
            keys=() if isinstance(chosen, Digits) else tuple(chosen.keys.items()),
            attempts=self.attempts,
            wait=self.wait,
            aside=self.aside is Aside.ANSWER,
            implied="yes" if self.silence is Silence.IMPLIED else "",
            language=self.language,
            narrow=None if self.decide is None else self._confirms,
        )

    def _confirms(self, words: str, choice: str) -> bool:
        """Whether the program's `decide` makes the same choice of the words; an exception confirms nothing."""
        assert self.decide is not None
        try:
            return self.decide(words) == choice
        except Exception:  # the user's code: an answer that it could not look at is none
            logger.exception("decide= of question %r failed; the answer is taken as unclear", self.id)
            return False


class Silences:
    """The implied choices of one call: each rests on the caller's presence, from the question to the decision.

    Args:
        receipts: of the call, and who knows who was there.
        revoke: takes back the choice of a question that ended at that second, with the reason.
    """

    def __init__(self, receipts: CallReceipts, revoke: Callable[[str, float, str], None]) -> None:
        self._receipts, self._revoke = receipts, revoke
        self._kept: list[tuple[QuestionReceipt, Receipt]] = []
        receipts.on_looked.append(self._look_again)

    def must_be_witnessed(self, receipt: QuestionReceipt) -> bool:
        """Whether a choice is implied, where somebody knows who was there."""
        return receipt.basis is Basis.IMPLIED and self._receipts.evidence is not None

    async def witnessed(self, receipt: QuestionReceipt) -> QuestionReceipt:
        """The record, without its choice where the caller was not there; waits a bounded time for a sign of life."""
        evidence, silence = self._receipts.evidence, self._silence(receipt)
        if evidence is not None:
            await evidence.confirm("", silence)
            caller = evidence.witnessed("", silence).caller  # another may be later
            silence = dataclasses.replace(silence, caller=caller)
        if not self._is_present(silence):
            return dataclasses.replace(receipt, choice="", basis=Basis.NONE)
        self._kept.append((receipt, silence))
        return receipt

    def _silence(self, receipt: QuestionReceipt) -> Receipt:
        """The last attempt and the wait after it, as if it had been one utterance: presence is known of utterances."""
        last = self._receipts.of(receipt.attempts[-1].utterance) if receipt.attempts else None
        began = receipt.decided_at if last is None or last.started_at is None else last.started_at
        ended, text = receipt.decided_at, receipt.text
        return Receipt(receipt.id, Outcome.FINISHED, "", began, began, ended, ended - began, ended - began, text, ())

    def _is_present(self, silence: Receipt) -> bool:
        evidence = self._receipts.evidence
        return evidence is not None and evidence.witnessed("", silence).level >= Level.PRESENT

    def _look_again(self) -> None:
        for one in [one for one in self._kept if not self._is_present(one[1])]:
            self._kept.remove(one)
            self._revoke(one[0].id, one[0].decided_at, ABSENT)


class Asker:
    """Asks the questions of one call."""

    def __init__(self, call: "Bridge") -> None:
        self.all: list[QuestionReceipt] = []
        """The records of the questions that have ended, in order."""
        self.on_ended: list[Callable[[QuestionReceipt], None]] = []
        """Called with the record of each question that was asked here, when it has ended."""
        self._call = call
        self._open: dict[str, tuple[Question, asyncio.Future[CallerAnswer]]] = {}
        self._asked: dict[str, int] = {}
        self._silences = Silences(call.receipts, self._revoke_implied)

    def ask(self, question: Question) -> QuestionHandle:
        """Ask it; one that a dead agent's caller answered in this call stays answered.

        Raises:
            AlreadyOwedError: a question of this id is open.
            QuestionError: there is no TTS that could speak it.
        """
        name = question.id
        if name in self._open:
            why = f"question {name!r} is open; await it, or use another id"
            raise AlreadyOwedError(why, id=name, call=self._call.receipts.call)
        answered = self._open[name] = (question, asyncio.get_running_loop().create_future())
        ledger = self._call.receipts.ledger
        handle = QuestionHandle(name, result=answered[1], stop=lambda why: self._call.feed(e.StopAsked(why, name)))
        if ledger is not None and (before := ledger.answer(name, question.text, question.version)) is not None:
            self._settle(before)
        elif self._call.announcer.is_mute():
            del self._open[name]
            raise QuestionError(f"nothing can ask {name!r}: neither the session nor its agent has a TTS", field="tts")
        else:
            self._call.feed(question.event)
        return handle

    def say(self, action: a.AskQuestion) -> None:
        """Say the question once, in full or in its short form."""
        question = self._open[action.id][0]
        number = self._asked[action.id] = self._asked.get(action.id, 0) + 1
        name = action.id if number == 1 else f"{action.id}#{number}"
        text = question.repeat or question.text if action.brief else question.text
        try:
            self._call.announcer.attempt(SpeechRequest(name, text, redeliver=Redeliver.NEVER, question=action.id))
        except RuntimeError:
            logger.warning("question %r could not be asked: the session is closing, or has no TTS", action.id)
            self._call.feed(e.QuestionFailed(action.id))

    def aside(self, action: a.AnswerAside) -> None:
        """Answer what the caller asked back: an utterance of the floor, before the next attempt."""
        if (handle := self._call.answers.answer_aside(action.words)) is not None:
            self._call.inbound.protect(handle)

    def ended(self, receipt: QuestionReceipt) -> None:
        """The question has ended; its attempts' receipts are written in this step of the loop, after this."""
        if self._silences.must_be_witnessed(receipt):
            self._call.receipts.start(self._complete_silence(receipt))
        else:
            asyncio.get_running_loop().call_soon(self._complete, receipt)

    async def _complete_silence(self, receipt: QuestionReceipt) -> None:
        self._complete(await self._silences.witnessed(receipt))

    def _revoke_implied(self, name: str, decided_at: float, reason: str) -> None:
        for receipt in [one for one in self.all if (one.id, one.decided_at) == (name, decided_at)]:
            CallerAnswer(receipt, self._revoke).revoke(reason)

    def revoke_all(self, reason: str) -> None:
        """Nobody made the choices that were made in this call; the reason goes on each record."""
        for receipt in list(self.all):
            CallerAnswer(receipt, self._revoke).revoke(reason)

    def close(self) -> None:
        for question, _ in list(self._open.values()):
            receipt = QuestionReceipt(question.id, question.version, AskOutcome.SHUT_DOWN, text=question.text)
            asyncio.get_running_loop().call_soon(self._complete, receipt)

    def _complete(self, receipt: QuestionReceipt) -> None:
        if receipt.id not in self._open:
            return
        receipts, attempts = self._call.receipts, []
        for one in receipt.attempts:
            known = receipts.of(one.utterance)
            if known is not None:
                spans = tuple((tried.began_at, tried.ended_at) for tried in known.attempts)
                one = dataclasses.replace(one, spans=spans, level=str(known.level))
                receipt = dataclasses.replace(receipt, call=known.call, agent=known.agent, caller=known.caller)
            attempts.append(one)
        receipt = dataclasses.replace(receipt, attempts=tuple(attempts))
        if receipts.ledger is not None:
            receipt = receipts.ledger.asked(receipt)
        self._settle(receipt)
        for tell in self.on_ended:
            tell(receipt)

    def _settle(self, receipt: QuestionReceipt) -> None:
        self.all.append(receipt)
        _, waiting = self._open.pop(receipt.id)
        if not waiting.done():
            waiting.set_result(CallerAnswer(receipt, self._revoke))

    def _revoke(self, receipt: QuestionReceipt) -> QuestionReceipt:
        """Revoke the choice of a question; the record of that, or the one with which it was revoked before."""
        same = (one for one in self.all if (one.id, one.decided_at) == (receipt.id, receipt.decided_at))
        if (before := next((one for one in same if one.revoked), None)) is not None:
            return before
        self.all.append(receipt)
        if (ledger := self._call.receipts.ledger) is not None:
            ledger.revoked(receipt)
        return receipt

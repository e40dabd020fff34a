"""What `AgentSession.ask()` gives back: a question that waits for its answer, and the answer."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from livekit.agents.voice import SpeechHandle

from .._floor import actions as a
from .._floor import events as e
from .._floor.answering import Expected
from ..errors import AlreadyOwedError, QuestionError
from ..policy import Redeliver
from ..receipts import AskOutcome, Held, Kind, QuestionReceipt
from .announce import Announcer, OwedHandle
from .asking import Aside, Choices, Digits, Silence, YesNo
from .silence import Silences
from .speeches import SpeechRequest

if TYPE_CHECKING:
    from .bridge import Bridge

logger = logging.getLogger("hearout")

Decide = Callable[[str], str | None]
"""Told the words and keys of an answer; the choice that it sees in them, or None."""


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
        for name in ("text", "id"):
            if not str(getattr(self, name)).strip():
                raise QuestionError(f"a question needs its {name}: it is empty", field=name)
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
        """As the floor is told of it."""
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
            keys=tuple(chosen.keys.items()),
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


class Asker:
    """Asks the questions of one call.

    Args:
        answer: lets the agent answer what the caller asks back.
    """

    def __init__(
        self,
        call: "Bridge",
        announcer: Announcer,
        answer: Callable[[tuple[Held, ...]], SpeechHandle | None],
    ) -> None:
        self.all: list[QuestionReceipt] = []
        """The records of the questions that have ended, in order."""
        self.on_ended: list[Callable[[QuestionReceipt], None]] = []
        """Called with the record of each question that was asked here, when it has ended."""
        self._call = call
        self._announcer = announcer
        self._answer = answer
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
            call = "" if self._call.receipts.ledger is None else self._call.receipts.ledger.call
            raise AlreadyOwedError(f"question {name!r} is open; await it, or use another id", id=name, call=call)
        answered = self._open[name] = (question, asyncio.get_running_loop().create_future())
        ledger = self._call.receipts.ledger
        handle = QuestionHandle(name, result=answered[1], stop=lambda why: self._call.feed(e.StopAsked(why, name)))
        if ledger is not None and (before := ledger.answer(name, question.text, question.version)) is not None:
            self._settle(before)
        elif self._announcer.is_mute():
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
            self._announcer.attempt(SpeechRequest(name, text, redeliver=Redeliver.NEVER, question=action.id))
        except RuntimeError:
            logger.warning("question %r could not be asked: the session is closing, or has no TTS", action.id)
            self._call.feed(e.QuestionFailed(action.id))

    def aside(self, action: a.AnswerAside) -> None:
        """Answer what the caller asked back: an utterance of the floor, before the next attempt."""
        if (handle := self._answer(action.words)) is not None:
            self._call.protect(handle)

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
        """Nothing more is asked: what waits is over."""
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

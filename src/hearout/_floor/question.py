"""The questions of one call that are not answered: what counts as an answer, and when they are asked again.

A question is asked by attempts, each an utterance of the floor. What began before it had been asked counts for nothing,
nor does what another utterance or the agent's own sound says. Silence is neither yes nor no. It notes and decides about
answers; who may speak is decided in `floor.py`, which asks it after every event.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from .. import _text as words
from ..policy import Policy
from ..receipts import AskAttempt, AskOutcome, Basis, Cause, Fate, GivenAnswer, Held, Kind, Outcome, QuestionReceipt
from . import actions as a
from . import events as e
from .actions import Action
from .answering import RULES, Meaning, Verdict, judge
from .held import HeldWords
from .piece import HeldPiece
from .state import Closing, Queue
from .utterance import KEYS, ONSET, Utterance

RECONSIDER = 0.7
"""Seconds of silence after which words are judged: "okay … no, wait" has a pause that the VAD takes for an end."""

MOMENT = 1.5
"""Seconds that a caller who spoke too early has for answering, before the question is asked again."""

HOLDS = 3.0
"""How many times the usual wait a caller gets who asks for a moment."""

HOLD_OFFS = 3
"""How often a caller may ask for a moment in one attempt: the fourth is unclear."""

LONGEST = 30.0
"""Seconds for which a sound may go on, beyond the wait, before it counts as no answer: music on hold, a fan."""

NOT_SAID = "en"
"""The language of what is typed or said where neither the program nor the STT says which it is."""

_DECISIVE = (Meaning.YES, Meaning.NO, Meaning.CHOICE)
_ENDS = {
    Outcome.CUT_IN: AskOutcome.CUT_IN,
    Outcome.FAILED: AskOutcome.FAILED,
    Outcome.SHUT_DOWN: AskOutcome.SHUT_DOWN,
    Outcome.NOT_ANSWERED: AskOutcome.CALLER_GONE,
}


@dataclass
class OpenQuestion:
    """One question that has not ended. Times in seconds from the call's start; None where there is none."""

    asked: e.QuestionAsked
    asked_for_at: float
    attempts: list[tuple[Utterance, bool]] = field(default_factory=list)
    """Each attempt, and whether it was the short form."""
    counted: int = 0
    """Attempts that count: not those after an aside, or after the caller was gone."""
    pending_since: float | None = None
    """Since when the next attempt is asked of the session, and not requested by it."""
    brief: bool = False
    since: float | None = None
    """From when on what the caller says is an answer to the last attempt."""
    deadline: float = 0.0
    """Until when an answer must have begun."""
    disturbed: bool = False
    """Other protected speech has been said since the last attempt."""
    missed: bool = False
    """The caller was gone since the last attempt."""
    refused: bool = False
    """A refusal began before the last attempt had been asked."""
    failed: bool = False
    stopped: bool = False
    hold_offs: int = 0
    asides: int = 0
    before: list[HeldPiece] = field(default_factory=list)
    """Said before its first sound, and judged: no word to this question, but a turn that is due after it."""
    keys: list[GivenAnswer] = field(default_factory=list)
    answers: list[GivenAnswer] = field(default_factory=list)

    @property
    def utterance(self) -> Utterance | None:
        return self.attempts[-1][0] if self.attempts else None

    @property
    def may_ask(self) -> bool:
        return self.counted < self.asked.attempts

    def lets_answer(self, verdict: Verdict) -> bool:
        """Whether the agent answers what the caller asks back."""
        return verdict.meaning is Meaning.ASIDE and self.asked.aside and self.asides < self.asked.attempts

    def ask(self, at: float, *, brief: bool, counts: bool = True) -> a.AskQuestion:
        """Ask it; nothing that was said before counts from now on."""
        self.counted += counts
        self.pending_since, self.brief, self.since = at, brief, None
        self.hold_offs, self.keys = 0, []
        self.disturbed = self.missed = self.refused = False
        return a.AskQuestion(self.asked.id, brief, self.answers[-1].rule if self.answers else "")

    def offer(self, language: words.Language) -> a.OfferChoices:
        """What buttons may say: the names of the choices; yes and no in the language of the question."""
        asked = self.asked
        said = {"yes": language.yes, "no": language.no} if asked.expected.yes_no else {}
        choices = tuple((name, next(iter(said.get(name, ())), name).rstrip(".")) for name in self.choices)
        return a.OfferChoices(asked.id, choices, text=asked.text)

    @property
    def choices(self) -> tuple[str, ...]:
        expected = self.asked.expected
        return ("yes", "no") if expected.yes_no else tuple(name for name, _ in expected.choices)

    def judge(self, text: str, language: words.Language, pressed: Sequence[GivenAnswer]) -> Verdict | None:
        """The verdict on words, keys and buttons as an answer; None while more keys are due."""
        by_keys = self._judge_pressed(pressed) if pressed else None
        if not words.split(text):
            return by_keys
        said = judge(text, language, self.asked.expected)
        if by_keys is None or said.meaning is Meaning.UNCLEAR:
            return by_keys or said
        if _choice(by_keys) == _choice(said):
            return by_keys
        refuses = said.meaning is Meaning.NO and by_keys.meaning is Meaning.YES
        return said if refuses else Verdict(Meaning.UNCLEAR, "a key, and words that say something else")

    def _judge_pressed(self, pressed: Sequence[GivenAnswer]) -> Verdict | None:
        keys = "".join(one.text for one in pressed if one.kind is Kind.PRESSED)
        buttons = {one.text for one in pressed if one.kind is Kind.BUTTON}
        if (count := self.asked.expected.digits) > 0:
            digits = "".join(key for key in keys if key.isdecimal())
            if len(digits) < count:
                return None
            if len(digits) > count:
                return Verdict(Meaning.UNCLEAR, f"not {count} digits")
            return Verdict(Meaning.CHOICE, "keys", digits)
        made = buttons | {dict(self.asked.keys).get(key, "") for key in keys}
        if len(made) != 1 or made == {""}:
            return Verdict(Meaning.UNCLEAR, "a key that makes no choice" if made == {""} else "keys that differ")
        choice = made.pop()
        meaning = {"yes": Meaning.YES, "no": Meaning.NO} if self.asked.expected.yes_no else {}
        return Verdict(meaning.get(choice, Meaning.CHOICE), "a button" if buttons else "a key", choice)

    def receipt(self, outcome: AskOutcome, at: float, choice: str = "") -> QuestionReceipt:
        asked = self.asked
        implied = asked.implied if outcome is AskOutcome.SILENT and not self.answers else ""
        last = None if self.utterance is None else self.utterance.question_asked_at
        digits = asked.expected.digits
        return QuestionReceipt(
            id=asked.id,
            version=asked.version,
            outcome=outcome,
            choice=choice or implied,
            basis=Basis.GIVEN if choice else Basis.IMPLIED if implied else Basis.NONE,
            text=asked.text,
            language=asked.language,
            choices=(f"{digits} digits",) if digits else self.choices,
            rules=RULES,
            asked_for_at=self.asked_for_at,
            decided_at=at,
            attempts=tuple(AskAttempt(one.id, one.question_asked_at, brief) for one, brief in self.attempts),
            answers=tuple(self.answers),
            delay=None if last is None else max(0.0, at - last),
        )


class Questions:
    """The questions of one call: one is open, the others wait for its end."""

    def __init__(self, policy: Policy, queue: Queue, heard: HeldWords, closing: Closing) -> None:
        self._policy, self._queue, self._heard, self._closing = policy, queue, heard, closing
        self._open: list[OpenQuestion] = []
        self.next_alarm: float | None = None
        """When it must be looked at again, unless something happens before."""

    def __bool__(self) -> bool:
        return bool(self._open)

    def alarms(self) -> Iterator[float]:
        """When it must be looked at again; nothing while no question is open."""
        if self._open and self.next_alarm is not None:
            yield self.next_alarm

    # Noting

    def asked(self, event: e.QuestionAsked, at: float) -> None:
        """A question is asked for; one that is open is not asked for again."""
        if all(one.asked.id != event.id for one in self._open):
            self._open.append(OpenQuestion(event, at))

    def begun(self, name: str, utterance: Utterance | None) -> None:
        for one in self._open:
            if one.asked.id == name and utterance is not None and one.pending_since is not None:
                one.attempts.append((utterance, one.brief))
                one.pending_since = None

    def failed(self, name: str) -> None:
        for one in self._open:
            one.failed |= one.asked.id == name

    def stop(self, name: str | None) -> None:
        """The operator stops a question; None means the one that is open."""
        for one in self._open:
            one.stopped |= one.asked.id == name or (name is None and one is self._open[0] and not self._queue.open())

    def answered_by(self, *, machine: bool) -> None:
        """A person is at the far end, or an answering machine, which is asked nothing; what it said is no answer."""
        self._heard.by_machine = machine
        if machine:
            self._heard.settle_all(Fate.MACHINE)
            for one in filter(None, [one.utterance for one in self._open]):
                one.stop(Outcome.CUT_IN, "an answering machine is at the telephone", Cause.MACHINE)

    def pressed(self, pressed: Held, of: str = "") -> bool:
        """Whether what is pressed now is an answer; what is none is too early, or one of too many.

        Args:
            pressed: keys, or the choice of a button.
            of: the question whose button it is; empty for keys.
        """
        if not self._open or len(self._open[0].keys) >= KEYS:
            return False
        one, at = self._open[0], pressed.at
        if pressed.kind is Kind.BUTTON and (of != one.asked.id or pressed.text not in one.choices):
            return False
        utterance = one.utterance
        asked_at = None if utterance is None or one.pending_since is not None else utterance.question_asked_at
        others = any(other is not utterance for other in self._queue.open(suspended=True))
        early = asked_at is None or at < max(asked_at, one.since or 0.0) or others or one.disturbed
        attempt = max(0, len(one.attempts) - 1)
        one.keys.append(GivenAnswer(pressed.text, pressed.kind, attempt, at, at, at, early=early))
        return not early

    # Settling

    def settle(self, at: float) -> Iterator[Action]:
        self.next_alarm = None
        if not self._open:
            return
        one = self._open[0]
        if (outcome := self._ending(one, at)) is not None:
            yield self._end(one, outcome, at)
        elif self._closing.gone_at is not None:
            one.missed = bool(one.attempts)
            self.next_alarm = self._closing.gone_for_good_at
        elif one.pending_since is not None:
            self.next_alarm = one.pending_since + self._policy.timeouts.voice
        elif one.utterance is None:
            yield one.ask(at, brief=False)
        elif one.utterance.is_open or one.utterance.away:
            return
        elif one.missed:
            yield one.ask(at, brief=False, counts=False)
        elif self._queue.open():
            one.disturbed = True
        else:
            if self._counts_from(one, at):
                yield one.offer(self._language(one))
            yield from self._listen(one, at)

    def _ending(self, one: OpenQuestion, at: float) -> AskOutcome | None:
        utterance = one.utterance
        is_being_said = utterance is not None and utterance.is_open
        if self._heard.by_machine and not is_being_said:
            return AskOutcome.MACHINE
        if self._closing.is_gone_for_good(at):
            return AskOutcome.CALLER_GONE
        if self._closing.shutdown_at is not None and not is_being_said:
            return AskOutcome.SHUT_DOWN
        if one.stopped and not is_being_said:
            return AskOutcome.CUT_IN
        late = one.pending_since is not None and at >= one.pending_since + self._policy.timeouts.voice
        if one.failed or late:
            return AskOutcome.FAILED
        over = utterance is not None and not is_being_said and not utterance.away and one.pending_since is None
        return _ENDS.get(utterance.outcome) if over and utterance is not None and utterance.outcome else None

    def _counts_from(self, one: OpenQuestion, at: float) -> bool:
        """Note from when on an answer counts: the question had been asked, and nothing else was said since.

        Returns:
            Whether this is known since now.
        """
        assert one.utterance is not None
        new = one.since is None or one.disturbed
        if one.since is None:
            ended = one.utterance.attempts[-1].ended_at if one.utterance.attempts else at
            one.since = at if one.utterance.question_asked_at is None else one.utterance.question_asked_at
            one.deadline = ended + one.asked.wait
        if one.disturbed:
            one.since, one.disturbed = at, False
            one.deadline = at + one.asked.wait
        return new

    def _listen(self, one: OpenQuestion, at: float) -> Iterator[Action]:
        heard = self._heard
        if heard.talking and at < one.deadline + LONGEST:
            self.next_alarm = one.deadline + LONGEST
            return
        if heard.owes_words:
            longer = self._policy.timeouts.words if heard.guess else 0.0
            words_by = max(heard.due_by or 0.0, (one.since or 0.0) + longer)
            if at < words_by:
                self.next_alarm = words_by
                return
            assert one.utterance is not None
            heard.take_the_guess(at, one.utterance)
        own, early = self._sorted(one)
        keys = [key for key in one.keys if not key.early]
        quiet = max((_quiet_since(piece, heard) for piece in own), default=0.0) + RECONSIDER
        if own and at < quiet:
            self.next_alarm = quiet
            return
        verdict = one.judge(words.join(piece.held.text for piece in own), self._language(one), keys)
        if verdict is not None:
            yield from self._judged(one, own, early, verdict, at)
        elif at < one.deadline and not (early or any(key.early for key in one.keys)):
            self.next_alarm = one.deadline
        elif not keys and at < self._moment(one):
            self.next_alarm = self._moment(one)
        elif keys and at < one.deadline:
            self.next_alarm = one.deadline
        else:
            yield from self._without_an_answer(one, early, at)

    def _moment(self, one: OpenQuestion) -> float:
        """Until when a caller who spoke too early may answer; one who did not has the whole wait."""
        return min(one.deadline, (one.since or 0.0) + MOMENT)

    def _sorted(self, one: OpenQuestion) -> tuple[list[HeldPiece], list[HeldPiece]]:
        """What is held that counts, and what began too early; the agent's own sound and a "mm-hm" are settled."""
        own: list[HeldPiece] = []
        early: list[HeldPiece] = []
        for piece in [piece for piece in self._heard.said if piece not in one.before]:
            is_early = self._is_early(one, piece.held)
            if piece.is_echo or (is_early and piece.is_idle):
                self._heard.settle(piece, Fate.ECHO if piece.is_echo else Fate.BACKCHANNEL)
            else:
                (early if is_early else own).append(piece)
        return own, early

    def _judged(
        self, one: OpenQuestion, own: Sequence[HeldPiece], early: Sequence[HeldPiece], verdict: Verdict, at: float
    ) -> Iterator[Action]:
        text, choice = words.join(piece.held.text for piece in own), _choice(verdict)
        narrow = one.asked.narrow
        one.refused |= self._refuses(one, early)
        if choice and choice != "no" and one.refused:
            verdict, choice = Verdict(Meaning.UNCLEAR, "a refusal before it"), ""
        if verdict.meaning in _DECISIVE and narrow is not None and not narrow(text, choice):
            verdict, choice = Verdict(Meaning.UNCLEAR, f"{verdict.rule}, which the program did not confirm"), ""
        can_wait = one.hold_offs < HOLD_OFFS
        self._note(one, [*early, *own], verdict)
        yield from self._settled_early(one, early)
        if one.lets_answer(verdict):
            yield from self._aside(one, own, at)
            return
        yield from self._settled(own, Fate.JUDGED)
        if verdict.meaning in _DECISIVE:
            yield self._end(one, AskOutcome.ANSWERED, at, choice)
        elif verdict.meaning is Meaning.HOLD_OFF and can_wait:
            one.hold_offs += 1
            one.deadline = max(one.deadline, at + HOLDS * one.asked.wait)
            one.keys = []
        elif one.may_ask:
            yield one.ask(at, brief=True)
        else:
            yield self._end(one, AskOutcome.UNCLEAR, at)

    def _refuses(self, one: OpenQuestion, early: Sequence[HeldPiece]) -> bool:
        """Whether an early piece is a refusal: a yes after an early refusal does not count either."""
        language, expected = self._language(one), one.asked.expected
        return any(judge(piece.held.text, language, expected).meaning is Meaning.NO for piece in early)

    def _language(self, one: OpenQuestion) -> words.Language:
        return words.language(one.asked.language or self._heard.language or NOT_SAID, self._policy.more_words)

    def _without_an_answer(self, one: OpenQuestion, early: Sequence[HeldPiece], at: float) -> Iterator[Action]:
        """Nothing was said that counts: what began too early is no answer, but may be a question back."""
        said = words.join(piece.held.text for piece in early)
        said_something = bool(early or one.keys)
        verdict = Verdict(Meaning.UNCLEAR, "keys, and not enough of them" if one.keys else "no answer in it")
        if words.split(said):
            verdict = judge(said, self._language(one), one.asked.expected)
        self._note(one, early, verdict)
        if one.lets_answer(verdict):
            yield from self._aside(one, early, at, early=True)
            return
        yield from self._settled_early(one, early)
        if one.may_ask:
            yield one.ask(at, brief=True)
        else:
            yield self._end(one, AskOutcome.UNCLEAR if said_something else AskOutcome.SILENT, at)

    def _aside(
        self, one: OpenQuestion, pieces: Sequence[HeldPiece], at: float, *, early: bool = False
    ) -> Iterator[Action]:
        one.asides += 1
        self._settle_pieces(pieces, Fate.DELIVERED, early=early)
        yield a.AnswerAside(one.asked.id, tuple(replace(piece.held, early=early) for piece in pieces))
        yield one.ask(at, brief=True, counts=False)

    def _settled_early(self, one: OpenQuestion, early: Sequence[HeldPiece]) -> Iterator[Action]:
        """Note early words; those that began before the question's first sound stay held, and are answered after it."""
        began = next((began for utterance, _ in one.attempts if (began := utterance.started_at) is not None), 0.0)
        one.before += (before := [piece for piece in early if piece.held.at < began])
        yield from self._settled([piece for piece in early if piece not in before], Fate.NOTED, early=True)

    def _settled(self, pieces: Sequence[HeldPiece], fate: Fate, *, early: bool = False) -> Iterator[Action]:
        """The agent knows of it, and answers nothing."""
        if pieces:
            self._settle_pieces(pieces, fate, early=early)
            yield a.AddToContext(tuple(replace(piece.held, early=early) for piece in pieces))

    def _settle_pieces(self, pieces: Sequence[HeldPiece], fate: Fate, *, early: bool) -> None:
        for piece in pieces:
            self._heard.said.remove(piece)
            self._heard.settled.append((replace(piece.held, early=early), fate, piece.owner))

    def _note(self, one: OpenQuestion, pieces: Sequence[HeldPiece], verdict: Verdict) -> None:
        stopped_at = self._heard.stopped_at
        attempt = max(0, len(one.attempts) - 1)
        noted = [
            GivenAnswer(
                piece.held.text,
                piece.held.kind,
                attempt,
                began_at=piece.held.at,
                ended_at=min(piece.known_at, max(piece.held.at, stopped_at)) if stopped_at else piece.known_at,
                known_at=piece.known_at,
                early=self._is_early(one, piece.held),
                stt=piece.stt,
                confidence=piece.confidence,
                language=piece.language,
            )
            for piece in pieces
        ]
        for said in sorted([*noted, *one.keys], key=lambda said: said.began_at):
            rule = "began before the question had been asked" if said.early else verdict.rule
            meaning = "unclear" if said.early and verdict.meaning in _DECISIVE else verdict.meaning.value
            one.answers.append(replace(said, verdict=meaning, rule=rule))
        one.keys = []

    def _is_early(self, one: OpenQuestion, held: Held) -> bool:
        return held.at - (ONSET if held.kind is Kind.SPOKEN else 0.0) < (one.since or 0.0)

    def _end(self, one: OpenQuestion, outcome: AskOutcome, at: float, choice: str = "") -> a.EndQuestion:
        if outcome is not AskOutcome.ANSWERED and one.keys:
            self._note(one, (), Verdict(Meaning.UNCLEAR, "no answer in it"))
        self._open.remove(one)
        return a.EndQuestion(one.receipt(outcome, at, choice))


def _choice(verdict: Verdict) -> str:
    if verdict.meaning in (Meaning.YES, Meaning.NO):
        return str(verdict.meaning.value)
    return verdict.choice if verdict.meaning is Meaning.CHOICE else ""


def _quiet_since(piece: HeldPiece, heard: HeldWords) -> float:
    """The second since which nothing followed a piece; typed text is complete at once."""
    if piece.held.kind is not Kind.SPOKEN:
        return -RECONSIDER
    return max(piece.known_at, heard.stopped_at or 0.0)

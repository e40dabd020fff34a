"""`ask()`: a question that must be answered. Calls in virtual time."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from livekit.agents import Agent

from harness.scenes import NOTICE, QUIET
from hearout import (
    AgentSession,
    Aside,
    AskOutcome,
    Basis,
    CallerAnswer,
    Choices,
    Digits,
    Policy,
    QuestionError,
    Silence,
    YesNo,
)
from hearout.receipts import Kind
from hearout.testing import STT, TTS, Call, HangUp, Press, Result, Return, Say, Type, first_sound, from_end
from hearout.testing._script import Act

RECORD = "May we record this call for training and quality purposes?"
BRIEF = "Please say yes or no."
ASKED = TTS().seconds(RECORD)
"""Seconds from the first sound to the end of the question."""
KEYS = YesNo(keys={"1": "yes", "2": "no"})


class Asking(Agent):
    """Asks on entering, and keeps the answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="Answer briefly.")
        self.options = {"id": "recording-consent", "version": "3", "repeat": BRIEF} | options
        self.answer: CallerAnswer | None = None

    async def on_enter(self) -> None:
        self.answer = await self.session.ask(self.options.pop("text", RECORD), **self.options)
        self.session.say("Thank you.")


def asked(
    *caller: Act, policy: Policy | None = None, ends_quiet: float | None = QUIET, tts: TTS | None = None, **options: Any
) -> tuple[CallerAnswer, Result]:
    """What came of asking while the caller does this."""
    agent = Asking(**options)
    make: Callable[..., AgentSession[Any]] = lambda **models: AgentSession(policy=policy, **models)  # noqa: E731
    ends: dict[str, Any] = {"ends_after": 60.0, "ends_quiet": ends_quiet}
    result = Call(agent=lambda: agent, session=make, caller=caller, tts=tts or TTS(), **ends).play()
    assert agent.answer is not None
    return agent.answer, result


def spoken(result: Result) -> Sequence[str]:
    return [one.said for one in result.utterances]


def test_a_yes_after_the_question_is_an_answer() -> None:
    answer, result = asked(Say(first_sound(ASKED + 1.0), "yes that is fine"))

    assert (answer.choice, answer.outcome, answer.words) == ("yes", AskOutcome.ANSWERED, "yes that is fine")
    assert answer.kind is Kind.SPOKEN
    assert answer.after_question == pytest.approx(1.0, abs=0.3)
    assert spoken(result) == [RECORD, "Thank you."]
    receipt = answer.receipt
    assert (receipt.id, receipt.version, receipt.basis) == ("recording-consent", "3", Basis.GIVEN)
    assert [one.rule for one in receipt.answers] == ["agreement, and nothing else"]
    assert [one.level for one in receipt.attempts] == ["played"]
    assert result.turns == ["yes that is fine"]
    assert not result.warnings


def test_a_teams_own_yes_is_an_answer() -> None:
    act = Say(first_sound(ASKED + 1.0), "yessiree bob")
    assert asked(act, policy=Policy(language="en"))[0].choice == ""
    assert asked(act, policy=Policy(language="en", more_words={"yes": ["yessiree bob"]}))[0].choice == "yes"


def test_a_yes_that_began_before_the_question_ended_is_no_answer() -> None:
    answer, result = asked(Say(first_sound(ASKED - 1.0), "yes yes"), wait=4.0, attempts=2)

    assert (answer.choice, answer.outcome) == ("", AskOutcome.SILENT)
    assert spoken(result) == [RECORD, BRIEF, "Thank you."]
    (early,) = answer.receipt.answers
    assert (early.early, early.text, early.verdict) == (True, "yes yes", "unclear")
    assert result.kept == 1.0


def test_after_an_early_yes_the_question_is_asked_again_in_brief() -> None:
    brief_ends = ASKED + 1.5 + TTS().seconds(BRIEF)
    answer, result = asked(Say(first_sound(ASKED - 1.0), "yes yes"), Say(first_sound(brief_ends + 1.5), "yes"))

    assert (answer.choice, answer.words) == ("yes", "yes")
    assert [(one.early, one.attempt) for one in answer.receipt.answers] == [(True, 0), (False, 1)]
    assert [one.brief for one in answer.receipt.attempts] == [False, True]
    assert spoken(result) == [RECORD, BRIEF, "Thank you."]


@pytest.mark.parametrize("words", ["no I do not want that", "okay no wait", "not okay", "I do not agree"])
def test_a_refusal_is_a_no(words: str) -> None:
    assert asked(Say(first_sound(ASKED + 1.0), words))[0].choice == "no"


def test_a_refusal_after_a_yes_and_a_pause_wins() -> None:
    answer, _ = asked(Say(first_sound(ASKED + 1.0), "okay"), Say(first_sound(ASKED + 2.4), "no wait"))

    assert (answer.choice, answer.words) == ("no", "no wait")
    assert [one.text for one in answer.receipt.answers] == ["okay", "no wait"]


def test_a_yes_after_a_refusal_that_came_too_early_is_none() -> None:
    early, late = Say(first_sound(ASKED - 0.5), "no no"), Press(first_sound(ASKED + 1.0), "1")
    answer, _ = asked(early, late, choices=KEYS, attempts=1)

    assert (answer.choice, answer.outcome) == ("", AskOutcome.UNCLEAR)
    assert answer.receipt.answers[-1].rule == "a refusal before it"


def test_silence_is_neither_yes_nor_no() -> None:
    answer, result = asked(wait=5.0)

    assert (answer.choice, answer.outcome, answer.receipt.basis) == ("", AskOutcome.SILENT, Basis.NONE)
    assert (answer.words, answer.kind, answer.at, answer.after_question) == ("", None, None, None)
    assert spoken(result) == [RECORD, BRIEF, BRIEF, "Thank you."]
    first, second, _ = result.utterances[:3]
    assert second.start - first.end == pytest.approx(5.0, abs=0.3)


def test_silence_is_a_yes_only_where_that_is_written_out() -> None:
    answer, _ = asked(wait=5.0, attempts=1, silence=Silence.IMPLIED)

    assert (answer.choice, answer.outcome, answer.receipt.basis) == ("yes", AskOutcome.SILENT, Basis.IMPLIED)


def test_words_that_are_no_answer_imply_nothing() -> None:
    answer, _ = asked(Say(first_sound(ASKED + 1.0), "the weather"), wait=4.0, attempts=2, silence=Silence.IMPLIED)

    assert (answer.choice, answer.receipt.basis) == ("", Basis.NONE)


def test_what_is_unclear_is_asked_again_and_ends_unclear() -> None:
    nonsense = [Say(first_sound(ASKED + 1.0 + 5.0 * n), "the blue parrot") for n in range(2)]
    answer, result = asked(*nonsense, attempts=2)

    assert (answer.choice, answer.outcome) == ("", AskOutcome.UNCLEAR)
    assert [one.rule for one in answer.receipt.answers] == ["words that are not understood"] * 2
    assert spoken(result) == [RECORD, BRIEF, "Thank you."]


def test_who_asks_for_a_moment_gets_one() -> None:
    answer, result = asked(Say(first_sound(ASKED + 1.0), "one moment"), Say(first_sound(ASKED + 14.0), "yes"))

    assert answer.choice == "yes"
    assert [one.verdict for one in answer.receipt.answers] == ["hold-off", "yes"]
    assert spoken(result) == [RECORD, "Thank you."]


def test_a_question_back_is_answered_and_ours_is_asked_again() -> None:
    answer, result = asked(
        Say(first_sound(ASKED + 1.0), "why do you record it"), Say(first_sound(ASKED + 13.0), "yes"), wait=8.0
    )

    assert answer.choice == "yes"
    assert [one.verdict for one in answer.receipt.answers] == ["aside", "yes"]
    answered = spoken(result)[1]
    assert answered not in (RECORD, BRIEF)
    assert spoken(result) == [RECORD, answered, BRIEF, "Thank you."]
    assert len(result.requests) == 1


def test_a_question_back_may_be_left_unanswered() -> None:
    answer, result = asked(
        Say(first_sound(ASKED + 1.0), "why do you record it"), aside=Aside.REPEAT, attempts=2, wait=4.0
    )

    assert answer.outcome is AskOutcome.SILENT
    assert not result.requests


def test_a_key_is_an_answer() -> None:
    answer, result = asked(Press(first_sound(ASKED + 1.0), "2"), choices=KEYS)

    assert (answer.choice, answer.words, answer.kind) == ("no", "2", Kind.PRESSED)
    assert answer.after_question == pytest.approx(1.0, abs=0.05)
    assert spoken(result) == [RECORD, "Thank you."]


def test_a_key_before_the_question_has_been_asked_is_none() -> None:
    answer, result = asked(Press(first_sound(1.0), "1"), choices=KEYS, attempts=2, wait=4.0)

    assert (answer.choice, answer.outcome) == ("", AskOutcome.SILENT)
    assert [(one.text, one.early) for one in answer.receipt.answers] == [("1", True)]
    assert spoken(result) == [RECORD, BRIEF, "Thank you."]


def test_a_key_that_makes_no_choice_is_unclear() -> None:
    answer, _ = asked(Press(first_sound(ASKED + 1.0), "7"), choices=KEYS, attempts=1)

    assert (answer.outcome, answer.receipt.answers[0].rule) == (AskOutcome.UNCLEAR, "a key that makes no choice")


def test_a_typed_answer_counts() -> None:
    answer, _ = asked(Type(first_sound(ASKED + 1.0), "yes"))

    assert (answer.choice, answer.kind) == ("yes", Kind.TYPED)


def test_choices_are_made_by_name_phrase_or_key() -> None:
    choices = Choices("sales", "support", phrases={"sales": ["buy"]}, keys={"1": "sales", "2": "support"})
    which = "Sales or support?"
    after = first_sound(TTS().seconds(which) + 1.0)

    assert asked(Say(after, "support please"), text=which, choices=choices)[0].choice == "support"
    assert asked(Say(after, "buy"), text=which, choices=choices)[0].choice == "sales"
    assert asked(Press(after, "2"), text=which, choices=choices)[0].choice == "support"


def test_digits_are_said_or_pressed_one_after_the_other() -> None:
    which = "What are the last four digits?"
    after = TTS().seconds(which) + 1.0
    pressed = [Press(first_sound(after + 0.5 * n), digit) for n, digit in enumerate("4711")]

    assert asked(Say(first_sound(after), "four seven one one"), text=which, choices=Digits(4))[0].choice == "4711"
    answer, _ = asked(*pressed, text=which, choices=Digits(4))
    assert (answer.choice, answer.kind) == ("4711", Kind.PRESSED)


def test_too_few_digits_are_unclear() -> None:
    which = "What are the last four digits?"
    answer, _ = asked(Press(first_sound(TTS().seconds(which) + 1.0), "47"), text=which, choices=Digits(4), attempts=1)

    assert (answer.choice, answer.outcome) == ("", AskOutcome.UNCLEAR)


def test_a_caller_who_leaves_for_good_gives_no_answer() -> None:
    answer, _ = asked(HangUp(first_sound(ASKED + 1.0)), ends_quiet=None)

    assert (answer.choice, answer.outcome) == ("", AskOutcome.CALLER_GONE)


def test_a_caller_who_returns_is_asked_again() -> None:
    answer, result = asked(
        HangUp(first_sound(2.0)), Return(first_sound(6.0)), Say(first_sound(6.0 + ASKED + 2.0), "yes")
    )

    assert (answer.choice, answer.outcome) == ("yes", AskOutcome.ANSWERED)
    assert [one.asked_at is None for one in answer.receipt.attempts] == [True, False]
    assert spoken(result)[-1] == "Thank you."


def test_decide_narrows_and_never_widens() -> None:
    yes, no = Say(first_sound(ASKED + 1.0), "yes"), Say(first_sound(ASKED + 1.0), "the blue parrot")

    assert asked(yes, decide=lambda words: "yes", attempts=1)[0].choice == "yes"
    assert asked(yes, decide=lambda words: None, attempts=1)[0].outcome is AskOutcome.UNCLEAR
    assert asked(yes, decide=lambda words: "no", attempts=1)[0].choice == ""
    assert asked(no, decide=lambda words: "yes", attempts=1)[0].choice == ""


def test_a_decide_that_fails_confirms_nothing() -> None:
    answer, result = asked(Say(first_sound(ASKED + 1.0), "yes"), decide=lambda words: {}[words], attempts=1)  # type: ignore[index,return-value,var-annotated]

    assert answer.outcome is AskOutcome.UNCLEAR
    assert any("decide= of question 'recording-consent' failed" in line for line in result.warnings)


def test_an_answer_can_be_revoked() -> None:
    answer, result = asked(Say(first_sound(ASKED + 1.0), "yes"))
    revoked = answer.revoke("the caller took it back")

    assert (revoked.receipt.revoked, answer.receipt.revoked) == ("the caller took it back", "")
    assert [one.revoked for one in result.session.questions] == ["", "the caller took it back"]


class Announcing(Agent):
    """Asks after a notice, awaited or not."""

    def __init__(self, *, waits: bool) -> None:
        super().__init__(instructions="Answer briefly.")
        self.waits = waits
        self.answer: CallerAnswer | None = None

    async def on_enter(self) -> None:
        notice = self.session.announce(NOTICE, id="notice")
        if self.waits:
            await notice
        self.answer = await self.session.ask(RECORD, id="recording-consent", choices=KEYS)


@pytest.mark.parametrize("at", [-6.0, -1.6, -0.9])
@pytest.mark.parametrize("waits", [True, False])
def test_what_is_said_over_the_notice_before_a_question_is_answered(at: float, *, waits: bool) -> None:
    """It was noted only, where its final transcript came after the notice: the caller waited for an answer in vain."""
    agent = Announcing(waits=waits)
    acts = [Say(from_end(at), "my address has changed", duration=1.2), Press(from_end(12.0), "1")]
    result = Call(agent=lambda: agent, caller=acts, stt=STT(final=0.8), ends_after=60.0, ends_quiet=QUIET).play()

    assert agent.answer is not None
    assert agent.answer.choice == "yes", result.describe()
    assert [one.said for one in result.replies] == ["You said my address has changed."], result.describe()
    assert result.turns == ["my address has changed"]


@pytest.mark.parametrize("waits", [True, False])
def test_a_yes_that_began_over_the_notice_is_answered_and_is_no_consent(*, waits: bool) -> None:
    agent = Announcing(waits=waits)
    acts = [Say(from_end(-0.4), "yes of course", duration=1.2)]
    result = Call(agent=lambda: agent, caller=acts, stt=STT(final=0.8), ends_after=60.0, ends_quiet=QUIET).play()

    assert agent.answer is not None
    assert (agent.answer.choice, len(agent.answer.receipt.attempts)) == ("", 3), result.describe()
    assert result.turns == ["yes of course"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: Choices("one"), "choices"),
        (lambda: Choices("a", "b", phrases={"c": ["x"]}), "choices"),
        (lambda: Choices("sales", "support", phrases={"sales": "buy"}), "choices"),  # type: ignore[dict-item]
        (lambda: Choices("sales", "support", phrases={"sales": [""]}), "choices"),
        (lambda: Choices("sales", "support", phrases={"sales": ["Support!"]}), "choices"),
        (lambda: Choices("Sales", "sales"), "choices"),
        (lambda: Digits(0), "choices"),
        (lambda: YesNo(keys={"x": "yes"}), "keys"),
        (lambda: YesNo(keys={"1": "maybe"}), "keys"),
        (lambda: YesNo(keys="12"), "keys"),  # type: ignore[arg-type]
        (lambda: YesNo(keys={1: "yes"}), "keys"),  # type: ignore[dict-item]
    ],
)
def test_choices_that_make_no_sense_are_refused(wrong: Callable[[], object], field: str) -> None:
    with pytest.raises(QuestionError) as refused:
        wrong()
    assert refused.value.field == field


async def _yes(_: str) -> str:
    return "yes"


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "…"},
        {"text": None},
        {"id": None},
        {"version": 3},
        {"repeat": "?!"},
        {"aside": "answer"},
        {"silence": "implied"},
        {"language": "German"},
        {"decide": "yes"},
        {"decide": _yes},
    ],
)
def test_what_is_no_question_is_refused_before_anything_is_said(wrong: dict[str, Any]) -> None:
    """Each was taken for something else: `silence="implied"` for nothing, an async `decide` for no confirmation."""
    fields: list[str] = []

    class Wrong(Agent):
        async def on_enter(self) -> None:
            try:
                self.session.ask(**{"text": RECORD, "id": "consent"} | wrong)
            except QuestionError as error:
                fields.append(error.field)

    result = Call(agent=lambda: Wrong(instructions=""), ends_after=3.0).play()

    assert fields == list(wrong)
    assert spoken(result) == []

"""One question, written down as events and actions: what random calls seldom come to."""

from typing import Any

import pytest

from hearout import AskOutcome, Policy
from hearout._floor import events as e
from hearout._floor.actions import Action, AskQuestion, EndQuestion, RecordFate
from hearout._floor.answering import Expected
from hearout._floor.floor import Floor
from hearout.receipts import Fate, QuestionReceipt

TEXT = "May we record this call?"
YES_NO = Expected(yes_no=True)


def asked(**more: Any) -> Floor:
    """A floor whose question of 3 s had been asked at 4.0 s."""
    floor = Floor(Policy(language="en"))
    question = {"text": TEXT, "expected": YES_NO, "keys": (("1", "yes"), ("2", "no")), "attempts": 1} | more
    told(floor, (0.5, e.QuestionAsked("q", **question)))
    say(floor, "q", 1.0, question="q")
    return floor


def say(floor: Floor, name: str, at: float, **more: Any) -> list[Action]:
    """What the floor decides when an utterance of 3 s has been said."""
    return told(
        floor,
        (at, e.SpeechRequested(name, text=TEXT, **more)),
        (at, e.AudioMade(name, 3.0, complete=True)),
        (at, e.PlayoutStarted(name)),
        (at + 3.0, e.PlayoutFinished(name, 3.0)),
        (at + 3.0, e.SpeechEnded(name)),
    )


def told(floor: Floor, *steps: tuple[float, e.Event]) -> list[Action]:
    """What the floor decides at these steps."""
    return [action for at, event in steps for action in floor.apply(event, at)]


def ended(floor: Floor, *steps: tuple[float, e.Event]) -> QuestionReceipt:
    """The record of the question that ends in these steps, or when the alarms have rung after them."""
    actions, at = told(floor, *steps), steps[-1][0] if steps else 4.0
    while (found := [one.receipt for one in actions if isinstance(one, EndQuestion)]) == []:
        assert floor.next_alarm is not None, "it never ends"
        at = max(at, floor.next_alarm)
        actions = floor.apply(e.AlarmRang(), at)
    return found[0]


def test_what_is_guessed_counts_when_no_final_comes() -> None:
    spoken = ((5.0, e.CallerStarted()), (5.4, e.WordsGuessed("yes", "en")), (5.6, e.CallerStopped()))
    receipt = ended(asked(), *spoken)

    assert (receipt.choice, [one.text for one in receipt.answers]) == ("yes", ["yes"])
    assert receipt.decided_at >= 5.6 + Policy().timeouts.words


def test_a_final_that_comes_after_the_sound_is_waited_for() -> None:
    spoken = ((5.0, e.CallerStarted()), (5.6, e.CallerStopped()), (6.4, e.WordsHeard("no", "en")))

    assert ended(asked(), *spoken).choice == "no"


def test_an_echo_of_the_question_is_no_answer_to_it() -> None:
    floor = Floor(Policy(language="en"))
    told(floor, (0.5, e.QuestionAsked("q", text=TEXT, expected=YES_NO, keys=(), attempts=1)))
    begun = e.SpeechRequested("q", text=TEXT, question="q"), e.AudioMade("q", 3.0, complete=True)
    told(floor, *((1.0, event) for event in (*begun, e.PlayoutStarted("q"))))
    echo = e.WordsHeard("may we record this call", "en")
    told(floor, (2.6, e.CallerStarted()), (3.4, echo), (3.5, e.CallerStopped()))
    actions = told(floor, (4.0, e.PlayoutFinished("q", 3.0)), (4.0, e.SpeechEnded("q")))
    receipt = ended(floor, (5.0, e.CallerStarted()), (5.3, e.WordsHeard("yes", "en")), (5.5, e.CallerStopped()))

    assert [one.fate for one in actions if isinstance(one, RecordFate)] == [Fate.ECHO]
    assert (receipt.choice, [one.text for one in receipt.answers]) == ("yes", ["yes"])


def test_an_announcement_in_between_begins_the_wait_anew() -> None:
    floor = asked(wait=6.0)
    told(floor, (5.0, e.SpeechRequested("notice", text="There is a queue.")))
    told(floor, (5.0, e.AudioMade("notice", 3.0, complete=True)), (5.0, e.PlayoutStarted("notice")))
    told(floor, (6.0, e.KeysPressed("1")))
    told(floor, (8.0, e.PlayoutFinished("notice", 3.0)), (8.0, e.SpeechEnded("notice")))

    receipt = ended(floor, (8.8, e.KeysPressed("2")))
    assert receipt.choice == "no"
    assert [(one.text, one.early) for one in receipt.answers] == [("1", True), ("2", False)]


def test_a_question_that_is_open_is_asked_for_once() -> None:
    floor = asked()

    assert told(floor, (5.0, e.QuestionAsked("q", text="Another?"))) == []
    assert ended(floor, (6.0, e.KeysPressed("1"))).text == TEXT
    assert not floor.holding


@pytest.mark.parametrize(
    ("pressed", "choice", "rule"),
    [("4711", "4711", "keys"), ("4711#", "4711", "keys"), ("47112", "", "not 4 digits")],
)
def test_pressed_digits_are_as_many_as_were_asked_for(pressed: str, choice: str, rule: str) -> None:
    receipt = ended(asked(expected=Expected(digits=4), keys=()), (5.0, e.KeysPressed(pressed)))

    assert (receipt.choice, receipt.answers[0].rule, receipt.choices) == (choice, rule, ("4 digits",))


def test_digits_that_stop_halfway_are_unclear_when_the_wait_is_over() -> None:
    receipt = ended(asked(expected=Expected(digits=4), keys=(), wait=6.0), (5.0, e.KeysPressed("47")))

    assert (receipt.outcome, receipt.decided_at) == (AskOutcome.UNCLEAR, 10.0)


def test_digits_after_one_that_came_too_early_have_the_whole_wait() -> None:
    floor = Floor(Policy(language="en"))
    told(floor, (0.5, e.QuestionAsked("q", text=TEXT, expected=Expected(digits=4), wait=6.0)))
    told(floor, (0.8, e.KeysPressed("9")))
    say(floor, "q", 1.0, question="q")

    receipt = ended(floor, (5.0, e.KeysPressed("47")), (9.5, e.KeysPressed("11")))
    assert (receipt.choice, [one.early for one in receipt.answers]) == ("4711", [True, False, False])


@pytest.mark.parametrize(("confirms", "choice"), [(True, "yes"), (False, "")])
def test_a_choice_that_the_program_does_not_confirm_is_none(confirms: bool, choice: str) -> None:  # noqa: FBT001
    seen: list[tuple[str, str]] = []

    def narrow(words: str, found: str) -> bool:
        seen.append((words, found))
        return confirms

    receipt = ended(asked(narrow=narrow), (5.0, e.TextTyped("yes please")))

    assert (receipt.choice, seen) == (choice, [("yes please", "yes")])
    assert receipt.deciding == (receipt.answers[0] if confirms else None)


@pytest.mark.parametrize(("key", "choice"), [("1", "yes"), ("2", "")])
def test_a_key_and_words_that_say_the_same_are_one_answer(key: str, choice: str) -> None:
    said = ((5.0, e.CallerStarted()), (5.2, e.KeysPressed(key)), (5.5, e.WordsHeard("yes", "en")))

    assert ended(asked(), *said, (5.6, e.CallerStopped())).choice == choice


def test_a_question_that_is_never_said_fails() -> None:
    floor = Floor(Policy(language="en"))
    actions = told(floor, (0.5, e.QuestionAsked("q", text=TEXT)))

    assert AskQuestion("q") in actions
    assert ended(floor).outcome is AskOutcome.FAILED


def test_a_question_that_is_sent_as_text_had_been_asked_when_it_was() -> None:
    floor = Floor(Policy(language="en"))
    told(
        floor,
        (0.5, e.QuestionAsked("q", text=TEXT)),
        (0.6, e.SpeechRequested("q", text=TEXT, question="q")),
        (0.7, e.TextSent("q")),
        (1.0, e.SpeechEnded("q")),
    )

    receipt = ended(floor, (2.0, e.TextTyped("yes")))
    assert (receipt.choice, receipt.attempts[0].asked_at) == ("yes", 1.0)

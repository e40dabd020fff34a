"""Calls in virtual time with STTs as teams bring them: whole phrases, late, without times; and endless noise."""

from typing import Any

import pytest

from harness.scenes import CONSENT, NOTICE, QUESTION, Announcing, Thinking, Uninterruptable, call, receipts
from hearout.testing import LLM, STT, Noise, Result, Say, first_sound, from_end, zoo

COST, LONG = "what does it cost", "and how long"


def earlies(result: Result) -> list[tuple[str, bool]]:
    return [(held.text, held.early) for held, _ in receipts(result)[0].held]


@pytest.mark.parametrize("name", zoo.STT_KINDS)
def test_a_question_is_kept_and_answered_once(name: str) -> None:
    result = call(Say(first_sound(1.0), COST), stt=zoo.STT_KINDS[name], ends_after=30.0)

    assert (result.kept, len(result.replies), result.false_replies) == (1.0, 1, []), result.describe()


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("late", [0.5, 2.0, 3.0, 6.0])
def test_an_early_yes_is_early_however_late_its_words_come(late: float, timed: Any) -> None:
    result = call(
        Say(first_sound(3.0), "yes I agree"),
        agent=lambda: Announcing(CONSENT),
        stt=STT(interim=None, pause=0.6, final=late, timed=timed),
    )

    assert earlies(result) == [("yes I agree", True)], result.describe()


@pytest.mark.parametrize("timed", [True, False])
def test_an_echo_in_a_late_final_is_an_echo(timed: Any) -> None:
    echo = Say(first_sound(0.9), "recorded for training and quality", answered=False)
    result = call(echo, stt=STT(interim=None, pause=0.6, final=5.0, timed=timed))

    assert [fate.value for _, fate in receipts(result)[0].held] == ["echo"], result.describe()
    assert result.replies == []


@pytest.mark.parametrize("late", [0.5, 2.0, 4.0])
def test_two_questions_of_an_stt_that_hears_phrases_are_one_turn(late: float) -> None:
    result = call(
        Say(first_sound(0.5), COST),
        Say(first_sound(4.5), LONG),
        stt=STT(interim=None, pause=0.6, final=late, timed=False),
    )

    assert result.turns == [f"{COST} {LONG}"], result.describe()
    assert len(result.replies) == 1


def test_the_wait_for_words_is_what_this_stt_has_needed() -> None:
    result = call(
        Say(first_sound(0.5), COST),
        Say(from_end(-1.5), LONG),
        stt=STT(interim=None, pause=0.6, final=3.0, timed=False),
    )

    assert result.turns == [f"{COST} {LONG}"], result.describe()
    assert result.gaps[0] <= 4.0


@pytest.mark.parametrize("interim", [0.15, None])
def test_a_noise_that_never_ends_holds_no_answer_up(interim: float | None) -> None:
    result = call(Say(first_sound(1.0), COST), Noise(first_sound(4.0), 60.0), stt=STT(interim=interim), ends_after=60.0)

    assert result.protected[0].intended == NOTICE
    assert result.kept == 1.0, result.describe()
    assert len(result.replies) == 1, result.describe()
    assert result.gaps[0] <= 10.0


def test_words_that_the_vad_misses_are_kept() -> None:
    result = call(Say(first_sound(1.0), COST, noticed=False))

    assert (result.kept, len(result.replies)) == (1.0, 1), result.describe()


# A final that restates the one before, or comes twice


def test_held_words_that_come_again_after_the_speech_are_no_second_turn() -> None:
    result = call(Say(first_sound(5.1), QUESTION), Say(first_sound(9.4), COST), stt=STT(restates=True))

    assert result.turns == [QUESTION, COST], result.describe()
    assert [len(one.replies) for one in result.answered] == [1, 1]


def test_words_from_before_the_speech_that_come_again_are_not_held_twice() -> None:
    calls = (Say(first_sound(9.0), QUESTION), Say(first_sound(11.9), COST))
    result = call(*calls, agent=Uninterruptable, stt=STT(restates=True))

    assert [fate.value for held, fate in receipts(result)[1].held] == ["repeated", "delivered"], result.describe()
    assert result.turns == [QUESTION, COST]


def test_what_was_never_held_and_is_restated_is_livekits() -> None:
    result = call(Say(10.0, QUESTION), Say(12.9, COST), stt=STT(restates=True))

    assert result.turns[-1] == f"{QUESTION} {COST}", result.describe()


def test_a_doubled_yes_is_early_both_times_though_the_llm_still_writes() -> None:
    result = call(
        Say(first_sound(0.8), "yes I agree"),
        agent=Thinking,
        llm=LLM([CONSENT, "Fine."], rate=5.0),
        stt=STT(doubles=True),
    )

    assert earlies(result) == [("yes I agree", True), ("yes I agree", True)], result.describe()

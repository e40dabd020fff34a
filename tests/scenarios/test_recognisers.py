"""Calls in virtual time with STTs as teams bring them: whole phrases, late, without times; and endless noise."""

from typing import Any

import pytest

from harness.scenes import CONSENT, NOTICE, Announcing, call, receipts
from hearout.testing import STT, Noise, Result, Say, first_sound, from_end, zoo

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

"""What a team may choose, and what is refused with a sentence that says why."""

import dataclasses
import math
from typing import Any

import pytest

from hearout import (
    After,
    Answer,
    Keys,
    Nobody,
    Phrases,
    Policy,
    PolicyError,
)
from hearout.policy import CutIn, ways


@pytest.mark.parametrize(
    ("combined", "single"),
    [
        (Nobody(), ()),
        (Nobody() | Keys("0"), (Keys("0"),)),
        (Keys("0") | Nobody(), (Keys("0"),)),
        (Phrases("operator") | Keys("0"), (Phrases("operator"), Keys("0"))),
        (After(20) | Phrases("operator"), (After(20), Phrases("operator"))),
        (Phrases("operator") | Keys("0") | After(20), (Phrases("operator"), Keys("0"), After(20))),
    ],
)
def test_ways_to_cut_in_are_combined(combined: CutIn, single: Any) -> None:
    assert ways(combined) == single


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Phrases(), "needs phrases"),
        (lambda: Phrases("operator", "?!"), "needs phrases"),
        (lambda: Keys(""), "keys of a telephone"),
        (lambda: Keys("0x"), "keys of a telephone"),
        (lambda: After(-1), "seconds of 0 or more"),
        (lambda: After(math.nan), "seconds of 0 or more"),
        (lambda: After("x"), "seconds of 0 or more"),  # type: ignore[arg-type]
        (lambda: After(seconds=True), "seconds of 0 or more"),
        (lambda: Phrases(1), "needs phrases"),  # type: ignore[arg-type]
        (lambda: Keys(0), "needs keys"),  # type: ignore[arg-type]
        (lambda: Policy(model_calls=True), "whole number"),
        (lambda: Policy(cut_in="operator"), "cut_in must be"),  # type: ignore[arg-type]
        (lambda: Policy(answer="later"), "answer must be"),  # type: ignore[arg-type]
        (lambda: Policy(prepare=-1), "prepare must be a number of seconds"),
        (lambda: Policy(words_grace=math.inf), "words_grace must be a number of seconds"),
        (lambda: Policy(voice_grace=0), "voice_grace=0 would give up"),
        (lambda: Policy(model_calls=0), "model_calls must be a whole number"),
        (lambda: Policy(voice_tries=1.5), "voice_tries must be a whole number"),  # type: ignore[arg-type]
        (lambda: Policy(may_press="supervisor"), "may_press must be a set"),  # type: ignore[arg-type]
        (lambda: Policy(early_instructions=" "), "early_instructions is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        make()


def test_each_choice_is_named_with_its_default_and_its_reason() -> None:
    told = Policy.__doc__ or ""
    for choice in dataclasses.fields(Policy):
        assert f"\n        {choice.name}: " in told
    assert Policy().cut_in == Nobody()
    assert Policy().answer is Answer.RIGHT_AFTER

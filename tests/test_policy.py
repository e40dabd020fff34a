"""What a team may choose, and what is refused with a sentence that says why."""

import dataclasses
import inspect
import json
import math
from typing import Any

import pytest

from hearout import Answer, CutIn, Policy, PolicyError, Redeliver, Timeouts
from hearout.policy import choices_from_json, choices_to_json


@pytest.mark.parametrize(
    "cut_in", [CutIn(), CutIn(keys="0"), CutIn(phrases=("operator",), after=20.0), CutIn(phrases=("a", "b"), keys="0*")]
)
def test_a_cut_in_comes_back_from_json_as_it_was(cut_in: CutIn) -> None:
    choices = {"cut_in": cut_in, "answer": Answer.NOTE, "redeliver": Redeliver.NEVER}
    assert choices_from_json(json.loads(json.dumps(choices_to_json(choices)))) == choices


def test_choices_that_were_not_made_are_not_written() -> None:
    assert choices_to_json({"cut_in": None, "answer": None, "text": "hello"}) == {"text": "hello"}
    assert choices_from_json({"answer": None, "text": "hello"}) == {}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: CutIn(phrases="operator"), "needs a tuple of phrases"),
        (lambda: CutIn(phrases=("operator", "?!")), "needs phrases with words"),
        (lambda: CutIn(keys="0x"), "keys of a telephone"),
        (lambda: CutIn(after=-1), "seconds of 0 or more"),
        (lambda: CutIn(after=math.nan), "seconds of 0 or more"),
        (lambda: CutIn(after="x"), "seconds of 0 or more"),  # type: ignore[arg-type]
        (lambda: CutIn(after=True), "seconds of 0 or more"),
        (lambda: CutIn(phrases=(1,)), "needs phrases with words"),  # type: ignore[arg-type]
        (lambda: CutIn(keys=0), "needs keys of a telephone"),  # type: ignore[arg-type]
        (lambda: Policy(model_calls=True), "whole number"),
        (lambda: Policy(cut_in="operator"), "cut_in must be"),  # type: ignore[arg-type]
        (lambda: Policy(timeouts=30.0), "timeouts must be Timeouts"),  # type: ignore[arg-type]
        (lambda: Policy(answer="later"), "answer must be"),  # type: ignore[arg-type]
        (lambda: Policy(prepare=-1), "prepare must be a number of seconds"),
        (lambda: Policy(timeouts=Timeouts(words=math.inf)), r"Timeouts\.words must be a number of seconds"),
        (lambda: Policy(timeouts=Timeouts(voice=0)), r"Timeouts\.voice is 0, which would give up"),
        (lambda: Policy(model_calls=0), "model_calls must be a whole number"),
        (lambda: Policy(voice_tries=1.5), "voice_tries must be a whole number"),  # type: ignore[arg-type]
        (lambda: Policy(may_press="supervisor"), "may_press must be a set"),  # type: ignore[arg-type]
        (lambda: Policy(early_instructions=" "), "early_instructions is empty"),
        (lambda: Policy(language="English"), "language must be a code like"),
        (lambda: Policy(language="e"), "language must be a code like"),
        (lambda: Policy(language=None), "language must be a code like"),  # type: ignore[arg-type]
        (lambda: Policy(more_words=["aye"]), "more_words must be phrases by what they mean"),  # type: ignore[arg-type]
        (
            lambda: Policy(more_words={"yess": ["aye"]}),
            "more_words: a language has no words yess; it has abbreviations",
        ),
        (lambda: Policy(more_words={"yes": "aye"}), r"more_words\['yes'\] must be a list of phrases"),
        (lambda: Policy(more_words={"yes": ["aye", "!"]}), "each with a letter or digit"),
        (lambda: Policy(more_words={"yes": (one for one in ["aye"])}), "must be a list"),  # type: ignore[dict-item]
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        make()


def test_each_choice_is_named_with_its_default_and_its_reason() -> None:
    for kind in (Policy, Timeouts, CutIn):
        for choice in dataclasses.fields(kind):
            assert f"\n    {choice.name}: " in (inspect.getdoc(kind) or "")
    assert Policy().cut_in == CutIn()
    assert Policy().answer is Answer.RIGHT_AFTER

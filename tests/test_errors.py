"""Errors carry fields beside their sentence."""

import inspect
import pickle
from typing import Any

import pytest

from hearout import CutIn, Policy, PolicyError, Timeouts, errors
from hearout.errors import HearoutError, ReceiptError, ScriptError
from hearout.receipts._codec import from_json

WITH_FIELDS = [one for one in vars(errors).values() if isinstance(one, type) and inspect.get_annotations(one)]


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: Policy(prepare=-1), "prepare"),
        (lambda: Policy(timeouts=Timeouts(voice=0)), "Timeouts.voice"),
        (lambda: CutIn(keys="x"), "CutIn.keys"),
        (lambda: CutIn(phrases=("?",)), "CutIn.phrases"),
        (lambda: Policy(early_instructions=""), "early_instructions"),
    ],
)
def test_a_policy_error_names_the_setting(make: Any, setting: str) -> None:
    with pytest.raises(PolicyError) as refused:
        make()
    assert refused.value.setting == setting


def test_a_receipt_error_names_the_field() -> None:
    with pytest.raises(ReceiptError) as refused:
        from_json({"schema": "something else"})
    assert refused.value.field == "schema"


@pytest.mark.parametrize("kind", WITH_FIELDS)
def test_fields_survive_pickling(kind: type[HearoutError]) -> None:
    names = list(inspect.get_annotations(kind))
    given: dict[str, Any] = {name: 7 if name == "line" else "it" for name in names}
    again = pickle.loads(pickle.dumps(kind("A sentence.", **given)))
    assert str(again) == "A sentence."
    assert {name: getattr(again, name) for name in names} == given


def test_a_field_that_is_not_known_is_empty() -> None:
    assert (ScriptError("no").path, ScriptError("no").line) == ("", 0)


def test_an_error_has_no_field_but_its_own() -> None:
    with pytest.raises(TypeError, match="no field 'setting'"):
        ScriptError("no", setting="x")

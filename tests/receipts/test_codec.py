"""Receipts as JSON: equal after a round trip, with newer fields kept, and without forbidden words."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger_workers import MINE, receipt
from harness.strategies import receipts
from hearout.errors import ReceiptError
from hearout.receipts import Fate, Held, Kind, Level, Listener, Receipt
from hearout.receipts._codec import from_json, to_json

NOTICE = "This call is recorded."

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


def one(**fields: Any) -> Receipt:
    """An announcement of 7 s, with words said over it."""
    held = ((Held(MINE, 3.0), Fate.DELIVERED), (Held("0", 4.0, Kind.PRESSED), Fate.RECORDED))
    more = {"expected": 0.0, "text": NOTICE, "held": held, "listeners": (Listener("ann", ((0.0, 9.0),)),)}
    return receipt(**(more | fields))


def through_text(document: object) -> Any:
    return json.loads(json.dumps(document))


@given(receipts)
def test_it_comes_back_as_it_was(receipt: Receipt) -> None:
    assert from_json(through_text(to_json(receipt))) == receipt


@given(receipts)
def test_what_was_left_out_once_stays_as_it_is(receipt: Receipt) -> None:
    document = through_text(to_json(receipt))
    for left_out in (document, *document["held"]):
        left_out.pop("text", None)
    assert to_json(from_json(document)) == document


@given(values, st.integers(1, 99))
def test_what_a_newer_minor_version_added_anywhere_is_kept(value: Any, minor: int) -> None:
    document = to_json(one()) | {"version": f"1.{minor}", "weather": value}
    document["listeners"][0] |= {"device": value}
    document["listeners"][0]["seconds"] |= {"understood": 1.0}
    document["attempts"][0] |= {"codec": value}
    document["held"][1] |= {"speaker": value}
    assert to_json(from_json(through_text(document))) == through_text(document)


@given(st.dictionaries(st.sampled_from(sorted(to_json(one()))), values, min_size=1))
def test_a_field_that_makes_no_sense_is_refused_and_never_crashes(wrong: dict[str, Any]) -> None:
    with contextlib.suppress(ReceiptError):
        from_json(to_json(one()) | wrong)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("schema", "invoice", "no receipt"),
        ("version", "2.0", "read it with a newer one"),
        ("version", 1.0, "must be like '1.0'"),
        ("outcome", "heard", "outcome of the receipt is 'heard'"),
        ("outcome", None, "outcome of the receipt must be text"),
        ("played", "all", "played of the receipt must be a number"),
        ("played", True, "played of the receipt must be a number"),
        ("version", "9" * 5000 + ".0", "must be like '1.0'"),
        ("played", float("nan"), "finite"),
        ("played", 10**400, "finite"),
        ("holes", [[0, 10**400]], "pairs of seconds"),
        ("holes", [[1.0]], "pairs of seconds"),
        ("holes", [[1.0, float("inf")]], "pairs of seconds"),
        ("holes", [[0.0, True]], "pairs of seconds"),
        ("held", "none", "held of the receipt must be a list"),
        ("held", [{"early": 1, "at": 1.0, "kind": "typed"}], "early of what was held must be true or false"),
        ("attempts", ["one"], "an attempt must be an object"),
        ("listeners", [{}], "identity of a listener"),
        ("text_sha256", "00", "one of them was changed"),
    ],
)
def test_what_is_no_receipt_is_refused_with_the_field(field: str, value: Any, says: str) -> None:
    with pytest.raises(ReceiptError, match=says):
        from_json(to_json(one()) | {field: value})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ReceiptError, match="no receipt"):
        from_json([])


def test_an_error_does_not_hold_the_caller_s_words() -> None:
    document = to_json(one())
    document["held"][0]["at"] = MINE
    with pytest.raises(ReceiptError) as caught:
        from_json(document)
    assert MINE not in str(caught.value)


def test_a_level_that_was_written_in_is_not_believed() -> None:
    document = to_json(one()) | {"level": "acknowledged"}
    document["listeners"][0] |= {"level": "acknowledged"}
    assert from_json(document).level is Level.PRESENT
    assert to_json(from_json(document))["level"] == "present"


def test_kept_words_stand_in_it_with_what_became_of_them() -> None:
    entry = to_json(one())["held"][0]
    assert entry == {"at": 3.0, "kind": "spoken", "early": False, "fate": "delivered", "text": MINE}

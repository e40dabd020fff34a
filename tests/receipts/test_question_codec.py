"""The record of a question as JSON: what is written can be read, and what makes no sense is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.questions import CONSENT_GIVEN, CONSENT_SILENT
from hearout.errors import ReceiptError
from hearout.receipts import QuestionReceipt
from hearout.receipts._codec import question_from_json, question_to_json, sha256


@pytest.mark.parametrize("one", [CONSENT_GIVEN, CONSENT_SILENT, replace(CONSENT_GIVEN, extra={"mood": "good"})])
def test_a_questions_record_is_the_same_after_json(one: QuestionReceipt) -> None:
    document = json.loads(json.dumps(question_to_json(one)))

    assert question_from_json(document) == one


def test_a_record_without_its_text_keeps_the_hash() -> None:
    document = question_to_json(CONSENT_GIVEN)
    del document["text"]

    assert question_from_json(document).text_sha256 == sha256(CONSENT_GIVEN.text)


def test_what_a_newer_version_wrote_is_kept_wherever_it_stands() -> None:
    document = json.loads(json.dumps(question_to_json(CONSENT_GIVEN)))
    document |= {"version": "1.7", "mood": "good"}
    document["held"][0]["certain"] = True
    document["attempts"][0]["again"] = {"why": "noise"}

    assert question_to_json(question_from_json(document)) == document


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schema": "hearout.receipt"}, "schema"),
        ({"version": "2.0"}, "version"),
        ({"version": "one"}, "version"),
        ({"text": "another"}, "text_sha256"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ReceiptError) as refused:
        question_from_json(question_to_json(CONSENT_GIVEN) | change)
    assert refused.value.field == field

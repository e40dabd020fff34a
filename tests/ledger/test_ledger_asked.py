"""`hearout receipts --asked` and `--disclosed-before-first-answer`, and a question's record as JSON."""

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.ledger_workers import NOTICE, NOW, Opened, receipt
from hearout.errors import ReceiptError
from hearout.ledger import Ledger
from hearout.ledger._command import main
from hearout.ledger._questions import asked_record, questions, revoked_record
from hearout.policy import Retention
from hearout.receipts import AskAttempt, AskOutcome, Basis, Fate, GivenAnswer, Held, Kind, QuestionReceipt
from hearout.receipts._codec import sha256
from hearout.receipts._question_codec import question_from_json, question_to_json

YES = QuestionReceipt(
    "consent",
    "3",
    AskOutcome.ANSWERED,
    "yes",
    Basis.GIVEN,
    text="May we record this call?",
    language="en",
    choices=("yes", "no"),
    rules="1",
    asked_for_at=0.1,
    decided_at=4.5,
    attempts=(AskAttempt("consent", 3.0, spans=((0.5, 3.0),), level="played"),),
    answers=(
        GivenAnswer(
            "yes", Kind.SPOKEN, 0, 3.6, 4.0, 4.2, stt="an STT", confidence=0.9, verdict="yes", rule="agreement"
        ),
    ),
    delay=1.5,
    call="room-1",
    entry="e1",
)
SILENT = QuestionReceipt("consent", "3", AskOutcome.SILENT, text=YES.text, call="room-2", entry="e2")


@pytest.fixture
def book(url: str) -> Opened:
    ledger = Opened(url)
    for at, one in ((NOW + 5, YES), (NOW + 60, SILENT)):
        ledger.append(asked_record(one, by="a", now=at, text=Retention.KEEP))
    return ledger


def run(ledger: Ledger, *arguments: str) -> int:
    return main([*arguments, "--ledger", ledger.url, "--book", ledger.book], clock=lambda: NOW + 7200)


def test_the_list_says_who_was_asked_what_they_said_and_when(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(book, "--asked", "consent") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["decided", "(UTC)", "call", "choice", "basis", "said"]
    assert first.split()[2:] == ["room-1", "yes", "given", "yes", "(yes)"]
    assert second.split()[2:] == ["room-2", "silent", "none"]


def test_the_list_of_a_question_may_be_json(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    book.append(revoked_record(replace(YES, revoked="a mistake", revoked_at=NOW + 90), by="a"))

    assert run(book, "--asked", "consent", "--json", "--call", "room-1") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["choice"], found["revoked"], found["revoked_at"]) == ("yes", "a mistake", NOW + 90)
    assert found["held"][0]["text"] == "yes"


def test_a_question_that_nobody_was_asked_is_said_so(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(book, "--asked", "another") == 0
    assert capsys.readouterr().out.startswith("Nobody was asked 'another'")


def test_a_call_that_was_answered_before_the_notice_is_found(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Opened(url)
    for call, first in (("good", "notice"), ("bad", "greeting")):
        for number, id in enumerate((first, "greeting" if first == "notice" else "notice")):
            at = NOW + 20 * number
            said = ((Held("a question", 1.0), Fate.DELIVERED),) if id == "greeting" else ()
            ledger.owe(call, id, NOTICE, by="a", now=at)
            ledger.settle(receipt(id, held=said, gap=0.1 if said else None), call=call, by="a", now=at + 9)

    assert run(ledger, "--disclosed-before-first-answer", "notice", "--json") == 1
    assert json.loads(capsys.readouterr().out) == [{"call": "bad", "answered": "what was said over greeting"}]
    assert run(ledger, "--disclosed-before-first-answer", "notice", "--call", "good") == 0


def test_a_question_that_was_answered_without_the_notice_is_found(
    book: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(book, "--disclosed-before-first-answer", "notice") == 1
    assert capsys.readouterr().out.split() == ["room-1", "question", "consent"]


@pytest.mark.parametrize("one", [YES, SILENT, replace(YES, extra={"mood": "good"})])
def test_a_questions_record_is_the_same_after_json(one: QuestionReceipt) -> None:
    document = json.loads(json.dumps(question_to_json(one)))

    assert question_from_json(document) == one


def test_a_record_without_its_text_keeps_the_hash() -> None:
    document = question_to_json(YES)
    del document["text"]

    assert question_from_json(document).text_sha256 == sha256(YES.text)


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
        question_from_json(question_to_json(YES) | change)
    assert refused.value.field == field


def test_a_changed_row_of_a_question_is_named(book: Opened) -> None:
    assert [receipt.choice for _, receipt in questions(book)] == ["yes", ""]
    assert run(book, "verify") == 0

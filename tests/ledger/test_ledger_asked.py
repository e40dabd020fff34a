"""`hearout receipts --asked` and `--disclosed-before-first-answer`."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from harness.ledger_workers import NOTICE, NOW, Opened, cut_in, receipt, receipts_command
from harness.questions import CONSENT_GIVEN, CONSENT_SILENT
from hearout.ledger._questions import answered_too_early, asked_record, questions, revoked_record
from hearout.ledger._read import rows, verify
from hearout.ledger._tables import ROWS
from hearout.policy import Retention
from hearout.receipts import Fate, Held


@pytest.fixture
def book(url: str) -> Opened:
    ledger = Opened(url)
    for at, one in ((NOW + 5, CONSENT_GIVEN), (NOW + 60, CONSENT_SILENT)):
        ledger.append(asked_record(one, by="a", now=at, text=Retention.KEEP))
    return ledger


def test_the_list_says_who_was_asked_what_they_said_and_when(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "--asked", "consent") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["decided", "(UTC)", "call", "version", "choice", "basis", "said"]
    assert first.split()[2:] == ["room-1", "3", "yes", "given", "yes", "(yes)"]
    assert second.split()[2:] == ["room-2", "3", "silent", "none"]


def test_the_list_of_a_question_may_be_json(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    book.append(revoked_record(replace(CONSENT_GIVEN, revoked="a mistake", revoked_at=NOW + 90), by="a"))

    assert receipts_command(book, "--asked", "consent", "--json", "--call", "room-1") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["choice"], found["revoked"], found["revoked_at"]) == ("yes", "a mistake", NOW + 90)
    assert found["held"][0]["text"] == "yes"


def test_a_question_that_nobody_was_asked_is_said_so(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "--asked", "another") == 0
    assert capsys.readouterr().out.startswith("No question 'another' has ended")


def test_a_call_that_was_answered_before_the_notice_is_found(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Opened(url)
    for call, first in (("good", "notice"), ("bad", "greeting")):
        for number, id in enumerate((first, "greeting" if first == "notice" else "notice")):
            at = NOW + 20 * number
            said = ((Held("a question", 1.0), Fate.DELIVERED),) if id == "greeting" else ()
            ledger.owe(call, id, NOTICE, by="a", now=at)
            ledger.settle(receipt(id, held=said, gap=0.1 if said else None), call=call, by="a", now=at + 9)

    assert receipts_command(ledger, "--disclosed-before-first-answer", "notice", "--json") == 1
    assert json.loads(capsys.readouterr().out) == [{"call": "bad", "answered": "what was said over greeting"}]
    assert receipts_command(ledger, "--disclosed-before-first-answer", "notice", "--call", "good") == 0


def test_a_question_that_was_answered_without_the_notice_is_found(
    book: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receipts_command(book, "--disclosed-before-first-answer", "notice") == 1
    assert capsys.readouterr().out.split() == ["room-1", "question", "consent"]


@pytest.mark.parametrize("content", ['{"call":"~1","receipt":7}', "[]", '{"call":"~1"'])
def test_a_changed_row_of_a_question_is_named(book: Opened, capsys: pytest.CaptureFixture[str], content: str) -> None:
    book.append(revoked_record(replace(CONSENT_GIVEN, revoked="a mistake", revoked_at=NOW + 90), by="a"))
    assert [receipt.choice for _, receipt in questions(book)] == ["yes", ""]
    assert receipts_command(book, "verify") == 0
    for seq in (3, 1):  # what took it back, and the question
        with book.transaction() as connection:
            connection.execute(ROWS.update().where(ROWS.c.seq == seq).values(content=content))
        capsys.readouterr()
        assert receipts_command(book, "--asked", "consent") == 1
        assert capsys.readouterr().err.startswith("error: row 1 cannot be read: it was changed")
        assert receipts_command(book, "verify") == 1


@pytest.mark.parametrize(
    "filters",
    [
        ["--asked", "consent", "--outcome", "finished"],
        ["--asked", "consent", "--level", "present"],
        ["--disclosed-before-first-answer", "notice", "--since", "2099-01-01"],
        ["--disclosed-before-first-answer", "notice", "--until", "1999-01-01"],
        ["--disclosed-before-first-answer", "notice", "--outcome", "finished"],
    ],
)
def test_a_filter_that_would_be_passed_over_is_refused(
    book: Opened, capsys: pytest.CaptureFixture[str], filters: list[str]
) -> None:
    assert receipts_command(book, *filters) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {filters[0]} ")


def test_questions_are_listed_from_one_time_on_and_before_another(
    book: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    given, silent = (datetime.fromtimestamp(NOW + seconds, UTC).isoformat() for seconds in (5, 60))
    for filters, calls in (
        ([], 2),
        (["--since", given], 2),
        (["--until", silent], 1),
        (["--since", silent], 1),
        (["--until", "1970-01-01"], 0),
    ):
        assert receipts_command(book, "--asked", "consent", "--json", *filters) == 0
        assert len(json.loads(capsys.readouterr().out)) == calls, filters


def test_a_forgotten_call_keeps_the_choice_of_a_question_and_no_name(book: Opened) -> None:
    asked = replace(CONSENT_GIVEN, id="newsletter", caller="sip_+491705551234", call="call-+491705551234", entry="e3")
    book.append(asked_record(asked, by="a", now=NOW, text=Retention.KEEP))
    revoked = replace(asked, revoked="+491705551234 called back", revoked_at=NOW + 60)
    book.append(revoked_record(revoked, by="a"))
    ((_, found),) = questions(book, id="newsletter")
    assert (found.call, found.caller, found.revoked) == (asked.call, asked.caller, revoked.revoked)
    with book.transaction() as connection:
        assert "1705551234" not in str(connection.execute(sa.select(ROWS)).all())

    book.forget(asked.call, by="ann", now=NOW + 100)

    ((_, found),) = questions(book, id="newsletter")
    assert (found.choice, found.revoked_at, found.answers[0].text) == ("yes", NOW + 60, "")
    assert "1705551234" not in str(found) + str(list(rows(book)))
    assert verify(book).fault is None


def test_the_first_revocation_of_two_stands(book: Opened) -> None:
    for number, reason in enumerate(("the caller called back", "a mistake")):
        revoked = replace(CONSENT_GIVEN, revoked=reason, revoked_at=NOW + 90 + number)
        book.append(revoked_record(revoked, by="ab"[number]))

    given, _ = [receipt for _, receipt in questions(book)]
    assert (given.revoked, given.revoked_at) == ("the caller called back", NOW + 90)
    assert verify(book).fault is None


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize(
    ("ids", "early"),
    [
        (("notice#2",), []),
        (("notice#2", "notice#3"), []),
        (("notice-2",), ["room-1"]),
        (("notice#two",), ["room-1"]),
        ((), ["room-1"]),
    ],
)
def test_a_notice_that_was_said_again_counts(
    book: Opened,
    ids: tuple[str, ...],
    early: list[str],
    *,
    forgotten: bool,
) -> None:
    book.owe("room-1", "notice", NOTICE, by="a", now=NOW - 40)
    book.settle(replace(cut_in("notice"), held=()), call="room-1", by="a", now=NOW - 31)
    for id in ids:
        book.owe("room-1", id, NOTICE, by="a", now=NOW - 20)
        book.settle(receipt(id, held=()), call="room-1", by="a", now=NOW - 11)
    if forgotten:
        book.forget("room-1", by="ann", now=NOW + 100)

    found = [call for call, _ in answered_too_early(book, "notice", now=NOW + 7200)]
    assert len(found) == len(early)
    assert forgotten or found == early


def test_an_unfinished_notice_discloses_nothing(book: Opened) -> None:
    book.owe("room-1", "notice", NOTICE, by="a", now=NOW - 40)
    book.renew("room-1", "notice", by="a", played=6.9, now=NOW - 32)

    assert [call for call, _ in answered_too_early(book, "notice", now=NOW + 7200)] == ["room-1"]


def test_calls_one_after_the_other_in_one_room_are_told_apart(url: str) -> None:
    ledger = Opened(url)
    for number, said in enumerate((True, False)):
        call, at = f"room/RM_{number}", NOW + 100 * number
        if said:
            ledger.owe(call, "notice", NOTICE, by="a", now=at)
            ledger.settle(receipt("notice", held=()), call=call, by="a", now=at + 9)
        asked = replace(CONSENT_GIVEN, call=call, entry=f"e{number}")
        ledger.append(asked_record(asked, by="a", now=at + 20, text=Retention.KEEP))

    assert [call for call, _ in answered_too_early(ledger, "notice", now=NOW + 7200)] == ["room/RM_1"]

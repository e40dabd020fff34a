"""`hearout receipts export --vcon`, against what draft-ietf-vcon-vcon-core and draft-howe-vcon-consent require."""

import json
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from harness.ledger_workers import NOTICE, NOW, Opened, receipt
from harness.questions import CONSENT_GIVEN, CONSENT_SILENT
from hearout.ledger import Ledger
from hearout.ledger._command import main
from hearout.ledger._questions import asked_record, revoked_record
from hearout.policy import Retention
from hearout.receipts import Basis, Fate, Held, Kind


@pytest.fixture
def book(url: str) -> Opened:
    """Two calls: in one a notice and a question that was answered, in the other a question that was not."""
    ledger = Opened(url)
    held = ((Held("who is that", 1.0), Fate.DELIVERED), (Held("1", 2.0, Kind.PRESSED), Fate.RECORDED))
    ledger.owe("room-1", "notice", NOTICE, by="a", now=NOW)
    ledger.settle(receipt("notice", held=held, caller="sip_+4930123"), call="room-1", by="a", now=NOW + 9)
    ledger.owe("room-1", "consent", CONSENT_GIVEN.text, by="a", now=NOW + 10)
    ledger.settle(receipt("consent", text=CONSENT_GIVEN.text, held=()), call="room-1", by="a", now=NOW + 14)
    for at, one in ((NOW + 15, CONSENT_GIVEN), (NOW + 60, CONSENT_SILENT)):
        ledger.append(asked_record(one, by="a", now=at, text=Retention.KEEP))
    return ledger


def exported(ledger: Ledger, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, Any]]:
    where = ("--ledger", ledger.url, "--book", ledger.book)
    assert main(["export", "--vcon", *more, *where], clock=lambda: NOW + 7200) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def consent(vcon: dict[str, Any]) -> dict[str, Any]:
    (attachment,) = vcon["attachments"]
    found: dict[str, Any] = json.loads(attachment["body"])
    return found


def test_each_call_has_what_the_drafts_require(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    calls = exported(book, capsys)
    assert [one["subject"] for one in calls] == ["room-1", "room-2"]
    for call in calls:
        assert call["vcon"] == "0.4.0"
        assert uuid.UUID(call["uuid"]).version == 8
        datetime.fromisoformat(call["created_at"])
        for one in call["dialog"]:
            assert one["type"] == "text"
            assert one["encoding"] == "none"
            assert isinstance(one["body"], str)
            assert one["mediatype"] == "text/plain"
            assert all(0 <= party < len(call["parties"]) for party in one["parties"])
            datetime.fromisoformat(one["start"])
        for attachment in call["attachments"]:
            assert {"type", "start", "party", "dialog", "mediatype", "body"} <= attachment.keys()
            assert attachment["encoding"] == "json"
            body = json.loads(attachment["body"])
            assert {"expiration", "party", "dialog", "consents"} <= body.keys()
            assert body["party"] < len(call["parties"])
            assert {"purpose", "status", "timestamp"} <= body["consents"][0].keys()


def test_who_said_what_stands_in_the_order_in_which_it_was_said(
    book: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    (call,) = exported(book, capsys, "--call", "room-1")
    assert [party["name"] for party in call["parties"]] == ["agent", "sip_+4930123"]
    assert call["parties"][1]["tel"] == "tel:+4930123"
    said = [(one["originator"], one["body"]) for one in call["dialog"]]
    assert said == [(0, NOTICE), (1, "who is that"), (1, "[keys 1]"), (0, CONSENT_GIVEN.text)]
    assert consent(call)["dialog"] == 3


def test_a_consent_says_what_was_answered_and_by_which_rule(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    given, silent = (consent(one) for one in exported(book, capsys))
    (one,) = given["consents"]
    assert (one["purpose"], one["status"], one["said"], one["rule"]) == ("consent", "granted", "yes", "agreement")
    assert given["proof"]["question"] == CONSENT_GIVEN.text
    assert silent["consents"][0]["status"] == "silent"
    assert silent["consents"][0]["said"] == ""


def test_a_consent_that_was_taken_back_is_revoked(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    book.append(revoked_record(replace(CONSENT_GIVEN, revoked="a mistake", revoked_at=NOW + 90), by="a"))

    (call,) = exported(book, capsys, "--call", "room-1")
    (one,) = consent(call)["consents"]
    assert one["status"] == "revoked"
    assert datetime.fromisoformat(one["timestamp"]).timestamp() == NOW + 90


def test_an_implied_consent_says_that_nobody_said_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Opened(url)
    implied = replace(CONSENT_SILENT, choice="yes", basis=Basis.IMPLIED)
    ledger.append(asked_record(implied, by="a", now=NOW, text=Retention.KEEP))

    (call,) = exported(ledger, capsys)
    (one,) = consent(call)["consents"]
    assert (one["basis"], one["status"]) == ("implied", "granted")
    assert "nothing" in one["said"]


def test_whole_calls_are_exported_and_nothing_else(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--ledger", book.url, "--book", book.book)
    assert main(["export", "--vcon", "--chain", *where]) == 1
    assert "only --call goes with it" in capsys.readouterr().err

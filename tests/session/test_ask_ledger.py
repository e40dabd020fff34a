"""Questions in the ledger: rows, revocations, and the state that the next agent finds."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.kept_in_loop import InTheLoop
from harness.ledger_workers import Opened, kinds
from harness.scenes import call, reading, said
from hearout import AgentSession, AskOutcome, CallerAnswer, QuestionReceipt, Retention, YesNo
from hearout.ledger._questions import questions
from hearout.ledger._read import verify
from hearout.testing import TTS, Do, Press, Say, first_sound

RECORD = "May we record this call for training?"
ASKED = TTS().seconds(RECORD)


@pytest.fixture
def ledger(tmp_path: Path) -> Opened:
    return Opened(f"sqlite:///{tmp_path}/receipts.db")


def asked(
    ledger: Opened, *acts: Any, dies_at: float | None = None, revoke: str = "", version: str = "1", **more: Any
) -> tuple[list[CallerAnswer], list[str]]:
    """The answers and the speech of an agent that asks on entering, and may die so many seconds later."""
    writer = InTheLoop(ledger, "the dead one" if dies_at else "the new one")
    got: list[CallerAnswer] = []

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        answer = await session.ask(
            RECORD, id="consent", version=version, choices=YesNo(keys={"1": "yes"}), repeat="Yes or no?", **more
        )
        got.append(answer.revoke(revoke) if revoke else answer)
        await session.announce("Thank you.", id="thanks")

    def die(_: Any) -> None:
        writer.dies = True

    dying = () if dies_at is None else (Do(first_sound(dies_at), die),)
    result = call(*dying, *acts, agent=reading(read), ends_after=20.0 if dies_at is None else dies_at + 0.5)
    return got, list(said(result))


def rows(ledger: Opened) -> list[QuestionReceipt]:
    return [receipt for _, receipt in questions(ledger)]


def count(ledger: Opened, kind: str) -> int:
    return kinds(ledger).count(kind)


def test_an_answer_is_a_row_with_its_words_and_the_rule(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes that is fine"))

    (receipt,) = rows(ledger)
    assert (receipt.id, receipt.version, receipt.outcome, receipt.choice) == (
        "consent",
        "1",
        AskOutcome.ANSWERED,
        "yes",
    )
    assert (receipt.call, receipt.text, receipt.agent) == ("room/1", RECORD, "Reading")
    (answer,) = receipt.answers
    assert (answer.text, answer.verdict, answer.confidence) == ("yes that is fine", "yes", 1.0)
    assert answer.stt.endswith("ScriptedSTT")
    (attempt,) = receipt.attempts
    assert attempt.level == "played"
    assert attempt.asked_at == pytest.approx(attempt.spans[-1][1])
    assert verify(ledger).fault is None


def test_a_revocation_is_a_row_of_its_own(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"), revoke="the caller took it back")

    (receipt,) = rows(ledger)
    assert (receipt.choice, receipt.revoked) == ("yes", "the caller took it back")
    assert receipt.revoked_at is not None
    assert verify(ledger).fault is None


def test_the_words_of_an_answer_are_kept_where_others_are_omitted(tmp_path: Path) -> None:
    ledger = Opened(f"sqlite:///{tmp_path}/omit.db", words=Retention.OMIT)
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"))

    assert [answer.text for answer in rows(ledger)[0].answers] == ["yes"]
    assert verify(ledger).fault is None


def test_what_was_said_to_a_question_can_be_forgotten(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"))
    ledger.forget("room/1", by="a person", now=2e9)

    (receipt,) = rows(ledger)
    assert (receipt.choice, [answer.text for answer in receipt.answers]) == ("yes", [""])
    assert verify(ledger).fault is None


def test_an_answered_question_stays_answered_after_a_crash(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"), dies_at=ASKED + 4.0)
    got, spoken = asked(ledger)

    assert [(one.choice, one.words) for one in got] == [("yes", "yes")]
    assert RECORD not in spoken
    assert len(rows(ledger)) == 1


def test_a_question_of_another_wording_is_asked_after_a_crash(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"), dies_at=ASKED + 4.0)
    got, spoken = asked(ledger, Press(first_sound(ASKED + 1.0), "1"), version="2")

    assert spoken[0] == RECORD
    assert [(one.choice, one.receipt.version) for one in got] == [("yes", "2")]


@pytest.mark.parametrize("dies_at", [1.5, ASKED + 2.0])
def test_an_open_question_is_asked_again_by_the_next_agent(ledger: Opened, dies_at: float) -> None:
    asked(ledger, dies_at=dies_at)
    got, spoken = asked(ledger, Say(first_sound(ASKED + 1.0), "no"))

    assert spoken[0] == RECORD
    assert [one.choice for one in got] == ["no"]
    assert [one.choice for one in rows(ledger)] == ["no"]


def test_a_revoked_answer_is_asked_for_again_after_a_crash(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"), revoke="a mistake", dies_at=ASKED + 4.0)
    _, spoken = asked(ledger, Say(first_sound(ASKED + 1.0), "no"))

    assert spoken[0] == RECORD


def test_an_answer_is_revoked_once(ledger: Opened) -> None:
    (given,), _ = asked(ledger, Say(first_sound(ASKED + 1.0), "yes"))

    reasons = [given.revoke(reason).revoke("third").receipt.revoked for reason in ("first", "second")]
    assert (reasons, [one.revoked for one in rows(ledger)]) == (["first", "first"], ["first"])
    assert count(ledger, "revoked") == 1


def test_the_answer_of_a_dead_agents_caller_is_revoked_by_the_next(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"), dies_at=ASKED + 4.0)
    asked(ledger, revoke="the caller took it back")

    assert [(one.choice, one.revoked) for one in rows(ledger)] == [("yes", "the caller took it back")]


def test_no_choice_is_no_choice_to_revoke(ledger: Opened) -> None:
    (silent,), _ = asked(ledger, revoke="nothing", wait=2.0, attempts=1)

    assert (silent.outcome, silent.receipt.revoked) == (AskOutcome.SILENT, "")
    assert count(ledger, "revoked") == 0


def test_an_older_yes_does_not_outlive_a_newer_answer(ledger: Opened) -> None:
    asked(ledger, Say(first_sound(ASKED + 1.0), "yes"), dies_at=ASKED + 4.0)
    asked(ledger, Say(first_sound(ASKED + 1.0), "no"), revoke="a mistake", version="2", dies_at=ASKED + 4.0)
    _, spoken = asked(ledger, Say(first_sound(ASKED + 1.0), "no"))

    assert spoken[0] == RECORD


def test_two_questions_are_asked_one_after_the_other(ledger: Opened) -> None:
    got: list[CallerAnswer] = []

    async def read(session: AgentSession[Any]) -> None:
        first, second = (session.ask(f"{word}, may we record?", id=word, choices=YesNo()) for word in ("One", "Two"))
        got.extend(await asyncio.gather(first, second))

    each = TTS().seconds("One, may we record?")
    acts = (Say(first_sound(each + 1.0), "yes"), Say(first_sound(2 * each + 4.0), "no"))
    call(*acts, agent=reading(read), ends_after=30.0)

    assert [(one.receipt.id, one.choice) for one in got] == [("One", "yes"), ("Two", "no")]

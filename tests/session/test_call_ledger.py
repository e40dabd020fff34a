"""Calls whose utterances are kept in a ledger: promised before they are heard, found again after a crash.

The ledger is a real one; it is written in the loop and not in a thread, since the calls are in virtual time.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness.kept_in_loop import REPLY, InTheLoop, dying_reply, in_the_book, kept
from harness.ledger_workers import Opened
from harness.scenes import NOTICE, QUESTION, call, reading, said
from hearout import AgentSession, Outcome
from hearout._floor import events as e
from hearout._floor.actions import Action
from hearout._floor.state import Progress
from hearout._session.call_ledger import RENEW, SOON, CallLedger
from hearout._session.speeches import SpeechRequest
from hearout.ledger._calls import WatchedCall
from hearout.ledger._entries import Unfinished
from hearout.ledger._leases import marks
from hearout.ledger._read import verify
from hearout.receipts import Held
from hearout.testing import LLM, TTS, AudioReceiver, Do, Say, first_sound
from hearout.testing import run as virtually


@pytest.fixture
def ledger(tmp_path: Path) -> Opened:
    return Opened(f"sqlite:///{tmp_path}/receipts.db")


def test_an_utterance_is_in_the_ledger_before_its_first_sample(ledger: Opened) -> None:
    result, writer = kept(ledger, "a", Say(first_sound(1.0), QUESTION))

    (entry,) = in_the_book(ledger)
    assert entry.receipt is not None
    assert (entry.receipt.id, entry.receipt.outcome, entry.receipt.call) == ("notice", Outcome.FINISHED, "room/1")
    assert entry.receipt.agent == "Reading"
    assert entry.receipt.gap == pytest.approx(0.0, abs=0.1)
    assert [held.text for held, _ in entry.receipt.held] == [QUESTION]
    assert len(writer.owed_at) == 1
    assert verify(ledger).fault is None
    assert result.protected[0].whole


def test_the_lease_says_how_far_it_is_and_what_the_caller_said(ledger: Opened) -> None:
    seen: list[Unfinished] = []
    kept(
        ledger,
        "a",
        Say(first_sound(1.0), QUESTION),
        Do(first_sound(6.2), lambda _: seen.extend(ledger.owed("room/1"))),
    )

    (owing,) = seen
    assert owing.played == pytest.approx(5.6, abs=0.7)
    assert [one["text"] for one in owing.held if one["kind"] == "spoken"] == [QUESTION]


def test_a_dead_agents_utterance_resumes_and_its_words_are_answered(ledger: Opened) -> None:
    kept(ledger, "a", Say(first_sound(1.0), QUESTION), dies=True, ends_after=6.0)
    assert [entry.receipt.outcome for entry in in_the_book(ledger) if entry.receipt] == [Outcome.UNKNOWN]

    result, _ = kept(ledger, "b")

    assert said(result)[0] == NOTICE[NOTICE.index("Your data") :]  # 5 s were said
    assert result.turns == [QUESTION]
    assert len(result.replies) == 1
    (entry,) = in_the_book(ledger)
    assert entry.receipt is not None
    assert entry.receipt.outcome is Outcome.FINISHED
    assert entry.receipt.played == pytest.approx(TTS().seconds(NOTICE), abs=0.1)
    assert entry.receipt.attempts[0].starts_from == pytest.approx(3.2, abs=0.2)
    assert verify(ledger).fault is None


def test_words_survive_an_agent_that_is_killed_as_they_are_held(ledger: Opened) -> None:
    writer, more = InTheLoop(ledger, "a"), "And what does it cost?"

    def die(_: float, what: e.Event | Action) -> None:
        if isinstance(what, e.WordsHeard) and what.text == more:
            asyncio.get_running_loop().call_later(0.001, lambda: vars(writer).update(dies=True))

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        session.on_floor(die)
        session.announce(NOTICE, id="notice")

    call(Say(first_sound(1.0), QUESTION), Say(first_sound(4.0), more), agent=reading(read), ends_after=8.0)

    result, _ = kept(ledger, "b")
    assert result.turns == [f"{QUESTION} {more}"]


def test_a_caller_who_types_hundreds_of_texts_costs_five_renewals_a_second(ledger: Opened) -> None:
    typed: list[str] = []
    renewed: list[float] = []

    async def keep() -> None:
        writer: Any = InTheLoop(ledger, "a")
        writer.renew = lambda *_, **known: renewed.append(len(known["held"]) - 1)
        progress = lambda _: Progress(played=5.0, held=tuple(Held(text, 1.0) for text in typed))  # noqa: E731
        book = CallLedger(writer, "room/1", agent=lambda: "", progress=progress)
        book.promise("key", SpeechRequest("notice", NOTICE))
        for number in range(300):
            book.hear(1.0, e.TextTyped(f"{number}"))
            typed.append(f"{number}")
            await asyncio.sleep(0.01)
        await asyncio.sleep(SOON)
        assert renewed[-1] == 300
        await book.close()

    virtually(keep)
    assert len(renewed) == pytest.approx(3.0 / SOON, abs=2)


def test_an_agent_cut_off_from_its_room_leaves_its_debts_to_the_next(ledger: Opened) -> None:
    played: list[float] = []

    async def cut_off(session: AgentSession[Any]) -> None:
        played.append(session._bridge.progress("notice").played)  # type: ignore[union-attr]
        book = session._bridge.receipts.ledger  # type: ignore[union-attr]
        watched = WatchedCall("room/1", "room", "1", "job", "agent", "", "", "worker")
        await book.attend(watched, is_sent=False)  # type: ignore[union-attr]
        book.abandon()  # type: ignore[union-attr]
        session.user_left(known_until=None)
        session.shutdown(drain=False)

    _, writer = kept(ledger, "a", Say(first_sound(1.0), QUESTION), Do(first_sound(5.65), cut_off))
    (owing,) = ledger.owed("room/1")
    assert (owing.id, owing.holder, writer.left, writer.released) == ("notice", "a", False, True)
    assert [owing.played] == pytest.approx(played)  # and not what it was up to a second before

    result, writer = kept(ledger, "b")

    assert said(result)[0] == NOTICE[NOTICE.index("Your data") :]
    assert result.turns == [QUESTION]
    assert writer.left
    assert [entry.receipt and entry.receipt.outcome for entry in in_the_book(ledger)] == [Outcome.FINISHED]


def test_another_text_under_the_same_id_is_said_from_its_beginning(ledger: Opened) -> None:
    kept(ledger, "a", dies=True, ends_after=6.0)

    result, _ = kept(ledger, "b", text="The notice has changed. This is the new one.")

    assert said(result) == ["The notice has changed. This is the new one."]


def test_what_a_dead_agent_finished_is_not_said_again(ledger: Opened) -> None:
    kept(ledger, "a")

    result, _ = kept(ledger, "b", ends_after=5.0)

    assert said(result) == []


def test_what_is_owed_is_there_for_the_next_agent(ledger: Opened) -> None:
    kept(ledger, "a", dies=True, ends_after=6.0)
    writer = InTheLoop(ledger, "b")
    seen: list[Any] = []

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        for owing in session.owed:
            await session.announce(owing.text, id=owing.id)
        seen.append(session.owed)

    result = call(agent=reading(read))

    assert said(result) == [NOTICE[NOTICE.index("Your data") :]]
    assert seen == [()]


def test_a_reply_that_a_dead_agent_began_is_visible_and_given_back(ledger: Opened) -> None:
    dying_reply(ledger, Say(first_sound(1.0), QUESTION))
    (died,) = in_the_book(ledger)
    assert died.receipt is not None
    assert (died.receipt.outcome, died.receipt.text) == (Outcome.UNKNOWN, REPLY)

    writer, seen = InTheLoop(ledger, "b"), []

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        for owing in session.owed:
            seen.append((owing.text, owing.complete))
            await session.announce(owing.text, id=owing.id)

    result = call(agent=reading(read))

    assert seen == [(REPLY, True)]
    assert said(result)[0] == REPLY[REPLY.index("It was bent") :]  # 6 s were said
    assert result.turns == [QUESTION]
    (entry,) = in_the_book(ledger)
    assert entry.receipt is not None
    assert (entry.receipt.outcome, entry.receipt.text) == (Outcome.FINISHED, REPLY)
    assert entry.receipt.played == pytest.approx(TTS().seconds(REPLY), abs=0.1)
    assert verify(ledger).fault is None


def test_a_second_agent_that_dies_in_it_leaves_the_text_as_well(ledger: Opened) -> None:
    dying_reply(ledger)
    writer = InTheLoop(ledger, "b")

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        for owing in session.owed:
            session.announce(owing.text, id=owing.id)

    def die(_: Any) -> None:
        writer.dies = True

    call(Do(first_sound(4.0), die), agent=reading(read), ends_after=6.0)

    (owing,) = ledger.owed("room/1")
    assert (owing.text, owing.complete, owing.attempts) == (REPLY, True, 1)
    assert owing.played > 8.0


def test_nobody_listens_is_in_the_ledger(ledger: Opened) -> None:
    kept(ledger, "a", listener=AudioReceiver(subscribed_at=None), ends_after=40.0)

    (entry,) = in_the_book(ledger)
    assert entry.receipt is not None
    assert (entry.receipt.outcome, entry.receipt.played) == (Outcome.FAILED, 0.0)


def test_an_id_announced_again_before_an_answer_is_promised_each_time(ledger: Opened) -> None:
    writer = InTheLoop(ledger, "a")
    owed: list[str] = []

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        await session.announce(NOTICE, id="notice")
        session.announce("The notice is out of date.", id="notice")
        await asyncio.sleep(0.5)
        owed.extend(one.text for one in ledger.owed("room/1"))

    call(Say(first_sound(1.0), QUESTION), agent=reading(read), llm=LLM(first_token=3.0))

    assert owed == ["The notice is out of date."]
    assert [(entry.asked is not None, entry.receipt and entry.receipt.outcome) for entry in in_the_book(ledger)] == [
        (True, Outcome.FINISHED)
    ] * 2


def test_what_ended_keeps_its_place_until_its_receipt_is_written(ledger: Opened) -> None:
    """The receipt waits for the evidence, and the floor knows the utterance no more: an agent may die then."""
    known = Progress(played=5.0, resumes_at=3.2, characters=24, held=(Held(QUESTION, 2.0),), text=NOTICE, complete=True)
    said = iter([known])

    async def keep() -> None:
        writer: Any = InTheLoop(ledger, "a")
        book = CallLedger(writer, "room/1", agent=lambda: "", progress=lambda _: next(said, Progress()))
        book.promise("key", SpeechRequest("notice", NOTICE))
        await asyncio.sleep(3.5 * RENEW)
        (owing,) = ledger.owed("room/1")
        assert (marks(owing.held)[0]["at"], owing.held[1]["text"], owing.played) == (3.2, QUESTION, 5.0)
        writer.dies = True
        await book.close()

    virtually(keep)

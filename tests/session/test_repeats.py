"""Announcements that come again: when they are due, at the next pause, and never over the caller."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent

from harness.kept_in_loop import InTheLoop
from harness.ledger_workers import Opened
from harness.scenes import NOTICE, call, reading
from hearout import AgentSession, AnnouncementError, Outcome
from hearout.testing import TTS, Do, Noise, Result, Say, _clock, first_sound
from hearout.testing._script import Act

LENGTH = TTS().seconds(NOTICE)
EVERY = 30.0


async def every_half_minute(session: AgentSession[Any]) -> None:
    session.announce(NOTICE, id="recording", every=EVERY)


def played(*acts: Act, ends_after: float = 100.0) -> Result:
    return call(*acts, agent=reading(every_half_minute), ends_after=ends_after)


def notices(result: Result) -> list[Any]:
    return [one for one in result.utterances if one.said == NOTICE]


def names(result: Result) -> Sequence[str]:
    return [one.id for one in result.session.receipts]


def test_an_announcement_comes_again_with_a_receipt_of_its_own_each_time() -> None:
    result = played()

    first, second, third = notices(result)[:3]
    assert second.start - first.end == pytest.approx(EVERY, abs=1.0)
    assert third.start - second.end == pytest.approx(EVERY, abs=1.0)
    assert names(result)[:3] == ["recording", "recording#2", "recording#3"]
    assert {one.outcome for one in result.session.receipts[:2]} == {Outcome.FINISHED}


def test_it_waits_for_the_callers_last_word_and_its_answer() -> None:
    question = "what does it cost and how long does it take and where is it"
    due = LENGTH + EVERY
    result = played(Say(first_sound(due - 1.0), question))

    answer = next(one for one in result.utterances if one.said != NOTICE)
    assert result.turns == [question]
    assert notices(result)[1].start >= answer.end
    assert notices(result)[1].start - answer.end < 3.0


def test_a_sound_without_a_word_holds_it_up_for_a_bounded_time() -> None:
    due = LENGTH + EVERY
    result = played(Noise(first_sound(due - 1.0), 50.0))

    assert notices(result)[1].start < result.utterances[0].start + due + 30.0


@pytest.mark.parametrize("how", ["handle", "session"])
def test_who_stops_it_ends_its_coming_again(how: str) -> None:
    async def read(session: AgentSession[Any]) -> None:
        handle = session.announce(NOTICE, id="recording", every=EVERY)
        await handle
        if how == "handle":
            handle.stop("enough")
        else:
            await asyncio.sleep(EVERY + 2.0)
            await session.stop_announcement("enough")

    result = call(agent=reading(read), ends_after=100.0)
    assert names(result) == (["recording"] if how == "handle" else ["recording", "recording#2"])


def test_it_goes_on_when_another_agent_takes_over_in_the_session() -> None:
    class Second(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Answer briefly.")

    async def read(session: AgentSession[Any]) -> None:
        await session.announce(NOTICE, id="recording", every=EVERY)
        session.update_agent(Second())

    result = call(agent=reading(read), ends_after=60.0)
    assert [one.agent for one in result.session.receipts] == ["Reading", "Second"]


@pytest.mark.parametrize("every", [-1.0, 0.5, float("inf"), float("nan"), True])
def test_times_that_make_no_sense_are_refused(every: Any) -> None:
    refused: list[Exception] = []

    async def read(session: AgentSession[Any]) -> None:
        try:
            session.announce(NOTICE, every=every)
        except AnnouncementError as error:
            refused.append(error)

    call(agent=reading(read))
    assert len(refused) == 1


@pytest.mark.parametrize(("away", "due"), [(3.0, EVERY - 3.0), (EVERY + 20.0, 0.0), (-5.0, EVERY)])
def test_the_next_agent_says_it_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: float, due: float
) -> None:
    ledger = Opened(f"sqlite:///{tmp_path}/receipts.db")

    def one_call(holder: str, dies_at: float | None) -> Result:
        writer = InTheLoop(ledger, holder)

        async def read(session: AgentSession[Any]) -> None:
            await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
            session.announce(NOTICE, id="recording", every=EVERY)
            session.say("I am with you.")

        def die(_: Any) -> None:
            writer.dies = True

        acts = () if dies_at is None else (Do(first_sound(dies_at), die),)
        return call(*acts, agent=reading(read), ends_after=60.0 if dies_at is None else dies_at + 0.5)

    first = one_call("a", LENGTH + 2.0)
    end = notices(first)[0].end
    monkeypatch.setattr(_clock, "EPOCH", _clock.EPOCH + end + away)  # when the next agent begins
    result = one_call("b", None)

    assert notices(result)[0].start == pytest.approx(max(due, result.utterances[0].end + 1.0), abs=1.5)
    assert names(result)[0] == "recording#2"

"""`Silence.IMPLIED` is the silence of a caller who was there, and is revoked where that turns out to be wrong."""

import asyncio
import dataclasses
from typing import Any

import pytest
from livekit.agents import Agent

from hearout import AgentSession, AskOutcome, Basis, CallerAnswer, Silence
from hearout.receipts import Listener, Receipt
from hearout.testing import TTS, Call, Do, first_sound

RECORD = "May we record this call?"
ASKED = TTS().seconds(RECORD)
WAIT = 5.0


class Line:
    """Knows until when the caller was there; the last sign of life comes late, as in a room."""

    def __init__(self, until: float) -> None:
        self.until = until

    def witnessed(self, _key: str, receipt: Receipt) -> Receipt:
        there = (Listener("caller", ((0.0, self.until),)),) if self.until > (receipt.started_at or 0.0) else ()
        return dataclasses.replace(receipt, caller="caller", listeners=there)

    async def confirm(self, _key: str, _receipt: Receipt) -> None:
        await asyncio.sleep(0.5)

    def close(self) -> None:
        """Nothing more can become known."""


class Asking(Agent):
    def __init__(self, line: Line) -> None:
        super().__init__(instructions="Answer briefly.")
        self.line = line
        self.answer: CallerAnswer | None = None

    async def on_enter(self) -> None:
        session: AgentSession[Any] = self.session  # type: ignore[assignment]
        assert session._bridge is not None
        session._bridge.receipts.evidence = self.line
        self.answer = await session.ask(RECORD, id="consent", attempts=1, wait=WAIT, silence=Silence.IMPLIED)


def implied(until: float, *acts: Do) -> tuple[CallerAnswer, list[str]]:
    """The answer of a silent caller who is known to be there until then, and the reasons of the question's records."""
    agent = Asking(Line(until))
    result = Call(agent=lambda: agent, caller=acts, ends_after=40.0).play()
    assert agent.answer is not None
    return agent.answer, [one.revoked for one in result.session.questions]


def test_the_silence_of_a_caller_who_is_there_implies_a_yes() -> None:
    answer, revoked = implied(60.0)

    assert (answer.choice, answer.receipt.basis) == ("yes", Basis.IMPLIED)
    assert revoked == [""]


@pytest.mark.parametrize("until", [0.0, ASKED - 1.0, ASKED + 2.0])
def test_a_dead_line_implies_nothing(until: float) -> None:
    answer, revoked = implied(until)

    assert (answer.choice, answer.outcome, answer.receipt.basis) == ("", AskOutcome.SILENT, Basis.NONE)
    assert revoked == [""]


def test_an_implied_yes_is_revoked_when_the_caller_was_away_after_all() -> None:
    def found_out(session: Any) -> None:
        session._bridge.receipts.evidence.until = ASKED + 2.0
        session._bridge.receipts.look_again(since=0.0)
        session._bridge.receipts.look_again(since=0.0)

    answer, revoked = implied(60.0, Do(first_sound(ASKED + WAIT + 8.0), found_out))

    assert answer.choice == "yes"
    assert revoked == ["", "the caller is not known to have been there"]

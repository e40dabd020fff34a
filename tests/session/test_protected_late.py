"""Speech that becomes protected while it is said, and sessions that share an agent or an event loop."""

import asyncio
import math
from typing import Any

import pytest
from livekit.agents import Agent, RunContext, function_tool

from harness.scenes import NOTICE, QUESTION, Announcing, fates, receipts
from hearout import AgentSession, Outcome
from hearout.testing import LLM, Call, Do, Reply, Result, Say, UseTool, first_sound

SECOND = "I found your address and I have changed it for you."


class Plain(Agent):
    """Says the notice so that it may be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer.")

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


class Looking(Agent):
    """A reply whose tool lets nobody interrupt from then on."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer.")

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def look_up(self, context: RunContext[Any]) -> str:
        """Look something up."""
        context.disallow_interruptions()
        await asyncio.sleep(4.0)
        return "done"


def protect(session: Any) -> None:
    session.current_speech.allow_interruptions = False


def played(*caller: Any, agent: Any = Plain, **more: Any) -> Result:
    return Call(agent=agent, session=AgentSession, caller=caller, **more).play()


def let_go(session: Any) -> None:
    session.current_speech.allow_interruptions = True


def test_what_is_said_from_then_on_is_heard_though_nothing_tells_of_it() -> None:
    result = played(Say(first_sound(1.8), QUESTION), Do(first_sound(2.0), protect))

    ((text, fate),) = fates(result)
    assert (len(text.split()) >= 5, fate) == (True, "delivered")  # LiveKit's STT heard nothing before: its warm-up


def test_speech_that_is_protected_again_is_so_at_once() -> None:
    flips = [Do(first_sound(1.0), protect), Do(first_sound(2.0), let_go), Do(first_sound(3.0), protect)]
    result = played(*flips, Say(first_sound(4.0), QUESTION))

    assert receipts(result)[0].asked_at == pytest.approx(1.15, abs=0.06)
    assert (fates(result), result.gaps[0] < 0.1) == ([(QUESTION, "delivered")], True)


def test_a_handle_that_is_made_protected_is_so_from_then_on() -> None:
    result = played(Do(first_sound(1.5), protect), Say(first_sound(2.5), QUESTION))

    (receipt,) = receipts(result)
    assert receipt.outcome is Outcome.FINISHED
    assert receipt.played == pytest.approx(receipt.length, abs=0.1)
    assert receipt.length == pytest.approx(result.utterances[0].end - result.utterances[0].start, abs=0.2)
    assert fates(result) == [(QUESTION, "delivered")]
    assert (result.turns, len(result.replies)) == ([QUESTION], 1)


def test_late_protection_of_which_the_caller_says_nothing_has_a_receipt() -> None:
    (receipt,) = receipts(played(Do(first_sound(1.5), protect)))

    assert receipt.outcome is Outcome.FINISHED
    assert receipt.played == pytest.approx(receipt.length, abs=0.1)


@pytest.mark.parametrize("at", [0.5, 4.0])
def test_disallow_interruptions_in_a_tool_protects_what_follows(at: float) -> None:
    model = LLM(answers=[Reply("One moment please.", tools=(UseTool("look_up"),)), SECOND, "Fine."])
    result = played(Say(first_sound(at), QUESTION), agent=Looking, llm=model, ends_after=40.0)

    (receipt,) = receipts(result)
    assert receipt.outcome is Outcome.FINISHED
    assert "One moment" in receipt.text
    assert SECOND in receipt.text
    assert (result.turns, len(result.requests)) == ([QUESTION], 3)
    roles = [role for role, text in result.requests[-1].context if text == QUESTION or SECOND in text]
    assert roles == ["assistant", "user"]  # the tool's result and what follows it, then the words


def test_one_agent_in_two_sessions_one_after_the_other() -> None:
    agent = Announcing()
    for _ in range(2):
        result = played(Say(first_sound(2.0), QUESTION), agent=lambda: agent)
        assert [one.outcome for one in receipts(result)] == [Outcome.FINISHED]
        assert (result.turns, len(result.replies)) == ([QUESTION], 1)


def test_one_agent_in_two_sessions_at_once_is_refused() -> None:
    agent, errors = Announcing(), []

    async def second(_session: Any) -> None:
        other = AgentSession[Any]()
        try:
            await other.start(agent)
        except RuntimeError as error:
            errors.append(str(error))
        finally:
            await other.aclose()

    result = played(Do(first_sound(1.0), second), Say(first_sound(2.0), QUESTION), agent=lambda: agent)

    assert errors
    assert [one.outcome for one in receipts(result)] == [Outcome.FINISHED]
    assert (result.turns, len(result.replies)) == ([QUESTION], 1)


# Protected speech behind a reply that hangs


class Replying(Looking):
    """A reply, and three seconds later the notice, protected."""

    async def on_enter(self) -> None:
        self.session.generate_reply()
        await asyncio.sleep(3.0)
        self.session.say(NOTICE, allow_interruptions=False)

    @function_tool
    async def take_long(self, context: RunContext[Any]) -> str:
        """Take longer than a first sound may take, twice."""
        await asyncio.sleep(25.0)
        return "done"


def test_a_reply_that_hangs_holds_protected_speech_up_for_ten_seconds() -> None:
    result = played(agent=Replying, llm=LLM([Reply(SECOND, stall=math.inf)]), ends_after=40.0)

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.started_at) == (Outcome.FINISHED, pytest.approx(13.0, abs=0.5))


def test_a_reply_whose_tool_takes_long_is_not_stopped_for_protected_speech() -> None:
    model = LLM([Reply("One moment.", tools=(UseTool("take_long"),)), SECOND])
    result = played(agent=Replying, llm=model, ends_after=60.0)

    assert [one.delivered for one in result.utterances] == [1.0, 1.0, 1.0], result.describe()

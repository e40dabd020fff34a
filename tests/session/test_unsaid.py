"""Tools that speak and go on: replies that wait, and turns that wait for the tool. Calls in virtual time."""

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, ChatContext, RunContext, function_tool

from harness.scenes import NOTICE, QUESTION, Announcing, call, fates, said
from hearout import AgentSession
from hearout.testing import LLM, Call, Do, Say, UseTool, first_sound
from hearout.testing._llm import Reply

BUTTON = "the button was pressed"


class Saying(Agent):
    """Says something in a tool, and does not wait for it."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    @function_tool
    async def look_up(self, context: RunContext[None]) -> str:
        """Look something up."""
        self.session.say(NOTICE, allow_interruptions=False)
        return "found"


def diligent(context: ChatContext) -> Reply | str:
    """Answers all that nobody has answered yet."""
    told = " ".join(one.text_content or "" for one in context.messages() if one.role == "assistant")
    asked = {one.text_content for one in context.messages() if one.role == "user"}
    if "look it up" in asked and not any(one.type == "function_call" for one in context.items):
        return Reply("", tools=(UseTool("look_up"),))
    due = {"It has changed.": QUESTION in asked, "I saw it.": BUTTON in asked, "Found it.": "look it up" in asked}
    return " ".join(answer for answer, is_due in due.items() if is_due and answer not in told)


def test_what_follows_a_tool_is_said_once_behind_what_the_tool_said() -> None:
    result = call(Say(1.0, "look it up"), Say(first_sound(1.0), QUESTION), agent=Saying, llm=LLM(diligent))

    assert said(result) == [NOTICE, "Found it.", "It has changed."], result.describe()
    assert fates(result) == [(QUESTION, "delivered")]
    assert len(result.requests) == 3, result.requests  # what was prepared is what is said


def test_a_reply_asked_for_over_a_notice_is_said_once() -> None:
    """The context of the prepared answer had the button before the notice: the LLM was asked anew."""

    def press(session: object) -> None:
        session.generate_reply(user_input=BUTTON)  # type: ignore[attr-defined]

    result = call(Say(first_sound(1.0), QUESTION), Do(first_sound(3.0), press), agent=Announcing, llm=LLM(diligent))

    assert said(result) == [NOTICE, "I saw it.", "It has changed."], result.describe()
    assert len(result.requests) == 2, result.requests


class Working(Saying):
    """Works for some seconds in a tool, and then says something without waiting for it."""

    @function_tool
    async def look_up(self, context: RunContext[None]) -> str:
        """Look something up."""
        await asyncio.sleep(4.0)
        self.session.say(NOTICE, allow_interruptions=False)
        await asyncio.sleep(0.5)
        return "found"


@pytest.mark.parametrize("turns", [None, "manual"])
def test_a_turn_that_waits_for_a_tool_survives_what_the_tool_says(turns: str | None) -> None:
    """LiveKit lets such a turn wait until the tool is done, and throws it away under what the tool said."""
    options: dict[str, Any] = {} if turns is None else {"turn_detection": turns}
    commits = [Do(2.5, lambda s: s.commit_user_turn()), Do(5.4, lambda s: s.commit_user_turn())]
    result = Call(
        agent=Working,
        session=lambda **models: AgentSession(**models, **options),
        caller=[Say(1.0, "look it up"), Say(3.0, QUESTION), *(commits if turns else [])],
        llm=LLM(diligent),
        ends_quiet=8.0,
    ).play()

    assert result.turns[:2] == ["look it up", QUESTION], result.describe()
    assert said(result) == [NOTICE, "It has changed. Found it."], result.describe()
    assert fates(result) == [(QUESTION, "delivered")]


class Pondering(Saying):
    """Takes long in the hook of each turn."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: Any) -> None:
        await asyncio.sleep(4.0)


def test_a_hook_that_runs_is_not_cancelled_for_the_turn_after_it() -> None:
    result = call(
        Say(1.0, "this comes first"),
        Say(4.0, "and this second"),
        Do(5.3, lambda session: session.announce(NOTICE) and None),
        agent=Pondering,
    )

    assert result.turns == ["this comes first", "and this second"], result.describe()
    assert result.kept == 1.0

"""Calls in virtual time: the agent's own hook, its tools and hand-overs, with words said over protected speech."""

import asyncio

from livekit.agents import StopResponse, llm

from harness.scenes import (
    NOTICE,
    QUESTION,
    SECOND,
    Announcing,
    Next,
    Uninterruptable,
    Working,
    assert_answered_at_once,
    call,
    said,
)
from hearout.testing import LLM, Do, Reply, Say, UseTool, first_sound


class Hooked(Announcing):
    """Its hook counts turns, and changes or stops them."""

    def __init__(self, what: str = "") -> None:
        super().__init__()
        self.what = what
        self.turns: list[str] = []

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        self.turns.append(new_message.text_content or "")
        if self.what == "stop":
            raise StopResponse
        if self.what == "add":
            turn_ctx.add_message(role="system", content="The caller is a customer of ours.")
        if self.what == "fail":
            raise ValueError("no database")


def test_the_turn_goes_through_the_agents_own_hook_once() -> None:
    agent = Hooked()
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: agent)

    assert agent.turns == [QUESTION]
    assert_answered_at_once(result, QUESTION, gap=0.04)


def test_a_hook_that_stops_the_response_is_obeyed() -> None:
    agent = Hooked("stop")
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: agent)

    assert agent.turns == [QUESTION]
    assert len(result.utterances) == 1


def test_what_a_hook_adds_is_what_the_model_is_asked() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Hooked("add"))

    assert len(result.replies) == 1
    assert ("system", "The caller is a customer of ours.") in result.requests[-1].context


def test_a_hook_that_fails_does_not_lose_the_words() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Hooked("fail"))

    assert result.turns == [QUESTION]


def test_a_tool_that_the_answer_calls_runs_once_and_after_the_announcement() -> None:
    agent = Working()
    model = LLM(answers=[NOTICE, Reply("", tools=(UseTool("look_up"),)), "I found it."])
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: agent, llm=model)

    assert len(agent.ran) == 1
    assert said(result)[-1] == "I found it."
    assert result.protected[0].whole
    assert result.kept == 1.0


def test_words_over_a_protected_reply_are_answered_after_its_tool() -> None:
    model = LLM(answers=[Reply(NOTICE, tools=(UseTool("look_up"),)), SECOND, "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Working, llm=model)

    assert said(result)[:2] == [NOTICE, SECOND]
    assert (result.kept, len(result.turns)) == (1.0, 1)
    assert result.turns == [QUESTION]


def test_an_answer_to_words_over_a_tools_preamble_asks_the_model_once() -> None:
    model = LLM(answers=[Reply(NOTICE, tools=(UseTool("look_up"),)), SECOND, "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Working, llm=model)

    assert said(result) == [NOTICE, SECOND, "Fine."]
    assert result.gaps[0] <= 0.04, result.describe()
    assert len(result.requests) == 3  # the notice, what follows the tool, and the answer
    assert [text for role, text in result.requests[-1].context if role == "assistant"] == [NOTICE, SECOND]


def test_a_hand_over_in_the_middle_keeps_the_words_for_the_next_agent() -> None:
    result = call(Say(first_sound(1.0), QUESTION), Do(first_sound(3.0), lambda s: s.update_agent(Next())))

    assert result.protected[0].whole
    assert (result.kept, result.turns) == (1.0, [QUESTION])
    assert len(result.replies) == 1
    assert any("next agent" in text for role, text in result.requests[-1].context if role == "system")


def test_two_quick_turns_with_an_uninterruptable_agent_lose_nothing() -> None:
    """livekit/agents #4316 and #4443: the second turn was lost to a RuntimeError in 1.8.9."""

    class Slow(Uninterruptable):
        async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
            await asyncio.sleep(2.0)

    result = call(Say(11.0, "what does it cost"), Say(13.3, "and how long"), agent=Slow)

    assert result.kept == 1.0
    assert sum(len(one.replies) > 0 for one in result.answered) == 2
    assert not [line for line in result.warnings if "RuntimeError" in line]

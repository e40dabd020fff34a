"""Replies that wait behind protected speech: the LLM is told of them for the next answer. Calls in virtual time."""

from livekit.agents import Agent, ChatContext, RunContext, function_tool

from harness.scenes import NOTICE, QUESTION, Announcing, call, fates, said
from hearout.testing import LLM, Do, Say, UseTool, first_sound
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

"""`ask()` wherever a program may wait for an answer: in a tool, in an `AgentTask`, in a hook."""

from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentTask, RunContext, function_tool, llm

from hearout import AgentSession, CallerAnswer
from hearout.testing import LLM, TTS, Call, Reply, Result, Say, UseTool, first_sound

RECORD = "May we record this call?"


class Asking(Agent):
    """Keeps what was answered."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")
        self.answers: list[CallerAnswer] = []

    async def asks(self) -> str:
        self.answers.append(await self.session.ask(RECORD, id="consent", wait=5.0))  # type: ignore[attr-defined]
        return self.answers[-1].choice


class InATool(Asking):
    @function_tool
    async def look_up(self, context: RunContext[Any]) -> str:
        """Look something up."""
        return await self.asks()

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Use the tool.")


class Consent(AgentTask[str]):
    """LiveKit's recipe: a task that has the floor until somebody agreed."""

    def __init__(self, agent: Asking) -> None:
        super().__init__(instructions="Ask for consent.")
        self.asking = agent

    async def on_enter(self) -> None:
        answer = await self.session.ask(RECORD, id="consent", wait=5.0)  # type: ignore[attr-defined]
        self.asking.answers.append(answer)
        self.complete(answer.choice)


class InATask(Asking):
    async def on_enter(self) -> None:
        done = await Consent(self)
        self.session.say(f"You said {done}.")


class InTheHook(Asking):
    async def on_enter(self) -> None:
        self.session.say("Hello there.")

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        if not self.answers:
            await self.asks()


def played(agent: Asking, *acts: Any, **more: Any) -> Result:
    make: Callable[..., AgentSession[Any]] = AgentSession
    return Call(agent=lambda: agent, session=make, caller=acts, ends_after=60.0, **more).play()


ASKED = TTS().seconds(RECORD)


def test_a_question_in_a_tool_is_answered_and_the_tool_goes_on() -> None:
    agent = InATool()
    model = LLM(answers=[Reply("", tools=(UseTool("look_up"),)), Reply("Good.")])
    result = played(agent, Say(first_sound(ASKED + 1.0), "yes"), llm=model)

    assert [one.choice for one in agent.answers] == ["yes"]
    assert [one.said for one in result.utterances] == [RECORD, "Good."]
    assert result.turns == ["yes"]


def test_a_question_in_an_agent_task_does_not_deadlock() -> None:
    agent = InATask()
    result = played(agent, Say(first_sound(ASKED + 1.0), "no thanks"))

    assert [one.choice for one in agent.answers] == ["no"]
    assert [one.said for one in result.utterances] == [RECORD, "You said no."]


def test_a_silent_caller_does_not_hold_an_agent_task_for_ever() -> None:
    agent = InATask()
    result = played(agent)

    assert [one.choice for one in agent.answers] == [""]
    assert result.utterances[-1].said == "You said ."


def test_a_question_in_the_hook_of_a_turn_is_answered_before_the_turn() -> None:
    agent = InTheHook()
    hello = TTS().seconds("Hello there.")
    result = played(agent, Say(first_sound(hello + 1.0), "what does it cost"), Say(first_sound(hello + 8.0), "yes"))

    assert [one.choice for one in agent.answers] == ["yes"]
    said = [one.said for one in result.utterances]
    assert said[:2] == ["Hello there.", RECORD]
    assert len(said) == 3

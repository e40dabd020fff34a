"""A call ends while its agent waits for something: no error, no task and no exception is left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.agents import Agent, AgentTask, RunContext, function_tool, llm

from hearout import AgentSession, FloorClosedError
from hearout.testing import LLM, Call, Do, HangUp, Reply, Result, Say, UseTool, first_sound
from hearout.testing._script import Act, Moment

NOTICE = "May we record this call for training and quality purposes?"
Does = Callable[[AgentSession[Any]], Any]

WAITS: dict[str, Does] = {
    "ask": lambda session: session.ask(NOTICE, id="first"),
    "announce": lambda session: session.announce(NOTICE, id="first"),
    "say": lambda session: session.say(NOTICE, allow_interruptions=False),
    "say, interruptible": lambda session: session.say(NOTICE),
    "generate_reply": lambda session: session.generate_reply(instructions="Greet."),
    "drained": lambda session: (session.announce(NOTICE), session.drained())[1],
}
THEN: dict[str, Does] = {
    "ask": lambda session: session.ask("Still there?", id="next"),
    "announce": lambda session: session.announce("Goodbye.", id="next"),
    "say": lambda session: session.say("Goodbye."),
    "generate_reply": lambda session: session.generate_reply(instructions="Say goodbye."),
    "hang_up": lambda session: session.hang_up(),
    "drained": lambda session: session.drained(),
}
ENDS: dict[str, Callable[[Moment], Act]] = {
    "shutdown": lambda at: Do(at, lambda session: session.shutdown()),
    "shutdown without drain": lambda at: Do(at, lambda session: session.shutdown(drain=False)),
    "the caller leaves": HangUp,
    "aclose": lambda at: Do(at, lambda session: session.aclose()),
}


class Entering(Agent):
    """Waits for something on entering, and then does something else."""

    def __init__(self, waits: Does, then: Does) -> None:
        super().__init__(instructions="Answer briefly.")
        self.waits, self.then = waits, then
        self.ended = "not"

    async def does(self) -> None:
        session: AgentSession[Any] = self.session  # type: ignore[assignment]
        try:
            await self.waits(session)
            if isinstance(doing := self.then(session), Awaitable):
                await doing
            self.ended = "done"
        except FloorClosedError:
            self.ended = "refused"
            raise

    async def on_enter(self) -> None:
        await self.does()


class Task(AgentTask[None]):
    def __init__(self, agent: Entering) -> None:
        super().__init__(instructions="Ask.")
        self.agent = agent

    async def on_enter(self) -> None:
        await self.agent.does()
        self.complete(None)


class InATask(Entering):
    async def on_enter(self) -> None:
        await Task(self)


class InTheHook(Entering):
    async def on_enter(self) -> None:
        self.session.say("Hello there.")

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        if self.ended == "not":
            await self.does()


class InATool(Entering):
    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Use the tool.")

    @function_tool
    async def look_up(self, context: RunContext[Any]) -> str:
        """Look something up."""
        await self.does()
        return "found"


def played(agent: Entering, *acts: Act, **more: Any) -> Result:
    return Call(agent=lambda: agent, caller=acts, ends_after=40.0, **more).play()


def lost(result: Result) -> list[str]:
    return [line for line in result.warnings if "never retrieved" in line or "on_enter" in line]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(("waits", "then"), [*((one, "say") for one in WAITS), *(("ask", one) for one in THEN)])
def test_a_call_that_ends_as_its_agent_enters_is_no_error(ends: str, waits: str, then: str) -> None:
    agent = Entering(WAITS[waits], THEN[then])
    result = played(agent, ENDS[ends](first_sound(1.0)))

    assert agent.ended in ("done", "refused")
    assert not result.warnings


@pytest.mark.parametrize("place", [InATask, InTheHook, InATool])
@pytest.mark.parametrize("ends", ["shutdown", "aclose", "the caller leaves"])
@pytest.mark.parametrize("waits", ["ask", "announce"])
def test_a_call_may_end_wherever_its_agent_waits(place: type[Entering], ends: str, waits: str) -> None:
    agent = place(WAITS[waits], THEN["say"])
    model = LLM([Reply("Let me see.", tools=(UseTool("look_up"),)), Reply("Found.")])
    result = played(agent, Say(2.0, "hello my friend"), ENDS[ends](first_sound(4.0)), llm=model)

    assert agent.ended in ("done", "refused")
    assert not lost(result)


def test_another_error_of_an_agent_that_enters_is_reported() -> None:
    def fails(_: AgentSession[Any]) -> None:
        raise RuntimeError("the agent's own")

    result = played(Entering(WAITS["announce"], fails))

    assert any("never retrieved" in line and "the agent's own" in line for line in result.warnings)


@pytest.mark.parametrize("says", ["say", "generate_reply", "announce", "ask"])
def test_a_closed_session_refuses_in_one_way(says: str) -> None:
    refused: list[BaseException] = []

    async def try_it(session: AgentSession[Any]) -> None:
        await session.aclose()
        await asyncio.sleep(1.0)
        try:
            THEN[says](session)
        except RuntimeError as error:
            refused.append(error)

    result = played(Entering(WAITS["say, interruptible"], lambda _: None), Do(first_sound(1.0), try_it))

    assert [type(one) for one in refused] == [FloorClosedError]
    assert not result.warnings

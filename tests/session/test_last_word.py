"""Nothing that ends a call clips its last word: the tail after the last sample is waited for."""

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, function_tool
from livekit.agents.beta.tools import EndCallTool, end_call

from harness.scenes import NOTICE, Thinking, call, reading
from hearout import AgentSession, FloorClosedError, Outcome, SettingsError
from hearout.receipts import Receipt
from hearout.testing import LLM, Do, Reply, UseTool, from_end

TAIL = 0.5
LONG = 6.0
"""A tail that LiveKit's own close cannot cover."""
LIVEKIT = 2.0
"""Seconds that LiveKit's own close takes (1.8.9)."""


class Far:
    """A caller whom the last sample reaches a tail after it left."""

    def __init__(self, tail: float = TAIL) -> None:
        self._tail = tail

    def witnessed(self, _key: str, receipt: Receipt) -> Receipt:
        return receipt

    async def confirm(self, _key: str, _receipt: Receipt) -> None:
        await asyncio.sleep(self._tail)

    def close(self) -> None:
        """Nothing more can become known."""


def far(session: AgentSession[Any], tail: float = TAIL) -> None:
    assert session._bridge is not None
    session._bridge.receipts.evidence = Far(tail)


@pytest.mark.parametrize("at", [-2.0, 0.1], ids=["while it plays", "in its tail"])
@pytest.mark.parametrize(
    "ends",
    [
        lambda session: session.shutdown(),
        lambda session: session.shutdown(drain=False),
        lambda session: session.aclose(),
        lambda session: session.hang_up(),
    ],
    ids=["shutdown", "shutdown without drain", "aclose", "hang_up"],
)
def test_a_session_closes_a_tail_after_its_last_word(ends: Any, at: float) -> None:
    async def read(session: AgentSession[Any]) -> None:
        far(session)
        session.announce(NOTICE, id="notice")

    result = call(Do(from_end(at) if at > 0 else 3.0, ends), agent=reading(read))

    assert result.protected[0].whole
    assert result.closed is not None
    after = result.closed[0] - result.protected[0].end
    assert TAIL - 0.01 <= after <= TAIL + LIVEKIT + 0.2


def test_who_deletes_the_room_can_wait_for_the_last_word() -> None:
    drained: list[float] = []

    async def read(session: AgentSession[Any]) -> None:
        far(session)
        session.announce(NOTICE, id="notice")
        await session.drained()
        assert session._bridge is not None
        drained.append(session._bridge.now)
        await session.drained()  # nothing is owed: at once
        drained.append(session._bridge.now)

    result = call(agent=reading(read))

    assert drained[0] == pytest.approx(result.protected[0].end + TAIL, abs=0.1)
    assert drained[1] == drained[0]


def test_what_is_said_while_the_last_word_is_waited_for_is_refused() -> None:
    refused: list[str] = []

    async def read(session: AgentSession[Any]) -> None:
        far(session)
        receipt = session.announce(NOTICE, id="notice")
        session.shutdown()
        try:
            session.say("One more thing.")
        except FloorClosedError as error:
            refused.append(str(error))
        await receipt

    call(agent=reading(read))

    assert len(refused) == 1
    assert "closing" in refused[0]


def test_only_a_caller_at_a_telephone_can_be_transferred() -> None:
    async def read(session: AgentSession[Any]) -> None:
        with pytest.raises(SettingsError, match="telephone"):
            await session.transfer("tel:+4930123456")

    call(agent=reading(read))


class Leaving(Thinking):
    """Hangs up by a tool of its protected reply."""

    @function_tool
    async def look_up(self) -> None:
        """End the call."""
        await self.session.hang_up()


def test_a_tool_of_a_protected_reply_can_hang_up() -> None:
    result = call(agent=Leaving, llm=LLM([Reply(NOTICE, tools=(UseTool("look_up"),))]))

    assert result.protected[0].whole
    assert result.closed is not None
    assert result.closed[0] < 20.0


class Job:
    """LiveKit's job, which `EndCallTool` ends when the session has closed: the room is deleted from then on."""

    def __init__(self) -> None:
        self.ended_at: list[float] = []

    def add_shutdown_callback(self, _delete_room: Any) -> None:
        """Nothing is deleted here: when it may be is looked at."""

    def shutdown(self, reason: str = "") -> None:
        self.ended_at.append(asyncio.get_running_loop().time())


class Ending(Agent):
    """Ends the call by LiveKit's tool; its replies are protected, or the goodbye alone."""

    def __init__(self, tool: EndCallTool, *, protected: bool) -> None:
        chosen = {"allow_interruptions": False} if protected else {}
        super().__init__(instructions="Answer briefly.", tools=[tool], **chosen)  # type: ignore[arg-type]

    async def on_enter(self) -> None:
        session: AgentSession[Any] = self.session  # type: ignore[assignment]
        far(session, LONG)
        session.generate_reply(instructions="End the call.")


async def say_goodbye(event: Any) -> None:
    """The goodbye is an announcement, and the tool's own reply is left out."""
    event.ctx.session.announce(NOTICE, id="goodbye")
    event.output = None


@pytest.mark.parametrize("announced", [False, True])
def test_livekits_end_call_tool_says_a_protected_goodbye_whole(
    monkeypatch: pytest.MonkeyPatch, *, announced: bool
) -> None:
    job, began = Job(), list[float]()
    monkeypatch.setattr(end_call, "get_job_context", lambda: job)
    tool = EndCallTool(on_tool_completed=say_goodbye) if announced else EndCallTool()
    replies = LLM([Reply("Very well.", tools=(UseTool("end_call"),)), Reply(NOTICE)])

    def begins(session: Any) -> None:
        began.append(asyncio.get_running_loop().time())

    result = call(Do(0.0, begins), agent=lambda: Ending(tool, protected=not announced), llm=replies, ends_after=40.0)

    goodbye = result.protected[-1]
    assert goodbye.said == NOTICE
    assert goodbye.whole
    assert job.ended_at[0] - began[0] >= goodbye.end + LONG - 0.05
    assert result.session.receipts[-1].outcome is Outcome.FINISHED
    assert not [line for line in result.warnings if "playback_finished" in line or "never retrieved" in line]

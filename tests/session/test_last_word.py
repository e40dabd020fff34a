"""Nothing that ends a call clips its last word: the tail after the last sample is waited for."""

import asyncio
from typing import Any

import pytest
from livekit.agents import function_tool

from harness.scenes import NOTICE, Thinking, call, reading
from hearout import AgentSession, FloorClosedError, SettingsError
from hearout.receipts import Receipt
from hearout.testing import LLM, Do, Reply, UseTool, from_end

TAIL = 0.5
LIVEKIT = 2.0
"""Seconds that LiveKit's own close takes (1.8.9)."""


class Far:
    """A caller whom the last sample reaches a tail after it left."""

    def witnessed(self, _key: str, receipt: Receipt) -> Receipt:
        return receipt

    async def confirm(self, _key: str, _receipt: Receipt) -> None:
        await asyncio.sleep(TAIL)

    def close(self) -> None:
        """Nothing more can become known."""


def far(session: AgentSession[Any]) -> None:
    assert session._bridge is not None
    session._bridge.receipts.evidence = Far()


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

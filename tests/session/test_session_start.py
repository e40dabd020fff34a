"""A session is started once; one that cannot be started leaves nothing behind, and what it keeps does not grow."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent
from livekit.agents.voice import AgentSession as LiveKitSession

from harness.scenes import NOTICE, Announcing, call, reading, said
from hearout import AgentSession, FloorClosedError, SettingsError
from hearout.ledger import Ledger
from hearout.testing import Do, Type, first_sound


def test_a_session_that_runs_is_not_started_again() -> None:
    async def read(session: AgentSession[Any]) -> None:
        bridge = session._bridge
        assert await session.start(Announcing()) is None
        assert session._bridge is bridge
        session.announce(NOTICE)

    assert said(call(agent=reading(read))) == [NOTICE]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("hearout-ledger")}


def test_a_session_that_cannot_be_started_ends_its_ledgers_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        assert threads()
        raise RuntimeError("the room is gone")

    async def start() -> None:
        session = AgentSession[None](ledger=Ledger(f"sqlite:///{tmp_path}/receipts.db"))
        with pytest.raises(RuntimeError, match="the room is gone"):
            await session.start(Agent(instructions="Say hello."))

    monkeypatch.setattr(LiveKitSession, "start", fails)
    asyncio.run(start())

    assert not threads()


def test_what_is_refused_is_refused_before_anything_is_promised(tmp_path: Path) -> None:
    async def start() -> None:
        session = AgentSession[None](ledger=Ledger(f"sqlite:///{tmp_path}/receipts.db"))
        with pytest.raises(SettingsError, match="session_host"):
            await session.start(Agent(instructions="Say hello."), session_host=True)

    asyncio.run(start())

    assert not threads()
    assert not (tmp_path / "receipts.db").exists()


def test_what_may_be_interrupted_is_forgotten_when_it_was_said() -> None:
    kept: list[int] = []

    async def read(session: AgentSession[Any]) -> None:
        for number in range(5):
            await session.say(f"This is number {number}.", allow_interruptions=True)
        bridge = session._bridge
        assert bridge is not None
        assert bridge._meter is not None
        kept.extend(len(one) for one in (bridge.speeches._asked, bridge._meter._made, bridge._meter._played))

    result = call(agent=reading(read))

    assert len(said(result)) == 5
    assert max(kept) <= 1  # the last one's callbacks may still be due


@pytest.mark.parametrize(
    "speak",
    [
        lambda session: session.announce("Something new."),
        lambda session: session.say("Something new.", allow_interruptions=False),
        lambda session: session.say("Something new."),
        lambda session: session.generate_reply(instructions="Say something new."),
    ],
)
def test_a_closing_session_finishes_owed_speech_and_says_nothing_new(speak: Any) -> None:
    def refused(session: AgentSession[Any]) -> None:
        with pytest.raises(FloorClosedError, match="is closing"):
            speak(session)

    result = call(
        Do(first_sound(2.0), lambda session: session.shutdown(drain=False)),
        Do(first_sound(3.0), refused),
        Type(first_sound(4.0), "hello"),
    )

    assert said(result) == [NOTICE]
    assert result.protected[0].whole

"""A session is started once; one that cannot be started leaves nothing behind, and what it keeps does not grow."""

import asyncio
import threading
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent
from livekit.agents.voice import AgentSession as LiveKitSession
from livekit.protocol import agent as protocol
from livekit.protocol import models

from harness.ledger_workers import SECRET, Opened
from harness.scenes import (
    NOTICE,
    QUESTION,
    Announcing,
    Uninterruptable,
    assert_answered_at_once,
    call,
    ours,
    reading,
    receipts,
    said,
)
from hearout import AgentSession, FloorClosedError, Level, Outcome, Receipt, SettingsError
from hearout._pipeline.playout import PlayoutMeter
from hearout._session import agent_session, process
from hearout.ledger import Ledger
from hearout.ledger._calls import SENT, WORKER, CallRegistry, WatchedCall
from hearout.testing import LLM, Call, Do, Say, Type, first_sound, run
from hearout.testing._llm import ScriptedLLM


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
        session = AgentSession[None](strict=True, ledger=Ledger(f"sqlite:///{tmp_path}/receipts.db"))
        with pytest.raises(SettingsError, match="session_host"):
            await session.start(Agent(instructions="Say hello."), session_host=True)

    asyncio.run(start())

    assert not threads()
    assert not (tmp_path / "receipts.db").exists()


class SentJob:
    """A job that a worker sent to a call whose agent had died."""

    def __init__(self) -> None:
        room = models.Room(name="room", sid="RM_1")
        self.job = protocol.Job(id="job-3", room=room, attributes={SENT: "1"})
        self.ended: list[str] = []

    def token_claims(self) -> Any:
        return types.SimpleNamespace(identity="agent-3")

    def shutdown(self, *, reason: str) -> None:
        self.ended.append(reason)


@pytest.mark.parametrize("has_come", [True, False])
def test_of_agents_sent_to_one_call_the_second_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_come: bool
) -> None:
    job, ledger = SentJob(), Opened(f"sqlite:///{tmp_path}/receipts.db")
    for module in (agent_session, process):
        monkeypatch.setattr(module, "get_job_context", lambda **_: job)
    monkeypatch.setenv(WORKER, "a")
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    registry = CallRegistry(ledger, SECRET)
    first = WatchedCall("room/RM_1", "room", "RM_1", "job-2", "agent-2", "", "", worker="a")
    registry.attend(first)
    registry.claim(first, by="a")
    if has_come:
        registry.attend(replace(first, job="job-4"), is_sent=True)

    async def start() -> None:
        session = AgentSession[None](ledger=Ledger(ledger.url))
        if has_come:
            with pytest.raises(FloorClosedError, match="another agent was sent"):
                await session.start(Agent(instructions="Say hello."))
        else:
            await session.start(Agent(instructions="Say hello."))
            await session.aclose()

    asyncio.run(start())

    assert len(job.ended) == has_come
    assert [one.job for one in registry.look(worker="a", beat=1).calls] == (["job-4"] if has_come else [])
    assert not threads()


def test_what_may_be_interrupted_is_forgotten_when_it_was_said() -> None:
    kept: list[int] = []

    async def read(session: AgentSession[Any]) -> None:
        for number in range(5):
            await session.say(f"This is number {number}.", allow_interruptions=True)
        bridge = session._bridge
        assert bridge is not None
        assert bridge._meter is not None
        kept.extend(len(one) for one in (bridge.speeches._asked, bridge._meter._seconds))

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


def test_a_session_that_was_closed_is_started_again_as_the_first_time() -> None:
    agent, outputs, ended = Announcing(), [], []

    async def again(session: AgentSession[Any]) -> None:
        heard, said = session.input.audio, session.output.audio  # LiveKit takes them away when it closes
        await session.aclose()
        ended.extend(session.receipts)
        session.input.audio, session.output.audio = heard, said
        await session.start(agent)
        outputs.append(session.output.audio)

    result = Call(
        agent=lambda: agent,
        session=ours(),
        caller=[Say(first_sound(2.0), QUESTION), Do(12.0, again), Say(15.0, "and my name too please")],
        ends_after=40.0,
    ).play()

    assert [one.outcome for one in (*ended, *receipts(result))] == [Outcome.FINISHED] * 2
    assert [held.text for held, _ in receipts(result)[0].held] == ["and my name too please"]
    assert result.turns == [QUESTION, "and my name too please"]
    assert len(result.replies) == 2
    (output,) = outputs
    assert isinstance(output, PlayoutMeter)
    assert not isinstance(output.sink, PlayoutMeter)


async def close(session: AgentSession[Any]) -> None:
    await session.aclose()


async def shut_down(session: AgentSession[Any]) -> None:
    session.shutdown()


@pytest.mark.parametrize("ends", [close, shut_down])
def test_a_session_that_is_started_while_it_closes_starts_after_that(ends: Callable[..., Any]) -> None:
    agent, ended = Announcing(), []

    async def again(session: AgentSession[Any]) -> None:
        heard, said = session.input.audio, session.output.audio

        def closed(_: Any) -> None:
            ended.extend(session.receipts)
            session.input.audio, session.output.audio = heard, said

        session.once("close", closed)
        closing = asyncio.create_task(ends(session))
        await asyncio.sleep(0.5)
        await session.start(agent)
        await closing

    caller = [Do(first_sound(1.0), again), Say(14.0, QUESTION)]
    result = Call(agent=lambda: agent, session=ours(), caller=caller, ends_after=40.0).play()

    assert [one.outcome for one in (*ended, *receipts(result))] == [Outcome.FINISHED] * 2
    assert (result.turns, len(result.replies)) == ([QUESTION], 1)


def test_a_closed_session_gives_its_agent_back_as_it_was() -> None:
    agent = Announcing()
    call(agent=lambda: agent)

    assert not [name for name in vars(agent) if name.endswith("_node") or name.startswith("on_")]
    assert said(call(agent=lambda: agent)) == [NOTICE]


def test_two_sessions_in_one_process_are_two_calls() -> None:
    others: list[AgentSession[Any]] = []

    async def both(session: AgentSession[Any]) -> None:
        others.append(AgentSession[Any]())
        await others[0].start(Agent(instructions="Say hello."))
        await session.announce(NOTICE)
        await others[0].aclose()

    result = call(Say(first_sound(2.0), QUESTION), agent=reading(both))

    assert_answered_at_once(result, QUESTION)
    assert (len(receipts(result)), others[0].receipts) == (1, [])


def test_a_text_only_session_says_that_its_text_was_sent() -> None:
    async def written() -> tuple[list[Receipt], list[str]]:
        session = AgentSession[Any](llm=ScriptedLLM(LLM(), asyncio.get_running_loop().time))
        await session.start(Uninterruptable())
        run = await session.run(user_input="and my name")
        await session.aclose()
        return session.receipts, [event.item.text_content for event in run.events if event.type == "message"]

    kept, answers = run(written)

    assert [(one.outcome, one.level, one.played) for one in kept] == [(Outcome.SENT, Level.NOTHING, 0.0)] * 2
    assert answers == ["You said and my name."]

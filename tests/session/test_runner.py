"""Events reach the floor one after the other, and every decision is carried out, whatever goes wrong with another."""

import asyncio
import logging

import pytest

from harness.scenes import QUESTION, assert_answered_at_once, call
from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._floor.floor import Floor
from hearout._session.runner import Runner
from hearout.testing import Say, first_sound

Told = list[e.Event | a.Action]


def fed(*events: e.Event, fails: type[object] | None = None) -> tuple[Told, Told]:
    """What is told to a listener and what is done when a floor is fed these; one kind of action cannot be done."""
    told: Told = []
    done: Told = []

    def perform(action: a.Action) -> None:
        if fails is not None and isinstance(action, fails):
            raise RuntimeError("this cannot be done")
        done.append(action)

    async def feed() -> None:
        runner = Runner(Floor())
        runner.perform = perform
        runner.listeners += [fail, lambda _, what: told.append(what)]
        for event in events:
            runner.feed(event)
        runner.close()

    asyncio.run(feed())
    return told, done


def fail(_at: float, _what: e.Event | a.Action) -> None:
    raise ValueError("a listener that fails")


def test_a_failing_listener_disturbs_neither_the_floor_nor_other_listeners(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, over = e.SpeechRequested("n1", text="The caller's own words."), e.SpeechEnded("n1")

    told, done = fed(asked, over)

    assert [type(what) for what in told] == [e.SpeechRequested, a.Hold, e.SpeechEnded, a.WriteReceipt, a.Release]
    assert done == [what for what in told if type(what).__module__ == a.__name__]
    assert "SpeechRequested" in caplog.text
    assert "own words" not in caplog.text


def test_what_cannot_be_done_keeps_nothing_else_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    _, done = fed(e.SpeechRequested("n1", text="Hello."), e.SpeechEnded("n1"), fails=a.WriteReceipt)

    assert [type(action) for action in done] == [a.Hold, a.Release]
    assert "WriteReceipt" in caplog.text


def test_a_call_that_somebody_watches_with_a_fault_goes_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="hearout")

    result = call(Say(first_sound(1.0), QUESTION), on_floor=fail)

    assert_answered_at_once(result, QUESTION, gap=0.04)


@pytest.mark.timeout(20)
def test_a_task_that_ended_a_moment_before_holds_nobody_up() -> None:
    async def settle() -> None:
        loop = asyncio.get_running_loop()
        runner = Runner(Floor())
        settling: list[asyncio.Task[None]] = []

        async def work() -> None:  # the new task's first step comes before the callbacks of this one's end
            settling.append(loop.create_task(runner.settled()))

        runner.start(work())
        await asyncio.sleep(0)
        await settling[0]
        runner.close()

    asyncio.run(settle())

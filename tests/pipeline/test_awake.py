"""How long a real event loop ran: a blocking call, a busy one and a stopped process, by the real clock."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._floor.awake import AwakeFloor
from hearout._pipeline.awake import Awake
from hearout._session.runner import Runner
from hearout.policy import Policy, Timeouts
from hearout.receipts import Outcome, Receipt

BLOCKED = 1.6


async def spoken(stop: Coroutine[Any, Any, None]) -> Receipt:
    """The receipt of an utterance in the middle of whose sound something stops the loop, longer than a TTS may."""
    runner = Runner(AwakeFloor(Policy(timeouts=Timeouts(voice=1.0))))
    written: list[Receipt] = []
    runner.perform = lambda action: written.append(action.receipt) if isinstance(action, a.WriteReceipt) else None
    runner.feed(e.SpeechRequested("n1", text="This call is recorded."))
    runner.feed(e.AudioMade("n1", 0.5))
    runner.feed(e.PlayoutStarted("n1"))
    await asyncio.sleep(0.4)
    await stop
    await asyncio.sleep(0.4)  # less than the TTS may take
    runner.feed(e.AudioMade("n1", 1.0, complete=True))
    runner.feed(e.PlayoutFinished("n1", 1.0))
    runner.feed(e.SpeechEnded("n1"))
    runner.close()
    return written[0]


async def sleeping() -> None:
    time.sleep(BLOCKED)  # noqa: ASYNC251 - what a tool of a user does


async def computing() -> None:
    until = time.monotonic() + BLOCKED
    while time.monotonic() < until:
        sum(range(1000))


@pytest.mark.parametrize("stop", [sleeping, computing])
def test_a_blocked_loop_is_named_and_fails_nothing(stop: Any) -> None:
    receipt = asyncio.run(spoken(stop()))

    assert receipt.outcome is Outcome.FINISHED
    assert BLOCKED - 0.5 <= receipt.stood_still <= BLOCKED + 0.5


STOPPED = """
import asyncio, sys
from tests.pipeline.test_awake import spoken

async def stop():
    print("stop me", flush=True)
    await asyncio.sleep(0.3)

receipt = asyncio.run(spoken(stop()))
print(receipt.outcome.value, receipt.stood_still)
"""


def test_a_stopped_process_is_named_and_fails_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stop me\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(BLOCKED)
        os.kill(process.pid, signal.SIGCONT)
        outcome, seconds = process.stdout.read().split()

    assert outcome == "finished"
    assert BLOCKED - 0.5 <= float(seconds) <= BLOCKED + 0.5


def test_a_loop_that_runs_never_stood_still() -> None:
    async def run() -> float:
        awake, began = Awake(), asyncio.get_running_loop().time()
        with awake.watching():
            await asyncio.sleep(0.7)
        return awake.stood_still(began)

    assert asyncio.run(run()) == 0.0


def test_a_callback_comes_after_so_many_seconds_in_which_the_loop_ran() -> None:
    async def run() -> list[float]:
        awake, began, came = Awake(), time.monotonic(), list[float]()
        awake.later(0.8, lambda: came.append(time.monotonic() - began))
        called_off = awake.later(0.1, lambda: came.append(0.0))
        called_off.cancel()
        await asyncio.sleep(0.3)
        time.sleep(1.0)  # noqa: ASYNC251
        await asyncio.sleep(0.6)
        return came

    (seconds,) = asyncio.run(run())
    assert seconds > 1.4


@pytest.mark.parametrize("blocks", [0.0, 1.2])
def test_a_wait_is_as_long_as_the_loop_runs(blocks: float) -> None:
    async def run() -> tuple[bool, float]:
        awake, began = Awake(), time.monotonic()
        asyncio.get_running_loop().call_later(0.1, time.sleep, blocks)
        done = await awake.wait([asyncio.get_running_loop().create_future()], 0.6)
        return done, time.monotonic() - began

    done, seconds = asyncio.run(run())
    assert not done
    assert 0.5 + 0.7 * blocks <= seconds

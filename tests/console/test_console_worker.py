"""LiveKit's worker under the console: how long its end may take."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from livekit.agents import AgentServer, JobContext, JobProcess

from hearout._console.run import JOB_ENDS, WORKER_ENDS, _Worker

SOON = 30.0
"""Seconds within which a worker has begun on any machine."""


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end of a test, so that no thread of it waits for ever."""
    event = threading.Event()
    yield event
    event.set()


def started(prewarm: Callable[[JobProcess], None], entrypoint: Callable[[JobContext], None]) -> _Worker:
    """A worker under the console that has begun to hold a call with such an agent."""
    server = AgentServer(host="127.0.0.1", port=0)
    server.setup_fnc = prewarm

    @server.rtc_session()
    async def agent(ctx: JobContext) -> None:
        entrypoint(ctx)

    worker = _Worker(server, on_failed=lambda: None)
    worker.start()
    return worker


def test_a_worker_that_has_no_job_is_not_waited_for(released: threading.Event) -> None:
    prewarms = threading.Event()

    def prewarm(_: JobProcess) -> None:
        prewarms.set()
        released.wait(SOON)

    worker = started(prewarm, lambda _: None)
    assert prewarms.wait(SOON)
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 3 * WORKER_ENDS  # it was 2 * JOB_ENDS


def test_a_jobs_shutdown_callbacks_are_waited_for() -> None:
    begun, ended = threading.Event(), threading.Event()

    def entrypoint(ctx: JobContext) -> None:
        async def callback() -> None:
            await asyncio.sleep((WORKER_ENDS + JOB_ENDS) / 3)
            ended.set()

        ctx.add_shutdown_callback(callback)
        begun.set()

    worker = started(lambda _: None, entrypoint)
    assert begun.wait(SOON)
    while not worker._has_begun:
        time.sleep(0.01)
    worker.stop()
    assert ended.is_set()
    assert not worker._thread.is_alive()

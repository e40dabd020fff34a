"""No test and no call leaves a task behind: what is left when an event loop ends fails its test.

`hearout.testing` looks for such tasks itself, in virtual time. This is for loops in this machine's time: those of
tests, which run by `asyncio.run`, and those of agents in rooms, which note what their session left.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that what was just cancelled or closed may take to end."""

_run = asyncio.run


@pytest.fixture(autouse=True)
def _no_task_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `asyncio.run` fail where tasks are left when its coroutine has returned."""
    monkeypatch.setattr(asyncio, "run", run)


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """`asyncio.run`, and nothing may be left.

    Raises:
        AssertionError: tasks were left; names them. Not raised where `main` itself fails.
    """
    return _run(_and_nothing_left(main), debug=debug)


async def _and_nothing_left(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    assert not (left := await lasting(lambda _: True)), f"tasks were left running: {left}"
    return result


async def lasting(counts: Callable[[str], bool]) -> list[str]:
    """The tasks of this loop that last longer than `PATIENCE`, each by its coroutine and file; the caller's excepted.

    Args:
        counts: whether a task counts whose coroutine is in this file.
    """
    own = asyncio.current_task()
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    while left := [one for one in asyncio.all_tasks() if one is not own and counts(_file(one))]:
        if loop.time() >= until:
            break
        await asyncio.sleep(0.01)
    return sorted(f"{one.get_coro()!r}" for one in left)


def _file(task: asyncio.Task[Any]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return "" if code is None else str(code.co_filename)


# Agents in rooms


async def note(room: str, folder: Path) -> None:
    """Write down what a session left in its job's loop, when it is over; for :func:`of_calls`."""
    left = await lasting(lambda file: "/hearout/" in file or "/livekit/agents/voice/" in file)
    (folder / f"{room}.left").write_text(json.dumps(left))


def of_calls(folder: Path) -> dict[str, list[str]]:
    """What the sessions of the calls that are over have left, by room."""
    noted = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.left")}
    return {room: left for room, left in noted.items() if left}


def checked(folder: Path) -> Iterator[None]:
    """Fail after the calls of a folder where one of them left tasks, or where none of them noted that it did not."""
    yield
    assert list(folder.glob("*.left")), f"no call of {folder} ended"
    assert not (left := of_calls(folder)), left

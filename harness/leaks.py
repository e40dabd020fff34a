"""No test and no call leaves a task behind: what is left when an event loop ends fails its test.

`hearout.testing` looks for such tasks itself, in virtual time. This is for loops in this machine's time: those of
tests, which run by `asyncio.run`, and those of agents in rooms, which note what their session left.
"""

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import livekit.agents

import hearout

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that what was just cancelled or closed may take to end."""

_run = asyncio.run


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """`asyncio.run`, and nothing may be left; stands in its place in all tests (``tests/conftest.py``).

    Raises:
        AssertionError: tasks were left; names them. Not raised where `main` itself fails.
    """
    return _run(_and_nothing_left(main), debug=debug)


async def _and_nothing_left(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    assert not (left := await lasting()), f"tasks were left running: {left}"
    return result


async def lasting(*folders: Path) -> list[str]:
    """The tasks of this loop that last longer than `PATIENCE`, each with its coroutine; the current task excepted.

    Args:
        folders: of the code that counts: a task counts where any of its coroutines is there. All count without one.
    """
    own = asyncio.current_task()
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    while left := [one for one in asyncio.all_tasks() if one is not own and _is_of(one, folders)]:
        if loop.time() >= until:
            break
        await asyncio.sleep(0.01)
    return sorted(f"{one.get_coro()!r}" for one in left)


def _is_of(task: asyncio.Task[Any], folders: tuple[Path, ...]) -> bool:
    files = []
    coroutine: Any = task.get_coro()
    while (code := getattr(coroutine, "cr_code", None)) is not None:
        files.append(Path(code.co_filename))
        coroutine = coroutine.cr_await
    return not folders or any(file.is_relative_to(folder) for file in files for folder in folders)


# Agents in rooms

SESSION = Path(*hearout.__path__), Path(*livekit.agents.__path__) / "voice"
"""Folders whose tasks are a session's; what else runs in its job's loop is the job's."""


async def note(room: str, folder: Path) -> None:
    """Write down the tasks that a session left in the job's loop; for :func:`of_calls`."""
    left = await lasting(*SESSION)
    (folder / f"{room}.left").write_text(json.dumps(left))


def of_calls(folder: Path) -> dict[str, list[str]]:
    """What the sessions of the calls that are over have left, by room."""
    noted = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.left")}
    return {room: left for room, left in noted.items() if left}


@contextlib.contextmanager
def checked(folder: Path) -> Iterator[None]:
    """Fail after the calls of a folder where one left tasks, or where none ended with a note."""
    yield
    assert list(folder.glob("*.left")), f"no call of {folder} ended"
    assert not (left := of_calls(folder)), left

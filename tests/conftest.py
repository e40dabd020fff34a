"""What every test gets: no key, no cloud, no leftover of this process."""

import asyncio
import gc
import logging
import signal
from collections.abc import Iterator

import hypothesis
import pytest

import hearout._session.process
from harness import leaks

pytest_plugins = ["harness.databases", "harness.rooms.server"]

# What gives way to real calls may stand still for a second: an example's time says nothing of the code.
hypothesis.settings.register_profile("calls", deadline=None)
hypothesis.settings.load_profile("calls")

IN_REAL_TIME = ("rooms", "browser", "real", "newcomer", "local")
"""Folders of calls and models in this machine's time, the longest first: `make test` holds one call of each kind."""


# A shell's job in the background ignores it, as the tests of make are; what they start must not.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder. The calls of one file share a worker; those of two files bear each other's company."""
    for item in items:
        if item.path.parent.name in IN_REAL_TIME:
            item.add_marker("in_real_time")
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what lives to the end: looking through it again and again takes time."""
    gc.collect()
    gc.freeze()


def _place(item: pytest.Item) -> int:
    """The longest first, so that nobody waits for them in the end."""
    folder = item.path.parent.name
    return IN_REAL_TIME.index(folder) if folder in IN_REAL_TIME else len(IN_REAL_TIME)


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test as on a machine without keys; leave no line and no handler of logs behind, whose file is closed."""
    handlers = set(logging.root.handlers)
    for name in ("URL", "API_KEY", "API_SECRET", "INFERENCE_URL", "INFERENCE_API_KEY", "INFERENCE_API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{name}", raising=False)
    yield
    hearout._session.process.use_line(None)
    for handler in set(logging.root.handlers) - handlers:
        logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _no_task_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `asyncio.run` fail where tasks are left when its coroutine has returned."""
    monkeypatch.setattr(asyncio, "run", leaks.run)

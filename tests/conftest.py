"""What every test gets: no key, no cloud, no leftover of this process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hearout._session.agent_session
from harness import run

pytest_plugins = ["harness.databases", "harness.leaks", "harness.rooms.server"]

IN_COMPANY = {"console", "local", "newcomer"}
"""Folders whose tests need this machine's time, and can bear one other beside them."""

IN_REAL_TIME = IN_COMPANY | {"bench", "browser", "real", "rooms", "web"}
"""Folders whose tests need this machine's time, or measure it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Calls in virtual time can be played side by side; one in real time that waits for the machine is another call."""
    for item in items:
        folder = item.path.parent.name
        if folder in IN_REAL_TIME:
            item.add_marker("in_real_time")
        if folder in IN_COMPANY:
            item.add_marker("in_company")


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test as on a machine without keys, and leave no line behind."""
    for name in ("URL", "API_KEY", "API_SECRET", "INFERENCE_URL", "INFERENCE_API_KEY", "INFERENCE_API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{name}", raising=False)
    yield
    hearout._session.agent_session.use_line(None)


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """The call that `make run` plays without a terminal: the process, its timeline, and its folder."""
    out = tmp_path_factory.mktemp("main") / "call"
    ledger = f"sqlite:///{out.parent}/receipts.db"
    done = run("console", "--script", "bench/calls/talk-over.toml", "--out", str(out), HEAROUT_LEDGER=ledger)
    return done, json.loads((out / "timeline.json").read_text()), out

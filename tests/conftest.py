"""What every test gets: no key, no cloud, no leftover of this process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hearout._session.agent_session
from support import run

pytest_plugins = ["databases", "rooms.server"]

IN_COMPANY = ("clean_clone", "console", "gateway", "local", "readme")
"""What the names of the files begin with whose tests need this machine's time, and can bear one other beside them."""

IN_REAL_TIME = (*IN_COMPANY, "bench", "browser", "measure_rooms", "rooms", "scenarios_real", "web")
"""The same of those that need its time, or measure it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Calls in virtual time can be played side by side; one in real time that waits for the machine is another call."""
    for item in items:
        name = item.path.name.removeprefix("test_")
        if name.startswith(IN_REAL_TIME):
            item.add_marker("in_real_time")
        if name.startswith(IN_COMPANY):
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

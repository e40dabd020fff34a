"""What every test gets: no key, no cloud, no leftover of this process."""

from collections.abc import Iterator

import pytest

import hearout.session


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test as on a machine without keys, and leave no line behind."""
    for name in ("URL", "API_KEY", "API_SECRET", "INFERENCE_URL", "INFERENCE_API_KEY", "INFERENCE_API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{name}", raising=False)
    yield
    hearout.session.use_line(None)

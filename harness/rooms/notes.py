"""What the agent of `rooms/noting.py` wrote down, read."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearout.receipts import Receipt
from hearout.receipts import _codec as record


@dataclass(frozen=True)
class Notes:
    """What the agent of one room wrote down; times are this machine's."""

    path: Path

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text())) if self.path.exists() else {}

    @property
    def zero(self) -> float:
        return float(self.read()["zero"])

    @property
    def receipts(self) -> list[Receipt]:
        return [record.from_json(one) for one in self.read().get("receipts", [])]

    def told(self, name: str) -> list[tuple[float, dict[str, Any]]]:
        """The events and actions of one name: when, in seconds of the call, and what."""
        return [(at, facts) for at, what, facts in self.read().get("events", []) if what == name]

    @property
    def late(self) -> list[tuple[float, float]]:
        """When the agent's process ran late, and by how many seconds."""
        return [(at, seconds) for at, seconds in self.read().get("late", [])]

    def wait(self, there: Callable[["Notes"], Any], seconds: float, wanted: str) -> Any:
        until = time.monotonic() + seconds
        while not (found := there(self)):
            if time.monotonic() > until:
                events = [(round(at, 1), what) for at, what, _ in self.read().get("events", [])]
                raise AssertionError(f"no {wanted} within {seconds} s; {self.receipts}; {events[-40:]}")
            time.sleep(0.2)
        return found

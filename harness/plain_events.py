"""Data of LiveKit's events that two calls can be compared by."""

import re
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from hearout.testing._clock import EPOCH

ID = re.compile(r"\b(?:[a-z]+_)?[0-9a-f]{12}\b")
"""LiveKit's random ids."""


class Numbered:
    """Replaces LiveKit's random ids by their numbers in the order in which they come."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self(key): self(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self(one) for one in value]
        if isinstance(value, str):
            return ID.sub(lambda found: self._ids.setdefault(found[0], f"<{len(self._ids)}>"), value)
        return value


class Plain:
    """Makes data of what LiveKit gives, as it is now."""

    def __call__(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return {name: self(getattr(value, name)) for name in type(value).model_fields if _shown(value, name)}
        if is_dataclass(value) and not isinstance(value, type):
            return {field.name: self(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, dict):
            return {self(key): self(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self(one) for one in value]
        if isinstance(value, str):
            return re.sub(r" object at 0x[0-9a-f]+", "", str(value))
        if isinstance(value, float) and value > EPOCH / 2:
            return value - EPOCH
        if value is None or isinstance(value, int | float):
            return value
        return type(value).__name__


def _shown(value: BaseModel, name: str) -> bool:
    """Not shown: what is deprecated, and which of VAD and STT was the first to hear the caller in one instant."""
    hidden = {
        "AgentFalseInterruptionEvent": ("message", "extra_instructions"),
        "UserStateChangedEvent": ("created_at",),
    }
    return name != "hash" and name not in hidden.get(type(value).__name__, ())


def by_instants(events: list[tuple[float, str, Any]]) -> list[tuple[float, str, Any]]:
    """The events, those of one instant in the order of their names."""
    instant: dict[float, int] = {}
    for at, *_ in events:
        instant.setdefault(round(at, 4), len(instant))
    return sorted(events, key=lambda event: (instant[round(event[0], 4)], event[1], ID.sub("", rounded(event[2]))))


def rounded(value: Any) -> str:
    """What sorts two calls alike: its numbers to 0.01."""
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.2f}", str(value))


def without_ids(items: list[Any]) -> list[Any]:
    """Items of a chat context, without their ids."""
    return [{name: value for name, value in item.items() if name != "id"} for item in items]

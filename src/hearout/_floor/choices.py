"""What was chosen for one utterance, as JSON: in a trace, and in the ledger for whoever says it again."""

from dataclasses import fields
from typing import Any

from ..policy import (
    After,
    Answer,
    AnyOf,
    CutIn,
    Keys,
    Nobody,
    Phrases,
    Redeliver,
    ways,
)


def plain(value: Any) -> Any:
    """A choice as JSON takes it; what is none, as it is."""
    match value:
        case Answer() | Redeliver():
            return value.value
        case Nobody() | Phrases() | Keys() | After() | AnyOf():
            return [{type(way).__name__: [getattr(way, f.name) for f in fields(way)]} for way in ways(value)]
        case _:
            return value


def chosen(choices: dict[str, Any]) -> dict[str, Any]:
    """The choices that :func:`plain` made these of, where they are among ``cut_in``, ``answer`` and ``redeliver``.

    Raises:
        ValueError: one is none.
    """
    reads = {"cut_in": _cut_in, "answer": Answer, "redeliver": Redeliver}
    return {name: read(choices[name]) for name, read in reads.items() if choices.get(name) is not None}


def _cut_in(single: list[dict[str, list[Any]]]) -> CutIn:
    made: CutIn = Nobody()
    for way in single:
        for name, (value,) in way.items():
            match name:
                case "Phrases":
                    made = made | Phrases(*value)
                case "Keys":
                    made = made | Keys(value)
                case _:
                    made = made | After(value)
    return made

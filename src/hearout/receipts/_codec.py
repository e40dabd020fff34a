"""A receipt as JSON, with a schema and a version, and with as much of what was said as the policy keeps."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from ..errors import ReceiptError
from ..policy import Retention
from ._receipt import (
    Attempt,
    Cause,
    Fate,
    Held,
    Kind,
    Listener,
    Outcome,
    Receipt,
)
from ._spans import Span

SCHEMA = "hearout.receipt"
VERSION = (1, 0)
"""Major, minor. A newer minor only adds fields; a newer major may mean something else by them, and is refused."""

Json: TypeAlias = dict[str, Any]
E = TypeVar("E", bound=Enum)


def sha256(text: str) -> str:
    """The plain SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def to_json(receipt: Receipt, *, words: Retention = Retention.KEEP, text: Retention = Retention.KEEP) -> Json:
    """The receipt as an object of JSON.

    Args:
        receipt: the receipt.
        words: what becomes of what the caller said, typed or pressed.
        text: what becomes of the announcement's own text; its plain SHA-256 is always there.
    """
    known = {
        "schema": SCHEMA,
        "version": _version(VERSION),
        "id": receipt.id,
        "call": receipt.call,
        "agent": receipt.agent,
        "caller": receipt.caller,
        "outcome": receipt.outcome.value,
        "cause": receipt.cause.value if receipt.cause else None,
        "cut_in_by": receipt.cut_in_by,
        "why": receipt.why,
        "asked_at": receipt.asked_at,
        "started_at": receipt.started_at,
        "ended_at": receipt.ended_at,
        "played": receipt.played,
        "made": receipt.made,
        "expected": receipt.expected,
        "holes": _pairs(receipt.holes),
        "attempts": [_attempt(one) for one in receipt.attempts],
        "listeners": [_listener(one, receipt) for one in receipt.listeners],
        "level": str(receipt.level),
        "gap": receipt.gap,
        "sounds": receipt.sounds,
        "stood_still": receipt.stood_still,
        "text_sha256": receipt.text_sha256,
        "held": [_held(held, fate, words) for held, fate in receipt.held],
    }
    if receipt.text and text is Retention.KEEP:
        known["text"] = receipt.text
    merged: Json = _merged(known, receipt.extra)
    return merged


def from_json(document: object) -> Receipt:
    """The receipt that :func:`to_json` wrote; fields that are not known are kept and written again.

    Raises:
        ReceiptError: it is no receipt, a field is missing or makes no sense, or the major version is newer.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise ReceiptError(f"this is no receipt: its field schema is not {SCHEMA!r}", field="schema")
    version = _read_version(document.get("version"))
    read = Reader(document)
    text = read.text("text", default="")
    hashed = read.text("text_sha256")
    if text and sha256(text) != hashed:
        raise ReceiptError(
            "field text_sha256 of the receipt is not that of its text: one of them was changed", field="text_sha256"
        )
    known = Receipt(
        id=read.text("id"),
        outcome=read.one_of(Outcome, "outcome"),
        why=read.text("why"),
        asked_at=read.number("asked_at"),
        started_at=read.number_or_none("started_at"),
        ended_at=read.number("ended_at"),
        played=read.number("played"),
        made=read.number("made"),
        text=text,
        held=tuple(map(_read_held, read.several("held"))),
        sounds=int(read.number("sounds")),
        stood_still=read.number_or_none("stood_still") or 0.0,
        call=read.text("call"),
        agent=read.text("agent"),
        caller=read.text("caller"),
        expected=read.number_or_none("expected"),
        attempts=tuple(map(_read_attempt, read.several("attempts"))),
        holes=read.pairs("holes"),
        listeners=tuple(map(listener_from_json, read.several("listeners"))),
        cause=None if document.get("cause") is None else read.one_of(Cause, "cause"),
        cut_in_by=read.text("cut_in_by"),
        gap=read.number_or_none("gap"),
        omitted_text="" if text or hashed == sha256("") else hashed,
    )
    extra = _beyond(document, to_json(known)) or {}
    if version > VERSION:
        extra["version"] = _version(version)
    return Receipt(**{**vars(known), "extra": extra})


# Writing


def _version(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _pairs(spans: Sequence[Span]) -> list[list[float]]:
    return [[begin, end] for begin, end in spans]


def _attempt(attempt: Attempt) -> Json:
    return {
        "began_at": attempt.began_at,
        "ended_at": attempt.ended_at,
        "played": attempt.played,
        "starts_from": attempt.starts_from,
        "holes": _pairs(attempt.holes),
        "ended_why": attempt.ended_why,
    }


def _listener(listener: Listener, receipt: Receipt) -> Json:
    return {
        "identity": listener.identity,
        "present": _pairs(listener.present),
        "reported": listener.reported,
        "acknowledged_at": listener.acknowledged_at,
        "level": str(receipt.level_of(listener.identity)),
        "seconds": {str(level): seconds for level, seconds in receipt.levels(listener.identity).items()},
    }


def _held(held: Held, fate: Fate, words: Retention) -> Json:
    entry: Json = {"at": held.at, "kind": held.kind.value, "early": held.early, "fate": fate.value}
    if words is Retention.KEEP and held.text:
        entry["text"] = held.text
    return entry


# Reading


class Reader:
    """Reads the fields of one object, and names the one that makes no sense."""

    def __init__(self, document: object, of: str = "the receipt") -> None:
        if not isinstance(document, Mapping):
            raise ReceiptError(f"{of} must be an object, not {type(document).__name__}")
        self._document, self._of = document, of

    def _field(self, name: str, kind: type | tuple[type, ...], what: str, default: Any = None) -> Any:
        value = self._document.get(name, default)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            # not the value: it may be the caller's words
            raise ReceiptError(f"field {name} of {self._of} must be {what}, not {type(value).__name__}", field=name)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._field(name, str, "text", default))

    def number(self, name: str) -> float:
        value = self._field(name, (int, float), "a number")
        if not _is_finite(value):
            raise ReceiptError(f"field {name} of {self._of} must be a finite number", field=name)
        return float(value)

    def number_or_none(self, name: str) -> float | None:
        return None if self._document.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        return bool(self._field(name, bool, "true or false"))

    def several(self, name: str) -> list[Any]:
        return list(self._field(name, list, "a list"))

    def pairs(self, name: str) -> tuple[Span, ...]:
        pairs = self.several(name)
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2 or not all(_is_finite(end) for end in pair):
                raise ReceiptError(f"field {name} of {self._of} must be a list of pairs of seconds", field=name)
        return tuple((float(begin), float(end)) for begin, end in pairs)

    def one_of(self, choices: type[E], name: str) -> E:
        value = self.text(name)
        try:
            return choices(value)
        except ValueError:
            raise ReceiptError(
                f"field {name} of {self._of} is {value!r}, which this version does not know", field=name
            ) from None


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def version_in(text: object) -> tuple[int, int] | None:
    """The major and the minor version in a text like "1.0"; None where it is none."""
    found = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", text) if isinstance(text, str) else None
    return None if found is None else (int(found[1]), int(found[2]))


def _read_version(version: object) -> tuple[int, int]:
    read = version_in(version)
    if read is None:
        raise ReceiptError(f"field version of the receipt must be like {_version(VERSION)!r}", field="version")
    if read[0] > VERSION[0]:
        raise ReceiptError(
            f"the receipt has version {version}, and this hearout reads {VERSION[0]}.x only; read it with a newer one"
        )
    return read


def _read_attempt(document: object) -> Attempt:
    read = Reader(document, "an attempt")
    return Attempt(
        began_at=read.number("began_at"),
        ended_at=read.number("ended_at"),
        played=read.number("played"),
        starts_from=read.number("starts_from"),
        holes=read.pairs("holes"),
        ended_why=read.text("ended_why"),
    )


def listener_from_json(document: object) -> Listener:
    """One of the `listeners` of a receipt's JSON.

    Raises:
        ReceiptError: it is none.
    """
    read = Reader(document, "a listener")
    return Listener(
        identity=read.text("identity"),
        present=read.pairs("present"),
        reported=read.number_or_none("reported"),
        acknowledged_at=read.number_or_none("acknowledged_at"),
    )


def _read_held(document: object) -> tuple[Held, Fate]:
    read = Reader(document, "what was held")
    held = Held(read.text("text", default=""), read.number("at"), read.one_of(Kind, "kind"), read.flag("early"))
    return held, read.one_of(Fate, "fate")


# What a newer version wrote


def _beyond(document: Any, known: Any) -> Any:
    """The part of a document that is not known: fields, wherever they stand; None when there is none."""
    if isinstance(document, Mapping) and isinstance(known, Mapping):
        fields = {name: value if name not in known else _beyond(value, known[name]) for name, value in document.items()}
        return {name: value for name, value in fields.items() if name not in known or value is not None} or None
    if isinstance(document, list) and isinstance(known, list) and len(document) == len(known):
        entries = list(map(_beyond, document, known))
        return entries if any(entry is not None for entry in entries) else None
    return None


def _merged(known: Any, extra: Any) -> Any:
    """The known part of a document with the unknown part that :func:`_beyond` found."""
    if isinstance(known, Mapping) and isinstance(extra, Mapping):
        return {**known, **{name: _merged(known.get(name), value) for name, value in extra.items()}}
    if isinstance(known, list) and isinstance(extra, list) and len(known) == len(extra):
        return list(map(_merged, known, extra))
    return known if extra is None else extra


__all__ = ["SCHEMA", "VERSION", "Json", "Retention", "from_json", "listener_from_json", "sha256", "to_json"]

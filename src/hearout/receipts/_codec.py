"""A receipt and the record of a question as JSON, each with a schema and a version."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_type_hints

from ..errors import ReceiptError
from ._question import AskAttempt, GivenAnswer, QuestionReceipt
from ._receipt import Attempt, Cause, Fate, Held, Listener, Receipt, sha256
from ._spans import Span

SCHEMA, QUESTION = "hearout.receipt", "hearout.question"
VERSION = (1, 0)
"""Major, minor, of both. A newer minor only adds fields; a newer major may mean something else, and is refused."""

Json: TypeAlias = dict[str, Any]
E = TypeVar("E", bound=Enum)
R = TypeVar("R")


def to_json(receipt: Receipt) -> Json:
    """The receipt as an object of JSON, with all that was said."""
    known = fields_to_json(receipt, without=("omitted_text", "extra"))
    known |= {"schema": SCHEMA, "version": _version(VERSION), "level": str(receipt.level)}
    known |= {"text_sha256": receipt.text_sha256, "listeners": [_listener(one, receipt) for one in receipt.listeners]}
    known["held"] = [_held(held, fate) for held, fate in receipt.held]
    merged: Json = _merged(without_empty_text(known), receipt.extra)
    return merged


def from_json(document: object) -> Receipt:
    """The receipt that :func:`to_json` wrote; fields that are not known are kept and written again.

    Raises:
        ReceiptError: it is no receipt, a field is missing or makes no sense, or the major version is newer.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise ReceiptError(f"this is no receipt: its field schema is not {SCHEMA!r}", field="schema")
    read = Reader(document)
    version, (text, omitted) = read.version(), read.text_or_hash()
    known = read.record(
        Receipt,
        text=text,
        held=tuple(map(_read_held, read.several("held"))),
        stood_still=read.number_or_none("stood_still") or 0.0,
        attempts=tuple(Reader(one, "an attempt").record(Attempt) for one in read.several("attempts")),
        listeners=tuple(map(listener_from_json, read.several("listeners"))),
        cause=None if document.get("cause") is None else read.one_of(Cause, "cause"),
        omitted_text=omitted,
        extra={},
    )
    return replace(known, extra=_extra(document, to_json(known), version))


# Writing


def fields_to_json(record: Any, *, without: Collection[str] = ()) -> Json:
    """The fields of a record as an object of JSON: an enum as its value, a span as a pair, a record as an object."""
    return {one.name: _plain(getattr(record, one.name)) for one in fields(record) if one.name not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        return fields_to_json(value)
    return value.value if isinstance(value, Enum) else value


def without_empty_text(document: Json) -> Json:
    """The document without its field ``text``, where no text is kept."""
    return {name: value for name, value in document.items() if name != "text" or value}


def _version(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _listener(listener: Listener, receipt: Receipt) -> Json:
    seconds = {str(level): seconds for level, seconds in receipt.levels(listener.identity).items()}
    return fields_to_json(listener) | {"level": str(receipt.level_of(listener.identity)), "seconds": seconds}


def _held(held: Held, fate: Fate) -> Json:
    return without_empty_text(fields_to_json(held)) | {"fate": fate.value}


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

    def version(self) -> tuple[int, int]:
        """The major and the minor version, where this version can read it."""
        text = self._document.get("version")
        found = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", text) if isinstance(text, str) else None
        if found is None:
            raise ReceiptError(f"field version of {self._of} must be like {_version(VERSION)!r}", field="version")
        if int(found[1]) > VERSION[0]:
            reads = f"and this hearout reads {VERSION[0]}.x only; read it with a newer one"
            raise ReceiptError(f"{self._of} has version {text}, {reads}", field="version")
        return int(found[1]), int(found[2])

    def text_or_hash(self) -> tuple[str, str]:
        """The text that was to be said; its SHA-256, where it was left out."""
        text, hashed = self.text("text", default=""), self.text("text_sha256")
        if text and sha256(text) != hashed:
            what = f"field text_sha256 of {self._of} is not that of its text: one of them was changed"
            raise ReceiptError(what, field="text_sha256")
        return text, "" if text or hashed == sha256("") else hashed

    def record(self, kind: type[R], **known: Any) -> R:
        """A record of this class; each of its fields that is not `known` is read by its type."""
        by_type: Mapping[Any, Callable[[str], Any]] = {
            str: self.text,
            bool: self.flag,
            int: lambda name: int(self.number(name)),
            float: self.number,
            float | None: self.number_or_none,
            tuple[Span, ...]: self.pairs,
        }
        for name, hint in _hints(kind).items():
            if name not in known:
                known[name] = by_type[hint](name) if hint in by_type else self.one_of(hint, name)
        return kind(**known)

    def one_of(self, choices: type[E], name: str) -> E:
        value = self.text(name)
        try:
            return choices(value)
        except ValueError:
            raise ReceiptError(
                f"field {name} of {self._of} is {value!r}, which this version does not know", field=name
            ) from None


_hints: Callable[[Any], Mapping[str, Any]] = cache(get_type_hints)


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def listener_from_json(document: object) -> Listener:
    """One of the `listeners` of a receipt's JSON.

    Raises:
        ReceiptError: it is none.
    """
    return Reader(document, "a listener").record(Listener)


def _read_held(document: object) -> tuple[Held, Fate]:
    read = Reader(document, "what was held")
    return read.record(Held, text=read.text("text", default="")), read.one_of(Fate, "fate")


# What a newer version wrote


def _extra(document: Mapping[str, Any], known: Json, version: tuple[int, int]) -> Json:
    """The unknown fields of a document, and its version where that is newer."""
    return (_beyond(document, known) or {}) | ({"version": _version(version)} if version > VERSION else {})


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


# Questions: what was said to one stands in ``held``


def question_to_json(receipt: QuestionReceipt) -> Json:
    """The record as an object of JSON, with all that was said."""
    beside = ("version", "answers", "omitted_text", "revoked", "revoked_at", "entry", "extra")
    known = without_empty_text(fields_to_json(receipt, without=beside))
    known |= {"schema": QUESTION, "version": _version(VERSION), "question_version": receipt.version}
    known |= {"text_sha256": receipt.text_sha256, "held": [_answer(one) for one in receipt.answers]}
    merged: Json = _merged(known, receipt.extra)
    return merged


def question_from_json(document: object) -> QuestionReceipt:
    """The record that :func:`question_to_json` wrote; fields that are not known are kept.

    Raises:
        ReceiptError: it is none, a field is missing or makes no sense, or the major version is newer.
    """
    if not isinstance(document, Mapping) or document.get("schema") != QUESTION:
        raise ReceiptError(f"this is no question's record: its field schema is not {QUESTION!r}", field="schema")
    read = Reader(document, "the question's record")
    version, (text, omitted) = read.version(), read.text_or_hash()
    known = read.record(
        QuestionReceipt,
        version=read.text("question_version"),
        text=text,
        choices=tuple(map(str, read.several("choices"))),
        attempts=tuple(Reader(one, "an attempt").record(AskAttempt) for one in read.several("attempts")),
        answers=tuple(map(_read_answer, read.several("held"))),
        omitted_text=omitted,
        revoked="",
        revoked_at=None,
        entry="",
        extra={},
    )
    return replace(known, extra=_extra(document, question_to_json(known), version))


def _answer(answer: GivenAnswer) -> Json:
    return without_empty_text(fields_to_json(answer, without=("began_at",))) | {"at": answer.began_at}


def _read_answer(document: object) -> GivenAnswer:
    read = Reader(document, "an answer")
    return read.record(GivenAnswer, text=read.text("text", default=""), began_at=read.number("at"))

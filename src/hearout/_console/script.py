"""Calls written as data: who says what when, in TOML; `bench/calls/talk-over.toml` describes the format."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ScriptError
from ..policy import KEYS

ACTS = ("say", "play", "keys", "type", "do")


@dataclass(frozen=True)
class Step:
    """One thing that the caller does.

    Attributes:
        act: one of :data:`ACTS`.
        what: the words, the WAV file, the keys, the text; "hang-up" for ``do``.
        at: seconds after the agent's first sound, or None.
        from_end: seconds from the end of the first protected utterance (negative: before it), or None.
    """

    act: str
    what: str
    at: float | None = None
    from_end: float | None = None


@dataclass(frozen=True)
class Script:
    """A scripted call.

    Attributes:
        caller: what the caller does, in the order of the file.
        ends_after: seconds of quiet after which the call ends.
        at_most: seconds after which it ends in any case.
        expect: the choice that must come of the last question; empty for none; None where that is not looked at.
    """

    caller: tuple[Step, ...] = ()
    ends_after: float = 3.0
    at_most: float = 120.0
    expect: str | None = None


def read(path: Path) -> Script:
    """The call that is written in `path`.

    Raises:
        ScriptError: the file cannot be read or is wrong; the message names the file, the line and the field.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: cannot be read ({_reason(error)})", path=str(path)) from error
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"{path}: {error}", path=str(path)) from error
    return _Reader(path, text).script(tables)


class _Reader:
    """Checks one file's tables. tomllib tells no line of a value, so the text is searched for it."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def script(self, tables: Mapping[str, Any]) -> Script:
        for name in tables:
            if name not in ("call", "caller"):
                self._refuse(None, name, "is not known; [call] and [[caller]] are")
        call = tables.get("call", {})
        if not isinstance(call, dict):
            self._refuse(None, "call", "must be a table: [call]")
        for name in call:
            if name not in ("ends_after", "at_most", "expect"):
                self._refuse(None, name, "is not known in [call]; ends_after, at_most and expect are")
        if not isinstance(call.get("expect", ""), str):
            self._refuse(None, "expect", 'must be a choice, like "yes", or "" for none')
        entries = tables.get("caller", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._refuse(None, "caller", "must be written as [[caller]]")
        return Script(
            tuple(self._step(number, entry) for number, entry in enumerate(entries)),
            self._seconds(None, call, "ends_after", default=3.0, least=0.1),
            self._seconds(None, call, "at_most", default=120.0, least=1.0),
            call.get("expect"),
        )

    def _step(self, number: int, entry: Mapping[str, Any]) -> Step:
        for name in entry:
            if name not in ("at", "from_end", *ACTS):
                self._refuse(number, name, f"is not known in [[caller]]; at, from_end, {', '.join(ACTS)} are")
        times = [name for name in ("at", "from_end") if name in entry]
        if len(times) != 1:
            self._refuse(number, times[-1] if times else None, "needs one time: at or from_end")
        acts = [name for name in ACTS if name in entry]
        if len(acts) != 1:
            self._refuse(number, acts[-1] if acts else None, f"needs one of {', '.join(ACTS)}")
        what = entry[acts[0]]
        if not isinstance(what, str) or not what.strip():
            self._refuse(number, acts[0], "must be a text that is not empty")
        return Step(
            acts[0],
            self._checked(number, acts[0], what),
            at=self._seconds(number, entry, "at", least=0.0) if "at" in entry else None,
            from_end=self._seconds(number, entry, "from_end") if "from_end" in entry else None,
        )

    def _checked(self, number: int, act: str, what: str) -> str:
        if act == "keys" and set(what) - set(KEYS):
            self._refuse(number, act, "may hold 0-9, *, # and A-D")
        if act == "do" and what != "hang-up":
            self._refuse(number, act, 'can be "hang-up"')
        if act == "play":
            file = self._path.parent / what
            if not file.is_file():
                self._refuse(number, act, f"{what}: there is no such file beside the script")
            return str(file)
        return what

    def _seconds(
        self, number: int | None, table: Mapping[str, Any], name: str, *, default: float = 0.0, least: float = -1e6
    ) -> float:
        value = table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 1e6:
            self._refuse(number, name, f"must be seconds{'' if least < 0 else f', {least:g} or more'}")
        return float(value)

    def _refuse(self, number: int | None, field: str | None, sentence: str) -> NoReturn:
        line = self._line(number, field)
        said = f"{self._path}, line {line}: {field or '[[caller]]'} {sentence}"
        raise ScriptError(said, path=str(self._path), line=line, field=field or "")

    def _line(self, number: int | None, field: str | None) -> int:
        """The line of `field` in the `number`-th [[caller]], or anywhere; of the entry itself if it has no field."""
        entry, found = -1, 1
        for at, text in enumerate(self._lines, start=1):
            if re.match(r"\s*\[\[\s*caller\s*\]\]", text):
                entry += 1
                found = at if entry == number else found
            named = field is not None and re.match(rf"\s*+\[*+\s*+[\"']?{re.escape(field)}\b", text)
            if named and (number is None or entry == number):
                return at
        return found


def _reason(error: Exception) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "it is not UTF-8 text"

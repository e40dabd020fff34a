"""What is to be prepared: text files, or a TOML file with ids, texts and options."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import AnnouncementError

MOST = 10**6
"""More than any number in an order."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{,199}")  # a file's name, with what is added to it, has 255 at most


@dataclass(frozen=True)
class Options:
    """How an announcement is made.

    Attributes:
        tts: the model that speaks, as for :func:`hearout.prepare._models.opened`.
        voice: which of its voices.
        stt: the model that checks.
        lufs: the loudness wanted, in LUFS.
        wer_limit: the share of its words that the STT may hear wrongly.
        whole: ``True`` lets the TTS speak the text in one go, instead of sentence by sentence.
    """

    tts: str = "local"
    voice: str = ""
    stt: str = "local"
    lufs: float = -16.0
    wer_limit: float = 0.1
    whole: bool = False

    def __post_init__(self) -> None:
        if not -70 < self.lufs < 0:
            raise AnnouncementError(f"lufs {self.lufs:g} makes no sense; it lies between -70 and 0, speech at -16")
        if not 0 <= self.wer_limit <= 1:
            raise AnnouncementError(f"wer_limit {self.wer_limit:g} makes no sense; it is a share from 0 to 1")


@dataclass(frozen=True)
class Order:
    """One announcement to be made.

    Attributes:
        id: its name; also the beginning of its files' names.
        text: what is to be said; an empty line ends a sentence.
    """

    id: str
    text: str
    choices: Options


def read(paths: list[Path], given: Mapping[str, Any]) -> list[Order]:
    """The orders in some files, each with its options.

    Args:
        paths: text files, whose stems are the ids, or TOML files.
        given: the options of the command line, by the names of :class:`Options`; they take precedence.

    Raises:
        AnnouncementError: a file cannot be read, or says what makes no sense; or two announcements have one id.
    """
    orders: dict[str, Order] = {}
    for path in paths:
        for order in _orders(path, given):
            if order.id in orders:
                raise AnnouncementError(f"{path}: there is another announcement with the id {order.id!r}; rename one")
            orders[order.id] = order
    return list(orders.values())


def _orders(path: Path, given: Mapping[str, Any]) -> Iterator[Order]:
    text = _content(path)
    if path.suffix == ".toml":
        yield from _from_toml(path, text, given)
    else:
        yield _order(path, path.stem, text, dict(given))


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnouncementError(f"{path}: this is no text in UTF-8; save it as such") from error
    except OSError as error:
        raise AnnouncementError(f"{path}: cannot be read ({error.strerror})") from error


def _from_toml(path: Path, text: str, given: Mapping[str, Any]) -> Iterator[Order]:
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnouncementError(f"{path}: this is no TOML ({error})") from error
    announcements = tables.pop("announcement", None)
    if not isinstance(announcements, dict) or not announcements:
        raise AnnouncementError(f'{path}: there is no announcement in it; write [announcement.ID] and text = "…"')
    common = _options(path, tables)
    for name, table in announcements.items():
        own = {"text": table} if isinstance(table, str) else dict(table) if isinstance(table, dict) else {}
        if not isinstance(words := own.pop("text", None), str):
            raise AnnouncementError(f'{path}: the announcement {name!r} has no text; write text = "…"')
        yield _order(path, name, words, common | _options(path, own) | dict(given))


def _options(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {one.name: type(one.default) for one in fields(Options)}
    options = {}
    for name, value in table.items():
        if name not in kinds:
            raise AnnouncementError(f"{path}: there is no option {name!r}; there are {', '.join(kinds)}")
        number = kinds[name] is float and isinstance(value, int) and not isinstance(value, bool)
        if not number and not isinstance(value, kinds[name]):
            raise AnnouncementError(f"{path}: {name} is {value!r}, a {kinds[name].__name__} is needed")
        if number and abs(value) > MOST:
            raise AnnouncementError(f"{path}: {name} is too large a number")
        options[name] = value
    return options


def _order(path: Path, name: str, text: str, options: dict[str, Any]) -> Order:
    if not _ID.fullmatch(name):
        raise AnnouncementError(
            f"{path}: {name!r} cannot be an id; it has letters, digits, dots, dashes and underscores only, 200 at most"
        )
    if not text.strip():
        raise AnnouncementError(f"{path}: the announcement {name!r} has no text; write some")
    try:
        return Order(name, text, replace(Options(), **options))
    except AnnouncementError as error:
        raise AnnouncementError(f"{path}: {name}: {error}") from error

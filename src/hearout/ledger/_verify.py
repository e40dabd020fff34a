"""Whether rows are as they were written, each after the one before: the same rules for a database and for an export."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from ..errors import LedgerError
from ..receipts._codec import Json
from ._chain import GENESIS, Plaintext, mismatch, row_hash
from ._entries import RowKind


class Verifier(Protocol):
    """Checks signatures; see :mod:`hearout.ledger._signing`."""

    @property
    def key(self) -> str:
        """Names the key."""

    def is_signed(self, row_hash: str, signature: str) -> bool:
        """Whether the signature is this key's, of this row."""


@dataclass(frozen=True)
class Fault:
    """The first bad row of a book.

    Args:
        seq: its number.
        row: which row it is, in words.
        what: what is wrong with it.
    """

    seq: int
    row: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What the verification of a book found.

    Args:
        rows: how many rows are good.
        head: the hash of the last good row: noted elsewhere, it shows later that nothing was cut off.
        signed: how many of them carry a signature.
        fault: the first bad row; None when there is none.
    """

    rows: int
    head: str
    signed: int
    fault: Fault | None


@dataclass(frozen=True)
class Link:
    """One row of a chain, wherever it was read.

    Args:
        book, seq, before, hash, content, key, signature: as in the database.
        said: what is beside it; None where that cannot be read.
        columns: what the database finds it by; empty for an export, which has no columns.
    """

    book: str
    seq: int
    before: str
    hash: str
    content: str = field(repr=False)
    key: str | None
    signature: str | None
    said: Plaintext | None
    columns: Mapping[str, Any]

    @property
    def named(self) -> str:
        """Which row it is, in words."""
        try:
            facts = self.columns or parsed(self.content)
            return f"row {self.seq} ({facts['kind']}: utterance {facts['utterance']!r} in call {facts['call']!r})"
        except (ValueError, TypeError, LookupError, RecursionError):
            return f"row {self.seq}"


class Checker:
    """Looks at the rows of one book, from the first one on.

    Args:
        verifier: every row must be signed with its key; None looks at no signature.
        head: a hash that was noted before: it must be there still.
        forgotten: what was forgotten of a call by now.
    """

    def __init__(self, verifier: Verifier | None, head: str | None, forgotten: Callable[[str], set[str]]) -> None:
        self.rows, self._before, self._signed = 0, GENESIS, 0
        self._verifier, self._forgotten = verifier, forgotten
        self._head, self._head_was_there = head, head in (None, GENESIS)

    def first_fault(self, links: Iterable[Link]) -> Fault | None:
        """The first of the rows that does not follow the good ones before it; None where all do."""
        for link in links:
            if what := self._wrong(link):
                return Fault(link.seq, link.named, what)
            self.rows, self._before = link.seq, link.hash
            self._signed += link.signature is not None
            self._head_was_there = self._head_was_there or link.hash == self._head
        return None

    def verdict(self, fault: Fault | None) -> Verdict:
        """What was found, once the rows are through."""
        if fault is None and not self._head_was_there:
            fault = self.missing("the hash that was noted before is in no row")
        return Verdict(self.rows, self._before, self._signed, fault)

    def missing(self, what: str) -> Fault:
        """That the row after the good ones is not there."""
        return Fault(self.rows + 1, f"row {self.rows + 1}", what)

    def _wrong(self, link: Link) -> str:
        """What is wrong with a row that follows the good ones; empty when nothing is."""
        if link.seq != self.rows + 1:
            return f"row {self.rows + 1} before it is missing"
        if row_hash(link.book, link.seq, link.before, link.content) != link.hash:
            return "its content is not the one that its hash was made of: it was changed"
        if link.before != self._before:
            return f"it was not written after row {self.rows} as that is now: one of them was changed"
        try:
            if what := self._wrong_inside(link, parsed(link.content)):
                return what
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            return "it, or what is beside it, cannot be read: it was changed"
        return self._wrong_signature(link)

    def _wrong_inside(self, link: Link, content: Json) -> str:
        if any(content[name] != value for name, value in link.columns.items()):
            return "the columns by which it is found are not what its content says: they were changed"
        if link.said is None:
            raise ValueError("what is beside it")
        for name in content.get("kept", ()):
            if getattr(link.said, name) is None and name not in self._forgotten(content["call"]):
                return f"what was kept beside it ({name}) is gone, and no row says that it was forgotten"
        return mismatch(content, link.said)

    def _wrong_signature(self, link: Link) -> str:
        if self._verifier is None:
            return ""
        if link.key != self._verifier.key:
            return "it is not signed with that key" if link.signature else "it is not signed"
        signed = self._verifier.is_signed(link.hash, link.signature or "")
        return "" if signed else "its signature is not of this row"


def parsed(content: str) -> Json:
    """A row's content.

    Raises:
        ValueError, TypeError: it is no object of JSON.
    """
    document = json.loads(content)
    if not isinstance(document, dict):
        raise TypeError("no object")
    return document


# A book that was exported (``hearout receipts export --chain``), checked without its database

FIELDS = {"book": str, "seq": int, "before": str, "hash": str, "content": str, "said": dict}


def verify_export(path: Path, *, verifier: Verifier | None = None, head: str | None = None) -> tuple[str, Verdict]:
    """Check every row of an exported book, as :func:`hearout.ledger._read.verify` does in the database.

    Args:
        path: what was exported: one row a line.
        verifier, head: as there. What was cut off at the end shows by `head` only.

    Returns:
        The book's name, and what was found. The export of one call is no whole book: its rows have gaps.

    Raises:
        LedgerError: the file cannot be read, or has no row.
    """
    forgotten = _forgotten(path)
    links = _links(path)
    first = next(links, None)
    if first is None:
        raise LedgerError(f"{path} has no rows; make it with hearout receipts export --chain")
    book = first.book if isinstance(first, Link) else ""
    checker = Checker(verifier, head, lambda call: forgotten[call])
    fault: Fault | None = None
    for number, link in enumerate(chain([first], links), 1):
        if isinstance(link, str):
            fault = checker.missing(f"line {number} of the file is no row of an export: {link}")
        elif link.book != book:
            fault = Fault(link.seq, link.named, f"it is of another book ({link.book!r})")
        else:
            fault = checker.first_fault([link])
        if fault is not None:
            break
    return book, checker.verdict(fault)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            yield from (line for line in file if line.strip())
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from error


def _links(path: Path) -> Iterator[Link | str]:
    """Its rows; what is wrong, in the place of a line that is none."""
    for line in _lines(path):
        try:
            yield _link(json.loads(line))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            yield str(error).splitlines()[0] if isinstance(error, _NoRow) else "it cannot be read"


class _NoRow(ValueError):
    """Says which field is missing or wrong."""


def _link(row: Any) -> Link:
    if not isinstance(row, dict):
        raise _NoRow("it is no object")
    for name, kind in FIELDS.items():
        if not isinstance(row.get(name), kind) or isinstance(row[name], bool):
            raise _NoRow(f"its field {name} is missing or wrong")
    for name in ("key", "signature"):
        if not isinstance(row.get(name), str | None):
            raise _NoRow(f"its field {name} is wrong")
    own = (row["book"], row["seq"], row["before"], row["hash"], row["content"], row.get("key"), row.get("signature"))
    return Link(*own, said=_said(row["said"]), columns={})


def _said(fields: dict[str, Any]) -> Plaintext | None:
    salt, caller, text = (fields.get(name) for name in ("salt", "caller", "text"))
    words = caller is None or (isinstance(caller, list) and all(isinstance(one, str) for one in caller))
    if not words or not isinstance(salt, str | None) or not isinstance(text, str | None):
        return None
    return Plaintext(salt, None if caller is None else tuple(caller), text)


def _forgotten(path: Path) -> defaultdict[str, set[str]]:
    """What was forgotten of which call, by the rows that say so: they come after what they are about."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for link in _links(path):
        try:
            content = parsed("{}" if isinstance(link, str) else link.content)
            if content.get("kind") == RowKind.FORGOTTEN.value:
                found[content["call"]] |= set(content["what"])
        except (ValueError, TypeError, LookupError, RecursionError):
            continue  # the check names it
    return found

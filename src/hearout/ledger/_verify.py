"""Whether rows are as they were written, each after the one before: the same rules for a database and for an export."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..receipts._codec import (
    Json,
)
from ._chain import (
    GENESIS,
    Plaintext,
    mismatch,
    row_hash,
)


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

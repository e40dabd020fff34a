"""Whether rows are as they were written, each after the one before: the same rules for a database and for an export."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._text import read_json
from .._text.progress import Told, counted
from ..errors import LedgerError
from ..receipts._codec import Json
from ._chain import GENESIS, CallName, Plaintext, mismatch, parsed, row_hash
from ._checkpoint import ANCHOR, Checkpoint
from ._entries import RowKind
from ._merkle import Tree, is_beginning, is_included
from ._signing import Verifier


@dataclass(frozen=True)
class Fault:
    """The first bad row of a book: the number, the row in words, and what is wrong."""

    seq: int
    row: str
    what: str


@dataclass(frozen=True)
class ChainVerdict:
    """What the verification of a book found.

    Args:
        rows: how many rows are good.
        head: the hash of the last good row: noted elsewhere, it shows later that nothing was cut off.
        signed: how many of them carry a signature.
        fault: the first bad row; None when there is none.
        anchored: how many rows the last anchor stands for; 0 where none was given.
        unknown: what this cannot show, a sentence each.
    """

    rows: int
    head: str
    signed: int
    fault: Fault | None
    anchored: int = 0
    unknown: tuple[str, ...] = ()


WRITTEN = ("book", "seq", "before", "hash", "key", "signature", "content")
"""What a row was written with, by the names of its columns."""

FOUND_BY = ("kind", "call", "utterance", "at", "entry", "of")
"""What the database finds a row by: columns that its content has, too."""


@dataclass(frozen=True)
class Link:
    """One row of a chain, wherever it was read.

    Args:
        book, seq, before, hash, content, key, signature: as in the database.
        said: what is beside it; None where that cannot be read.
        name: the name of its call; None where that is not kept.
        columns: what the database finds it by; empty for an export, which has no columns.
        proof: what shows that it is in the book; None where the rows before it do.
    """

    book: str
    seq: int
    before: str
    hash: str
    content: str = field(repr=False)
    key: str | None
    signature: str | None
    said: Plaintext | None
    name: CallName | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    proof: tuple[bytes, ...] | None = None

    @property
    def named(self) -> str:
        """Which row it is, in words."""
        try:
            facts = self.columns or parsed(self.content)
            call = facts["call"] if self.name is None else self.name.name
            return f"row {self.seq} ({facts['kind']}: utterance {facts['utterance']!r} in call {call!r})"
        except (ValueError, TypeError, LookupError, RecursionError):
            return f"row {self.seq}"

    def fault(self, what: str) -> Fault:
        """That this is the first bad row."""
        return Fault(self.seq, self.named, what)

    def to_json(self, proof: Sequence[bytes] | None) -> Json:
        """As a line of an export, with what shows that it is in the book."""
        beside = {"said": vars(self.said), "call": None if self.name is None else vars(self.name)}
        shown = {} if proof is None else {"proof": [one.hex() for one in proof]}
        return {name: getattr(self, name) for name in WRITTEN} | beside | shown


class Forgettings:
    """What was forgotten in a book, by the rows that say so.

    Args:
        rows: gives the numbers and contents of the rows that may say so. It is asked again where something is gone that
            no row accounts for: it may have been forgotten in this moment.
    """

    def __init__(self, rows: Callable[[], Iterable[tuple[int, str]]]) -> None:
        self._rows = rows
        self._look()

    def _look(self) -> None:
        self._of_calls: defaultdict[str, list[tuple[int, Sequence[str]]]] = defaultdict(list)
        self._older: list[tuple[int, Sequence[str], float]] = []
        for seq, content in self._rows():
            self._add(seq, content)

    def _add(self, seq: int, content: str) -> None:
        """See whether a row says so; one that cannot be read does not."""
        try:
            document = parsed(content)
            if document.get("kind") != RowKind.FORGOTTEN.value:
                return
            if document["call"]:
                self._of_calls[document["call"]].append((seq, list(document["what"])))
            else:
                self._older.append((seq, list(document["what"]), float(document["older_than"])))
        except (ValueError, TypeError, LookupError, RecursionError):
            return  # the check names it

    def covers(self, seq: int, content: Json, what: str) -> bool:
        """Whether words or names of a row were forgotten by a later row."""
        if self._covers(seq, content, what):
            return True
        self._look()
        return self._covers(seq, content, what)

    def _covers(self, seq: int, content: Json, what: str) -> bool:
        own = any(later > seq and what in gone for later, gone in self._of_calls.get(content["call"], ()))
        return own or any(later > seq and what in gone and content["at"] < at for later, gone, at in self._older)

    def is_nameless(self, seq: int, content: Json) -> bool:
        """Whether a row's call may have no name: the name was forgotten, or the row is of all calls."""
        return not content["call"] or content["call"] in self._of_calls or self.covers(seq, content, "names")


class Checker:
    """Looks at the rows of one book, from the first one on.

    Args:
        verifier: every row must be signed with its key; None looks at no signature.
        head: a hash that was noted before: it must be there still.
        anchors: what the book was at moments before; the one with the fewest rows first.
    """

    def __init__(
        self,
        verifier: Verifier | None,
        head: str | None,
        forgotten: Forgettings,
        anchors: Sequence[Checkpoint] = (),
    ) -> None:
        self._tree, self._before, self._signed = Tree(), GENESIS, 0
        self._verifier, self._forgotten = verifier, forgotten
        self._head, self._head_was_there = head, head in (None, GENESIS)
        self._anchors, self._last = list(anchors), anchors[-1] if anchors else None

    @property
    def rows(self) -> int:
        """How many are good so far."""
        return self._tree.size

    def first_fault(self, links: Iterable[Link]) -> Fault | None:
        """The first of the rows that does not follow the good ones before it; None where all do."""
        for link in links:
            if link.seq != self.rows + 1:
                return link.fault(f"row {self.rows + 1} before it is missing")
            if what := self.wrong(link):
                return link.fault(what)
            if link.before != self._before:
                return link.fault(f"it was not written after row {self.rows} as that is now: one of them was changed")
            self._tree.append(bytes.fromhex(link.hash))
            self._before = link.hash
            self._signed += link.signature is not None
            self._head_was_there = self._head_was_there or link.hash == self._head
            while self._anchors and self._anchors[0].size <= self.rows:
                anchor = self._anchors.pop(0)
                if not self.is_now(anchor):
                    return link.fault(f"what was anchored at {_when(anchor)} is another row: some were written anew")
        return None

    def is_now(self, checkpoint: Checkpoint) -> bool:
        """Whether the rows so far are the ones that a checkpoint stands for."""
        return (checkpoint.size, checkpoint.head, checkpoint.root) == (self.rows, self._before, self._tree.root.hex())

    def wrong_end(self, end: Checkpoint | None) -> Fault | None:
        """The fault of a book's head, once all rows up to that head were good; None when there is none."""
        if end is None and self.rows:
            return self.at_end("the book's head, which says that it is the last one, is gone")
        if self._verifier is None:
            return None
        if end is None:
            return self.missing("the book is empty, and nothing that is signed shows that it always was")
        if not end.is_signed(self._verifier):
            return self.at_end("the book's head is not signed with that key: rows after this one may have been cut off")
        return None

    def verdict(self, fault: Fault | None) -> ChainVerdict:
        """What was found, once the rows are through."""
        if fault is None and self._anchors:
            anchor = self._anchors[0]
            fault = self.missing(f"it is missing: the book had {anchor.size} rows at {_when(anchor)}, by its anchor")
        if fault is None and not self._head_was_there:
            fault = self.missing("the hash that was noted before is in no row")
        anchored = self._last.size if self._last is not None else 0
        unknown = tuple(_unknown(self.rows, self._signed, anchored, is_checked=self._verifier is not None))
        return ChainVerdict(self.rows, self._before, self._signed, fault, anchored, unknown if fault is None else ())

    def missing(self, what: str) -> Fault:
        """That the row after the good ones is not there."""
        return Fault(self.rows + 1, f"row {self.rows + 1}", what)

    def at_end(self, what: str) -> Fault:
        """That something is wrong with the last of the good ones."""
        return Fault(self.rows, f"row {self.rows}", what)

    def wrong(self, link: Link) -> str:
        """What is wrong with a row by itself; empty when nothing is."""
        try:
            if row_hash(link.book, link.seq, link.before, link.content) != link.hash:
                return "its content is not the one that its hash was made of: it was changed"
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
        if link.name is None and not self._forgotten.is_nameless(link.seq, content):
            return "the name of its call is gone, and no row says that it was forgotten"
        for name in content.get("kept", ()):
            if getattr(link.said, name) is None and not self._forgotten.covers(link.seq, content, name):
                return f"what was kept beside it ({name}) is gone, and no row says that it was forgotten"
        return mismatch(content, link.said, link.name)

    def _wrong_signature(self, link: Link) -> str:
        if self._verifier is None:
            return ""
        if link.key != self._verifier.key:
            return "it is not signed with that key" if link.signature else "it is not signed"
        try:
            signed = self._verifier.is_signed(link.hash.encode(), bytes.fromhex(link.signature or ""))
        except ValueError:
            signed = False
        return "" if signed else "its signature is not of this row"


def _when(anchor: Checkpoint) -> str:
    return datetime.fromtimestamp(anchor.at, UTC).isoformat(timespec="seconds")


def _unknown(rows: int, signed: int, anchored: int, *, is_checked: bool) -> Iterator[str]:
    """What a good verdict does not show."""
    later = "the rows" if not anchored else f"rows {anchored + 1} to {rows}" if anchored < rows else ""
    if is_checked and not anchored:
        yield "whether an older copy of the book was put back, or an emptied one begun anew (--anchors shows it)"
    elif is_checked and later:
        yield f"whether an older copy of the book was put back that ended after row {anchored}"
    elif not is_checked and later:
        why = "no row is signed" if not signed else "the signatures were not checked (--key)"
        yield f"who wrote {later}, and whether others were there before: {why}"
    yield "whether an agent wrote what was so"


# What was exported (``hearout receipts export --chain``), checked without its database

WHOSE = "whose book had that checkpoint: give its key (--key), or an anchor of as many rows (--anchors)"

FIELDS = {"book": str, "seq": int, "before": str, "hash": str, "content": str, "said": dict}


@dataclass(frozen=True)
class End:
    """The last line of an export.

    Args:
        checkpoint: what the book was then.
        beginnings: for sizes that the book had before, what shows that it began so.
    """

    checkpoint: Checkpoint
    beginnings: Mapping[int, tuple[bytes, ...]]


def verify_export(
    path: Path,
    *,
    verifier: Verifier | None = None,
    head: str | None = None,
    anchors: Sequence[Checkpoint] = (),
    told: Told = lambda _done, _of: None,
) -> tuple[str, ChainVerdict]:
    """Check what was exported: a whole book, as :func:`hearout.ledger._read.verify` does in the database, or one call.

    Args:
        path: what was exported: one row a line, then the checkpoint.
        verifier, head, anchors, told: as there.

    Returns:
        The book's name, and what was found. Of one call, its rows are shown to be in the book that had the checkpoint.

    Raises:
        LedgerError: the file cannot be read, or has no row.
    """
    lines = list(_links(path))
    rows = [line for line in lines if isinstance(line, Link)]
    if not any(not isinstance(line, End) for line in lines):
        raise LedgerError(f"{path} has no rows; make it with hearout receipts export --chain")
    forgotten = Forgettings(lambda: [(row.seq, row.content) for row in rows])
    book = rows[0].book if rows else ""
    last = lines[-1] if isinstance(lines[-1], End) else None
    anchors = [one for one in anchors if one.book == book]
    if last is not None and rows and all(row.proof is not None for row in rows):
        return book, _part(lines[:-1], last, Checker(verifier, head, forgotten), anchors, verifier)
    checker = Checker(verifier, head, forgotten, anchors)
    fault = _first_fault(counted(lines[:-1] if last is not None else lines, len(lines), told), book, checker)
    if fault is None:
        end = None if last is None else last.checkpoint
        is_end = end is not None and end.book == book and checker.is_now(end)
        fault = checker.wrong_end(end) if is_end else checker.missing("the export does not end with its checkpoint")
    return book, checker.verdict(fault)


def _first_fault(lines: Iterable["Link | End | str"], book: str, checker: Checker) -> Fault | None:
    for number, link in enumerate(lines, 1):
        if not isinstance(link, Link):
            what = link if isinstance(link, str) else "the checkpoint is not at its end"
            return checker.missing(f"line {number} of the file is no row of an export: {what}")
        if link.book != book:
            return link.fault(f"it is of another book ({link.book!r})")
        if (fault := checker.first_fault([link])) is not None:
            return fault
    return None


def _part(
    lines: Sequence["Link | End | str"],
    end: End,
    checker: Checker,
    anchors: Sequence[Checkpoint],
    verifier: Verifier | None,
) -> ChainVerdict:
    """Whether some rows are in the book that had a checkpoint, by their proofs."""
    book, good, signed, now = end.checkpoint.book, 0, 0, end.checkpoint
    fault: Fault | None = None
    for number, link in enumerate(lines, 1):
        if not isinstance(link, Link):
            fault = Fault(
                number, f"line {number}", f"it is no row of an export: {link if isinstance(link, str) else ''}"
            )
        elif link.book != book:
            fault = link.fault(f"it is of another book ({link.book!r})")
        elif what := checker.wrong(link):
            fault = link.fault(what)
        elif not _is_part(link, now):
            fault = link.fault("its proof does not show that it is in the book that had the checkpoint")
        if fault is not None:
            break
        good, signed = good + 1, signed + (isinstance(link, Link) and link.signature is not None)
    if fault is None and verifier is not None and not now.is_signed(verifier):
        fault = Fault(now.size, "the checkpoint", "it is not signed with that key")
    known = [one for one in anchors if one.size == now.size or one.size in end.beginnings]
    for one in known:
        proof = () if one.size == now.size else end.beginnings[one.size]
        if fault is None and not _begins(one, now, proof):
            fault = Fault(one.size, "the checkpoint", "the book that was anchored is not the beginning of this one")
    is_known = verifier is not None or any(one.size == now.size for one in known)
    unknown = () if is_known else (WHOSE,)
    verdict = ChainVerdict(good, now.head, signed, fault, max((one.size for one in known), default=0))
    return verdict if fault is not None else replace(verdict, unknown=(*unknown, f"what else book {book!r} holds"))


def _is_part(link: Link, now: Checkpoint) -> bool:
    leaf, root = bytes.fromhex(link.hash), bytes.fromhex(now.root)
    return is_included(leaf, link.seq - 1, now.size, root, link.proof or ())


def _begins(anchor: Checkpoint, now: Checkpoint, proof: Sequence[bytes]) -> bool:
    return is_beginning(anchor.size, bytes.fromhex(anchor.root), now.size, bytes.fromhex(now.root), proof)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            yield from (line for line in file if line.strip())
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from error


def _links(path: Path) -> Iterator[Link | End | str]:
    """The rows and the end of an export; a sentence in the place of a line that is neither."""
    for line in _lines(path):
        try:
            document = read_json(line)
            is_end = isinstance(document, dict) and document.get("schema") == ANCHOR
            yield _end(document) if is_end else _link(document)
        except (ValueError, TypeError, LookupError, RecursionError, LedgerError) as error:
            known = isinstance(error, _NoRow | LedgerError)
            yield str(error).splitlines()[0] if known else "it cannot be read"


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
    proof = None if row.get("proof") is None else _hashes(row["proof"], "proof")
    written: dict[str, Any] = {name: row.get(name) for name in WRITTEN}
    return Link(**written, said=plaintext(row["said"]), name=_name(row.get("call")), proof=proof)


def _end(line: dict[str, Any]) -> End:
    beginnings = line.get("beginnings", {})
    if not isinstance(beginnings, dict) or not all(size.isdecimal() for size in beginnings):
        raise _NoRow("its field beginnings is wrong")
    shown = {int(size): _hashes(proof, "beginnings") for size, proof in beginnings.items()}
    return End(Checkpoint.from_json(line), shown)


def _hashes(proof: Any, name: str) -> tuple[bytes, ...]:
    if not isinstance(proof, list) or not all(isinstance(one, str) for one in proof):
        raise _NoRow(f"its field {name} is wrong")
    return tuple(bytes.fromhex(one) for one in proof)


def _name(fields: Any) -> CallName | None:
    if fields is None:
        return None
    if not isinstance(fields, dict) or not all(isinstance(fields.get(one), str) for one in ("salt", "name")):
        raise _NoRow("its field call is wrong")
    return CallName(fields["salt"], fields["name"])


def plaintext(fields: Mapping[str, Any]) -> Plaintext | None:
    """What stands beside a row; None where that was changed."""
    salt, caller, text, names = (fields.get(name) for name in ("salt", "caller", "text", "names"))
    words = caller is None or (isinstance(caller, list) and all(isinstance(one, str) for one in caller))
    people = names is None or (isinstance(names, dict) and all(isinstance(one, str) for one in names.values()))
    if not words or not people or not isinstance(salt, str | None) or not isinstance(text, str | None):
        return None
    return Plaintext(salt, None if caller is None else tuple(caller), text, names)

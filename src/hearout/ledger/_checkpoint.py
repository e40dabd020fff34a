"""A checkpoint: how many rows a book has, and the root over them, in the form that transparency logs use.

The text is a checkpoint of C2SP (``tlog-checkpoint``), the signature around it a note (``signed-note``): tools that
are not ours can read and check both. Kept outside the database, one checkpoint is an *anchor*: it shows later that
nothing before it was cut off or rewritten.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._text import read_json
from ..errors import LedgerError
from ._signing import Signer, Verifier

ED25519 = b"\x01"
"""The kind of a key, as ``signed-note`` numbers them."""

ANCHOR = "hearout.anchor"
"""What an anchor's line calls itself: other lines of a log are passed over."""


LATEST = 2.5e11
"""Seconds since 1970 that no calendar goes beyond."""


@dataclass(frozen=True)
class Checkpoint:
    """What a book was at one moment.

    Args:
        size: how many rows it had.
        root: over all of them, in hex (:mod:`hearout.ledger._merkle`).
        head: the hash of the last one, in hex.
        at: when that was written, in seconds since 1970, UTC.
        note: the signed text; empty where the book is not signed.
    """

    book: str
    size: int
    root: str
    head: str
    at: float
    note: str = ""

    @property
    def text(self) -> str:
        """The checkpoint, as it is signed."""
        root = base64.b64encode(bytes.fromhex(self.root)).decode()
        return f"hearout/{_key_name(self.book)}\n{self.size}\n{root}\nhead {self.head}\ntime {self.at!r}\n"

    def signed(self, signer: Signer) -> str:
        """The note: the text, and the signature under it."""
        name, text = _key_name(self.book), self.text
        signature = base64.b64encode(_key_hash(name, signer.verifier.public) + signer.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {name} {signature}\n"

    def is_signed(self, verifier: Verifier) -> bool:
        """Whether the note is this checkpoint, signed with that key."""
        text, gap, signatures = self.note.partition("\n\n")
        if not gap or text + "\n" != self.text:
            return False
        name = _key_name(self.book)
        for line in signatures.splitlines():
            dash, _, rest = line.partition(" ")
            who, _, encoded = rest.partition(" ")
            try:
                signature = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue
            its_key = (dash, who, signature[:4]) == ("\N{EM DASH}", name, _key_hash(name, verifier.public))
            if its_key and verifier.is_signed(self.text.encode(), signature[4:]):
                return True
        return False

    def to_json(self) -> dict[str, Any]:
        """As an anchor's line has it."""
        return {"schema": ANCHOR, **vars(self)}

    @classmethod
    def from_json(cls, line: Any) -> "Checkpoint":
        """What :meth:`to_json` wrote.

        Raises:
            LedgerError: it is none.
        """
        kinds = {"book": str, "size": int, "root": str, "head": str, "at": float, "note": str}
        if not isinstance(line, dict) or line.get("schema") != ANCHOR:
            raise LedgerError("it is no anchor")
        for name, kind in kinds.items():
            if not isinstance(line.get(name), kind) or isinstance(line[name], bool):
                raise LedgerError(f"its field {name} is missing or wrong")
        if not all(re.fullmatch("[0-9a-f]{64}", line[name]) for name in ("root", "head")) or line["size"] < 0:
            raise LedgerError("its root, head or size is wrong")
        if not 0 <= line["at"] < LATEST:
            raise LedgerError("its time is wrong")
        return cls(**{name: line[name] for name in kinds})


def key_line(book: str, public: bytes) -> str:
    """The public key as tools for signed notes take it (a *vkey*)."""
    name = _key_name(book)
    return f"{name}+{_key_hash(name, public).hex()}+{base64.b64encode(ED25519 + public).decode()}"


def anchors(path: Path, book: str | None = None) -> list[Checkpoint]:
    """The anchors of a book that a file holds, the one with the fewest rows first; other lines are passed over.

    Args:
        path: what the sink wrote: a line for each, after whatever a log puts before it.
        book: whose; None for all.

    Raises:
        LedgerError: the file cannot be read, has no anchor of that book, or one that is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise LedgerError(f"the anchors in {path} cannot be read: {error.strerror}") from error
    found = sorted((one for one in _read(path, lines) if book in (None, one.book)), key=lambda one: one.size)
    if not found:
        whose = "" if book is None else f" of book {book!r}"
        raise LedgerError(f"{path} has no anchor{whose}; HEAROUT_ANCHORS says where anchors go")
    return found


def _read(path: Path, lines: Iterable[str]) -> Iterator[Checkpoint]:
    for number, line in enumerate(lines, 1):
        if ANCHOR not in line:
            continue
        try:
            yield Checkpoint.from_json(read_json(line[line.index("{") :]))
        except (LedgerError, ValueError) as error:
            what = str(error) if isinstance(error, LedgerError) else "it cannot be read"
            raise LedgerError(f"line {number} of {path} is a damaged anchor: {what}") from error


def _key_name(book: str) -> str:
    """A key's name has no space and no plus; a book's may."""
    return re.sub(r"[^\w.-]", "_", book, flags=re.ASCII)


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]

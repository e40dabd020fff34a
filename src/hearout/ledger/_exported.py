"""A book that was exported (``hearout receipts export --chain``), checked without its database."""

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import LedgerError
from ._chain import Plaintext
from ._entries import RowKind
from ._verify import (
    Checker,
    Fault,
    Link,
    Verdict,
    Verifier,
    parsed,
)

FIELDS = {"book": str, "seq": int, "before": str, "hash": str, "content": str, "said": dict}


def verify(path: Path, *, verifier: Verifier | None = None, head: str | None = None) -> tuple[str, Verdict]:
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

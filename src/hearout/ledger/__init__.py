"""Receipts in a database: promised before they are played, chained, and found again after a crash.

`Ledger` is one book of it, `LedgerWriter` the same from asyncio.

docs/receipts.md says what it shows and what it does not.
"""

from ._book import DEFAULT_BOOK, DEFAULT_URL, Ledger
from ._entries import LEASE, Entry, Record, RowKind, Unfinished, Written
from ._tables import Mode
from ._writer import LedgerWriter

__all__ = [
    "DEFAULT_BOOK",
    "DEFAULT_URL",
    "LEASE",
    "Entry",
    "Ledger",
    "LedgerWriter",
    "Mode",
    "Record",
    "RowKind",
    "Unfinished",
    "Written",
]

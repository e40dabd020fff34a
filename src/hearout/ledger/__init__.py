"""Receipts in a database: promised before they are played, chained, and found again after a crash.

`Ledger` is one book of it. docs/receipts.md says what it shows and what it does not.
"""

from ._book import Ledger
from ._tables import Mode

__all__ = ["Ledger", "Mode"]

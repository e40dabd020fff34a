"""Receipts in a database: promised before they are played, chained, and found again after a crash.

`Ledger` is one book of it. docs/receipts.md says what it shows and what it does not. What is where:

- written: `_writer` (a session's, in a thread of its own, with `_spool` beside it and `_anchors` outside), `_book` (one
  transaction for each row), `_entries` and `_questions` (what a row says), `_tables`;
- shown to be whole: `_chain` (hashes; words and names beside them), `_merkle`, `_checkpoint`, `_signing`, `_verify`;
- while a call goes on: `_leases`, `_calls` (which worker has which call), `_seal` (the MACs of both);
- read: `_read`, `_names` (which can be forgotten), `_vcon`, `_command`.
"""

from ._book import Ledger
from ._tables import Mode

__all__ = ["Ledger", "Mode"]

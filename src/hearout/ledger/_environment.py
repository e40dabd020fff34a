"""Which ledger the sessions of a process write to, as the environment says."""

import logging
from collections.abc import Mapping
from pathlib import Path

from ._book import DEFAULT_BOOK, Ledger
from ._signing import load_signer

logger = logging.getLogger("hearout.ledger")

OFF = "off"
"""`HEAROUT_LEDGER=off`: receipts stay in memory, as without it, and nobody is told how to keep them."""


def ledger_from(environ: Mapping[str, str], *, warns: bool = False) -> Ledger | None:
    """The ledger of `HEAROUT_LEDGER` and `HEAROUT_BOOK`, signed by `HEAROUT_LEDGER_KEY`, anchored at `HEAROUT_ANCHORS`;
    None where none is named.

    Args:
        warns: where nobody said anything about a ledger, one line of the log says what that means.

    Raises:
        LedgerError: the URL makes no sense, or the key cannot be read.
    """
    url = environ.get("HEAROUT_LEDGER") or ""
    if not url and warns:
        logger.warning(
            "receipts are in memory, and gone when this process ends; to keep them, set "
            "HEAROUT_LEDGER=sqlite:///receipts.db (or a postgresql:// URL), or pass AgentSession(ledger=…). "
            "HEAROUT_LEDGER=off says that none is wanted"
        )
    if url in ("", OFF):
        return None
    key = environ.get("HEAROUT_LEDGER_KEY")
    signer = load_signer(Path(key)) if key else None
    book, anchors = environ.get("HEAROUT_BOOK") or DEFAULT_BOOK, environ.get("HEAROUT_ANCHORS") or ""
    return Ledger(url, book, signer=signer, anchors=anchors)

"""Which ledger the sessions of a process write to, as the environment says."""

from collections.abc import Mapping
from pathlib import Path

from ..policy import Retention
from ._book import DEFAULT_BOOK, DEFAULT_URL, Ledger
from ._checkpoint import Signer

OFF = "off"
"""`HEAROUT_LEDGER=off`: receipts stay in memory, and nothing survives a crash."""


def place(
    environ: Mapping[str, str], *, words: Retention = Retention.KEEP, text: Retention = Retention.KEEP
) -> Ledger | None:
    """The ledger of `HEAROUT_LEDGER` and `HEAROUT_BOOK`, signed by `HEAROUT_LEDGER_KEY`, anchored at `HEAROUT_ANCHORS`;
    None where it is off.

    Args:
        environ: the environment.
        words, text: what is kept of the caller's words, and of the announcement's text.

    Raises:
        LedgerError: the URL makes no sense, or the key cannot be read.
    """
    url = environ.get("HEAROUT_LEDGER") or DEFAULT_URL
    if url == OFF:
        return None
    signer: Signer | None = None
    if key := environ.get("HEAROUT_LEDGER_KEY"):
        from ._signing import load_signer  # an extra

        signer = load_signer(Path(key))
    book, anchors = environ.get("HEAROUT_BOOK") or DEFAULT_BOOK, environ.get("HEAROUT_ANCHORS") or ""
    return Ledger(url, book, words=words, text=text, signer=signer, anchors=anchors)

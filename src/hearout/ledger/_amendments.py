"""What becomes known after a receipt was settled: who heard it. An amendment adds that, and changes nothing else.

A receipt waits a bounded time for its witnesses. A page that reports later, a caller who presses the button after a
minute, a sign of life that shows that somebody was there to the end: all of it is evidence, and none of it says
anything new of what was played, or how it ended.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..receipts import Listener, Receipt
from ..receipts import _spans as spans
from ..receipts._codec import (
    Json,
    listener_from_json,
    to_json,
)
from ..receipts._receipt import (
    SHORT,
)
from ._chain import Plaintext
from ._entries import Record, RowKind, checked


def amendment(before: Receipt, after: Receipt, call: str, *, by: str, now: float, settled: str) -> Record | None:
    """The record of what has become known; None where it is nothing that the ledger did not say before.

    Args:
        before: the receipt as the ledger has it.
        after: the receipt as it is known now; of it the listeners count.
        call: in which.
        by: the process that says so.
        now: in seconds since 1970, UTC.
        settled: the entry of the row that has the receipt.
    """
    unheard = _unheard(before, after)
    gone = [Listener(identity) for identity in unheard if all(one.identity != identity for one in after.listeners)]
    added = amended(before, {"listeners": [_as_json(one, unheard) for one in (*after.listeners, *gone)]})
    if set(added.listeners) == set(before.listeners):
        return None
    document = to_json(added)
    listeners = [
        one | ({"unheard": unheard[one["identity"]]} if one["identity"] in unheard else {})
        for one in document["listeners"]
    ]
    content = checked({"listeners": listeners, "level": document["level"]})
    return Record(RowKind.AMENDED, call, before.id, now, by, content, Plaintext(None), settled)


def amended(receipt: Receipt, content: Mapping[str, Any]) -> Receipt:
    """A receipt with what a row of this content adds to it.

    Nothing that was witnessed is taken away, whatever the row says: somebody who was there stays so, a report does not
    shrink, and the first acknowledgement counts. The one exception has a name of its own, `unheard`: when the agent's
    own line proves to have been down, nobody can have heard what it sent.

    Raises:
        ReceiptError, LookupError, TypeError, ValueError: the content is not one that :func:`amendment` made.
    """
    known = {one.identity: one for one in receipt.listeners}
    for document in content["listeners"]:
        new = listener_from_json(document)
        old = known.get(new.identity, Listener(new.identity))
        unheard = [(float(begin), float(end)) for begin, end in document.get("unheard", ())]
        known[new.identity] = replace(
            old,
            present=spans.without([*old.present, *new.present], unheard),
            reported=_reported(receipt, old.reported, new.reported),
            acknowledged_at=new.acknowledged_at if old.acknowledged_at is None else old.acknowledged_at,
        )
    return replace(receipt, listeners=tuple(known.values()))


def _reported(receipt: Receipt, *said: float | None) -> float | None:
    """The most that was reported and can be true; a report of more than was played would count nothing."""
    reports = [one for one in said if one is not None]
    return max((one for one in reports if one <= receipt.played + SHORT), default=max(reports, default=None))


def _unheard(before: Receipt, after: Receipt) -> dict[str, list[list[float]]]:
    """When somebody was taken to be there, and nobody can have heard: presence (`_room/presence.py`) takes back
    nothing else."""
    known = {one.identity: one.present for one in after.listeners}
    gone = {one.identity: spans.without(one.present, known.get(one.identity, ())) for one in before.listeners}
    return {identity: [list(span) for span in lost] for identity, lost in gone.items() if lost}


def _as_json(listener: Listener, unheard: Mapping[str, list[list[float]]]) -> Json:
    return {
        "identity": listener.identity,
        "present": [list(span) for span in listener.present],
        "reported": listener.reported,
        "acknowledged_at": listener.acknowledged_at,
        "unheard": unheard.get(listener.identity, []),
    }

"""Records, which are appended to the ledger, and entries, which are read from it."""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from .._text import read_json
from ..errors import LedgerError
from ..policy import Retention
from ..receipts import Listener, Outcome, Receipt
from ..receipts import _spans as spans
from ..receipts._codec import Json, fields_to_json, listener_from_json, to_json
from ..receipts._receipt import SHORT, sha256
from ._chain import Plaintext, canonical, parsed, pseudonym, redacted
from ._leases import told

logger = logging.getLogger("hearout.ledger")


class RowKind(Enum):
    """What a row says."""

    OWED = "owed"
    """It was promised, and this was on disk before it was heard."""
    TAKEN_OVER = "taken over"
    """The process that owed it had died, and another one owes it now."""
    SETTLED = "settled"
    """It is over: its receipt."""
    LATE = "late"
    """What a process said of it that no longer owed it, a promise or a receipt: kept, and it changes nothing."""
    AMENDED = "amended"
    """More became known of who heard it, after it was settled."""
    ASKED = "asked"
    """A question has ended: how it was asked, what was said to it, and what was decided."""
    REVOKED = "revoked"
    """The choice of a question does not hold any more."""
    FORGOTTEN = "forgotten"
    """What was said in that call was removed from beside the chain."""


class Written(Enum):
    """Where something is by now."""

    LEDGER = "ledger"
    SPOOLED = "spooled"
    """On disk beside the ledger, which was down; it is appended when it is back."""
    MEMORY = "memory"
    """In this process only: the disk was full, too."""
    ASIDE = "aside"
    """In a file beside the ledger, which will never take it."""


@dataclass(frozen=True)
class Record:
    """Something to be appended.

    Args:
        call, id: which utterance.
        at: when, in seconds since 1970, UTC.
        by: the process that says so.
        entry: names this record, so that it is appended once however often it is tried.
        content: what it says beyond that, without what was said.
        owed: the entry of the promise that it belongs to, of an amendment that of the receipt; empty when not known.
    """

    kind: RowKind
    call: str
    id: str
    at: float
    by: str
    content: Json = field(repr=False)
    said: Plaintext
    owed: str = ""
    entry: str = field(default_factory=lambda: secrets.token_hex(16))

    def to_json(self) -> Json:
        """As a line of the spool."""
        said = {"salt": self.said.salt, "caller": self.said.caller, "text": self.said.text}
        return vars(self) | {"kind": self.kind.value, "said": said}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> "Record":
        """What :meth:`to_json` wrote."""
        said = line["said"]
        caller = None if said["caller"] is None else tuple(said["caller"])
        return cls(**{**line, "kind": RowKind(line["kind"]), "said": Plaintext(said["salt"], caller, said["text"])})


@dataclass(frozen=True)
class Unfinished:
    """What is owed to a caller, as far as the ledger knows.

    Args:
        call, id, agent: which utterance, and who promised it.
        text: what was to be said; of a reply, as far as the model had got when that was last heard of.
        policy: what it was promised under, as it was given.
        asked: when it was promised, in seconds since 1970, UTC.
        holder: the process that owes it now.
        played: seconds of it that had been played when that was last heard of.
        held: what the caller had said meanwhile, and how far it was, as it was given.
        until: until when the holder counts as alive.
        attempts: how often it was taken over.
        entry: names the promise.
        complete: whether `text` is all of it, as far as could be told.
        text_sha256: of what was promised, where the policy keeps no text of it.
    """

    call: str
    id: str
    agent: str
    text: str = field(repr=False)
    policy: Json
    asked: float
    holder: str
    played: float
    held: Sequence[Any] = field(repr=False)
    until: float
    attempts: int
    entry: str
    complete: bool = True
    text_sha256: str = ""

    def is_alive(self, now: float) -> bool:
        """Whether the lease is good: then the utterance is nobody else's."""
        return now < self.until


@dataclass(frozen=True)
class Entry:
    """One utterance, as the ledger has it.

    Args:
        call, id, agent: which utterance, and who said it.
        asked, over: when it was promised and when it was settled, in seconds since 1970, UTC; None when it was not.
        rows: its rows in the book: the promise, the receipt, what was added to that.
        receipt: its receipt; of a process that died, what is known of it; None while it is being said.
        played: seconds that are known to have been played.
        spooled: whether the ledger took too long or was down, so that a row was appended later.
        amended: when something was last added to its receipt, in seconds since 1970, UTC; None when nothing was.
        said: while the call goes on, the words of each entry of the receipt's `held`, where it keeps none: for the
            agent that takes the call over, and for nobody else.
    """

    call: str
    id: str
    agent: str
    asked: float | None
    over: float | None
    rows: tuple[int, ...]
    receipt: Receipt | None
    played: float
    spooled: bool
    amended: float | None = None
    said: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ended(self) -> float | None:
        """When its last sound ended, in seconds since 1970, by the promise's clock; None without a receipt."""
        if self.receipt is None:
            return None
        begun = self.asked if self.asked is not None else (self.over or 0.0)
        return begun + self.receipt.ended_at - self.receipt.asked_at

    @property
    def level(self) -> str:
        """The level of its receipt; empty without one."""
        return "" if self.receipt is None else str(self.receipt.level)

    @property
    def session_began(self) -> float:
        """The second 0 of the session that said it, in seconds since 1970."""
        known = self.receipt
        if self.asked is not None:
            return self.asked - (0.0 if known is None else known.asked_at)
        return (self.over or 0.0) - (0.0 if known is None else known.ended_at)

    def is_of(self, id: str) -> bool:
        """Whether this is that utterance, or one of its repeats: ``"notice"``, ``"notice#2"``."""
        name, _, number = self.id.rpartition("#")
        return self.id == id or (name == id and number.isdecimal())

    @property
    def standing(self) -> str:
        """One of :data:`STANDINGS`: its outcome; "owed" or "playing" while a living process has it."""
        if self.receipt is not None:
            return self.receipt.outcome.value
        return "playing" if self.played else "owed"


STANDINGS = ("owed", "playing", *(outcome.value for outcome in Outcome))


def unfinished(row: Any) -> Unfinished | None:
    """What a row owes; None where the row was changed, which holds up no other."""
    try:
        content, held = parsed(row.content), tuple(read_json(row.held or "[]"))
        promised = read_json(row.text) if row.text else ""
        if row.text and sha256(promised) != content["text_sha256"]:
            raise ValueError("another text was promised")
        if row.name is not None and pseudonym(row.salt, row.name) != row.call:
            raise ValueError("it was promised in another call")
        text, is_all = (promised, True) if promised else told(held) or ("", False)
        if (
            not isinstance(content["policy"], dict)
            or not isinstance(text, str)
            or not isinstance(content["agent"], str)
        ):
            raise TypeError("a promise has a policy, an agent and a text")
        return Unfinished(
            call=row.name or row.call,
            id=row.utterance,
            agent=content["agent"],
            text=text,
            policy=content["policy"],
            asked=row.at,
            holder=row.holder or "",
            played=row.played or 0.0,
            held=held,
            until=row.until or 0.0,
            attempts=row.n,
            entry=row.entry,
            complete=is_all,
            text_sha256=content.get("text_sha256", ""),
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        logger.error("row %d cannot be read: it was changed; nobody takes over what it owes", row.seq)
        return None


def promise(
    call: str,
    id: str,
    text: str,
    *,
    agent: str,
    policy: Mapping[str, Any],
    by: str,
    now: float,
    words: Retention,
    keep: Retention,
) -> Record:
    """The record that an utterance is owed.

    Its text stands beside until the settlement, and then as `keep` says; what is said over it, with the lease, and when
    the call is over as `words` says.
    """
    hashed = sha256(text)
    kept = ["text"] if keep is Retention.KEEP and text else []
    omits = [name for name, one in (("caller", words), ("text", keep)) if one is Retention.OMIT]
    content = {"agent": agent, "policy": dict(policy), "text_sha256": hashed, "kept": kept, "omits": omits}
    return Record(RowKind.OWED, call, id, now, by, checked(content), Plaintext(None, None, text))


def settlement(
    receipt: Receipt,
    call: str,
    *,
    by: str,
    now: float,
    words: Retention,
    text: Retention,
    owed: str = "",
    entry: str = "",
) -> Record:
    """The record of how an utterance ended; `entry` names it, and is made where it is empty."""
    document = to_json(receipt) | {"call": call}
    content, said = redacted_content(document, words=words, text=text)
    content["text_kept"] = text is Retention.KEEP
    named = {"entry": entry} if entry else {}
    return Record(RowKind.SETTLED, call, receipt.id, now, by, content, said, owed, **named)


def redacted_content(document: Json, *, words: Retention, text: Retention) -> tuple[Json, Plaintext]:
    """The content of a row with this receipt, and what stands beside the row."""
    # numbers as JSON has them, so that the content is the same before and after the spool
    receipt, said = redacted(json.loads(json.dumps(document)), secrets.token_hex(16), words=words, text=text)
    return checked({"receipt": receipt, "kept": said.kept}), said


def checked(content: Json) -> Json:
    """Refuse here what could not be written later, when it has waited in the spool before others."""
    try:
        canonical(content)
    except (TypeError, ValueError) as error:
        raise LedgerError(f"it cannot be written as JSON: {error}; a policy must be an object of JSON") from error
    return content


# What becomes known after a receipt was settled: who heard it. A receipt waits a bounded time for its witnesses. A page
# that reports later, a caller who presses the button after a minute, a sign of life that shows that somebody was there
# to the end: all of it is evidence, and none of it says anything new of what was played, or how it ended.


def amendment(before: Receipt, after: Receipt, call: str, *, by: str, now: float, settled: str) -> Record | None:
    """The record of what has become known; None where it is nothing that the ledger did not say before.

    Args:
        after: the receipt as it is known now; of it the listeners count.
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
    return fields_to_json(listener) | {"unheard": unheard.get(listener.identity, [])}

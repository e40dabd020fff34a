"""The chain: how a row's content is written, hashed, and kept apart from what was said."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..policy import Retention
from ..receipts._codec import (
    Json,
    digest,
    sha256,
)

GENESIS = "0" * 64
"""What stands before a book's first row."""


def canonical(document: Any) -> str:
    """The one way to write it as JSON: names in order, no spaces, ASCII only."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def row_hash(book: str, seq: int, before: str, content: str) -> str:
    """The SHA-256 of a row, in hex: of its book, its number, the hash of the row before it, and its content.

    They are written as a JSON list (:func:`canonical`), so that none can be taken for the end of another.
    """
    return hashlib.sha256(canonical([book, seq, before, content]).encode()).hexdigest()


def plain(text: str) -> str:
    """As a column can hold it: PostgreSQL takes no zero character, and no database half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Plaintext:
    """What was said in one row. It stands beside the chain, which has its hashes only, so that it can be forgotten.

    Args:
        salt: what its hashes are salted with.
        caller: what the caller said, for each entry of the receipt's `held`; None when it is not kept.
        text: the announcement's text; None when it is not kept.
    """

    salt: str | None = field(repr=False)
    caller: tuple[str, ...] | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)


def seal(receipt: Json, salt: str, *, words: Retention, text: Retention) -> tuple[Json, Plaintext]:
    """Take what was said out of a receipt's JSON, and leave hashes.

    Args:
        receipt: as :func:`hearout.receipts._codec.to_json` wrote it, with the words kept.
        salt: something that cannot be guessed: "yes" has few alternatives.
        words: what becomes of the caller's words.
        text: what becomes of the announcement's text.
    """
    sealed = {name: value for name, value in receipt.items() if name != "text"}
    said = tuple(str(entry.get("text", "")) for entry in receipt["held"])
    sealed["held"] = [
        {name: value for name, value in entry.items() if name != "text"}
        | ({} if words is Retention.OMIT or "text" not in entry else {"sha256": digest(salt, entry["text"])})
        for entry in receipt["held"]
    ]
    keeps = words is Retention.KEEP and any(said)
    return sealed, Plaintext(
        salt=salt if any(said) and words is not Retention.OMIT else None,
        caller=said if keeps else None,
        text=receipt.get("text") if text is Retention.KEEP else None,
    )


def unseal(sealed: Json, said: Plaintext) -> Json:
    """The receipt's JSON again, with what is still kept of what was said."""
    held = []
    for number, entry in enumerate(sealed["held"]):
        if said.caller is not None and "sha256" in entry:
            held.append(
                {**{name: value for name, value in entry.items() if name != "sha256"}, "text": said.caller[number]}
            )
        elif said.salt is not None and "sha256" in entry:
            held.append(entry | {"salt": said.salt})
        else:
            held.append(entry)
    return sealed | {"held": held} | ({"text": said.text} if said.text is not None else {})


def mismatch(content: Mapping[str, Any], said: Plaintext) -> str:
    """What is wrong between a row's content and what was said in it; empty when nothing is."""
    receipt = content.get("receipt", {})
    held: Sequence[Mapping[str, Any]] = receipt.get("held", [])
    hashed = receipt.get("text_sha256", content.get("text_sha256"))
    if said.text is not None and sha256(said.text) != hashed:
        return "the announcement's text beside it is not the one it has the hash of"
    if said.caller is not None and (said.salt is None or len(said.caller) != len(held)):
        return "the caller's words beside it are not as many as it says"
    for entry, text in zip(held, said.caller or (), strict=False):
        if "sha256" in entry and digest(said.salt or "", text) != entry["sha256"]:
            return "the caller's words beside it are not the ones it has the hashes of"
    return ""

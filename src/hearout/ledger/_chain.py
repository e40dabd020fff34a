"""The chain: how a row's content is written and hashed, apart from words and names."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._text import read_json
from ..policy import Retention
from ..receipts._codec import Json
from ..receipts._receipt import sha256
from ._merkle import leaf_hash

GENESIS = "0" * 64
"""What stands before a book's first row."""


def canonical(document: Any) -> str:
    """The one way to write it as JSON: names in order, no spaces, ASCII only."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def parsed(content: str) -> Json:
    """A row's content.

    Raises:
        ValueError, TypeError: it is no object of JSON.
    """
    document = read_json(content)
    if not isinstance(document, dict):
        raise TypeError("no object")
    return document


def row_hash(book: str, seq: int, before: str, content: str) -> str:
    """The hash of a row, in hex: of the book, the number, the hash of the row before, and the content.

    They are written as a JSON list (:func:`canonical`), so that none can be taken for the end of another. It is the
    hash of a leaf of RFC 6962 (:mod:`hearout.ledger._merkle`): a zero byte goes before the list.
    """
    return leaf_hash(canonical([book, seq, before, content]).encode()).hex()


def plain(text: str) -> str:
    """As a column can hold it: PostgreSQL takes no zero character, and no database half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def digest(salt: str, text: str) -> str:
    """The salted SHA-256 of words, in hex: of the salt, a colon and the words, in UTF-8."""
    return sha256(f"{salt}:{text}")


def pseudonym(salt: str, name: str) -> str:
    """A pseudonym, which stands in the chain for a name; without the salt, nobody can tell for which.

    The pseudonym of an empty name is empty.

    Args:
        salt: of the call, in which one name has one pseudonym.
        name: of a call or a participant, or words that may hold one.
    """
    if not name:
        return ""
    return "~" + hmac.new(salt.encode(), name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:24]


def renamed(content: Json, change: Callable[[str], str]) -> Json:
    """A row's content with whatever names somebody in it changed: identities, and words that may hold one."""
    changed = dict(content)
    if isinstance(receipt := content.get("receipt"), dict):
        own: Json = {name: change(receipt[name]) for name in ("call", "caller", "cut_in_by", "why") if name in receipt}
        if "listeners" in receipt:  # not of a question
            own["attempts"] = [one | {"ended_why": change(one["ended_why"])} for one in receipt["attempts"]]
            own["listeners"] = _people(receipt["listeners"], change)
        changed["receipt"] = receipt | own
    if "reason" in content:
        changed["reason"] = change(content["reason"])
    if isinstance(people := content.get("listeners"), list):
        changed["listeners"] = _people(people, change)
    return changed


def _people(listeners: Sequence[Json], change: Callable[[str], str]) -> list[Json]:
    return [one | {"identity": change(one["identity"])} for one in listeners]


@dataclass(frozen=True)
class Plaintext:
    """The words and names of one row. They stand beside the chain, so that they can be forgotten.

    The chain has salted hashes of the words, and pseudonyms of the names.

    Args:
        salt: what the hashes of the words are salted with.
        caller: what the caller said, for each entry of the receipt's `held`; None when it is not kept.
        text: the announcement's text; None when it is not kept.
        names: the name of each pseudonym, but for the call's own; None when they are not kept.
    """

    salt: str | None = field(repr=False)
    caller: tuple[str, ...] | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    names: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def kept(self) -> list[str]:
        """The kinds of plaintext that are there, by name."""
        return [name for name in ("caller", "text", "names") if getattr(self, name) is not None]


@dataclass(frozen=True)
class CallName:
    """A call's name, beside the chain.

    Args:
        salt: what the pseudonyms in this call are made with.
        name: the call's.
    """

    salt: str = field(repr=False)
    name: str = field(repr=False)


def redacted(receipt: Json, salt: str, *, words: Retention, text: Retention) -> tuple[Json, Plaintext]:
    """Take what was said out of a receipt's JSON, and leave hashes.

    Args:
        receipt: as :func:`hearout.receipts._codec.to_json` wrote it, with the words kept.
        salt: something that cannot be guessed: "yes" has few alternatives.
        words: what becomes of the caller's words.
        text: what becomes of the announcement's text.
    """
    left = {name: value for name, value in receipt.items() if name != "text"}
    said = tuple(str(entry.get("text", "")) for entry in receipt["held"])
    keeps = words is Retention.KEEP and any(said)
    left["held"] = [
        {name: value for name, value in entry.items() if name != "text"}
        | ({"sha256": digest(salt, entry["text"])} if keeps and "text" in entry else {})
        for entry in receipt["held"]
    ]
    return left, Plaintext(
        salt=salt if keeps else None,
        caller=said if keeps else None,
        text=receipt.get("text") if text is Retention.KEEP else None,
    )


def restored(document: Json, said: Plaintext) -> Json:
    """The receipt's JSON again, with what is still kept of what was said."""
    held = []
    for number, entry in enumerate(document["held"]):
        bare = {name: value for name, value in entry.items() if name != "sha256"}
        held.append(bare | {"text": said.caller[number]} if said.caller is not None and "sha256" in entry else entry)
    return document | {"held": held} | ({"text": said.text} if said.text is not None else {})


def mismatch(content: Mapping[str, Any], said: Plaintext, call: CallName | None) -> str:
    """The contradiction between a row's content and what stands beside the row; empty when there is none.

    Args:
        call: the name of its call; None when that is not kept.
    """
    if call is not None and pseudonym(call.salt, call.name) != content["call"]:
        return "the name of its call beside it is not the one that it has the pseudonym of"
    return _words_mismatch(content, said) or _names_mismatch(content, said, call)


def _words_mismatch(content: Mapping[str, Any], said: Plaintext) -> str:
    receipt, kept = content.get("receipt", {}), content.get("kept", ())
    held: Sequence[Mapping[str, Any]] = receipt.get("held", [])
    hashed = receipt.get("text_sha256", content.get("text_sha256"))
    if said.text is not None and sha256(said.text) != hashed:
        return "the announcement's text beside it is not the one it has the hash of"
    if said.text is not None and receipt and "text" not in kept:
        return "an announcement's text is beside it, and it says that none was kept"
    if said.caller is None:
        return "a salt is beside it without words" if said.salt is not None else ""
    if "caller" not in kept:
        return "words of the caller are beside it, and it says that none were kept"
    if said.salt is None or len(said.caller) != len(held):
        return "the caller's words beside it are not as many as it says"
    for entry, text in zip(held, said.caller, strict=True):
        if digest(said.salt, text) != entry["sha256"] if "sha256" in entry else text:
            return "the caller's words beside it are not the ones it has the hashes of"
    return ""


def _names_mismatch(content: Mapping[str, Any], said: Plaintext, call: CallName | None) -> str:
    if said.names is None:
        return ""
    if "names" not in content.get("kept", ()):
        return "names are beside it, and it says that none were kept"
    if call is None:
        return "names are beside it without the name of its call"
    there: set[str] = set()
    renamed(dict(content), lambda one: there.add(one) or "")  # type: ignore[func-returns-value]
    right = all(pseudonym(call.salt, name) == one for one, name in said.names.items())
    if not right or there - {"", content["call"]} != set(said.names):
        return "the names beside it are not the ones that it has the pseudonyms of"
    return ""

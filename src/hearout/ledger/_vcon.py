"""`hearout receipts export --vcon`: a call as an IETF vCon, for whoever takes conversations in that form.

An export, and never the store: a vCon has no place for presence, levels or the chain. Core: draft-ietf-vcon-vcon-core,
syntax 0.4.0. The consent of a question: draft-howe-vcon-consent-00 (July 2025), as an attachment.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from ..receipts import Basis, Held, Kind, QuestionReceipt
from ._entries import Entry

Json = dict[str, Any]

SYNTAX = "0.4.0"
AGENT, CALLER = 0, 1
"""The places of both among the parties."""

CONSENT = "application/vcon-consent+json"


def vcons(
    entries: Iterable[Entry], questions: Iterable[tuple[float, QuestionReceipt]], *, now: float
) -> Iterator[Json]:
    """The calls of a book, a vCon each, in the order in which they began.

    Args:
        entries: the utterances; those without a receipt have no dialog.
        questions: that have ended, each with when that was written.
    """
    asked: dict[str, list[tuple[float, QuestionReceipt]]] = {}
    for at, question in questions:
        asked.setdefault(question.call, []).append((at, question))
    ordered = sorted(entries, key=lambda entry: entry.call)
    said = {call: [one for one in those if one.receipt] for call, those in groupby(ordered, lambda entry: entry.call)}
    calls = [_Call(call, said.get(call, []), asked.get(call, [])) for call in {**said, **asked}]
    for call in sorted((one for one in calls if one.known), key=lambda one: one.began):
        yield call.vcon(now)


class _Call:
    """One call of a book, on one clock: each agent's process counts its seconds from its own start."""

    def __init__(self, name: str, said: list[Entry], asked: list[tuple[float, QuestionReceipt]]) -> None:
        self._name, self._said, self._asked = name, said, asked
        begins = [one.session_began for one in said] + [at - receipt.decided_at for at, receipt in asked]
        self.known = bool(begins)
        self.began = min(begins, default=0.0)

    def vcon(self, now: float) -> Json:
        dialog = sorted([*self._dialog(), *self._unsaid()], key=lambda one: str(one["start"]))
        return {
            "vcon": SYNTAX,
            "uuid": _uuid(self._name),
            "created_at": _moment(now),
            "subject": self._name,
            "extensions": ["consent"],
            "parties": [_party(self._agent()), _party(self._caller())],
            "dialog": dialog,
            "attachments": [self._consent(at, receipt, dialog) for at, receipt in self._asked],
        }

    def _agent(self) -> str:
        return next((one.agent for one in self._said if one.agent), "agent")

    def _caller(self) -> str:
        known = [one.receipt.caller for one in self._said if one.receipt] + [one.caller for _, one in self._asked]
        return next((name for name in known if name), "caller")

    def _dialog(self) -> Iterator[Json]:
        """What was said by whom, of which the book has the words."""
        for entry in self._said:
            receipt, zero = entry.receipt, entry.session_began
            assert receipt is not None
            if receipt.started_at is not None:
                yield _said(AGENT, zero + receipt.started_at, receipt.text, receipt.played, entry.id)
            for held, _ in receipt.held:
                if held.text and held.kind is not Kind.BUTTON:
                    yield _said(CALLER, zero + held.at, _words(held), None, entry.id)

    def _unsaid(self) -> Iterator[Json]:
        """Questions whose attempts the book does not have: a consent must point at something."""
        known = {entry.id for entry in self._said if entry.receipt and entry.receipt.started_at is not None}
        for at, receipt in self._asked:
            if receipt.id not in known:
                known.add(receipt.id)
                yield _said(AGENT, at - receipt.decided_at + receipt.asked_for_at, receipt.text, None, receipt.id)

    def _consent(self, at: float, receipt: QuestionReceipt, dialog: list[Json]) -> Json:
        zero, made = at - receipt.decided_at, receipt.deciding
        moment = zero + (receipt.decided_at if made is None else made.began_at)
        first = (AGENT, receipt.id)
        asked = next((n for n, one in enumerate(dialog) if (one["originator"], one["message_id"]) == first), 0)
        status = {"yes": "granted", "no": "denied"}.get(receipt.choice, receipt.choice or receipt.outcome.value)
        given = {
            "purpose": receipt.id,
            "status": "revoked" if receipt.revoked else status,
            "timestamp": _moment(receipt.revoked_at if receipt.revoked and receipt.revoked_at else moment),
            "basis": receipt.basis.value,
            "said": "" if made is None else made.text,
            "rule": "" if made is None else made.rule,
        }
        proof = {"question": receipt.text, "version": receipt.version, "rules": receipt.rules, "entry": receipt.entry}
        body = {"expiration": None, "party": CALLER, "dialog": asked, "consents": [given], "proof": proof}
        if receipt.basis is Basis.IMPLIED:
            given["said"] = "nothing: the program takes silence for a yes"
        return {
            "type": "consent",
            "purpose": "consent",
            "start": _moment(moment),
            "party": CALLER,
            "dialog": asked,
            "mediatype": CONSENT,
            "encoding": "json",
            "body": json.dumps(body, ensure_ascii=False),
        }


def _said(who: int, at: float, text: str, seconds: float | None, name: str) -> Json:
    """A piece of the conversation, as text: hearout keeps no sound."""
    lasted = {} if seconds is None else {"duration": round(seconds, 3)}
    said = {"type": "text", "start": _moment(at), "parties": [who], "originator": who, "message_id": name}
    return said | lasted | {"mediatype": "text/plain", "encoding": "none", "body": text}


def _words(held: Held) -> str:
    return f"[keys {held.text}]" if held.kind is Kind.PRESSED else held.text


def _uuid(name: str) -> str:
    """A UUID of version 8 (RFC 9562) that is the same for the same call, so that an export replaces the one before."""
    bits = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])
    return str(uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 8 << 76 | 2 << 62))  # 3.11's own knows 1 to 5


def _party(name: str) -> Json:
    number = name.removeprefix("sip_")
    return {"name": name} | ({"tel": f"tel:{number}"} if number.startswith("+") else {})


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")

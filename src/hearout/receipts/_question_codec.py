"""The record of a question as JSON, with a schema and a version. What was said to it stands in ``held``."""

from collections.abc import Mapping

from ..errors import ReceiptError
from ._codec import Json, Reader, sha256, version_in
from ._question import AskAttempt, AskOutcome, Basis, GivenAnswer, QuestionReceipt
from ._receipt import Kind

SCHEMA = "hearout.question"
VERSION = (1, 0)
"""Major, minor. A newer minor only adds fields; a newer major is refused."""


def question_to_json(receipt: QuestionReceipt) -> Json:
    """The record as an object of JSON, with all that was said."""
    known: Json = {
        "schema": SCHEMA,
        "version": f"{VERSION[0]}.{VERSION[1]}",
        "id": receipt.id,
        "question_version": receipt.version,
        "call": receipt.call,
        "agent": receipt.agent,
        "caller": receipt.caller,
        "outcome": receipt.outcome.value,
        "choice": receipt.choice,
        "basis": receipt.basis.value,
        "language": receipt.language,
        "choices": list(receipt.choices),
        "rules": receipt.rules,
        "asked_for_at": receipt.asked_for_at,
        "decided_at": receipt.decided_at,
        "delay": receipt.delay,
        "attempts": [_attempt(one) for one in receipt.attempts],
        "text_sha256": receipt.text_sha256,
        "held": [_answer(one) for one in receipt.answers],
    }
    return known | ({"text": receipt.text} if receipt.text else {}) | dict(receipt.extra)


def question_from_json(document: object) -> QuestionReceipt:
    """The record that :func:`question_to_json` wrote; fields that are not known are kept.

    Raises:
        ReceiptError: it is none, a field is missing or makes no sense, or the major version is newer.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise ReceiptError(f"this is no question's record: its field schema is not {SCHEMA!r}", field="schema")
    read = Reader(document, "the question's record")
    version = version_in(read.text("version"))
    if version is None or version[0] > VERSION[0]:
        raise ReceiptError(f"this hearout reads questions of version {VERSION[0]}.x only", field="version")
    text, hashed = read.text("text", default=""), read.text("text_sha256")
    if text and sha256(text) != hashed:
        raise ReceiptError("field text_sha256 is not that of the question's text: one was changed", field="text_sha256")
    known = QuestionReceipt(
        id=read.text("id"),
        version=read.text("question_version"),
        outcome=read.one_of(AskOutcome, "outcome"),
        choice=read.text("choice"),
        basis=read.one_of(Basis, "basis"),
        text=text,
        language=read.text("language"),
        choices=tuple(map(str, read.several("choices"))),
        rules=read.text("rules"),
        asked_for_at=read.number("asked_for_at"),
        decided_at=read.number("decided_at"),
        attempts=tuple(map(_read_attempt, read.several("attempts"))),
        answers=tuple(map(_read_answer, read.several("held"))),
        delay=read.number_or_none("delay"),
        call=read.text("call"),
        agent=read.text("agent"),
        caller=read.text("caller"),
        omitted_text="" if text or hashed == sha256("") else hashed,
    )
    written = question_to_json(known)
    extra = {name: value for name, value in document.items() if name not in written and name != "text"}
    return QuestionReceipt(**{**vars(known), "extra": extra})


def _attempt(attempt: AskAttempt) -> Json:
    return {
        "utterance": attempt.utterance,
        "asked_at": attempt.asked_at,
        "brief": attempt.brief,
        "spans": [list(span) for span in attempt.spans],
        "level": attempt.level,
    }


def _answer(answer: GivenAnswer) -> Json:
    known = {name: value for name, value in vars(answer).items() if name not in ("text", "kind", "began_at")}
    return known | {"at": answer.began_at, "kind": answer.kind.value} | ({"text": answer.text} if answer.text else {})


def _read_attempt(document: object) -> AskAttempt:
    read = Reader(document, "an attempt at the question")
    return AskAttempt(
        utterance=read.text("utterance"),
        asked_at=read.number_or_none("asked_at"),
        brief=read.flag("brief"),
        spans=read.pairs("spans"),
        level=read.text("level"),
    )


def _read_answer(document: object) -> GivenAnswer:
    read = Reader(document, "an answer")
    return GivenAnswer(
        text=read.text("text", default=""),
        kind=read.one_of(Kind, "kind"),
        attempt=int(read.number("attempt")),
        began_at=read.number("at"),
        ended_at=read.number("ended_at"),
        known_at=read.number("known_at"),
        early=read.flag("early"),
        stt=read.text("stt"),
        confidence=read.number_or_none("confidence"),
        language=read.text("language"),
        verdict=read.text("verdict"),
        rule=read.text("rule"),
    )


__all__ = ["SCHEMA", "VERSION", "question_from_json", "question_to_json"]

"""The record of a question as JSON, with a schema and a version. What was said to it stands in ``held``."""

from collections.abc import Mapping

from ..errors import ReceiptError
from ._codec import Json, Reader, fields_to_json, sha256, version_in, without_empty_text
from ._question import AskAttempt, GivenAnswer, QuestionReceipt

SCHEMA = "hearout.question"
VERSION = (1, 0)
"""Major, minor. A newer minor only adds fields; a newer major is refused."""


def question_to_json(receipt: QuestionReceipt) -> Json:
    """The record as an object of JSON, with all that was said."""
    beside = ("version", "answers", "omitted_text", "revoked", "revoked_at", "entry", "extra")
    known = without_empty_text(fields_to_json(receipt, without=beside))
    known |= {"schema": SCHEMA, "version": f"{VERSION[0]}.{VERSION[1]}", "question_version": receipt.version}
    known |= {"text_sha256": receipt.text_sha256, "held": [_answer(one) for one in receipt.answers]}
    return known | dict(receipt.extra)


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
    known = read.record(
        QuestionReceipt,
        version=read.text("question_version"),
        text=text,
        choices=tuple(map(str, read.several("choices"))),
        attempts=tuple(Reader(one, "an attempt").record(AskAttempt) for one in read.several("attempts")),
        answers=tuple(map(_read_answer, read.several("held"))),
        omitted_text="" if text or hashed == sha256("") else hashed,
        revoked="",
        revoked_at=None,
        entry="",
        extra={},
    )
    written = question_to_json(known)
    extra = {name: value for name, value in document.items() if name not in written and name != "text"}
    return QuestionReceipt(**{**vars(known), "extra": extra})


def _answer(answer: GivenAnswer) -> Json:
    return without_empty_text(fields_to_json(answer, without=("began_at",))) | {"at": answer.began_at}


def _read_answer(document: object) -> GivenAnswer:
    read = Reader(document, "an answer")
    return read.record(GivenAnswer, text=read.text("text", default=""), began_at=read.number("at"))

"""The files of a call: the sound, the timeline as data and as a picture; and a short table of it."""

import json
import os
import textwrap
import wave
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConsoleError
from ..receipts import QuestionReceipt, Receipt
from ..receipts._picture import Flag, Mark, picture, svg
from .line import Samples
from .timeline import CallRecord, SpokenRow

FILES = ("call.wav", "timeline.svg", "timeline.json", "floor.jsonl", "agent.log")
"""The files that a call leaves. All of them hold words, or the sound of them."""


WIDE, WIDTH = 1000.0, 80
"""Pixels of the picture, and columns of the table."""
SAME = 0.5
"""Seconds by which the line's clock and the session's may differ on when an utterance began."""


def write(directory: Path, record: CallRecord, caller: Samples, agent: Samples, sample_rate: int) -> None:
    """Write ``call.wav`` (stereo: left the caller, right the agent), ``timeline.json`` and ``timeline.svg``.

    Args:
        directory: exists, as :func:`folder` makes it.
        caller: mono, from the start of the call; `agent` likewise, and of the same length.
        sample_rate: of both, in Hz.

    Raises:
        ConsoleError: a file cannot be written.
    """
    try:
        with (directory / "call.wav").open("wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(np.stack([caller, agent], axis=1).astype("<i2").tobytes())
        timeline = json.dumps(record.as_json(), indent=2, ensure_ascii=False)
        (directory / "timeline.json").write_text(timeline + "\n", "utf-8")
        (directory / "timeline.svg").write_text(_drawn(record), "utf-8")
    except OSError as error:
        raise ConsoleError(f"{directory}: the call's files cannot be written ({error.strerror})") from error


def folder(path: Path) -> Path:
    """The folder for a call's files, made if it is missing and tried by writing to it; those of an earlier call go.

    Raises:
        ConsoleError: nothing can be written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (path / file).unlink(missing_ok=True)  # of an earlier call, perhaps for everybody to read
        if path.stat().st_uid == os.getuid() and not any(path.iterdir()):
            path.chmod(0o700)  # not of a folder that holds other things
        with (path / "call.wav").open("ab"):
            pass
    except OSError as error:
        raise ConsoleError(f"{path}: cannot be written to ({error.strerror}); choose another --out") from error
    return path


def table(record: CallRecord) -> str:
    """The call as a short table, in plain text, at most `WIDTH` columns wide."""
    order = ("caller", "held", "turn", "gap", "agent")  # of what happens in the same tenth of a second
    rows = sorted(_rows(record), key=lambda row: (round(row[0], 1), order.index(row[1])))
    lines = []
    for at, who, what in rows:
        head = f"{at:6.1f} s  {who:<8}"
        lines += textwrap.wrap(what, WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]
    return "\n".join(lines)


def receipts(written: Sequence[Receipt]) -> str:
    """The receipts, one after the other, in plain text."""
    return _filled("receipt ", map(_told, written))


def questions(asked: Sequence[QuestionReceipt]) -> str:
    """The questions, one after the other, with what was decided and why, in plain text."""
    return _filled("question ", map(_decided, asked))


def _filled(head: str, paragraphs: Iterable[str]) -> str:
    lines = textwrap.TextWrapper(WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    return "\n".join(map(lines.fill, paragraphs))


def _decided(receipt: QuestionReceipt) -> str:
    said = "; ".join(f"“{one.text}” is {one.verdict} ({one.rule})" for one in receipt.answers)
    chosen = f" {receipt.choice!r} ({receipt.basis.value})" if receipt.choice else ""
    return f"{receipt.id}: {receipt.outcome.value}{chosen}, asked {len(receipt.attempts)}×{f': {said}' if said else ''}"


def _told(receipt: Receipt) -> str:
    why = f" ({receipt.why})" if receipt.why else ""
    held = f", {len(receipt.held)} held" if receipt.held else ""
    gap = "" if receipt.gap is None else f", answered after {receipt.gap * 1000:.0f} ms"
    of = f"{receipt.played:.1f} of {receipt.length:.1f} s"
    return f"{receipt.id}: {receipt.outcome.value}{why}, {of}, level {receipt.level}{held}{gap}"


def _rows(record: CallRecord) -> Iterator[tuple[float, str, str]]:
    for utterance in record.agent:
        ended = "cut" if utterance.cut else "to its end"
        what = "protected, " if utterance.protected else ""
        text = _shortened(utterance.text)
        yield utterance.start, "agent", f"“{text}” ({what}{utterance.end - utterance.start:.1f} s, {ended})"
    for said in record.caller:
        over = any(u.protected and u.start < said.end and said.start < u.end for u in record.agent)
        heard = said.is_heard_at((one.at for one in record.transcripts), record.caller)
        how = f" — over the agent, {'heard' if heard else 'not heard by the agent'}" if over else ""
        yield said.start, "caller", f"“{said.text}”{how}"
    for held in record.held:
        yield held.at, "held", f"“{held.text}” ({held.kind}) → {held.fate}"
    for turn in record.turns:
        yield turn.at, "turn", f"“{turn.text}”"
    for reply in record.replies:
        yield reply.start, "gap", f"{reply.gap * 1000:.0f} ms until the agent went on"


def _shortened(text: str, longest: int = 140) -> str:
    """The text, or its beginning and its end, cut between words."""
    if len(text) <= longest:
        return text
    head, tail = text[: longest // 2], text[-longest // 2 :]
    return f"{head.rsplit(' ', 1)[0]} … {tail.split(' ', 1)[-1]}"


# The picture


def _drawn(record: CallRecord) -> str:
    lanes = ("agent", "caller", "held")
    words = "; orange: protected, barge-in does not stop it" if any(one.protected for one in record.agent) else ""
    title = f"outcome: {record.outcome}{words}"
    drawn = picture(lanes, [*marks(record)], [*flags(record)], title=title, wide=WIDE)
    return svg(drawn, title="What was said in the call, over time")


def marks(record: CallRecord) -> Iterator[Mark]:
    """What is drawn of a call's words."""
    asked = {attempt["utterance"]: one for one in record.questions for attempt in one["attempts"]}
    for one in record.agent:
        receipt = next((each for each in record.receipts if _is_of(each, one, record.session_at)), None)
        question = None if receipt is None else asked.get(receipt["id"])
        kind = "question" if question else "protected" if one.protected else "agent"
        yield Mark("agent", one.start, one.end, one.text, kind, _ended(question, receipt, cut=one.cut))
    for said in record.caller:
        yield Mark("caller", said.start, said.end, said.text, "caller")
    for held in record.held:
        yield Mark("held", held.at, held.at, held.text, "held", f"→ {held.fate}")


def _is_of(receipt: Mapping[str, Any], utterance: SpokenRow, session_at: float) -> bool:
    """Whether a receipt is this utterance's: one of its attempts began then."""
    begins = [one["began_at"] + session_at for one in receipt["attempts"]]
    return utterance.protected and any(abs(begin - utterance.start) < SAME for begin in begins)


def _ended(question: Mapping[str, Any] | None, receipt: Mapping[str, Any] | None, *, cut: bool) -> str:
    """How a question or an utterance ended, where that is not the rule."""
    if receipt is not None and receipt["outcome"] != "finished":
        return f"{receipt['outcome']}{': ' if receipt['why'] else ''}{receipt['why']}"
    if question is not None:
        return f"asked → {question['choice'] or question['outcome']}"
    return "cut" if cut else ""


def flags(record: CallRecord) -> Iterator[Flag]:
    """The moments of a call: where an answer began, with the gap before it, and where an utterance was cut."""
    for reply in record.replies:
        yield Flag(reply.start, f"{reply.gap * 1000:.0f} ms" if reply.gap < 10 else f"{reply.gap:.0f} s")
    for one in record.agent:
        if one.cut:
            yield Flag(one.end, "cut in" if one.protected else "cut", "cut")

"""The files of a call: the sound, the timeline as data, and a short table. The picture is in `picture.py`."""

import json
import os
import textwrap
import wave
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import ConsoleError
from ..receipts import QuestionReceipt, Receipt
from .line import Samples
from .picture import draw
from .timeline import CallRecord

FILES = ("call.wav", "timeline.svg", "timeline.json", "floor.jsonl", "agent.log")
"""The files that a call leaves. All of them hold words, or the sound of them."""


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
        draw(directory / "timeline.svg", record)
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


def table(record: CallRecord, width: int = 80) -> str:
    """The call as a short table, in plain text, at most `width` columns wide."""
    order = ("caller", "held", "turn", "gap", "agent")  # of what happens in the same tenth of a second
    rows = sorted(_rows(record), key=lambda row: (round(row[0], 1), order.index(row[1])))
    lines = []
    for at, who, what in rows:
        head = f"{at:6.1f} s  {who:<8}"
        lines += textwrap.wrap(what, width, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]
    return "\n".join(lines)


def receipts(written: Sequence[Receipt], width: int = 80) -> str:
    """The receipts, one after the other, in plain text, at most `width` columns wide."""
    return _filled("receipt ", map(_told, written), width)


def questions(asked: Sequence[QuestionReceipt], width: int = 80) -> str:
    """The questions, one after the other, with what was decided and why, in plain text."""
    return _filled("question ", map(_decided, asked), width)


def _filled(head: str, paragraphs: Iterable[str], width: int) -> str:
    lines = textwrap.TextWrapper(width, initial_indent=head, subsequent_indent=" " * len(head))
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

"""What `hearout receipts serve` shows of a ledger: its calls, and one call on one clock, as objects of JSON."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._text import read_json
from ..ledger import Ledger
from ..ledger._entries import Entry
from ..ledger._questions import questions
from ..ledger._read import entries
from ..receipts import Fate, GivenAnswer, Held, Kind, Level, Outcome, QuestionReceipt, Receipt
from ..receipts._codec import Json, question_to_json, to_json
from ..receipts._picture import Flag, Mark, Picture, picture

CALLS = 500
"""Calls that the list shows at most: the newest ones."""

OPEN = 2000
"""Calls that may have entries between two of one call, before those two are taken for two calls."""

SAME = 2.0
"""Seconds by which the beginning of one session may seem to move from one of its rows to the next: a row is written
a little after what it tells. Another session of the call begins later: an agent that died has a lease of 5 s."""

NEAR = 0.3
"""Seconds between an answer and the held words that it is: the moments of one event, told by two receipts."""

SOUNDS = (".wav", ".mp3", ".ogg", ".opus", ".m4a", ".webm", ".flac")


def calls(
    ledger: Ledger,
    *,
    now: float,
    since: float | None = None,
    until: float | None = None,
    outcome: str = "",
    level: str = "",
    call: str = "",
) -> Json:
    """The calls that have an utterance like that, the newest first, each with all its utterances.

    Args:
        now, since, until: in seconds since 1970, UTC.
        outcome, level: of one of its utterances; empty for any.
        call: what its name must contain; empty for any.
    """
    open_calls: dict[str, list[Entry]] = {}
    like: deque[list[Entry]] = deque(maxlen=CALLS)
    count = 0
    for entry in entries(ledger, now=now, since=since, until=until):
        if call.casefold() not in entry.call.casefold():
            continue
        open_calls[entry.call] = [*open_calls.pop(entry.call, ()), entry]  # the one with the newest entry is the last
        if len(open_calls) > OPEN:  # so that a book of any length has room
            oldest = open_calls.pop(next(iter(open_calls)))
            if is_like(oldest, outcome, level):
                like.append(oldest)
                count += 1
    rest = [each for each in open_calls.values() if is_like(each, outcome, level)]
    like.extend(rest)
    asked = Counter(receipt.call for _, receipt in questions(ledger))
    told = sorted((_call(each, asked) for each in like), key=lambda one: one["at"], reverse=True)
    return {"calls": told, "older": count + len(rest) - len(told)}


def is_like(of: Sequence[Entry], outcome: str, level: str) -> bool:
    """Whether one of a call's utterances has this outcome and this level; empty stands for any."""
    return any(outcome in ("", one.standing) and level in ("", one.level) for one in of)


def _call(of: Sequence[Entry], asked: Counter[str]) -> Json:
    return {
        "call": of[0].call,
        "at": _written(of[0]),
        "agents": sorted({one.agent for one in of if one.agent}),
        "utterances": [{"id": one.id, "outcome": one.standing, "level": one.level} for one in of],
        "held": sum(len(one.receipt.held) for one in of if one.receipt),
        "questions": asked[of[0].call],
    }


def _written(entry: Entry) -> float:
    return entry.asked if entry.asked is not None else entry.over or 0.0


@dataclass
class ShownCall:
    """One call, on one clock: second 0 is when its first session began.

    Args:
        entries: its utterances, in order.
        questions: its questions, each with when it was written.
    """

    entries: Sequence[Entry]
    questions: Sequence[tuple[float, QuestionReceipt]]
    _begins: list[float] = field(default_factory=list)
    """When each session began, in seconds since 1970, UTC."""

    def __post_init__(self) -> None:
        for entry in self.entries:
            self._begins += [entry.session_began] if self._known(entry.session_began) is None else []
        self._begins += [at - one.decided_at for at, one in self.questions if self._known(at - one.decided_at) is None]

    @classmethod
    def read(cls, ledger: Ledger, call: str, *, now: float) -> "ShownCall":
        """The call of that name."""
        return cls(tuple(entries(ledger, now=now, call=call)), tuple(questions(ledger, call=call)))

    @property
    def zero(self) -> float:
        """Its second 0, in seconds since 1970, UTC."""
        return min(self._begins, default=0.0)

    def _known(self, begin: float) -> float | None:
        """The session that began about then."""
        return next((one for one in self._begins if abs(one - begin) < SAME), None)

    def _shift(self, begin: float) -> float:
        return (self._known(begin) or begin) - self.zero

    def to_json(self) -> Json:
        """All that the page shows of it."""
        return {
            "call": self.entries[0].call if self.entries else self.questions[0][1].call,
            "at": self.zero,
            "utterances": [self._utterance(one) for one in self.entries],
            "questions": [self._question(at, one) for at, one in self.questions],
            "said": sorted(self.said(), key=lambda one: (one["at"], one["who"])),
        }

    def _utterance(self, entry: Entry) -> Json:
        receipt = None if entry.receipt is None else to_json(entry.receipt)
        rows = {"rows": list(entry.rows), "spooled": entry.spooled, "amended": entry.amended}
        known = {"id": entry.id, "agent": entry.agent, "outcome": entry.standing, "level": entry.level}
        length = entry.receipt.length if entry.receipt else None
        shift = self._shift(entry.session_began)
        return known | rows | {"played": entry.played, "length": length, "shift": shift, "receipt": receipt}

    def _question(self, at: float, receipt: QuestionReceipt) -> Json:
        known = question_to_json(receipt) | {"shift": self._shift(at - receipt.decided_at)}
        deciding = receipt.deciding
        given = [said | {"decides": one is deciding} for one, said in zip(receipt.answers, known["held"], strict=True)]
        return known | {"held": given, "revoked": receipt.revoked, "revoked_at": receipt.revoked_at}

    def said(self) -> Iterator[Json]:
        """The words of agent and caller in order of their receipts, with speaker, seconds and fate."""
        asked = {one.utterance for _, each in self.questions for one in each.attempts}
        answers = [(at - each.decided_at, one) for at, each in self.questions for one in each.answers]
        for entry in self.entries:
            shift, receipt = self._shift(entry.session_began), entry.receipt
            kind = "question" if entry.id in asked else "protected"
            yield _agents(entry, receipt, kind, shift)
            for held, fate in receipt.held if receipt else ():
                verdict = next((a.verdict for _, a in answers if fate is Fate.JUDGED and _is(a, held)), "")
                note = f"judged: {verdict}" if verdict else fate.value
                yield _callers(held.text, held.kind, held.at + shift, held.at + shift, note)
        told = [
            held for each in self.entries if each.receipt for held, fate in each.receipt.held if fate is Fate.JUDGED
        ]
        for begin, one in answers:
            if not any(_is(one, held) for held in told):
                shift = self._shift(begin)
                note = f"{'too early: ' if one.early else 'judged: '}{one.verdict}"
                yield _callers(one.text, one.kind, one.began_at + shift, one.ended_at + shift, note)

    def drawn(self, wide: float) -> Picture:
        """The picture of the call, so many pixels wide."""
        marks, flags = [], []
        for one in self.said():
            lane = "agent" if one["who"] == "agent" else "caller"
            kind = one["kind"] if lane == "agent" else "caller" if one["note"].startswith("judged") else "held"
            note = (
                "" if one["note"] == Outcome.FINISHED.value else one["note"] if lane == "agent" else f"→ {one['note']}"
            )
            marks.append(Mark(lane, one["at"], one["end"], one["text"] or "words not kept", kind, note))
        for entry in self.entries:
            shift, receipt = self._shift(entry.session_began), entry.receipt
            if receipt is not None and receipt.gap is not None:
                gap = f"answered after {receipt.gap * 1000:.0f} ms"
                flags.append(Flag(receipt.ended_at + receipt.gap + shift, gap))
            if receipt is not None and receipt.outcome is Outcome.CUT_IN:
                flags.append(Flag(receipt.ended_at + shift, "cut in", "cut"))
        return picture(("agent", "caller"), marks, flags, wide=wide)


def _is(answer: GivenAnswer, held: Held) -> bool:
    """Whether an answer is these held words."""
    return answer.text == held.text and abs(answer.began_at - held.at) < NEAR


def _agents(entry: Entry, receipt: Receipt | None, kind: str, shift: float) -> Json:
    asked = 0.0 if receipt is None else receipt.asked_at
    start = asked if receipt is None or receipt.started_at is None else receipt.started_at
    end = start + entry.played if receipt is None else receipt.ended_at
    note = entry.standing + (f": {receipt.why}" if receipt and receipt.why else "")
    text = receipt.text if receipt else ""
    times = {"at": start + shift, "end": max(start, end) + shift}
    level = entry.level
    return times | {"who": "agent", "id": entry.id, "text": text, "kind": kind, "note": note, "level": level}


def _callers(text: str, kind: Kind, at: float, end: float, note: str) -> Json:
    return {"at": at, "end": end, "who": "caller", "text": text, "kind": kind.value, "note": note}


class Recordings:
    """The recordings of calls in a folder: `NAME.wav`, or `NAME/call.wav` as the console writes them.

    NAME is the call's, or what follows the last `/` in it. A name is looked up among the files that are there, and
    never made into a path.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, call: str) -> Path | None:
        """The recording of a call; None where there is none."""
        if self._folder is None:
            return None
        there: dict[str, Path] = {}
        for path in sorted([*self._folder.glob("*/call.*"), *self._folder.iterdir()]):
            if path.suffix.lower() in SOUNDS and path.is_file():
                there[path.stem if path.parent == self._folder else path.parent.name] = path
        return there.get(call) or there.get(call.rsplit("/", 1)[-1])

    @staticmethod
    def session_at(recording: Path) -> float | None:
        """The second of a recording at which the session's seconds begin; None where no timeline beside it says so."""
        try:
            at = read_json((recording.parent / "timeline.json").read_text("utf-8"))["session_at"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return float(at) if isinstance(at, int | float) else None


LEVELS = tuple(str(level) for level in Level)

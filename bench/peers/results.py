"""The calls judged, and the figures of each peer."""

import json
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.course import FRAME, RATE, read

from . import ticks
from .callers import Says, Studio
from .judge import Score, Sound, judge, stretches
from .play import HERE, TOOLS, Held


@dataclass(frozen=True)
class Judged:
    """A call, and what it was worth.

    Attributes:
        held: the call.
        score: by the judge.
        events: of τ-voice's kind.
        placed_before: lines of the caller's that stand in the conversation before the announcement, though it began
            first.
        receipts: how many receipts there are.
    """

    held: Held
    score: Score
    events: Sequence[ticks.Event]
    placed_before: int
    receipts: int


class Court:
    """Judges the calls, one after the other, when all are over: the STT that it needs is the calls' own."""

    def __init__(self, studio: Studio) -> None:
        from hearout._local.stt import transcribe

        self._studio, self._transcribe = studio, transcribe
        self._heard: dict[str, str] = {}

    def judge(self, held: Held) -> Judged:
        """The verdict on one call."""
        agent, caller = (read(held.folder / f"{who}.wav") for who in ("agent", "caller"))
        expected = [self._alone(one.text) for one in held.scene.due]
        facts = json.loads((held.folder / "facts.json").read_text())
        asked = held.asked if held.asked is not None else [_users(facts["messages"])]
        sound = Sound(self._studio.spoken(held.scene.notice), agent, caller, expected, asked)
        score = judge(held.scene, sound, lambda samples: self._transcribe(samples, RATE))
        return Judged(
            held,
            score,
            ticks.events(held.scene, agent, held.lines),
            _before(facts["messages"], held.scene.notice),
            len(facts.get("receipts", ())),
        )

    def _alone(self, text: str) -> str:
        """The line as the STT hears it when nothing else sounds: its own errors are no peer's."""
        if text not in self._heard:
            self._heard[text] = self._transcribe(self._studio.spoken(text), RATE)
        return self._heard[text]


def _users(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [str(one.get("content")) for one in messages if one["role"] == "user"]


def _before(messages: Sequence[dict[str, Any]], notice: str) -> int:
    roles = [(one["role"], notice[:30] in str(one.get("content"))) for one in messages]
    place = next((number for number, (role, is_notice) in enumerate(roles) if role == "assistant" and is_notice), 0)
    return sum(role == "user" for role, _ in roles[:place])


@dataclass(frozen=True)
class Figures:
    """What the calls of one peer (or of one peer and scene) come to.

    Attributes:
        calls: how many.
        whole: in how many the announcement was there in full.
        least: the least share of it.
        kept: the kept share of each call that has words to keep.
        answers: of each line that is due one, how many answers it got.
        ordered, in_order: calls with answers, and those with answers in order.
        gaps: perceived gaps, seconds.
        false: replies to nothing.
        early: calls with an early "yes", and in how many it was taken for consent.
        requests: requests to the model, of all calls; None where they were not noted.
    """

    calls: int
    whole: int
    least: float
    kept: Sequence[float]
    answers: Sequence[int]
    ordered: int
    in_order: int
    gaps: Sequence[float]
    false: int
    early: tuple[int, int]
    requests: int | None

    @property
    def once(self) -> float | None:
        """The share of lines that were answered exactly once."""
        return _share(self.answers, lambda count: count == 1)

    @property
    def twice(self) -> int:
        """Lines that were answered more than once."""
        return sum(count > 1 for count in self.answers)

    @property
    def never(self) -> int:
        """Lines that were not answered."""
        return sum(count == 0 for count in self.answers)


def figures(calls: Iterable[Judged]) -> Figures:
    """The figures of these calls."""
    every = list(calls)
    scores = [one.score for one in every]
    found = [one.found for one in scores]
    early = [one.score for one in every if one.held.scene.agrees is False]
    orders = [one.ordered for one in scores if one.ordered is not None]
    return Figures(
        calls=len(every),
        whole=sum(one is not None and one.in_full for one in found),
        least=min((0.0 if one is None else one.fraction for one in found), default=0.0),
        kept=[one.kept for one in scores if one.kept is not None],
        answers=[count for one in scores for count in one.answers],
        ordered=len(orders),
        in_order=sum(orders),
        gaps=[one.gap for one in scores if one.gap is not None],
        false=sum(one.false for one in scores),
        early=(len(early), sum(bool(one.consented) for one in early)),
        requests=None
        if any(one.held.asked is None for one in every)
        else sum(len(one.held.asked or ()) for one in every),
    )


def ruler(calls: Sequence[Judged]) -> dict[str, Any] | None:
    """voicebench's summary of these calls; None where its environment is not there."""
    python = TOOLS / "voicebench" / "bin" / "python"
    if not python.exists():
        return None
    asked = json.dumps([_for_ruler(one.held) for one in calls])
    done = subprocess.run(
        [str(python), str(HERE / "voicebench" / "ruler.py")], input=asked, capture_output=True, text=True, check=True
    )
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def _for_ruler(held: Held) -> dict[str, Any]:
    speech = stretches(read(held.folder / "agent.wav"), ticks.PAUSE)
    zero = speech[0][0] + FRAME / RATE if speech else 0.0
    due = [isinstance(one, Says) and one.answered for one in held.scene.caller]
    return {
        "agent": str(held.folder / "agent.wav"),
        "caller": str(held.folder / "caller.wav"),
        "lines": [[zero + begin, zero + end] for begin, end in held.lines],
        "expects": ["respond" if one else "ignore" for one in due],
    }


def middle(values: Sequence[float]) -> float | None:
    """The median; None where there is nothing."""
    return statistics.median(values) if values else None


def _share(values: Sequence[int], is_one: Callable[[int], bool]) -> float | None:
    return sum(map(is_one, values)) / len(values) if values else None

"""The judge of the calls: it is given recordings and what the model was asked, and knows nobody.

What the agent played is measured against the announcement, and what it said after it is made text by the local STT. A
line of the caller's counts as answered as often as its key word is heard there: the model says back what it answers.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.course import FRAME, LOUD, RATE, Samples
from hearout.measure import Measured, measure

from .callers import Scene, edges

PAUSE = 0.9
"""Seconds of quiet between two replies; between the sentences of one there is half as much."""

ALIKE = 0.8
"""Share of letters that a heard word has in common with the one that is looked for, at least."""

_NOTED = "consent"
"""A word that is in the model's answer to consent, and in no other."""

AFTER = 0.15
"""Seconds after the announcement's last sound; what sounds later is a reply."""


@dataclass(frozen=True)
class Score:
    """What a call was worth.

    Attributes:
        found: how much of the announcement the caller heard; None where the agent was silent.
        kept: share of the words of the lines that are due an answer which reached the model, 0..1; None where none is.
        answers: for each line that is due one, how often it is answered.
        replies: how many replies there are after the announcement.
        false: replies to nothing: all of them where no line is due one.
        ordered: whether the answers are in the lines' order; None where none came.
        gap: seconds from the last sound of either side to the first answer; None without one.
        consented: whether the agent took what was said for consent; None where it asked for none.
        said: what the agent said after the announcement, as heard.
    """

    found: Measured | None
    kept: float | None = None
    answers: tuple[int, ...] = ()
    replies: int = 0
    false: int = 0
    ordered: bool | None = None
    gap: float | None = None
    consented: bool | None = None
    said: str = ""


@dataclass(frozen=True)
class Sound:
    """What is judged.

    Attributes:
        notice: the announcement as it was made.
        agent: what the agent played.
        caller: what the caller said, as long.
        expected: for each line that is due an answer, its words as the STT hears them when nothing else sounds.
        asked: the user words of each request that the model got.
    """

    notice: Samples
    agent: Samples
    caller: Samples
    expected: Sequence[str] = ()
    asked: Sequence[Sequence[str]] = ()


def judge(scene: Scene, sound: Sound, transcribe: Callable[[Samples], str]) -> Score:
    """The score of one call.

    Args:
        scene: who said what.
        sound: the recordings, all at `bench.course.RATE`.
        transcribe: makes text of samples.
    """
    found = measure(sound.agent, sound.notice, RATE)
    if found.lag_s is None:
        return Score(None, kept=_kept(sound), answers=(0,) * len(scene.due))
    end = found.lag_s + edges(sound.notice)[1] - found.tail_ms / 1000
    replies = [one for one in stretches(sound.agent, PAUSE) if one[1] > end + AFTER]
    replies = [(max(begin, end), stop) for begin, stop in replies]
    said = " ".join(transcribe(_cut(sound.agent, *one)) for one in replies)
    places = [_places(one.key, said) for one in scene.due]
    noted = _places(_NOTED, said)
    if scene.agrees and noted:  # the answer to consent says nothing back
        places = [noted]
    answers = tuple(map(len, places))
    return Score(
        found=found,
        kept=_kept(sound),
        answers=answers,
        replies=len(replies),
        false=0 if scene.due or scene.agrees is not None else len(replies),
        ordered=_ordered(places),
        gap=_gap(sound, end, replies[0][0]) if replies and scene.due and any(answers) else None,
        consented=None if scene.agrees is None else bool(noted),
        said=said,
    )


def stretches(sound: Samples, pause: float) -> list[tuple[float, float]]:
    """Where somebody speaks, in seconds: pauses shorter than `pause` belong to it, and clicks (20 ms) do not count."""
    frames = np.abs(sound[: len(sound) // FRAME * FRAME].astype(np.int32)).reshape(-1, FRAME).max(axis=1) > LOUD
    at = np.flatnonzero(frames)
    if not len(at):
        return []
    breaks = np.flatnonzero(np.diff(at) * FRAME / RATE > pause) + 1
    pieces = [(piece[0], piece[-1] + 1) for piece in np.split(at, breaks) if len(piece) > 1]
    return [(float(first * FRAME / RATE), float(last * FRAME / RATE)) for first, last in pieces]


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def _cut(sound: Samples, begin: float, end: float) -> Samples:
    return sound[max(0, round((begin - 0.1) * RATE)) : round((end + 0.2) * RATE)]


def _places(key: str, text: str) -> list[int]:
    """Where in the text the word is, or one that sounds nearly like it."""
    return [
        place for place, word in enumerate(words(text)) if difflib.SequenceMatcher(None, key, word).ratio() >= ALIKE
    ]


def _kept(sound: Sound) -> float | None:
    """The share of the expected words that are in the request that has most of them."""
    expected = words(" ".join(sound.expected))
    if not expected:
        return None
    return max((_share(expected, words(" ".join(users))) for users in sound.asked), default=0.0)


def _share(expected: Sequence[str], got: Sequence[str]) -> float:
    matched = difflib.SequenceMatcher(None, expected, got, autojunk=False).get_matching_blocks()
    return sum(block.size for block in matched) / len(expected)


def _ordered(places: Sequence[Sequence[int]]) -> bool | None:
    first = [one[0] for one in places if one]
    return first == sorted(first) if first else None


def _gap(sound: Sound, end: float, begun: float) -> float:
    """Seconds from the last sound of either side before the reply to its first."""
    last = [stop for start, stop in stretches(sound.caller, PAUSE) if start < begun]
    first = next(
        (start for start, _ in stretches(sound.agent, 1.5 * FRAME / RATE) if start > end + FRAME / RATE / 2), begun
    )
    return max(0.0, first - max([end, *last]))

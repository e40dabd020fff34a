"""When each word is said: as the TTS says, or estimated from the sound and the spelling."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..announcement import Word
from ._check import spoken
from ._sound import SAMPLE_RATE, Samples

_STEP = 0.01  # seconds
_SOUND = 0.05  # of the loudest step: above the noise between words
_PAUSE = 0.06  # seconds of silence that a TTS may make for punctuation; the closure of a "t" is shorter
_PUNCTUATION = re.compile(r"[,;:.!?–—]$")

Aligned = tuple[str, float, float]
"""A piece of text, and the seconds at which it begins and ends."""


def aligned(text: str, pieces: Sequence[Aligned]) -> tuple[Word, ...]:
    """The words of a text with the TTS's own times; none where its pieces are not the text, or several words.

    Args:
        pieces: words, syllables or characters with their times, in order.
    """
    if any(len(piece.split()) > 1 for piece, _, _ in pieces):
        return ()  # a TTS that times its sentences only
    times = [(c, begin, end) for piece, begin, end in pieces for c in piece if not c.isspace()]
    if [c for c, _, _ in times] != [c for c in text if not c.isspace()]:
        return ()
    words, at = [], 0
    for word in text.split():
        mine = times[at : at + len(word)]
        words.append(Word(mine[0][1], mine[-1][2], word, exact=True))
        at += len(word)
    return tuple(words)


def estimated(text: str, audio: Samples) -> tuple[Word, ...]:
    """The words of a text with estimated times.

    The longest pauses in the sound are taken for the punctuation; between them, each word gets its share of the sound
    by its letters (those of a number as it is said).
    """
    words = text.split()
    sounding = _sounding(audio)
    if not words or not len(sounding):
        return ()
    groups = _groups(words)
    cuts = _longest_pauses(sounding, len(groups) - 1)
    if cuts is None:
        groups, cuts = [words], []
    ends = [*(begin for begin, _ in cuts), len(sounding)]
    begins = [0, *(end for _, end in cuts)]
    return tuple(
        word
        for group, begin, end in zip(groups, begins, ends, strict=True)
        for word in _shared(group, sounding[begin:end], begin)
    )


def _shared(words: list[str], sounding: npt.NDArray[np.bool_], offset: int) -> list[Word]:
    """The words, each with its share of the steps that sound."""
    steps = np.flatnonzero(sounding)
    if not len(steps):
        steps = np.arange(max(1, len(sounding)))
    weights = np.array([_length(word) for word in words], float)
    shares = np.round(np.concatenate([[0.0], np.cumsum(weights) / weights.sum()]) * len(steps)).astype(int)
    made = []
    for number, word in enumerate(words):
        first = steps[min(shares[number], len(steps) - 1)]
        last = steps[max(shares[number + 1] - 1, min(shares[number], len(steps) - 1))]
        made.append(Word(float((offset + first) * _STEP), float((offset + last + 1) * _STEP), word, exact=False))
    return made


def _length(word: str) -> int:
    """The relative length of a word: the letters as they are said, and one for the edge."""
    return 1 + sum(map(len, spoken(word)))


def _groups(words: list[str]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for word in words:
        groups[-1].append(word)
        if _PUNCTUATION.search(word):
            groups.append([])
    return [group for group in groups if group]


def _sounding(audio: Samples) -> npt.NDArray[np.bool_]:
    size = round(_STEP * SAMPLE_RATE)
    steps = audio[: len(audio) // size * size].reshape(-1, size)
    level = np.sqrt((steps.astype(np.float64) ** 2).mean(axis=1))
    sound: npt.NDArray[np.bool_] = level > _SOUND * level.max(initial=0.0)
    return sound


def _longest_pauses(sounding: npt.NDArray[np.bool_], count: int) -> list[tuple[int, int]] | None:
    """The `count` longest stretches without sound, inside the sound, in order; None if there are not so many."""
    loud = np.flatnonzero(sounding)
    edges = np.flatnonzero(np.diff(loud) > 1)
    pauses = sorted(((int(loud[i]) + 1, int(loud[i + 1])) for i in edges), key=lambda p: p[0] - p[1])[:count]
    if len(pauses) < count or any(end - begin < _PAUSE / _STEP for begin, end in pauses):
        return None
    return sorted(pauses)

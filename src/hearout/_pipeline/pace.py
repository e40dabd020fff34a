"""The pace of a TTS in this call: seconds for each letter, with their spread, and seconds to the first sound."""

import math
import re
import statistics
import unicodedata

from .._text import outside, unmarked

_LINK = re.compile(r"https?://\S+")

DIGIT, WIDE = 4, 3
"""Letters that a digit, and a character of Chinese, Japanese or Korean, count for: each is a syllable or a word."""

FASTEST, SLOWEST = 30.0, 5.0
"""Letters in a second of sound, silence left out, that no TTS exceeds or falls below: 15 is usual, and a third of it
the slowest that people can follow. Bounds for what nothing is known of yet."""

_STUDENT = (63.7, 9.92, 5.84, 4.60, 4.03, 3.71, 3.50, 3.36, 3.25)
"""Student's t for 99 of 100 cases, by degrees of freedom from 1 on."""

UNSEEN = 2 / 3
"""By how much of the first synthesis the second may differ: those of a sampled TTS differ by a quarter each."""

CUT = 1 / (1 + UNSEEN)
"""Share of its usual length below which a sentence counts as cut: the fastest after the slowest is as long as that."""

SHORT = 12
"""Letters below which a text tells nothing about pace: its pauses weigh more."""


def letters(text: str) -> float:
    """How many letters of a text take time to say: without markup (SSML)."""
    return sum(map(_weight, " ".join(unmarked(text).split())))


def letters_at_least(text: str) -> float:
    """The same without links, which a TTS may say in short or not at all, and with no more than one for a digit."""
    counted = " ".join(_LINK.sub(" ", unmarked(text)).split())
    return sum(1.0 if one.isdigit() else _weight(one) for one in counted)


def place(text: str, count: float) -> int:
    """The character of a text before which so many letters stand."""
    for at, sign in outside(text):
        count -= _weight(sign)
        if count < 0:
            return at
    return len(text)


def _weight(character: str) -> float:
    if character.isdigit():
        return DIGIT
    return WIDE if unicodedata.east_asian_width(character) in "WF" else 1.0


class Pace:
    """The pace of one TTS voice in one call. Each bound is one that the next synthesis keeps in 99 of 100 cases."""

    def __init__(self) -> None:
        self._needed: list[float] = []
        self.first_sound = 0.0
        """Seconds that its slowest first sound took."""
        self.pause = 0.0
        """Seconds of its longest pause after which it went on."""

    def said(self, text: str, seconds: float) -> None:
        if (count := letters(text)) >= SHORT and letters_at_least(text) == count and seconds > 0:
            self._needed.append(seconds / count)

    def began(self, seconds: float) -> None:
        self.first_sound = max(self.first_sound, seconds)

    @property
    def is_known(self) -> bool:
        """Whether there is a spread, which takes two syntheses."""
        return len(self._needed) > 1

    def is_cut(self, sentence: str, seconds: float) -> bool:
        """Whether a part of a sentence is missing, judged by the pace of the others.

        Rather not: sentences differ more than whole texts, and there are many in a call.
        """
        usual = self.usual(sentence) if letters(sentence) >= SHORT else None
        return usual is not None and seconds < min(self.least(sentence), CUT * usual)

    def least(self, text: str) -> float:
        least = max(1 / FASTEST, self._usual() - self._off())
        return letters_at_least(text) * (min(least, self._usual()) if self.is_known else least)

    def usual(self, text: str) -> float | None:
        """Seconds that a text takes usually; None where that is not known."""
        return letters(text) * self._usual() if self.is_known else None

    def letters_in(self, seconds: float) -> float:
        """How many letters at least have been said in so many seconds."""
        return seconds / max(self._usual(), min(1 / SLOWEST, self._usual() + self._off()))

    def _usual(self) -> float:
        return statistics.fmean(self._needed) if self._needed else 0.0

    def _off(self) -> float:
        """By how much the next synthesis may differ from the usual, in seconds a letter."""
        if not self.is_known:
            return UNSEEN * self._usual() if self._needed else math.inf
        count = len(self._needed)
        student = _STUDENT[min(count - 2, len(_STUDENT) - 1)]
        return student * statistics.stdev(self._needed) * math.sqrt(1 + 1 / count)

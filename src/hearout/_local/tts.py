"""The local TTS: hibari, which its package carries. 24 kHz, a sentence at a time.

Loading and speaking raise `LocalVoiceMissingError` where the package is not installed.
"""

import functools
import re
import textwrap
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import LocalVoiceMissingError

SAMPLE_RATE = 24_000
"""Hz."""

LEADING, TRAILING = 0.2, 0.1
"""Seconds of silence kept before and after each sentence. Hibari gives 0.33 s and 0.46 s; what a person perceives as
the gap before an answer is the sum of both."""

LONGEST, LONGEST_CLAUSE = 160, 320
"""Characters that are said in one breath: a longer sentence is made in parts, cut between its clauses, and a clause
that is longer still between its words. The TTS makes a whole part before its first sound: 8 s of speech in
40–130 ms."""

SEED = 1

_NOTHING = np.zeros(0, np.int16)
_SILENT = 0.01  # of full scale: hibari's noise floor lies below it, its quietest fricatives above

_CLAUSE = re.compile(r"(?<=[,;:—–])\s+")
_SETTING = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_DIGITS = re.compile(r"\d{16,}")


@dataclass(frozen=True)
class SpokenSentence:
    """A sentence, or a part of a long one, and how it sounds.

    Attributes:
        text: as it was given, without the white space around it.
        audio: mono, at :data:`SAMPLE_RATE`.
    """

    text: str
    audio: npt.NDArray[np.int16]


@functools.cache
def _model() -> Any:
    try:
        from hibari import Hibari
    except ImportError as error:
        raise LocalVoiceMissingError("the local voice is not installed; run: pip install 'hearout[local]'") from error
    model = Hibari()
    model("Ready.")  # the first sentence costs 0.2 s more than the next ones
    return model


_lock = threading.Lock()


def load() -> None:
    """Load the model now, instead of with the first sentence; blocks for about 0.3 s."""
    with _lock:
        _model()


def parts(text: str) -> Iterator[SpokenSentence]:
    """The parts of `text` as soon as each is made; blocks. What has no sound (a smiley) is left out."""
    with _lock:
        model = _model()
    for sentence in model.split_sentences(text):
        for part in _parts(sentence.strip()):
            with _lock:
                sounds = [model.from_phonemes(one, seed=SEED) for one in model.phonemize(speakable(part))]
            audio = np.concatenate([_NOTHING, *map(trimmed, sounds)])
            if len(audio):
                yield SpokenSentence(part, audio)


def synthesise(text: str) -> npt.NDArray[np.int16]:
    """The audio of `text`, mono; blocks for about a thirtieth of its length. The same text gives the same samples."""
    return np.concatenate([_NOTHING, *(part.audio for part in parts(text))])


def trimmed(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """The audio as int16, with no more silence around it than :data:`LEADING` and :data:`TRAILING`."""
    loud = np.flatnonzero(np.abs(audio) > _SILENT)
    if not len(loud):
        return _NOTHING
    first = max(0, int(loud[0]) - int(LEADING * SAMPLE_RATE))
    last = int(loud[-1]) + int(TRAILING * SAMPLE_RATE)
    samples: npt.NDArray[np.int16] = (np.clip(audio[first:last], -1, 1) * 32767).astype(np.int16)
    return samples


def speakable(text: str) -> str:
    """The text with what hibari 0.2.1 cannot read made readable.

    It fails on ❷ and on numbers of 100 digits, and spells the name of a setting (HEAROUT_LLM_URL) out.
    """
    text = _SETTING.sub(_as_words, text)
    text = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isdecimal() else c for c in text)
    return _DIGITS.sub(lambda number: " ".join(number[0]), text)


def _as_words(setting: re.Match[str]) -> str:
    return " ".join(word.lower() if len(word) > 3 else word for word in setting[0].split("_"))


def _parts(sentence: str) -> Iterator[str]:
    """A sentence in parts of a length that can be said in one breath."""
    if len(sentence) <= LONGEST:
        yield sentence
        return
    part = ""
    for clause in _CLAUSE.split(sentence):
        for piece in textwrap.wrap(clause, LONGEST_CLAUSE) if len(clause) > LONGEST_CLAUSE else [clause]:
            if part and len(part) + len(piece) > LONGEST:
                yield part
                part = ""
            part = f"{part} {piece}".strip()
    if part:
        yield part

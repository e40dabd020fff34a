"""Samples that encode themselves, so that lost sound can be read from the recorded audio.

The caller's: each sample of a word is the word's number in the call, noise is -1, silence 0. The agent's: every other
sample is the number of the synthesis, negated; between them stand, in turn, the low and the high digit of the number of
the 10 ms block in it. So any piece of it, cut anywhere, says where it comes from; what was zeroed, dropped or played
twice shows.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

CALLER_RATE = 16_000
"""Sample rate of the caller's sound, in Hz."""

AGENT_RATE = 24_000
"""Sample rate of the agent's sound in Hz, unless its TTS has another one."""

RATES = (8_000, 16_000, 24_000, 32_000, 48_000)
"""Sample rates in Hz at which a block has whole patterns of four samples."""

BLOCK = 0.01
"""Seconds of one block of the agent's sound."""

NOISE = -1

_DIGIT = 8192
_HIGH = 2 * _DIGIT
"""Positive samples from here on are high digits, those below are low ones, counted from 1."""


@dataclass(frozen=True)
class SpokenWord:
    """One word of the caller: the number, the text, the time (seconds of the call), and the act that said it."""

    number: int
    text: str
    start: float
    end: float
    act: object = field(compare=False)


@dataclass
class SpokenWords:
    """The caller's words by the number that their samples carry."""

    words: list[SpokenWord] = field(default_factory=list)

    def say(self, text: str, start: float, duration: float, act: object) -> list[SpokenWord]:
        """Number the words of `text`, said from `start` on for `duration` seconds."""
        texts = text.split()
        step = duration / max(1, len(texts))
        said = [
            SpokenWord(len(self.words) + index + 1, word, start + index * step, start + (index + 1) * step, act)
            for index, word in enumerate(texts)
        ]
        self.words += said
        return said

    def __getitem__(self, number: int) -> SpokenWord:
        return self.words[number - 1]


def synthesis(number: int, first_block: int, blocks: int, rate: int = AGENT_RATE) -> Samples:
    """The samples of `blocks` blocks of synthesis `number`, from block `first_block` (counted from 0) on."""
    numbers = np.arange(first_block, first_block + blocks)
    samples = np.empty((blocks, round(rate * BLOCK)), dtype=np.int16)
    samples[:, 0::2] = -number
    samples[:, 1::4] = (numbers % _DIGIT + 1)[:, None]
    samples[:, 3::4] = (numbers // _DIGIT + _HIGH)[:, None]
    return samples.reshape(-1)


@dataclass(frozen=True)
class Heard:
    """A stretch of one synthesis that left the audio output.

    Args:
        synthesis: its number.
        first, last: blocks, counted from 0, the last one not included.
        start, end: seconds of the call.
    """

    synthesis: int
    first: int
    last: int
    start: float
    end: float


def read(played: Iterable[tuple[float, Samples]], rate: int = AGENT_RATE) -> list[Heard]:
    """What is in the audio: the stretches, in the order they were played.

    Args:
        played: pieces of audio, each with the moment of its first sample in seconds of the call.
    """
    found: list[Heard] = []
    for one in _stretches(played, rate):
        before = found[-1] if found else None
        # a block may be cut in two by the frames: it is then the last of one and the first of the next
        if (
            before is not None
            and before.synthesis == one.synthesis
            and one.first - before.last in (0, -1)
            and one.start - before.end < BLOCK / 10
        ):
            found[-1] = replace(before, last=one.last, end=one.end)
        else:
            found.append(one)
    return found


def _stretches(played: Iterable[tuple[float, Samples]], rate: int) -> Iterator[Heard]:
    for start, samples in played:
        marks = np.flatnonzero(samples < 0)
        lows = np.flatnonzero((samples > 0) & (samples < _HIGH))
        if not len(marks) or not len(lows) or (samples[marks] != samples[marks[0]]).any():
            continue  # silence, or sound that the scripted TTS did not make
        number = -int(samples[marks[0]])
        highs = lows + np.where(lows + 2 < len(samples), 2, -2)
        if (highs < 0).any():
            continue  # three samples
        values = samples[lows].astype(np.int32) - 1 + _DIGIT * (samples[highs].astype(np.int32) - _HIGH)
        # a new stretch begins where the block number does not go on
        breaks = np.flatnonzero((np.diff(values) != 0) & (np.diff(values) != 1)) + 1
        for first, last in itertools.pairwise([0, *breaks.tolist(), len(values)]):
            # the low digit is the second of four samples
            yield Heard(
                synthesis=number,
                first=int(values[first]),
                last=int(values[last - 1]) + 1,
                start=start + max(0, int(lows[first]) - 1) / rate,
                end=start + min(len(samples), int(lows[last - 1]) + 3) / rate,
            )

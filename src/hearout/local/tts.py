"""The local voice: hibari, which its package carries. 24 kHz, a sentence at a time."""

import functools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import LocalVoiceMissingError

SAMPLE_RATE = 24_000
"""Hz."""

LEADING, TRAILING = 0.2, 0.1
"""Seconds of silence kept before and after each sentence. Hibari gives 0.33 s and 0.46 s; what a person perceives as
the gap before an answer is the sum of both."""

_NOTHING = np.zeros(0, np.int16)
_SILENT = 0.01  # of full scale: hibari's noise floor lies below it, its quietest fricatives above


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
    """Load the model now, instead of with the first sentence; blocks for about 0.3 s.

    Raises:
        LocalVoiceMissingError: the package is not installed.
    """
    with _lock:
        _model()


class Voice:
    """Makes speech of text; every instance uses the one model of the process.

    Args:
        seed: makes the voice's breath reproducible: the same text gives the same samples.
    """

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed

    def sentences(self, text: str) -> Iterator[npt.NDArray[np.int16]]:
        """The audio of each sentence of `text`, mono, as soon as it is made; blocks.

        Raises:
            LocalVoiceMissingError: the package is not installed.
        """
        with _lock:
            parts = _model().phonemize(text)
        for phonemes in parts:
            with _lock:
                audio = trimmed(_model().from_phonemes(phonemes, seed=self._seed))
            if len(audio):
                yield audio

    def synthesise(self, text: str) -> npt.NDArray[np.int16]:
        """The audio of `text`, mono; blocks for about a thirtieth of its length.

        Raises:
            LocalVoiceMissingError: the package is not installed.
        """
        return np.concatenate([_NOTHING, *self.sentences(text)])


def trimmed(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """The audio as int16, with no more silence around it than :data:`LEADING` and :data:`TRAILING`."""
    loud = np.flatnonzero(np.abs(audio) > _SILENT)
    if not len(loud):
        return _NOTHING
    first = max(0, int(loud[0]) - int(LEADING * SAMPLE_RATE))
    last = int(loud[-1]) + int(TRAILING * SAMPLE_RATE)
    samples: npt.NDArray[np.int16] = (np.clip(audio[first:last], -1, 1) * 32767).astype(np.int16)
    return samples

"""Local speech recognition: moonshine's tiny English model, which its package carries.

Moonshine's native calls block for up to 0.1 s, so they all run in one thread of their own, never on an event loop.
"""

import asyncio
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import LocalVoiceMissingError

T = TypeVar("T")

SAMPLE_RATE = 16_000
"""What the model works at, in Hz; other rates are converted by moonshine itself."""

UPDATE_INTERVAL = 0.3
"""Seconds of audio between two looks at it. At 0.3 s a final comes 0.3–0.5 s after the last word, and a look costs
0.03–0.1 s of one core (measured with hibari's voice); at 0.1 s the cost trebles and the final is 0.1 s earlier."""

_WINDOW = "0.3"
# Moonshine's own VAD smooths over 0.5 s by default. At 0.3 s it hears the first word 0.6 s earlier; at 0.2 s it cut a
# sentence in two (measured).


@dataclass(frozen=True)
class Heard:
    """What was made out of a stretch of speech.

    Attributes:
        text: what was said, as far as it is known.
        start: seconds from the beginning of the stream.
        duration: seconds.
        final: whether the text will not change any more.
    """

    text: str
    start: float
    duration: float
    final: bool


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="hearout-stt")


@functools.cache
def _model() -> Any:
    try:
        import moonshine_voice
        from moonshine_voice import ModelArch, Transcriber
    except ImportError as error:
        raise LocalVoiceMissingError(
            "the local voice's recogniser is not installed; run: pip install 'hearout[local]'"
        ) from error
    assets = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
    return Transcriber(str(assets), ModelArch.TINY, options={"vad_window_duration": _WINDOW})


def load() -> None:
    """Load the model now, instead of with the first words; blocks for about half a second.

    Raises:
        LocalVoiceMissingError: the package is not installed.
    """
    _thread().submit(_model).result()


class Ear:
    """Makes text of recorded speech."""

    def transcribe(self, samples: npt.NDArray[np.int16], sample_rate: int) -> str:
        """What is said in `samples` (mono); blocks, 0.04–0.3 s for a sentence.

        Raises:
            LocalVoiceMissingError: the package is not installed.
        """
        floats = (samples.astype(np.float32) / 32768).tolist()
        lines = _thread().submit(lambda: _model().transcribe_without_streaming(floats, sample_rate).lines).result()
        return " ".join(line.text.strip() for line in lines if line.text.strip())


class Listening:
    """One stream of audio being made out; streams share the model and its thread.

    Args:
        sample_rate: of the audio, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._stream: Any = None
        self._begun = 0
        self._fed = 0
        self._looked = 0
        self._said: dict[int, str] = {}

    async def feed(self, samples: npt.NDArray[np.int16]) -> list[Heard]:
        """Listen to the next samples (mono); what became known by them."""
        return await self._native(self._feed, samples)

    async def finish(self) -> list[Heard]:
        """Make a final of what was heard so far, without waiting for silence."""
        return await self._native(self._finish)

    async def close(self) -> None:
        """Give the stream's memory back. Words not final by then are lost: call :meth:`finish` first."""
        await self._native(self._drop)

    async def _native(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(_thread(), call, *arguments)

    def _feed(self, samples: npt.NDArray[np.int16]) -> list[Heard]:
        if self._stream is None:
            self._stream = _model().create_stream(update_interval=1e9)  # we look ourselves
            self._stream.start()
            self._begun, self._said = self._fed, {}
        self._stream.add_audio((samples.astype(np.float32) / 32768).tolist(), self._sample_rate)
        self._fed += len(samples)
        if self._fed - self._looked < UPDATE_INTERVAL * self._sample_rate:
            return []
        self._looked = self._fed
        lines = self._stream.update_transcription().lines
        heard = list(self._news(lines))
        # The stream keeps every line, with its audio, and copies all of it at each look. So it ends with its lines,
        # or at 30 s without one.
        quiet = not lines and self._fed - self._begun > 30 * self._sample_rate
        if quiet or (lines and all(line.is_complete for line in lines)):
            self._drop()
        return heard

    def _finish(self) -> list[Heard]:
        if self._stream is None:
            return []
        lines = self._stream.stop().lines
        heard = list(self._news(lines, final=True))
        self._drop()
        return heard

    def _news(self, lines: list[Any], *, final: bool = False) -> Iterator[Heard]:
        for number, line in enumerate(lines):
            text, complete = line.text.strip(), final or line.is_complete
            if self._said.get(number) == (text if not complete else f"{text}\0"):
                continue
            self._said[number] = text if not complete else f"{text}\0"
            if text:
                start = self._begun / self._sample_rate + line.start_time
                yield Heard(text, start, line.duration, complete)

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

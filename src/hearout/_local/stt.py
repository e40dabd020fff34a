"""Local speech recognition: moonshine's tiny English model, which its package carries.

Moonshine's native calls block for up to 0.1 s, so they all run in one thread of their own, never on an event loop.
Loading and listening raise `LocalVoiceMissingError` where the package is not installed.
"""

import asyncio
import functools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import LocalVoiceMissingError

T = TypeVar("T")

_NOTHING = np.zeros(0, np.int16)

SAMPLE_RATE = 16_000
"""What the model works at, in Hz; other rates are converted by moonshine itself."""

LOOK, LOOK_WHEN_QUIET, QUIET_FOR = 0.3, 0.1, 0.1
"""In seconds of audio: it is looked at again after `LOOK` while somebody talks, and after `LOOK_WHEN_QUIET` once they
were quiet for `QUIET_FOR`. A final then comes 0.2–0.35 s after the last word (n = 60), for 0.13 of a core while
somebody talks; looking every 0.3 s throughout, 0.2–0.7 s; every 0.1 s throughout costs the double. A line of 10 s costs
up to a second a look: then looks are so much rarer that one talker never takes more than a third of a core for long."""

_OPTIONS = {
    "vad_window_duration": "0.3",
    "vad_look_behind_sample_count": "4096",
    "transcription_interval": "0.05",
    "return_audio_data": "false",
}
# Moonshine's own VAD smooths over 0.5 s by default. At 0.3 s it hears the first word 0.6 s earlier; at 0.2 s it cut a
# sentence in two. By default each line begins 0.5 s before its speech, and so, after a short pause, with the end of the
# line before ("Before it", "It people kept"); with 0.25 s a quarter of such errors is left. Unless told otherwise it
# looks at most every 0.5 s, whenever we ask (this costs a final 0.2 s), and copies a line's audio into Python at each
# look. All measured with hibari's voice.

_EARLY, _LATE = 0.05, 0.2
# Seconds by which moonshine's lines begin before the first word, and end after the last (0.00–0.09 and 0.16–0.27;
# n = 48).

_PAUSE, _TAIL, _OLD = 1.0, 1.0, 30.0
# Seconds: moonshine's stream keeps all its audio, so it is exchanged for a new one in a pause of _PAUSE, or between two
# lines once it is _OLD. The new one gets the audio since the last line, _TAIL at most, or a next word that has begun
# already would be cut ("Please call" was heard as "Let's call").

_QUIET = 0.15  # of the loudest piece since the last line: below the ends of words, above the noise of a telephone


@dataclass(frozen=True)
class RecognizedLine:
    """What was made out of a stretch of speech.

    Attributes:
        text: what was said, as far as it is known.
        start: seconds from the beginning of the stream to the first word, within 0.1 s (0.3 s after a short pause).
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
            "the local voice's STT is not installed; run: pip install 'hearout[local]'"
        ) from error
    # Two threads would spin for each other: twice the CPU, and not a millisecond sooner (0.1.0 on two cores).
    os.environ.setdefault("MOONSHINE_ORT_SINGLE_THREAD", "1")
    assets = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
    return Transcriber(str(assets), ModelArch.TINY, options=_OPTIONS)


def load() -> None:
    """Load the model now, instead of with the first words; blocks for about half a second."""
    _thread().submit(_model).result()


def transcribe(samples: npt.NDArray[np.int16], sample_rate: int) -> str:
    """What is said in `samples` (mono); blocks, 0.04–0.3 s for a sentence."""
    heard = _thread().submit(Listening(sample_rate)._whole, samples).result()
    return " ".join(words.text for words in heard)


class Listening:
    """One stream of audio being made out; streams share the model and its thread."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._stream: Any = None
        self._begun = 0  # samples: where the stream of moonshine's began
        self._fed = 0  # samples: how many came
        self._looked = 0
        self._tail = _NOTHING  # the last _TAIL seconds
        self._loudest, self._quiet = 0.0, 0  # of the pieces since the last line; samples
        self._midline = False
        self._cost = 0.0  # seconds that the last look took: longer for a long line, and where many streams wait
        self._said: dict[int, tuple[str, bool]] = {}

    async def feed(self, samples: npt.NDArray[np.int16]) -> list[RecognizedLine]:
        """Listen to the next samples (mono); what became known by them."""
        return await self._native(self._feed, samples, time.perf_counter())

    async def finish(self) -> list[RecognizedLine]:
        """Make a final of what was heard so far, without waiting for silence."""
        return await self._native(self._finish)

    async def close(self) -> None:
        """Give the stream's memory back. Words not final by then are lost: call :meth:`finish` first."""
        await self._native(self._drop)

    async def _native(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(_thread(), call, *arguments)

    def _feed(self, samples: npt.NDArray[np.int16], asked: float) -> list[RecognizedLine]:
        if self._stream is None:
            self._open()
        self._stream.add_audio(_floats(samples), self._sample_rate)
        self._fed += len(samples)
        self._tail = np.concatenate([self._tail, samples])[-int(_TAIL * self._sample_rate) :]
        if self._fed - self._looked < self._interval(samples) * self._sample_rate:
            return []
        self._looked = self._fed
        lines = self._stream.update_transcription().lines
        self._cost = time.perf_counter() - asked
        heard = list(self._news(lines))
        self._midline = not all(line.is_complete for line in lines)
        self._exchange(lines)
        return heard

    def _whole(self, samples: npt.NDArray[np.int16]) -> list[RecognizedLine]:
        # Not moonshine's transcribe_without_streaming(): its VAD goes on from the end of the recording before, even
        # of another caller's, which put "You" into silence (0.1.0).
        self._open()
        self._stream.add_audio(_floats(samples), self._sample_rate)
        return self._finish()

    def _interval(self, samples: npt.NDArray[np.int16]) -> float:
        """Seconds of audio until the next look."""
        loud = float(np.abs(samples.astype(np.float32)).mean()) if len(samples) else 0.0
        self._loudest = max(self._loudest, loud)
        self._quiet = self._quiet + len(samples) if loud < _QUIET * self._loudest else 0
        if self._midline and self._quiet > QUIET_FOR * self._sample_rate:
            return max(LOOK_WHEN_QUIET, self._cost)
        return max(LOOK, 3 * self._cost)

    def _open(self) -> None:
        self._stream = _model().create_stream(update_interval=1e9)  # we look ourselves
        self._stream.start()
        self._begun, self._said = self._fed - len(self._tail), {}
        if len(self._tail):
            self._stream.add_audio(_floats(self._tail), self._sample_rate)

    def _exchange(self, lines: list[Any]) -> None:
        """End a stream that has become long, where nobody is in the middle of a line."""
        age = (self._fed - self._begun) / self._sample_rate
        if self._midline:
            return
        ended = lines[-1].start_time + lines[-1].duration if lines else 0.0
        if age < _OLD and (not lines or age - ended < _PAUSE):
            return
        since = round((age - ended) * self._sample_rate) if lines else len(self._tail)
        self._drop()
        self._tail = self._tail[-since:] if since > 0 else _NOTHING
        self._loudest, self._quiet = 0.0, 0

    def _finish(self) -> list[RecognizedLine]:
        if self._stream is None:
            return []
        # Not its stop(), which fails on a line that has just begun ("audio data is nullptr or empty").
        self._stream.add_audio([0.0] * int(_PAUSE * self._sample_rate), self._sample_rate)
        heard = list(self._news(self._stream.update_transcription().lines, final=True))
        self._drop()
        self._tail = _NOTHING
        return heard

    def _news(self, lines: list[Any], *, final: bool = False) -> Iterator[RecognizedLine]:
        for number, line in enumerate(lines):
            text, complete = line.text.strip(), final or line.is_complete
            if self._said.get(number) == (text, complete):
                continue
            self._said[number] = (text, complete)
            if text:
                start = line.start_time + _EARLY
                end = line.start_time + line.duration - (_LATE if line.is_complete else 0.0)
                yield RecognizedLine(text, self._begun / self._sample_rate + start, max(0.1, end - start), complete)

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _floats(samples: npt.NDArray[np.int16]) -> list[float]:
    floats: list[float] = (samples.astype(np.float32) / 32768).tolist()
    return floats

"""The TTS that speaks an announcement and the STT that checks it: the local models, or any of LiveKit's."""

import asyncio
import functools
import importlib
import importlib.metadata
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents import APIError, inference, stt, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.utils import http_context, is_given

from .._local import stt as local_stt
from .._local import tts as local_tts
from ..errors import AnnouncementError
from ._sound import SAMPLE_RATE, Samples
from ._timing import Aligned

LOCAL, LOCAL_VOICE = "local", "heart"
"""The names of the local models, and of their one voice."""
FIRST_WORDS = 30.0
"""Seconds that an STT has for its first words once it has all audio, or the length of the audio, if that is longer.

So long waits LiveKit's own STT of Inference (1.8.9).
"""
QUIET = 10.0
"""Seconds without another event after which the STT has said all; LiveKit's own STT of Inference waits 3 (1.8.9)."""


@dataclass(frozen=True)
class SpokenPiece:
    """A stretch that the TTS made in one go.

    Attributes:
        text: what is said in it.
        audio: mono float32 at 24 kHz, silence around it as the TTS gives it.
        aligned: the TTS's own times of its words, in seconds of `audio`; empty if it gives none.
    """

    text: str
    audio: Samples
    aligned: tuple[Aligned, ...] = ()


class TextToSpeech(Protocol):
    """Makes speech.

    Attributes:
        name: of the voice.
        model: with what can be known of its version.
    """

    name: str
    model: str

    async def speak(self, text: str) -> list[SpokenPiece]:
        """The text in the pieces in which it was made; none if it has no sound.

        Raises:
            AnnouncementError: the TTS failed.
        """


Transcribe: TypeAlias = Callable[[npt.NDArray[np.int16]], Awaitable[str]]
"""Makes text of speech (mono, 24 kHz). Raises `AnnouncementError` where the STT failed."""


class LocalTextToSpeech:
    """Hibari."""

    def __init__(self) -> None:
        self.name, self.model = LOCAL_VOICE, f"hibari-tts {importlib.metadata.version('hibari-tts')}"

    async def speak(self, text: str) -> list[SpokenPiece]:
        parts = local_tts.parts(text)
        return [SpokenPiece(part.text, part.audio.astype(np.float32) / np.float32(32768)) for part in parts]


async def transcribed_by_moonshine(pcm: npt.NDArray[np.int16]) -> str:
    """The words that the local STT hears."""
    return local_stt.transcribe(pcm, SAMPLE_RATE)


class LiveKitTextToSpeech:
    """Any TTS of LiveKit's."""

    def __init__(self, voice: tts.TTS[Any], name: str = "") -> None:
        self._tts = voice
        self.name = name or "default"
        self.model = f"{voice.provider} {voice.model}"

    async def speak(self, text: str) -> list[SpokenPiece]:
        pieces: list[Samples] = []
        aligned: list[Aligned] = []
        resampler: rtc.AudioResampler | None = None
        try:
            async with self._tts.synthesize(text) as stream:
                async for made in stream:
                    frame = made.frame
                    aligned += _times(frame)
                    if resampler is None and frame.sample_rate != SAMPLE_RATE:
                        resampler = rtc.AudioResampler(
                            frame.sample_rate,
                            SAMPLE_RATE,
                            num_channels=frame.num_channels,
                            quality=rtc.AudioResamplerQuality.VERY_HIGH,
                        )
                    pieces += map(_mono, resampler.push(frame) if resampler else [frame])
        except APIError as error:
            raise AnnouncementError(f"the voice {self.model} failed: {error}; try again, or see to its key") from error
        pieces += map(_mono, resampler.flush() if resampler else [])
        return [SpokenPiece(text, np.concatenate(pieces), tuple(aligned))] if pieces else []


async def transcribed_by(plugin: stt.STT[Any], pcm: npt.NDArray[np.int16]) -> str:
    """The words that any of LiveKit's STTs hears."""
    frame = rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, len(pcm))
    try:
        if not plugin.capabilities.streaming:
            return _text(await plugin.recognize(frame))
        async with plugin.stream() as stream:
            stream.push_frame(frame)
            stream.end_input()
            return " ".join(await _finals(stream, max(FIRST_WORDS, frame.duration)))
    except (APIError, TimeoutError) as error:
        said = str(error) or "no final transcript came"
        raise AnnouncementError(f"the STT {plugin.model} failed: {said}; try again") from error


@asynccontextmanager
async def opened(speaks: str, voice: str, listens: str) -> AsyncIterator[tuple[TextToSpeech, Transcribe]]:
    """The TTS and the STT that are asked for.

    Args:
        speaks: ``local``; a model of LiveKit Inference (``cartesia/sonic-3``); or ``module:factory``, a function
            without arguments that returns LiveKit's TTS.
        voice: which voice of the model; empty for its own choice.
        listens: likewise, for LiveKit's STT.

    Raises:
        AnnouncementError: there is no such model, function or voice, or its key is missing.
    """
    if voice and (speaks == LOCAL or "/" not in speaks):
        what = (
            f"the local voice has one voice, {LOCAL_VOICE}" if speaks == LOCAL else f"{speaks} chooses its voice itself"
        )
        if not (speaks == LOCAL and voice == LOCAL_VOICE):
            raise AnnouncementError(f"--voice {voice}: {what}; leave --voice out")
    async with http_context.open():
        speaker: TextToSpeech = LocalTextToSpeech()
        if speaks != LOCAL:
            plugin = _plugin(f"{speaks}:{voice}" if voice else speaks, tts.TTS, inference.TTS)
            speaker = LiveKitTextToSpeech(plugin, voice)
        transcribe: Transcribe = transcribed_by_moonshine
        if listens != LOCAL:
            transcribe = functools.partial(transcribed_by, _plugin(listens, stt.STT, inference.STT))
        yield speaker, transcribe


def _plugin(name: str, kind: type[Any], cloud: Any) -> Any:
    """LiveKit's TTS or STT that a name stands for."""
    made = _model(name, cloud)
    if not isinstance(made, kind):
        raise AnnouncementError(f"{name}: it returned a {type(made).__name__}, LiveKit's {kind.__name__} is needed")
    return made


def _model(name: str, cloud: Any) -> object:
    try:
        if "/" in name:
            made: object = cloud.from_model_string(name)
            return made
        module, _, factory = name.partition(":")
        if "" not in sys.path:
            sys.path.insert(0, "")  # as with `python -m`: the user's own modules
        return getattr(importlib.import_module(module), factory)()
    except Exception as error:  # the function is the user's own
        raise AnnouncementError(
            f"{name}: cannot be used ({type(error).__name__}: {error}); give `local`, a model of LiveKit Inference "
            "(provider/model, with its keys in .env), or module:factory"
        ) from error


def _times(frame: rtc.AudioFrame) -> list[Aligned]:
    texts = frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
    timed = [text for text in texts if is_given(text.start_time) and is_given(text.end_time)]
    return [(str(text), text.start_time, text.end_time) for text in timed]


def _mono(frame: rtc.AudioFrame) -> Samples:
    every = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels).astype(np.float32)
    mono: Samples = every.mean(axis=1) / np.float32(32768)
    return mono


async def _finals(stream: stt.RecognizeStream, longest: float) -> list[str]:
    """The final transcripts of a stream whose input has ended; that of LiveKit Inference stays open (1.8.1).

    Raises:
        TimeoutError: nothing came for `longest` seconds, and no final transcript before.
    """
    finals: list[str] = []
    while True:
        try:
            event = await asyncio.wait_for(anext(stream), QUIET if finals else longest)
        except (StopAsyncIteration, TimeoutError) as end:
            if not finals and isinstance(end, TimeoutError):
                raise
            return finals
        if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
            finals.append(_text(event))


def _text(event: stt.SpeechEvent) -> str:
    return event.alternatives[0].text if event.alternatives else ""

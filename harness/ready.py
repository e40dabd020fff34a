"""Shared by the tests of prepared announcements: a voice of noises, and a scripted STT."""

import asyncio
import hashlib
import io
import json
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectionError, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, TimedString

from hearout.announcement import Announcement
from hearout.prepare._make import Done, prepare
from hearout.prepare._models import SpokenPiece
from hearout.prepare._orders import Options, Order
from hearout.prepare._sound import SAMPLE_RATE

LETTER, GAP, COMMA = 0.06, 0.02, 0.25
BEFORE, AFTER = 0.33, 0.46
TEXT = "This call is recorded. Your data is kept for thirty days, and then it is erased."


def noises(text: str, rate: int = SAMPLE_RATE, level: float = 0.2) -> tuple[Any, list[tuple[str, float, float]]]:
    """Speech as far as meters and clocks care: noise for each word, and when each begins and ends."""
    random = np.random.default_rng(1)
    pieces, times, at = [np.zeros(round(BEFORE * rate))], [], BEFORE
    for word in text.split():
        length = LETTER * len(word.strip(",.?!") or ".")
        sound = random.normal(0, level, round(length * rate)).clip(-1, 1)
        sound[[0, -1]] = level  # no edge is a silent sample by chance
        pause = COMMA if word.endswith(",") else GAP
        pieces += [sound, np.zeros(round(pause * rate))]
        times.append((f"{word} ", at, at + length))
        at += length + pause
    pieces.append(np.zeros(round(AFTER * rate)))
    return np.concatenate(pieces).astype(np.float32), times


def samples(path: Path) -> Any:
    """The samples of a WAV file as float."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768


@dataclass
class Noises:
    """A voice that makes noises; it can say its own times, and be put right in between."""

    name: str = "noise"
    model: str = "noises 1"
    aligned: bool = False
    level: float = 0.2
    asked: list[str] = field(default_factory=list)

    async def speak(self, text: str) -> list[SpokenPiece]:
        self.asked.append(text)
        audio, times = noises(text, level=self.level)
        return [SpokenPiece(text, audio, tuple(times) if self.aligned else ())]


def make(
    folder: Path,
    text: str = TEXT,
    *,
    name: str = "notice",
    voice: Any = None,
    hears: str | None = None,
    force: bool = False,
    **choices: Any,
) -> tuple[Done, Announcement]:
    """What `hearout prepare` does, with noises."""
    order = Order(name, text, Options(**choices))

    async def transcribe(_: Any) -> str:
        return text if hears is None else hears

    return asyncio.run(prepare(order, voice or Noises(), transcribe, folder, force=force))


class NoiseTTS(tts.TTS[Any]):
    """LiveKit's voice of noises, at another rate, with the words' times; `fails` is an error to raise."""

    def __init__(self, *, rate: int = 16_000, channels: int = 1, aligned: bool = True, fails: str = "") -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False, aligned_transcript=aligned),
            sample_rate=rate,
            num_channels=channels,
        )
        self.aligned, self.fails = aligned, fails

    @property
    def model(self) -> str:
        return "noise-2"

    @property
    def provider(self) -> str:
        return "tests"

    def synthesize(self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> tts.ChunkedStream:
        return _Noise(tts=self, input_text=text, conn_options=conn_options)


class _Noise(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        voice: Any = self._tts
        if voice.fails:
            raise APIConnectionError(voice.fails, retryable=False)
        audio, times = noises(self._input_text, voice.sample_rate)
        output_emitter.initialize(
            request_id="1", sample_rate=voice.sample_rate, num_channels=voice.num_channels, mime_type="audio/pcm"
        )
        if voice.aligned:
            output_emitter.push_timed_transcript(
                [TimedString(text, start_time=begin, end_time=end) for text, begin, end in times]
            )
        pcm = np.repeat((audio * 32767).astype(np.int16), voice.num_channels)
        output_emitter.push(pcm.tobytes())
        output_emitter.flush()


class ToldSTT(stt.STT[Any]):
    """LiveKit's STT that hears what a test tells, streaming or not; its stream may stay open after the last word."""

    def __init__(self, hears: Callable[[], str], *, streaming: bool, stays_open: bool = False) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=streaming, interim_results=False))
        self._hears, self.stays_open = hears, stays_open

    async def _recognize_impl(self, buffer: Any, *, language: Any, conn_options: Any) -> stt.SpeechEvent:
        assert not self.capabilities.streaming, "LiveKit's streaming STTs have no other way"
        return _final(self._hears())

    def stream(self, *, language: Any = None, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        return _Hearing(stt=self, conn_options=conn_options)


class _Hearing(stt.RecognizeStream):
    async def _run(self) -> None:
        seconds = 0.0
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                seconds += frame.duration
        assert seconds > 0
        told: Any = self._stt
        first, _, rest = told._hears().partition(". ")
        for part in filter(None, (first, rest)):
            self._event_ch.send_nowait(_final(part))
        if told.stays_open:
            await asyncio.Event().wait()


def _final(text: str) -> stt.SpeechEvent:
    return stt.SpeechEvent(
        type=stt.SpeechEventType.FINAL_TRANSCRIPT,
        alternatives=[stt.SpeechData(language="en", text=text)],  # type: ignore[arg-type]
    )


def aligned_voice() -> NoiseTTS:
    """For ``--tts ready:aligned_voice``."""
    return NoiseTTS()


def failing_voice() -> NoiseTTS:
    """For ``--tts ready:failing_voice``."""
    return NoiseTTS(fails="out of credit")


def no_voice() -> object:
    """For ``--tts ready:no_voice``."""
    return object()


def hearing_it_all() -> ToldSTT:
    """For ``--stt ready:hearing_it_all``."""
    return ToldSTT(lambda: TEXT, streaming=True)


def hearing_something_else() -> ToldSTT:
    """For ``--stt ready:hearing_something_else``."""
    return ToldSTT(lambda: "Something else altogether.", streaming=False)


def manifest_of(folder: Path, **changes: Any) -> Path:
    """The notice's manifest, with some fields changed (None takes one out)."""
    path = folder / "notice.json"
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
    return path


def silenced(announcement: Announcement) -> Announcement:
    """With digital silence for audio: hearout.testing takes every other sample for a word of its own voice."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, announcement.sample_rate, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(announcement.seconds * announcement.sample_rate)))
    announcement.wav.write_bytes(content.getvalue())
    manifest_of(announcement.wav.parent, wav_sha256=hashlib.sha256(content.getvalue()).hexdigest())
    return Announcement.load("notice", announcement.wav.parent)

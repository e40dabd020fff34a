"""The STT of a scripted call, and a voice activity detector that know only what reached them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, LanguageCode, NotGivenOr, stt, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, TimedString
from livekit.agents.utils import AudioBuffer

from ._sound import CALLER_RATE, Samples, SpokenWord, SpokenWords

ENOUGH = 0.6
"""Share of a word that must have reached the STT for it to be understood."""

SPEECH, SILENCE = 0.05, 0.55
"""Seconds of sound before the detector says that speech began, and of silence before it says that speech ended; as
silero's defaults."""

BREATH = 3.0
"""Seconds between two phrases up to which an STT that restates takes them for one."""


@dataclass(frozen=True)
class Outage:
    """From second `at` on, for `seconds`, the service breaks off and cannot be reached.

    Args:
        at: seconds of the call.
        seconds: how long every attempt to connect fails.
        retryable: whether the error says that trying again makes sense. LiveKit then tries on the same stream; else
            it begins another, and what was said meanwhile is lost to it.
    """

    at: float
    seconds: float = 0.0
    retryable: bool = True


@dataclass(frozen=True)
class STT:
    """How the STT listens. Times in seconds.

    Args:
        interim: from the end of a word to the interim transcript that contains it. None: no interims.
        final: from the end of a phrase to its final transcript; a shorter pause does not end the phrase.
        finals: the same for single phrases, by their number from 0. None: that final never comes.
        outages: when the service is down.
        pause: silence that ends a phrase. None: as long as `final`. An STT that hears whole phrases (Whisper) has a
            short pause and a late final.
        timed: whether transcripts say when their words began and ended (``SpeechData.start_time``, ``end_time``).
        restates: each final begins with the words of the one before, where that came in the same breath (3 s).
        doubles: each final comes twice.
        language: what it says that it heard, as in BCP 47; empty: it does not say.
    """

    interim: float | None = 0.15
    final: float = 0.3
    finals: Mapping[int, float | None] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()
    pause: float | None = None
    timed: bool = True
    restates: bool = False
    doubles: bool = False
    language: str = "en"


class ScriptedSTT(stt.STT[Any]):
    """LiveKit's STT for an `STT`; `now` gives the seconds of the call."""

    def __init__(self, behaves: STT, lexicon: SpokenWords, now: Callable[[], float]) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=behaves.interim is not None, offline_recognize=False
            )
        )
        self.behaviour = behaves
        self.lexicon = lexicon
        self.now = now
        self.heard: list[tuple[float, SpokenWord]] = []
        self.phrases = 0

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> "_SttStream":
        return _SttStream(self, conn_options)

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        raise NotImplementedError("the scripted STT only streams")


class _SttStream(stt.RecognizeStream):
    """One connection: gathers words to phrases, and gives transcripts of them when they are due."""

    def __init__(self, scripted: ScriptedSTT, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=scripted, conn_options=conn_options)
        self._scripted = scripted
        self._timers: list[asyncio.TimerHandle] = []
        self._pause = scripted.behaviour.final if scripted.behaviour.pause is None else scripted.behaviour.pause
        self._before: list[TimedString] = []

    async def _run(self) -> None:
        self._position = 0.0
        self._arrived: Counter[int] = Counter()
        self._phrase: list[TimedString] = []
        self._current: int | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._last_final_at = 0.0
        now = self._scripted.now()
        outage = next(
            (one for one in self._scripted.behaviour.outages if one.at + one.seconds > now or one.at == now), None
        )
        try:
            async with asyncio.timeout(None if outage is None else max(0.0, outage.at - now)):
                async for data in self._input_ch:
                    if isinstance(data, rtc.AudioFrame):
                        self._hear(np.frombuffer(data.data, dtype=np.int16))
                        self._position += data.duration
                    else:
                        self._end_phrase()
        except TimeoutError:
            assert outage is not None
            raise APIConnectionError("the line to the STT broke", retryable=outage.retryable) from None
        finally:
            for timer in self._timers:
                timer.cancel()

    def _hear(self, samples: Samples) -> None:
        numbers = [0]
        if samples.any():
            changes = np.flatnonzero(np.diff(samples)) + 1
            numbers = [int(number) for number in samples[np.concatenate(([0], changes))]]
            for number, count in zip(*np.unique(samples, return_counts=True), strict=True):
                self._arrived[int(number)] += int(count)
        for number in numbers:
            if number != self._current:
                self._word_ended()
                self._current = number
                if number > 0:
                    self._word_began()

    def _word_began(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if not self._phrase:
            self._emit(stt.SpeechEventType.START_OF_SPEECH)

    def _word_ended(self) -> None:
        if self._current is None or self._current <= 0:
            return
        word = self._scripted.lexicon[self._current]
        if self._arrived[self._current] >= ENOUGH * (word.end - word.start) * CALLER_RATE:
            self._scripted.heard.append((self._scripted.now(), word))
            end = self.start_time_offset + self._position
            self._phrase.append(TimedString(word.text, start_time=end - (word.end - word.start), end_time=end))
            if self._scripted.behaviour.interim is not None:
                words = list(self._phrase)
                self._after(
                    self._scripted.behaviour.interim, lambda: self._emit(stt.SpeechEventType.INTERIM_TRANSCRIPT, words)
                )
        self._closing = self._after(self._pause, self._end_phrase)

    def _end_phrase(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        words, self._phrase = self._phrase, []
        if not words:
            return
        number, self._scripted.phrases = self._scripted.phrases, self._scripted.phrases + 1
        due = self._scripted.behaviour.finals.get(number, self._scripted.behaviour.final)
        if due is None:
            return
        loop = asyncio.get_running_loop()
        # in order: a final that is late holds up those after it, as on one socket
        self._last_final_at = max(self._last_final_at, loop.time() + due - self._pause)
        self._timers.append(loop.call_at(self._last_final_at, lambda: self._final(words)))

    def _final(self, words: list[TimedString]) -> None:
        behaves = self._scripted.behaviour
        if behaves.restates and self._before and _start(words) - _end(self._before) < BREATH:
            words = [*self._before, *words]
        self._before = words
        for _ in range(2 if behaves.doubles else 1):
            self._emit(stt.SpeechEventType.FINAL_TRANSCRIPT, words)
        self._emit(stt.SpeechEventType.END_OF_SPEECH)

    def _after(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        timer = asyncio.get_running_loop().call_later(seconds, call)
        self._timers.append(timer)
        return timer

    def _emit(self, kind: stt.SpeechEventType, words: list[TimedString] | None = None) -> None:
        if self._event_ch.closed:
            return
        alternatives = []
        if words:
            alternatives = [
                stt.SpeechData(
                    language=LanguageCode(self._scripted.behaviour.language),
                    text=" ".join(words),
                    start_time=_start(words) if self._scripted.behaviour.timed else 0.0,
                    end_time=_end(words) if self._scripted.behaviour.timed else 0.0,
                    confidence=1.0,
                    words=list(words) if self._scripted.behaviour.timed else None,
                )
            ]
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=alternatives))


def _start(words: list[TimedString]) -> float:
    return float(words[0].start_time or 0.0)


def _end(words: list[TimedString]) -> float:
    return float(words[-1].end_time or 0.0)


class ScriptedVAD(vad.VAD):
    """A voice activity detector for which everything that is not silence is speech, but for words said unnoticed."""

    def __init__(self, lexicon: SpokenWords) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.05))
        self.lexicon = lexicon

    def stream(self) -> "_VADStream":
        return _VADStream(self)

    def notices(self, samples: Samples) -> bool:
        """Whether the samples have something that the detector takes for speech."""
        numbers = {int(number) for number in np.unique(samples)} - {0}
        return any(number < 0 or getattr(self.lexicon[number].act, "noticed", True) for number in numbers)


class _VADStream(vad.VADStream):
    def __init__(self, detector: ScriptedVAD) -> None:
        super().__init__(detector)
        self._detector = detector

    async def _main_task(self) -> None:
        self._reset()
        self._samples = 0
        async for data in self._input_ch:
            if isinstance(data, rtc.AudioFrame):
                self._listen(data)
            else:
                self._reset()

    def _reset(self) -> None:
        self._speaking = False
        self._run_of_sound = self._run_of_silence = 0.0
        self._speech_duration = self._silence_duration = 0.0

    def _listen(self, frame: rtc.AudioFrame) -> None:
        self._samples += frame.samples_per_channel
        sound = self._detector.notices(np.frombuffer(frame.data, dtype=np.int16))
        self._run_of_sound = self._run_of_sound + frame.duration if sound else 0.0
        self._run_of_silence = 0.0 if sound else self._run_of_silence + frame.duration
        if self._speaking:
            self._speech_duration += frame.duration
        else:
            self._silence_duration += frame.duration
        self._emit(vad.VADEventType.INFERENCE_DONE, frame)
        if not self._speaking and self._run_of_sound >= SPEECH - 1e-9:
            self._speaking = True
            self._speech_duration, self._silence_duration = self._run_of_sound, 0.0
            self._emit(vad.VADEventType.START_OF_SPEECH, frame)
        elif self._speaking and self._run_of_silence >= SILENCE - 1e-9:
            self._speaking = False
            self._silence_duration = self._run_of_silence
            self._emit(vad.VADEventType.END_OF_SPEECH, frame)
            self._speech_duration = 0.0

    def _emit(self, kind: vad.VADEventType, frame: rtc.AudioFrame) -> None:
        self._event_ch.send_nowait(
            vad.VADEvent(
                type=kind,
                samples_index=self._samples,
                timestamp=self._samples / frame.sample_rate,
                speech_duration=self._speech_duration,
                silence_duration=self._silence_duration,
                frames=[frame],
                probability=1.0 if self._run_of_sound else 0.0,
                speaking=self._speaking,
                raw_accumulated_silence=self._run_of_silence,
                raw_accumulated_speech=self._run_of_sound,
            )
        )

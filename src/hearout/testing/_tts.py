"""The TTS of a scripted call: says words at a fixed rate, in samples that tell which words they are."""

import asyncio
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from livekit.agents import APIConnectionError, APIConnectOptions, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, TimedString

from .._text import unmarked
from ..errors import CallError
from ._script import check_above_0
from ._sound import AGENT_RATE, BLOCK, RATES, synthesis

_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class TTSFault:
    """What goes wrong with one synthesis.

    Args:
        nth: which one, counted from 0 over the call.
        after: share of the text given so far that is still spoken before it happens.
        stall: seconds that nothing comes; 0: it fails at once instead; infinity: nothing ever comes again.
        retryable: whether the error says that trying again makes sense.
        quiet: the stream ends there as if it were complete, without an error.
        error: the exception that is raised instead of LiveKit's `APIConnectionError`.
    """

    nth: int
    after: float = 0.0
    stall: float = 0.0
    retryable: bool = True
    quiet: bool = field(default=False, kw_only=True)
    error: Exception | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class TTS:
    """How the agent speaks. Times in seconds.

    Args:
        first_audio: from the first finished sentence to its first sound.
        rate: characters spoken in a second.
        speed: how many seconds of sound are made in one second; below 1 slower than real time.
        faults: what goes wrong.
        dead: every synthesis fails.
        aligned: whether words come with their times (with ``use_tts_aligned_transcript=True`` of the session).
        varies: by which share, up or down, the length of a synthesis differs from the usual, drawn anew for each from
            the call's seed: 0.25 is what sampled TTSs do.
        lengths: the same, not drawn: each synthesis takes so many times its usual length; the last one again and again.
        pause: for which nothing comes between the sound of one sentence and the next, however much is queued.
        closes_after: from the last sound to the end of the stream.
        streaming: whether it takes text piece by piece; otherwise LiveKit asks for each sentence by itself.
        sample_rate: of its sound in Hz: 8, 16, 24, 32 or 48 thousand.
        fallback: the TTS behind this one in LiveKit's ``tts.FallbackAdapter``.

    Raises:
        CallError: the sample rate is none of these, a rate is not above 0, or there are no lengths.
    """

    first_audio: float = 0.15
    rate: float = 15.0
    speed: float = 20.0
    faults: tuple[TTSFault, ...] = ()
    dead: bool = False
    aligned: bool = False
    varies: float = 0.0
    lengths: tuple[float, ...] = (1.0,)
    pause: float = 0.0
    closes_after: float = 0.0
    streaming: bool = True
    sample_rate: int = AGENT_RATE
    fallback: "TTS | None" = None

    def __post_init__(self) -> None:
        if self.sample_rate not in RATES:
            raise CallError(f"TTS(sample_rate={self.sample_rate}) must be one of {', '.join(map(str, RATES))}")
        check_above_0(self, "rate", "speed")
        if not self.lengths:
            raise CallError("TTS(lengths=()) says of no synthesis how long it takes; leave it out, or give one")

    def blocks(self, word: str, length: float = 1.0) -> int:
        """How many blocks of sound one word is, the pause after it included; a link is said in short."""
        letters = 4 if _LINK.fullmatch(word) else len(word)
        return max(1, round(length * (letters + 1) / self.rate / BLOCK))

    def seconds(self, text: str) -> float:
        """How long `text` takes."""
        return sum(self.blocks(word) for word in spoken(text).split()) * BLOCK


def spoken(text: str) -> str:
    """The words of a text that is given to a TTS: all but its markup (SSML)."""
    return " ".join(unmarked(text).split())


@dataclass
class Synthesis:
    """One request to the TTS.

    Args:
        number: counted from 1 over the call.
        at: when it began, in seconds of the call.
        length: how many times the usual it takes.
        text: the sentences that the TTS took up.
        given: all that it was asked to say; more than `text` where it broke off.
    """

    number: int
    at: float
    voice: TTS = field(default_factory=TTS)
    length: float = 1.0
    text: str = ""
    given: str = ""

    def blocks(self, word: str) -> int:
        """How many blocks of sound a word is in it."""
        return self.voice.blocks(word, self.length)


class ScriptedTTS(tts.TTS[Any]):
    """LiveKit's TTS for a `TTS`.

    Args:
        syntheses: where its requests are noted; its own list, unless another TTS shares it.
    """

    def __init__(self, voice: TTS, now: Callable[[], float], syntheses: list[Synthesis] | None = None) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=voice.streaming, aligned_transcript=voice.aligned),
            sample_rate=voice.sample_rate,
            num_channels=1,
        )
        self.voice = voice
        self.now = now
        self.syntheses: list[Synthesis] = [] if syntheses is None else syntheses
        self._asked = 0

    def begin(self) -> tuple[Synthesis, TTSFault | None]:
        """Number the next synthesis, from 1; and what goes wrong with it."""
        voice, asked, self._asked = self.voice, self._asked, self._asked + 1
        length = voice.lengths[min(asked, len(voice.lengths) - 1)]
        if voice.varies:
            length *= 1.0 + random.uniform(-voice.varies, voice.varies)
        self.syntheses.append(Synthesis(len(self.syntheses) + 1, self.now(), voice, length))
        return self.syntheses[-1], next((one for one in voice.faults if one.nth == asked), None)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        if self.voice.streaming:
            return self._synthesize_with_stream(text, conn_options=conn_options)
        return _Sentence(self, text, conn_options)

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> "_TtsStream":
        return _TtsStream(self, conn_options)


class _Speaker:
    """Makes the sound of one synthesis."""

    def __init__(self, scripted: ScriptedTTS, emitter: tts.AudioEmitter) -> None:
        self.synthesis, self._fault = scripted.begin()
        self._scripted = scripted.voice
        self._emitter = emitter
        self._blocks = 0
        self.ended = False

    async def say(self, sentence: str) -> None:
        """Say it, as far as nothing goes wrong."""
        current, fault = self.synthesis, self._fault
        words = spoken(sentence).split()
        current.text = " ".join([*current.text.split(), *words])
        if self._scripted.dead:
            raise APIConnectionError("the voice is dead")
        if fault is None:
            await self._sound(words)
            return
        reached = math.floor(fault.after * len(words))
        await self._sound(words[:reached])
        if fault.quiet:
            self.ended = True
        elif fault.stall == 0:
            raise fault.error or APIConnectionError("the voice broke off", retryable=fault.retryable)
        elif math.isinf(fault.stall):
            await asyncio.get_running_loop().create_future()
        else:
            await asyncio.sleep(fault.stall)
            await self._sound(words[reached:])

    async def _sound(self, words: list[str]) -> None:
        """Make the sound of `words`, at the TTS's speed, a word at a time."""
        voice, rate = self._scripted, self._scripted.sample_rate
        for word in words:
            blocks = self.synthesis.blocks(word)
            if voice.aligned:
                start = self._blocks * BLOCK
                self._emitter.push_timed_transcript(
                    TimedString(word + " ", start_time=start, end_time=start + blocks * BLOCK)
                )
            self._emitter.push(synthesis(self.synthesis.number, self._blocks, blocks, rate).tobytes())
            self._blocks += blocks
            await asyncio.sleep(blocks * BLOCK / voice.speed)
            if voice.pause and word.endswith((".", "!", "?")):
                self._emitter.flush()
                await asyncio.sleep(voice.pause)

    async def close(self) -> None:
        """Wait until the stream ends."""
        if self._scripted.closes_after:
            self._emitter.flush()
            await asyncio.sleep(self._scripted.closes_after)


class _Sentence(tts.ChunkedStream):
    def __init__(self, scripted: ScriptedTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=scripted, input_text=text, conn_options=conn_options)
        self._scripted = scripted

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speaker = _Speaker(self._scripted, output_emitter)
        voice = self._scripted.voice
        output_emitter.initialize(
            request_id=f"synthesis-{speaker.synthesis.number}",
            sample_rate=voice.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
        )
        speaker.synthesis.given = self._input_text
        await asyncio.sleep(voice.first_audio)
        await speaker.say(self._input_text)
        await speaker.close()
        output_emitter.flush()


class _TtsStream(tts.SynthesizeStream):
    def __init__(self, scripted: ScriptedTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=scripted, conn_options=conn_options)
        self._scripted = scripted
        self._given = ""
        self._speaker: _Speaker | None = None

    def push_text(self, token: str) -> None:
        self._given += token
        if self._speaker is not None:
            self._speaker.synthesis.given = self._given
        super().push_text(token)

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        # a connection is made before there is text; what counts is the request, begun with the first sentence
        self._speaker = None
        self._emitter = output_emitter
        output_emitter.initialize(
            request_id=f"synthesis-{len(self._scripted.syntheses)}",
            sample_rate=self._scripted.voice.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        pending = ""
        async for data in self._input_ch:
            if isinstance(data, str):
                pending += data
                sentence, pending = _up_to_sentence(pending)
            else:
                sentence, pending = pending, ""
            if sentence.strip():
                await self._say(sentence)
            if self._speaker is not None and self._speaker.ended:
                break
        if self._speaker is not None:
            await self._speaker.close()
            output_emitter.end_segment()

    async def _say(self, sentence: str) -> None:
        if self._speaker is None:
            self._speaker = _Speaker(self._scripted, self._emitter)
            self._speaker.synthesis.given = self._given
            self._mark_started()
            self._emitter.start_segment(segment_id=f"segment-{self._speaker.synthesis.number}")
            await asyncio.sleep(self._scripted.voice.first_audio)
        await self._speaker.say(sentence)


def behind(scripted: ScriptedTTS) -> "tts.TTS[Any]":
    """The TTS as the session gets it: in LiveKit's adapter with the one behind it, where there is one."""
    voices = [scripted]
    while (after := voices[-1].voice.fallback) is not None:
        voices.append(ScriptedTTS(replace(after, sample_rate=scripted.sample_rate), scripted.now, scripted.syntheses))
    return scripted if len(voices) == 1 else tts.FallbackAdapter(list(voices))


def _up_to_sentence(text: str) -> tuple[str, str]:
    """What of `text` ends with a full stop, and the rest."""
    end = max(text.rfind(mark) for mark in (". ", "! ", "? ", "\n"))
    return (text[: end + 1], text[end + 1 :]) if end >= 0 else ("", text)

"""The voice of a scripted call: says words at a fixed rate, in samples that tell which words they are."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit.agents import APIConnectionError, APIConnectOptions, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, TimedString

from ._sound import AGENT_RATE, BLOCK, synthesis


@dataclass(frozen=True)
class TTSFault:
    """What goes wrong with one synthesis.

    Args:
        nth: which one, counted from 0 over the call.
        after: share of the text given so far that is still spoken before it happens.
        stall: seconds that nothing comes; 0: it fails at once instead; infinity: nothing ever comes again.
        retryable: whether the error says that trying again makes sense.
    """

    nth: int
    after: float = 0.0
    stall: float = 0.0
    retryable: bool = True


@dataclass(frozen=True)
class TTS:
    """How the agent speaks.

    Args:
        first_audio: seconds from the first finished sentence to its first sound.
        rate: characters spoken in a second.
        speed: how many seconds of sound are made in one second.
        faults: what goes wrong.
        dead: every synthesis fails.
        aligned: whether words come with their times (with ``use_tts_aligned_transcript=True`` of the session).
    """

    first_audio: float = 0.15
    rate: float = 15.0
    speed: float = 20.0
    faults: tuple[TTSFault, ...] = ()
    dead: bool = False
    aligned: bool = False

    def blocks(self, word: str) -> int:
        """How many blocks of sound one word is, the pause after it included."""
        return max(1, round((len(word) + 1) / self.rate / BLOCK))

    def seconds(self, text: str) -> float:
        """How long `text` takes."""
        return sum(self.blocks(word) for word in text.split()) * BLOCK


@dataclass
class Synthesis:
    """One request to the voice.

    Args:
        number: counted from 1 over the call.
        at: when it began, in seconds of the call.
        text: the sentences that the voice took up.
        given: all that it was asked to say; more than `text` where it broke off.
    """

    number: int
    at: float
    text: str = ""
    given: str = ""


class ScriptedTTS(tts.TTS[Any]):
    """LiveKit's voice for a `TTS`.

    Args:
        voice: how it speaks.
        now: seconds of the call.
    """

    def __init__(self, voice: TTS, now: Callable[[], float]) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=voice.aligned),
            sample_rate=AGENT_RATE,
            num_channels=1,
        )
        self.voice = voice
        self.now = now
        self.syntheses: list[Synthesis] = []

    def begin(self) -> Synthesis:
        """Number the next synthesis, from 1."""
        self.syntheses.append(Synthesis(len(self.syntheses) + 1, self.now()))
        return self.syntheses[-1]

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> "_Stream":
        return _Stream(self, conn_options)


class _Stream(tts.SynthesizeStream):
    def __init__(self, voice: ScriptedTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=voice, conn_options=conn_options)
        self._voice = voice
        self._given = ""
        self._current: Synthesis | None = None

    def push_text(self, token: str) -> None:
        self._given += token
        if self._current is not None:
            self._current.given = self._given
        super().push_text(token)

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        # a connection is made before there is text; what counts is the request, begun with the first sentence
        self._current = None
        self._emitter = output_emitter
        self._blocks = 0
        output_emitter.initialize(
            request_id=f"synthesis-{len(self._voice.syntheses)}",
            sample_rate=AGENT_RATE,
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
        if self._current is not None:
            output_emitter.end_segment()

    async def _say(self, sentence: str) -> None:
        voice = self._voice.voice
        if self._current is None:
            self._current = self._voice.begin()
            self._current.given = self._given
            self._mark_started()
            self._emitter.start_segment(segment_id=f"segment-{self._current.number}")
            await asyncio.sleep(voice.first_audio)
        current = self._current
        current.text = f"{current.text} {sentence.strip()}".strip()
        fault = next((one for one in voice.faults if one.nth == current.number - 1), None)
        words = sentence.split()
        spoken = len(words)
        if voice.dead:
            raise APIConnectionError("the voice is dead")
        if fault is not None:
            spoken = math.floor(fault.after * len(words))
        await self._sound(words[:spoken])
        if fault is not None:
            if fault.stall == 0:
                raise APIConnectionError("the voice broke off", retryable=fault.retryable)
            if math.isinf(fault.stall):
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(fault.stall)
            await self._sound(words[spoken:])

    async def _sound(self, words: list[str]) -> None:
        """Make the sound of `words`, at the voice's speed, a word at a time."""
        assert self._current is not None
        voice = self._voice.voice
        for word in words:
            blocks = voice.blocks(word)
            if voice.aligned:
                start = self._blocks * BLOCK
                self._emitter.push_timed_transcript(
                    TimedString(word + " ", start_time=start, end_time=start + blocks * BLOCK)
                )
            self._emitter.push(synthesis(self._current.number, self._blocks, blocks).tobytes())
            self._blocks += blocks
            await asyncio.sleep(blocks * BLOCK / voice.speed)


def _up_to_sentence(text: str) -> tuple[str, str]:
    """What of `text` ends with a full stop, and the rest."""
    end = max(text.rfind(mark) for mark in (". ", "! ", "? ", "\n"))
    return (text[: end + 1], text[end + 1 :]) if end >= 0 else ("", text)

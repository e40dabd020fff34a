"""The two WebSockets of LiveKit's Inference protocol: speech in, text out; and the reverse."""

import asyncio
import base64
import contextlib
import logging
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiohttp import WSMessage, WSMsgType, web
from livekit import rtc

from .._text import read_json
from . import tts
from .stt import Listening, RecognizedLine
from .tts import SAMPLE_RATE, TRAILING, SpokenSentence

logger = logging.getLogger("hearout")

_PIECE = 0.5
"""Seconds in one audio message: far below any client's limit on messages."""

_speaking = ThreadPoolExecutor(1, thread_name_prefix="hearout-tts")


@dataclass(frozen=True)
class Limits:
    """What one client may ask for; each is answered with the protocol's own error.

    Attributes:
        message_bytes: the size of one message. A second of 48 kHz audio in base64 is 128 kB.
        text_characters: the text of one sentence to be spoken; the longest legal disclosure we know has 4,000.
        waiting_characters: all the text of one client that waits to be spoken: an hour's talk.
        streams: how many streams of each kind may be open at once. One core hears about five callers who all talk.
    """

    message_bytes: int = 1 << 20
    text_characters: int = 10_000
    waiting_characters: int = 50_000
    streams: int = 32


class _Refused(Exception):
    """The client asked for something that it cannot have; told in the protocol's own way."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Done(Exception):
    """The client said that it has done."""


class _Stream(ABC):
    """One client's WebSocket: JSON objects, and errors in the protocol's form."""

    kind: str

    def __init__(self, request: web.Request, limits: Limits) -> None:
        self._request = request
        self._limits = limits
        # The hard limit ends the connection; ours below it answers first.
        self._socket = web.WebSocketResponse(max_msg_size=4 * limits.message_bytes)
        self._session = f"{self.kind}_{secrets.token_hex(8)}"
        self._created = False

    @abstractmethod
    async def take(self, message: dict[str, Any]) -> None:
        """Serve one message.

        Raises:
            _Refused: it asks for something that it cannot have.
            _Done: it was the last one.
        """

    async def serve(self) -> web.WebSocketResponse:
        """Serve this client until it leaves, has done, or is refused."""
        await self._socket.prepare(self._request)
        streams = self._request.app[OPEN]
        streams.add(self)
        try:
            if sum(stream.kind == self.kind for stream in streams) > self._limits.streams:
                raise _Refused(429, f"more than {self._limits.streams} streams at once")
            async for message in self._socket:
                await self.take(self._parsed(message))
        except _Done:
            pass
        except Exception as error:  # noqa: BLE001 - whatever a model raises is told to its client, never printed
            await self.fail(error)
        finally:
            streams.discard(self)
            await self.close()
        return self._socket

    async def fail(self, error: Exception) -> None:
        """Tell the client what went wrong, in the protocol's own way."""
        refused = error if isinstance(error, _Refused) else _Refused(500, "the local voice failed")
        if error is not refused:  # only its type: an error may quote the caller's words
            logger.error("the local voice failed on one %s stream (%s)", self.kind, type(error).__name__)
        await self.send("error", code=refused.code, message=str(refused))

    async def close(self) -> None:
        await self._socket.close()

    async def create(self) -> None:
        if self._created:
            raise _Refused(400, "a second session.create")
        self._created = True
        await self.send("session.created")

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one message; a client that went away is noticed by the loop that reads."""
        with contextlib.suppress(ConnectionResetError):
            await self._socket.send_json({"type": kind, "session_id": self._session, **fields})

    def _parsed(self, message: WSMessage) -> dict[str, Any]:
        if message.type is not WSMsgType.TEXT:
            raise _Refused(400, "a text message is needed")
        if len(message.data) > self._limits.message_bytes:
            raise _Refused(413, f"a message is longer than {self._limits.message_bytes} bytes")
        try:
            fields = read_json(message.data)
        except ValueError:
            raise _Refused(400, "a message is not JSON") from None
        if not isinstance(fields, dict):
            raise _Refused(400, "a message is not a JSON object")
        return fields


OPEN: web.AppKey[set[_Stream]] = web.AppKey("open", set)
"""The streams that are open in an application."""


class Hearing(_Stream):
    """Speech to text: interim and final transcripts with their times in the stream."""

    kind = "stt"
    _listening: Listening | None = None

    async def serve(self) -> web.WebSocketResponse:
        try:
            return await super().serve()
        finally:
            if self._listening is not None:
                await self._listening.close()

    async def take(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "session.create":
            settings = message.get("settings")
            rate = _sample_rate(settings if isinstance(settings, dict) else {}, 16_000)
            await self.create()
            self._listening = Listening(rate)
        elif self._listening is None:
            raise _Refused(400, "session.create must come first")
        elif kind == "input_audio":
            await self._tell(await self._listening.feed(_samples(message)))
        elif kind in ("session.finalize", "session.close"):
            await self._tell(await self._listening.finish())
            await self.send(f"{kind}d")
            if kind == "session.close":
                raise _Done
        elif kind != "session.update":  # models and key terms are the cloud's; the local STT has neither
            raise _Refused(400, f"unknown message type {kind!r}")

    async def _tell(self, heard: list[RecognizedLine]) -> None:
        for words in heard:
            await self.send(
                "final_transcript" if words.final else "interim_transcript",
                transcript=words.text,
                language="en",
                start=words.start,
                duration=words.duration,
                confidence=1.0,
                words=[],
            )


class Speaking(_Stream):
    """Text to speech: each sentence as soon as it is made; a client that leaves ends the synthesis."""

    kind = "tts"

    def __init__(self, request: web.Request, limits: Limits) -> None:
        super().__init__(request, limits)
        self._rate = SAMPLE_RATE
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()  # None: the end of an utterance
        self._waiting = 0  # characters
        self._spoken = 0.0  # seconds of this utterance

    async def serve(self) -> web.WebSocketResponse:
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(self._speak())
            try:
                return await super().serve()
            finally:
                speaking.cancel()

    async def take(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "session.create":
            self._rate = _sample_rate(message, SAMPLE_RATE)
            await self.create()
        elif not self._created:
            raise _Refused(400, "session.create must come first")
        elif kind == "input_transcript":
            self._wait_for(str(message.get("transcript", "")))
        elif kind == "session.flush":
            self._texts.put_nowait(None)
        elif kind == "session.close":
            raise _Done
        elif kind != "session.update":
            raise _Refused(400, f"unknown message type {kind!r}")

    def _wait_for(self, text: str) -> None:
        if len(text) > self._limits.text_characters:
            raise _Refused(413, f"a sentence is longer than {self._limits.text_characters} characters")
        self._waiting += len(text)
        if self._waiting > self._limits.waiting_characters:
            raise _Refused(429, f"more than {self._limits.waiting_characters} characters wait to be spoken")
        self._texts.put_nowait(text)

    async def _speak(self) -> None:
        try:
            while True:
                text = await self._texts.get()
                if text is not None:
                    await self._say(text)
                    self._waiting -= len(text)
                    continue
                await self.send("done")
                self._spoken = 0.0
        except Exception as error:  # noqa: BLE001 - as in serve()
            await self.fail(error)
            await self.close()

    async def _say(self, text: str) -> None:
        parts = tts.parts(text)
        while (part := await _next(parts)) is not None:
            seconds = len(part.audio) / SAMPLE_RATE
            # The TTS does not time its words; a sentence (or a part of a long one) it does, exactly.
            timed = {"word": part.text, "start": self._spoken, "end": self._spoken + seconds - TRAILING}
            self._spoken += seconds
            await self.send("output_alignment", words=[timed])
            sound = _converted(part, self._rate)
            size = 2 * int(_PIECE * self._rate)
            for start in range(0, len(sound), size):
                await self.send("output_audio", audio=base64.b64encode(sound[start : start + size]).decode())


async def _next(parts: Iterator[SpokenSentence]) -> SpokenSentence | None:
    return await asyncio.get_running_loop().run_in_executor(_speaking, next, parts, None)


def _converted(part: SpokenSentence, sample_rate: int) -> bytes:
    """The part as little-endian 16-bit samples at `sample_rate`."""
    if sample_rate == SAMPLE_RATE:
        return part.audio.tobytes()
    resampler = rtc.AudioResampler(SAMPLE_RATE, sample_rate)
    return b"".join(bytes(f.data) for f in [*resampler.push(bytearray(part.audio.tobytes())), *resampler.flush()])


def _sample_rate(settings: Mapping[str, Any], default: int) -> int:
    text = str(settings.get("sample_rate", default))
    if not re.fullmatch(r"\d{4,5}", text) or not 8_000 <= int(text) <= 48_000:
        raise _Refused(400, "sample_rate: 8000 to 48000 Hz")
    if settings.get("encoding", "pcm_s16le") != "pcm_s16le":
        raise _Refused(400, "encoding: pcm_s16le")
    return int(text)


def _samples(message: dict[str, Any]) -> Any:
    try:
        raw = base64.b64decode(str(message.get("audio", "")), validate=True)
    except ValueError:  # binascii's, or of what is not ASCII
        raise _Refused(400, "audio: base64 is needed") from None
    if len(raw) % 2:
        raise _Refused(400, "audio: 16-bit samples are needed")
    return np.frombuffer(raw, np.int16)

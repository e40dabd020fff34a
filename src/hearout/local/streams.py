"""The two WebSockets of LiveKit's Inference protocol: speech in, text out; and the reverse."""

import asyncio
import base64
import binascii
import contextlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiohttp import WSMessage, WSMsgType, web

from .stt import Heard, Listening
from .tts import SAMPLE_RATE, TRAILING, Voice

_PIECE = SAMPLE_RATE // 2
"""Samples in one audio message: half a second, far below any client's limit on messages."""

OPEN: web.AppKey[dict[str, int]] = web.AppKey("open", dict)
"""How many streams of each kind are open in an application."""

_speaking = ThreadPoolExecutor(1, thread_name_prefix="hearout-tts")


@dataclass(frozen=True)
class Limits:
    """What one client may ask for; each is answered with the protocol's own error.

    Attributes:
        message_bytes: the size of one message. A second of 48 kHz audio in base64 is 128 kB.
        text_characters: the text of one sentence to be spoken; the longest legal disclosure we know has 4,000.
        streams: how many streams of each kind may be open at once. One core hears about ten callers who all talk.
    """

    message_bytes: int = 1 << 20
    text_characters: int = 10_000
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
        counts = self._request.app[OPEN]
        counts[self.kind] = counts.get(self.kind, 0) + 1
        try:
            if counts[self.kind] > self._limits.streams:
                raise _Refused(429, f"more than {self._limits.streams} streams at once")
            async for message in self._socket:
                await self.take(self._parsed(message))
        except _Refused as refused:
            await self.send("error", code=refused.code, message=str(refused))
        except _Done:
            pass
        finally:
            counts[self.kind] -= 1
            await self._socket.close()
        return self._socket

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
            fields = json.loads(message.data)
        except ValueError:
            raise _Refused(400, "a message is not JSON") from None
        if not isinstance(fields, dict):
            raise _Refused(400, "a message is not a JSON object")
        return fields


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
            self._listening = Listening(_sample_rate(message))
            await self.send("session.created")
        elif self._listening is None:
            raise _Refused(400, "session.create must come first")
        elif kind == "input_audio":
            await self._tell(await self._listening.feed(_samples(message)))
        elif kind in ("session.finalize", "session.close"):
            await self._tell(await self._listening.finish())
            await self.send(f"{kind}d")
            if kind == "session.close":
                raise _Done
        elif kind != "session.update":  # models and key terms are the cloud's; the local ear has neither
            raise _Refused(400, f"unknown message type {kind!r}")

    async def _tell(self, heard: list[Heard]) -> None:
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
    """Text to speech: 24 kHz, each sentence as soon as it is made; a client that leaves ends the synthesis."""

    kind = "tts"

    def __init__(self, request: web.Request, limits: Limits) -> None:
        super().__init__(request, limits)
        self._voice = Voice()
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()  # None: the end of an utterance
        self._spoken = 0.0

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
            await self.send("session.created")
        elif kind == "input_transcript":
            text = str(message.get("transcript", ""))
            if len(text) > self._limits.text_characters:
                raise _Refused(413, f"a sentence is longer than {self._limits.text_characters} characters")
            self._texts.put_nowait(text)
        elif kind == "session.flush":
            self._texts.put_nowait(None)
        elif kind == "session.close":
            raise _Done
        elif kind != "session.update":
            raise _Refused(400, f"unknown message type {kind!r}")

    async def _speak(self) -> None:
        while True:
            text = await self._texts.get()
            if text is not None:
                await self._say(text)
                continue
            await self.send("done")
            # The client takes the first message with a session's name as the beginning of an utterance.
            self._session, self._spoken = f"tts_{secrets.token_hex(8)}", 0.0

    async def _say(self, text: str) -> None:
        sentences = self._voice.sentences(text)
        while (audio := await _next(sentences)) is not None:
            seconds = len(audio) / SAMPLE_RATE
            # A sentence's words are not timed by the voice; the sentence itself is, exactly.
            timed = {"word": text.strip(), "start": self._spoken, "end": self._spoken + seconds - TRAILING}
            await self.send("output_alignment", words=[timed])
            text, self._spoken = "", self._spoken + seconds
            for start in range(0, len(audio), _PIECE):
                piece = audio[start : start + _PIECE].tobytes()
                await self.send("output_audio", audio=base64.b64encode(piece).decode())


async def _next(sentences: Iterator[Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_speaking, next, sentences, None)


def _sample_rate(message: dict[str, Any]) -> int:
    settings = message.get("settings")
    text = str(settings.get("sample_rate", "16000")) if isinstance(settings, dict) else "16000"
    if not text.isdecimal() or not 8_000 <= int(text) <= 48_000:
        raise _Refused(400, "sample_rate: 8000 to 48000 Hz")
    return int(text)


def _samples(message: dict[str, Any]) -> Any:
    try:
        raw = base64.b64decode(str(message.get("audio", "")), validate=True)
    except binascii.Error:
        raise _Refused(400, "audio: base64 is needed") from None
    if len(raw) % 2:
        raise _Refused(400, "audio: 16-bit samples are needed")
    return np.frombuffer(raw, np.int16)

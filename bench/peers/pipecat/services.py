"""Pipecat's three services over the local gateway, which speaks LiveKit's Inference protocol.

They are as thin as the services that Pipecat ships: one WebSocket for speech to text, one for text to speech, and
Pipecat's own OpenAI service for the model.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from line import HEARD
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

P99 = 0.55
"""Seconds from the caller's last word to the local STT's final transcript, at most (0.2–0.35 s as a rule). Pipecat
waits so long where no final has come; its own default is 1 s and more."""


class _Socket:
    """One WebSocket of the gateway.

    Args:
        url: the gateway's, with ``/v1``.
        token: lets us in.
        path: "stt" or "tts".
    """

    def __init__(self, url: str, token: str, path: str) -> None:
        self._url, self._token = f"{url}/{path}", token
        self._client: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self, **create: Any) -> None:
        """Connect, and begin a session."""
        self._client = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._token}"})
        self._socket = await self._client.ws_connect(self._url)
        await self.send("session.create", **create)

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one message; nothing once the connection has ended."""
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any] | None:
        """The next message; None at the end."""
        assert self._socket is not None
        message = await self._socket.receive()
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None

    async def close(self) -> None:
        """End the connection; does nothing the second time."""
        if self._socket is not None:
            await self._socket.close()
        if self._client is not None:
            await self._client.close()


class GatewaySTT(STTService):
    """Speech to text: all of the caller's sound goes to the gateway, interim and final transcripts come back."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(
            sample_rate=HEARD, ttfs_p99_latency=P99, settings=STTSettings(model="local", language=Language.EN)
        )
        self._gateway = _Socket(url, token, "stt")
        self._reading: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self._gateway.open(model="pipecat", settings={"sample_rate": str(HEARD), "encoding": "pcm_s16le"})
        self._reading = self.create_task(self._read())

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._end()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._end()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        await self._gateway.send("input_audio", audio=base64.b64encode(audio).decode())
        yield None

    async def _read(self) -> None:
        while (message := await self._gateway.next()) is not None:
            text, when = message.get("transcript", ""), time_now_iso8601()
            if message["type"] == "interim_transcript":
                await self.push_frame(InterimTranscriptionFrame(text, "caller", when, Language.EN))
            elif message["type"] == "final_transcript":
                # A final of this STT does not change and nothing of the same line follows: Pipecat need not wait.
                await self.push_frame(TranscriptionFrame(text, "caller", when, Language.EN, finalized=True))

    async def _end(self) -> None:
        await self._gateway.close()
        if self._reading is not None:
            await self.cancel_task(self._reading)
            self._reading = None


class GatewayTTS(TTSService):
    """Text to speech, a sentence at a time, over one connection that stays open."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(
            sample_rate=24_000,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="local", voice="local", language=Language.EN),
        )
        self._gateway = _Socket(url, token, "tts")
        self._stale = False

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self._open()

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._gateway.close()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._gateway.close()

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if self._stale:  # an interruption left the sentence before in the middle of its sound
            await self._gateway.close()
            await self._open()
        self._stale = True
        await self._gateway.send("input_transcript", transcript=text)
        await self._gateway.send("session.flush")
        while (message := await self._gateway.next()) is not None and message["type"] != "done":
            if message["type"] == "output_audio":
                yield TTSAudioRawFrame(base64.b64decode(message["audio"]), 24_000, 1, context_id=context_id)
        self._stale = False

    async def _open(self) -> None:
        await self._gateway.open(model="pipecat", sample_rate="24000", encoding="pcm_s16le")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gateway.next(), 5)  # session.created


def model(url: str, token: str, call: str) -> OpenAILLMService:
    """Pipecat's own OpenAI service; the model's name tells the bench which call asks."""
    settings = OpenAILLMService.Settings(model=call, system_instruction="Answer briefly.")
    return OpenAILLMService(api_key=token, base_url=url, settings=settings)

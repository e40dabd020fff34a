"""Calls of LiveKit's own inference classes, unchanged, for the tests of the local voice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, inference, llm, stt, utils
from livekit.agents.inference._utils import create_access_token

from hearout._local.gateway import Gateway
from hearout._local.tts import SAMPLE_RATE, synthesise

ONCE = APIConnectOptions(max_retry=0, timeout=10)


def use(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gateway.environment().items():
        monkeypatch.setenv(name, value)


def in_a_job(call: Callable[[], Awaitable[Any]]) -> Any:
    """Run `call` as inside a job: with LiveKit's shared HTTP client."""

    async def main() -> Any:
        async with utils.http_context.open():
            return await asyncio.wait_for(call(), 30)

    return asyncio.run(main())


def frames(samples: np.ndarray[Any, Any], rate: int = SAMPLE_RATE) -> Iterator[rtc.AudioFrame]:
    for start in range(0, len(samples), rate // 20):
        piece = samples[start : start + rate // 20]
        yield rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece))


async def answered(asked: str, model: inference.LLM | None = None, **options: Any) -> list[llm.ChatChunk]:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=asked)
    async with (
        contextlib.aclosing(model or inference.LLM("openai/gpt-4.1-mini")) as model,
        model.chat(chat_ctx=context, **{"conn_options": ONCE, **options}) as stream,
    ):
        return [chunk async for chunk in stream]


def text_of(chunks: list[llm.ChatChunk]) -> str:
    return "".join(chunk.delta.content or "" for chunk in chunks if chunk.delta)


async def heard(spoken: str, model: inference.STT | None = None) -> list[stt.SpeechEvent]:
    audio = np.concatenate([synthesise(spoken), np.zeros(SAMPLE_RATE, np.int16)])
    async with (
        contextlib.aclosing(model or inference.STT("deepgram/nova-3-general")) as recogniser,
        recogniser.stream(conn_options=ONCE) as stream,
    ):
        for frame in frames(audio):
            stream.push_frame(frame)
        stream.end_input()
        events: list[stt.SpeechEvent] = []
        with contextlib.suppress(TimeoutError):  # LiveKit waits 3 s more for words that may still come
            while not events or events[-1].type is not stt.SpeechEventType.END_OF_SPEECH:
                events.append(await asyncio.wait_for(anext(stream), 5))
                if events[-1].type is stt.SpeechEventType.END_OF_SPEECH:
                    events.append(await asyncio.wait_for(anext(stream), 0.5))
        return events


def final_text(events: list[stt.SpeechEvent]) -> str:
    finals = [event.alternatives[0] for event in events if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT]
    return " ".join(final.text for final in finals)


async def said(text: str, model: inference.TTS | None = None) -> np.ndarray[Any, Any]:
    async with (
        contextlib.aclosing(model or inference.TTS("cartesia/sonic-3")) as voice,
        voice.stream(conn_options=ONCE) as stream,
    ):
        stream.push_text(text)
        stream.end_input()
        return np.concatenate([np.frombuffer(event.frame.data, np.int16) async for event in stream])


def credentials(gateway: Gateway) -> dict[str, str]:
    environment = gateway.environment()
    token = create_access_token(environment["LIVEKIT_INFERENCE_API_KEY"], environment["LIVEKIT_INFERENCE_API_SECRET"])
    return {"Authorization": f"Bearer {token}"}

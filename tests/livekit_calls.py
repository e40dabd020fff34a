"""Calls of LiveKit's own inference classes, unchanged, for the tests of the local voice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, inference, llm, utils

from hearout.local.gateway import Gateway
from hearout.local.tts import SAMPLE_RATE

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

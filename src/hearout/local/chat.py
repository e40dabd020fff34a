"""Chat completions: from a model server that the user named, else from the built-in script."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from . import llm

logger = logging.getLogger("hearout")

CONNECT, STALL = 5.0, 30.0
"""Seconds to wait for a connection, and between two pieces of an answer: a model that is loaded on first use may take
half a minute to its first token, and a caller will not wait longer."""


@dataclass(frozen=True)
class Upstream:
    """Any server that speaks the OpenAI protocol.

    Attributes:
        url: its base, with ``/v1`` where it has one.
        model: what to ask it for, whatever the agent file names; "" to pass that on.
        key: its API key; "" for none.
    """

    url: str
    model: str = ""
    key: str = ""


class Chat:
    """Answers chat requests.

    Args:
        upstream: who answers; None for the built-in script.
    """

    def __init__(self, upstream: Upstream | None) -> None:
        self._upstream = upstream
        self._client: aiohttp.ClientSession | None = None
        self._failed = False
        self.name = "script" if upstream is None else f"model server {upstream.model or upstream.url}"

    async def complete(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """The answer to one request, streamed when it asks for a stream."""
        if self._upstream is not None:
            return await self._forward(request, body, self._upstream)
        text = llm.reply(body["messages"])
        if not body.get("stream"):
            return web.json_response(_whole(body, text))
        response = await _stream(request)
        for event in _events(body, llm.chunks(text)):
            await response.write(event)
        return response

    async def close(self, _: web.Application) -> None:
        """End the connections to the model server."""
        if self._client is not None:
            await self._client.close()

    async def _forward(self, request: web.Request, body: dict[str, Any], upstream: Upstream) -> web.StreamResponse:
        """Pass the request on; a server that refuses, stalls or breaks off is said aloud, in the stream's own form."""
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=STALL)
            self._client = aiohttp.ClientSession(timeout=timeout)
        headers = {"Authorization": f"Bearer {upstream.key}"} if upstream.key else {}
        wanted = {**body, "model": upstream.model or body.get("model")}
        response: web.StreamResponse | None = None
        try:
            url = f"{upstream.url.rstrip('/')}/chat/completions"
            async with self._client.post(url, json=wanted, headers=headers) as answer:
                if answer.status != 200:
                    raise aiohttp.ClientResponseError(answer.request_info, (), status=answer.status)
                response = await _stream(request, answer.content_type)
                finished = False
                async for piece in answer.content.iter_any():
                    finished = finished or b"[DONE]" in piece or not body.get("stream")
                    await response.write(piece)
                if not finished:
                    raise aiohttp.ClientPayloadError("the answer ended before its end")
                self._failed = False
                return response
        except (aiohttp.ClientError, TimeoutError) as error:
            return await self._apologise(request, body, response, error)

    async def _apologise(
        self, request: web.Request, body: dict[str, Any], response: web.StreamResponse | None, error: Exception
    ) -> web.StreamResponse:
        what = "refused the request" if isinstance(error, aiohttp.ClientResponseError) else "does not answer"
        if response is not None:
            text = " I am sorry, the language model broke off."
        elif self._failed:
            text = "The language model still does not answer."
        else:
            text = f"I am sorry, the language model {what}. Please check HEAROUT_LLM_URL and HEAROUT_LLM_MODEL."
        if not self._failed:
            logger.warning(
                "the model server at HEAROUT_LLM_URL %s (%s %s); check the URL, the model's name and the key",
                what,
                type(error).__name__,
                getattr(error, "status", ""),
            )
        self._failed = True
        if not body.get("stream"):
            return response or web.json_response(_whole(body, text))
        response = response or await _stream(request)
        for event in _events(body, [text]):
            await response.write(event)
        return response


async def _stream(request: web.Request, content_type: str = "text/event-stream") -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-cache"})
    await response.prepare(request)
    return response


def _events(body: dict[str, Any], pieces: Any) -> Iterator[bytes]:
    """Server-sent events of one streamed answer."""
    head = {"id": f"chatcmpl-{time.time_ns()}", "object": "chat.completion.chunk", "created": int(time.time())}
    head["model"] = body.get("model", "")
    words = 0
    for piece in pieces:
        words += 1
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        yield _event({**head, "choices": [choice]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 0, "completion_tokens": words, "total_tokens": words}
        yield _event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def _whole(body: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-{time.time_ns()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": len(text.split()), "total_tokens": len(text.split())},
    }

"""Chat completions: from a model server that the user named, else from the built-in script."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from . import llm
from .choice import Upstream
from .smollm2 import Small, SmolLM2
from .upstream import Server, Trouble

logger = logging.getLogger("hearout")

BEAT = 2.0
"""Seconds between two signs of life to a client that waits for a model server: LiveKit's gives up, and asks a second
time, after ten without a byte."""


class Chat:
    """Answers chat requests.

    Args:
        upstream: who answers; None for the built-in script.
    """

    def __init__(self, upstream: Upstream | None) -> None:
        self._server: Server | SmolLM2 | None = None
        self._failed = False
        self.name, self._where = "local script", ""
        if upstream is not None:
            self._where = f"the model server at {upstream.setting}"
            self.name = f"{upstream.model or 'the model'} at {upstream.setting}"
            self._server = Server(upstream)
            if isinstance(upstream, Small):
                self.name = self._where = upstream.model
                self._server = SmolLM2(self._server)

    async def complete(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """The answer to one request, streamed: LiveKit's LLM asks for nothing else (1.8.9)."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        with contextlib.suppress(ConnectionResetError):  # the client left: LiveKit drops a reply that it began early
            await response.prepare(request)
            if self._server is None:
                await _write(response, _events(body, llm.chunks(llm.reply(body["messages"]))))
            else:
                await self._forward(response, body, self._server)
        return response

    async def close(self, _: web.Application) -> None:
        if self._server is not None:
            await self._server.close()

    async def _forward(self, response: web.StreamResponse, body: dict[str, Any], server: Server | SmolLM2) -> None:
        """Pass the model server's answer on; if it refuses, stalls or breaks off, that is said aloud."""
        begun = False
        try:
            async with contextlib.aclosing(server.events(body)) as events:
                while (event := await _next(events, response)) is not None:
                    await response.write(b"data: " + event + b"\n\n")
                    begun = True
            self._failed = False
        except Trouble as trouble:
            if begun:
                self._note(trouble)
                # LiveKit 1.8.9 calls a tool whose arguments broke off, unless the reason to finish is this one.
                text, reason = f" I am sorry, the language model {trouble.what}.", "length"
            else:
                text, reason = self._apology(trouble), "stop"
            await _write(response, _events(body, [text], reason))

    def _apology(self, trouble: Trouble) -> str:
        """What the agent says instead of an answer."""
        if self._failed:
            return f"The language model still {trouble.what}. Please check {trouble.check}."
        self._note(trouble)
        return f"I am sorry, the language model {trouble.what}. Please check {trouble.check}."

    def _note(self, trouble: Trouble) -> None:
        if not self._failed:
            logger.warning("%s %s (%s); check %s", self._where, trouble.what, trouble.detail, trouble.check)
        self._failed = True


async def _next(events: Any, response: web.StreamResponse) -> bytes | None:
    """The next event, or None at the end; the client gets signs of life meanwhile."""
    coming: asyncio.Future[bytes | None] = asyncio.ensure_future(anext(events, None))
    try:
        while not (await asyncio.wait({coming}, timeout=BEAT))[0]:
            await response.write(b": still waiting\n\n")
        return coming.result()
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.wait({coming})


async def _write(response: web.StreamResponse, events: Iterable[bytes]) -> None:
    for event in events:
        await response.write(event)


def _events(body: dict[str, Any], pieces: Iterable[str], reason: str = "stop") -> Iterator[bytes]:
    """Server-sent events of one streamed answer."""
    head = {"id": f"chatcmpl-{time.time_ns()}", "object": "chat.completion.chunk", "created": int(time.time())}
    head["model"] = body.get("model", "")
    count = 0
    for piece in pieces:
        count += 1
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        yield _event({**head, "choices": [choice]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        usage = {"prompt_tokens": 0, "completion_tokens": count, "total_tokens": count}
        yield _event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"

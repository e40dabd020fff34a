"""A model server that the user named: asked in the OpenAI protocol, and what may go wrong with it put into words."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

CONNECT, STALL = 5.0, 30.0
"""Seconds to wait for a connection, and between two pieces of an answer: a model that is loaded on first use may take
half a minute to its first token, and a caller will not wait longer."""

_LONGEST_LINE = 1 << 22  # bytes


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


class Trouble(Exception):
    """The model server did not give a whole answer.

    Args:
        what: what it did, as the end of a sentence that begins with "the language model".
        check: what to look at.
        detail: for the log; never anything that the server said, which may quote the caller.
    """

    def __init__(self, what: str, check: str, detail: str) -> None:
        super().__init__(f"{what} ({detail})")
        self.what, self.check, self.detail = what, check, detail


class Server:
    """Asks one model server; keeps its connections.

    Args:
        upstream: which one.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._client: aiohttp.ClientSession | None = None

    async def whole(self, body: Mapping[str, Any]) -> bytes:
        """The answer to a request that asks for no stream, as the server gave it.

        Raises:
            Trouble: there was none.
        """
        try:
            async with asyncio.timeout(STALL), self._post(body) as answer:
                _accept(answer)
                content: bytes = await answer.read()
                return content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _trouble(error) from error

    async def events(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The answer to a request as the JSON of its events, each whole, as soon as it comes.

        Raises:
            Trouble: the server refused, stalled or broke off.
        """
        answer: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(STALL):
                answer = await self._post(body)
            _accept(answer)
            if answer.content_type != "text/event-stream":
                raise Trouble("does not answer as one", "HEAROUT_LLM_URL", f"its answer is {answer.content_type}")
            finished = False
            async for event in _events(answer.content):
                finished = finished or _finishes(event)
                yield event
            if not finished:
                raise Trouble("broke off", "the server at HEAROUT_LLM_URL", "the answer ended before its end")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _trouble(error) from error
        finally:
            if answer is not None:
                answer.close()  # and the connection with it: the server stops making what nobody waits for

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.close()

    def _post(self, body: Mapping[str, Any]) -> Any:
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT)
            self._client = aiohttp.ClientSession(timeout=timeout)
        key = self._upstream.key.strip()
        return self._client.post(
            f"{self._upstream.url.rstrip('/')}/chat/completions",
            json={**body, "model": self._upstream.model or body.get("model")},
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The data of each server-sent event; comments, with which a server may fill a long wait, count for nothing."""
    rest = b""
    deadline = asyncio.get_running_loop().time() + STALL
    while True:
        async with asyncio.timeout_at(deadline):
            piece = await content.readany()
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise Trouble("does not answer as one", "HEAROUT_LLM_URL", f"a line of {_LONGEST_LINE} bytes")
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or not data:
                continue
            yield data
            if data == b"[DONE]":
                return
            deadline = asyncio.get_running_loop().time() + STALL


def _finishes(event: bytes) -> bool:
    """Whether the answer is whole with this event; some servers leave out the last one.

    Raises:
        Trouble: the event is an error, or none of the protocol's.
    """
    if event == b"[DONE]":
        return True
    try:
        fields = json.loads(event)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or "error" in fields:
        raise Trouble("broke off", "the server at HEAROUT_LLM_URL", "an error in the answer")
    choices = fields.get("choices") or []
    return any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices)


def _accept(answer: aiohttp.ClientResponse) -> None:
    status = answer.status
    if status in (401, 403):
        raise Trouble("refuses the key", "HEAROUT_LLM_KEY", f"status {status}")
    if status == 404:
        check = "HEAROUT_LLM_MODEL, and HEAROUT_LLM_URL, which usually ends in /v1"
        raise Trouble("was not found", check, f"status {status}")
    if status == 429:
        raise Trouble("is too busy", "the limits of the server at HEAROUT_LLM_URL", f"status {status}")
    if status != 200:
        raise Trouble("refused the request", "HEAROUT_LLM_URL and HEAROUT_LLM_MODEL", f"status {status}")


def _trouble(error: Exception) -> Trouble:
    detail = type(error).__name__
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return Trouble("broke off", "the server at HEAROUT_LLM_URL", detail)
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ServerTimeoutError):
        return Trouble("takes too long", "the server at HEAROUT_LLM_URL", f"nothing for {STALL:.0f} s")
    return Trouble("does not answer", "HEAROUT_LLM_URL, and whether its server runs", detail)

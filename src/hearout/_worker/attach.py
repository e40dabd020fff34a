"""`hearout.attach`: failover, metrics and the local models for a worker, in whichever way the worker is started.

LiveKit 1.8.9 has several ways: ``cli.run_app``, ``python -m livekit.agents start FILE``, ``lk agent …``, a program of
one's own. All of them call ``AgentServer.run``, and nothing else is common to them. There is no event before the job
processes inherit the environment (``worker_started`` comes after), so `run` is replaced on the server.
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

from livekit.agents import AgentServer

from .._local import choice
from .._session.process import ATTACHED
from .._text import shown
from ..errors import ConsoleError, HearoutError, LocalVoiceMissingError
from . import failover

logger = logging.getLogger("hearout")


def attach(server: AgentServer) -> None:
    """Let this worker run with failover, metrics and the local models, as far as its environment asks for them.

    Call it once, anywhere before the worker runs; a second call changes nothing. :mod:`hearout.cli` does it by itself.
    In a job's process, which imports the agent file too, it has no effect.

    Args:
        server: LiveKit's, not running yet. When it runs with an environment that makes no sense, the process prints
            what to change and ends with status 1.
    """
    if not isinstance(server.run, _Run):
        server.run = _Run(server)  # type: ignore[method-assign]


class _Run:
    """Takes the place of one server's `run`."""

    def __init__(self, server: AgentServer) -> None:
        self._server = server
        self._run: Callable[..., Awaitable[None]] = server.run

    async def __call__(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        with contextlib.ExitStack() as held:
            try:
                self._prepare(held, joins=not unregistered)
            except HearoutError as error:
                if threading.current_thread() is threading.main_thread():
                    await _end(f"error: {error}")
                logger.error("%s", error)  # LiveKit's console: it would wait for ever for a worker that is not there
            await self._run(devmode=devmode, unregistered=unregistered)

    def _prepare(self, held: contextlib.ExitStack, *, joins: bool) -> None:
        """Begin what this worker needs, in this thread: LiveKit cannot be told to end before `run` has begun.

        Raises:
            HearoutError: the environment makes no sense.
        """
        for handler in logging.getLogger().handlers:  # LiveKit's own lines, and those of the jobs' processes
            handler.addFilter(logger.filters[0])  # what acts on a terminal is replaced, as in our lines
            held.callback(handler.removeFilter, logger.filters[0])
        choice.drop_empty(os.environ)
        known = self._environment()
        chosen = choice.choose(known)
        held.enter_context(_set({ATTACHED: "1"}))
        if joins:
            held.enter_context(_metrics())
            if "LIVEKIT_URL" not in known:
                raise ConsoleError(
                    "the worker joins a LiveKit server, and LIVEKIT_URL is not set; "
                    f"set {', '.join(choice.LIVEKIT)} in .env, or run `console` or `web`, which need none"
                )
            _check_url(known["LIVEKIT_URL"])
            held.enter_context(failover.watching(self._server, known))
        if chosen.where is choice.Where.LOCAL:
            held.enter_context(_local_models(chosen.because))

    def _environment(self) -> dict[str, str]:
        """The environment with what the server was given (`AgentServer(ws_url=…)`, ``--url``): LiveKit puts it there.

        There is no public way to ask a server for it (1.8.9).
        """
        given = (getattr(self._server, name, "") for name in ("_ws_url", "_api_key", "_api_secret"))
        return os.environ | {name: value for name, value in zip(choice.LIVEKIT, given, strict=True) if value}


def _check_url(url: str) -> None:
    """Refuse a URL that LiveKit's clients cannot use: an error of theirs would quote a password in the URL.

    Raises:
        ConsoleError: it is no URL, or says who enters.
    """
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("ws", "wss", "http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or "@" in url:
        raise ConsoleError("LIVEKIT_URL must be wss://HOST or ws://HOST:PORT, without a user or a password")


async def _end(why: str) -> None:
    """End the process with status 1.

    From a callback: what a task raises is logged by LiveKit, or reported as never looked at.
    """
    print(shown(why), file=sys.stderr, flush=True)  # noqa: T201
    loop = asyncio.get_running_loop()
    loop.call_soon(sys.exit, 1)
    await loop.create_future()


@contextlib.contextmanager
def _set(environment: dict[str, str]) -> Iterator[None]:
    """Have these variables in the environment meanwhile; LiveKit's job processes inherit it."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _metrics() -> Iterator[None]:
    """Serve the numbers for Prometheus meanwhile, where they are asked for."""
    if not (port := os.environ.get("HEAROUT_METRICS_PORT")):
        yield
        return
    from .. import _metrics as metrics

    with metrics.serving(os.environ.get("HEAROUT_METRICS_HOST", "127.0.0.1"), port) as url:
        logger.info("metrics: %s", url)
        yield


@contextlib.contextmanager
def _local_models(because: str) -> Iterator[None]:
    """Answer LiveKit's inference classes meanwhile; without the packages for it, say so: an agent may not need them."""
    from .._local.gateway import answering

    with contextlib.ExitStack() as held:
        try:
            gateway = held.enter_context(answering(choice.answers(os.environ)))
            gateway.loaded()
        except LocalVoiceMissingError as error:
            logger.warning("no local models, and no key for others: LiveKit's inference models will fail. %s", error)
        else:
            logger.info("%s", because)
            held.enter_context(_set(gateway.environment()))
        yield

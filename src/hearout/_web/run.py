"""`web` from its first line to its end: rooms, the agent's worker, and the page."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from livekit.agents import AgentServer

from .._local import choice as voices
from .._session.process import PAGE
from .._text import shown
from ..errors import WebError
from . import rooms as room_server
from . import site
from .loopback import is_loopback, listening, serving
from .rooms import Rooms

logger = logging.getLogger("hearout")

ENDS = 15.0
"""Seconds that the calls may take to end."""


def web(server: AgentServer, *, host: str, port: int, choice: voices.Choice) -> int:
    """Serve the page of an agent until Ctrl-C; the exit status.

    Args:
        server: the agent's, attached (:func:`hearout.attach`).
        port: of the page; 0 for a free one.

    Raises:
        WebError: something is missing or taken; nothing was left running.
    """
    site.check()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("livekit").setLevel(logging.ERROR)  # it warns at each first call that its imports are slow
    with contextlib.ExitStack() as held:
        taken = held.enter_context(listening(host, port))
        rooms = held.enter_context(_rooms(host))
        os.environ.update(rooms.environment | {PAGE: "whole call"})
        print(shown(choice.because), flush=True)  # noqa: T201
        _prepare(server, rooms)
        asyncio.run(_Service(server, rooms, host, taken).run())
    return 0


@contextlib.contextmanager
def _rooms(host: str) -> Iterator[Rooms]:
    """The rooms: at LIVEKIT_URL, else in a server of our own."""
    if "LIVEKIT_URL" in os.environ:
        url, key, secret = (os.environ[name] for name in voices.LIVEKIT)
        yield Rooms(url, key, secret)
        return
    with (
        tempfile.TemporaryDirectory(prefix="hearout-") as folder,
        room_server.serving(host, Path(folder) / "livekit-server.log") as rooms,
    ):
        yield rooms


def _prepare(server: AgentServer, rooms: Rooms) -> None:
    """Set the worker up for one person at this machine.

    It keeps a process warm, for the first call would else wait 3 s for its first sound. And it calls itself idle, for a
    browser on the same machine is load enough that a LiveKit server (1.13.5) would send it no call.
    """
    server.update_options(ws_url=rooms.url, api_key=rooms.key, api_secret=rooms.secret, num_idle_processes=1)
    server.load_fnc = lambda: 0.0


class _Service:
    """The page and the worker, in one event loop."""

    def __init__(self, server: AgentServer, rooms: Rooms, host: str, listening: socket.socket) -> None:
        self._server = server
        self._rooms = rooms
        self._host = host
        self._listening = listening
        self._stopped, self._hurried = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until Ctrl-C or SIGTERM; then the calls end, then the worker.

        Raises:
            WebError: the worker ended by itself.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop)
        worker = loop.create_task(self._server.run(devmode=True))
        self._server.once("worker_registered", lambda *_: self._say_where())
        stopped = loop.create_task(self._stopped.wait())
        try:
            async with serving(site.Site(self._rooms, host=self._host).app(), self._listening):
                await asyncio.wait({worker, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopped.is_set():
                worker.result()
                raise WebError("the agent's worker ended by itself; the lines above say why")
        finally:
            ended, hurried = loop.create_task(self._server.aclose()), loop.create_task(self._hurried.wait())
            await asyncio.wait({ended, hurried}, timeout=ENDS, return_when=asyncio.FIRST_COMPLETED)
            for task in (worker, stopped, ended, hurried):  # jobs that are left end with this process
                task.cancel()
            await asyncio.gather(worker, stopped, ended, hurried, return_exceptions=True)

    def _say_where(self) -> None:
        port = self._listening.getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        print(shown(f"Open http://{host}:{port} and talk. Ctrl-C ends it."), flush=True)  # noqa: T201
        if not is_loopback(self._host):
            logger.warning("browsers give a page its microphone over https only; put a proxy with TLS before this one")

    def _stop(self) -> None:
        if self._stopped.is_set():
            self._hurried.set()
        else:
            self._stopped.set()
            print("Ending the calls ... (Ctrl-C again: at once)", flush=True)  # noqa: T201

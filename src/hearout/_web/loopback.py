"""The socket of the pages' servers, and their guard against other hosts."""

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..errors import WebError

LOOPBACK = {"127.0.0.1", "localhost", "::1"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer says, whatever it is."""


def guarding(*, loopback: bool, headers: Callable[[web.Request], Mapping[str, str]]) -> Any:
    """A middleware of aiohttp: says with every answer what a page may do, and refuses other machines' names.

    Args:
        loopback: requests for other host names than this machine's are refused: a page elsewhere could otherwise reach
            the server by a name that points here.
        headers: of an answer, beside `HEADERS`.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if loopback and host_of(request) not in LOOPBACK:
            answer: web.StreamResponse = web.Response(status=421, text="This page is at 127.0.0.1 only.\n")
        else:
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                answer = web.Response(status=error.status, text=f"{error.reason}\n")
                answer.headers.update({k: v for k, v in error.headers.items() if k == "Allow"})
        answer.headers.update(HEADERS | dict(headers(request)))
        return answer

    return guarded


def host_of(request: web.Request) -> str:
    """The host's name that a request is made to, without its port; empty where that makes no sense."""
    with contextlib.suppress(ValueError):
        return urlsplit(f"//{request.host}").hostname or ""
    return ""


def file(path: Path) -> Handler:
    """Answers with a file."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return answer


def is_loopback(host: str) -> bool:
    """Whether this address or name is of this machine alone."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.asynccontextmanager
async def serving(app: web.Application, taken: socket.socket) -> AsyncIterator[None]:
    """Serve a site on its socket while the block runs; Ctrl-C is the block's."""
    pages = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await pages.setup()
    try:
        await web.SockSite(pages, taken).start()
        yield
    finally:
        await pages.cleanup()


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A page's socket: taken first, because nothing else need be started where it cannot be had.

    Raises:
        WebError: the port is taken, or it or the host is none.
    """
    try:
        if not 0 <= port <= 65535:
            raise ValueError("a port is a number from 0 to 65535")
        taken = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, ValueError) as error:  # UnicodeError is one
        why = getattr(error, "strerror", None) or str(error)
        raise WebError(
            f"{host} port {port} cannot be used ({why}); choose another with --port, or --port 0 for any"
        ) from error
    with taken:
        yield taken

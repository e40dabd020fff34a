"""The page and its token endpoint. Nothing in it contacts any other host than LiveKit's server."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from .._text import without_secrets
from ..errors import WebError
from . import drawing
from .loopback import LOOPBACK, file, guarding, host_of, is_loopback
from .rooms import Rooms
from .tokens import LIVES, Allowance, token

HERE = Path(__file__).parent
PAGE = HERE / "page"
CLIENT = HERE / "vendor" / "livekit-client.umd.js"
"""LiveKit's client for browsers: from npm, checked by its hash (`.ci/livekit-client`), not committed."""


def check() -> None:
    """See that everything is there.

    Raises:
        WebError: LiveKit's client is missing; says how to get it.
    """
    if not CLIENT.is_file():
        raise WebError(
            "the page needs LiveKit's client for browsers, which this installation was built without; in a checkout of "
            "hearout run `make page` (needs npm), and install from there"
        )


class Site:
    """The page of one agent.

    Args:
        rooms: where the calls are held.
        host: what the site is bound to; on loopback, requests for other host names are refused.
        clock: seconds, for the allowance of tokens.
    """

    def __init__(self, rooms: Rooms, *, host: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._rooms = rooms
        self._loopback = host in LOOPBACK
        self._clock = clock
        self._allowance = Allowance()

    def app(self) -> web.Application:
        app = web.Application(
            middlewares=[guarding(loopback=self._loopback, headers=self._headers)], client_max_size=drawing.LARGEST
        )
        app.router.add_get("/", file(PAGE / "index.html"))
        for path in sorted(PAGE.iterdir()):
            app.router.add_get(f"/{path.name}", file(path))
        app.router.add_get("/livekit-client.umd.js", file(CLIENT))
        app.router.add_post("/token", self._token)
        app.router.add_post("/picture.svg", self._picture)
        return app

    def _headers(self, request: web.Request) -> dict[str, str]:
        connects = " ".join(["'self'", *_reachable(self._url(request))])
        return {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
            f"connect-src {connects}; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Cache-Control": "no-store" if request.method == "POST" else "no-cache",
        }

    async def _token(self, request: web.Request) -> web.StreamResponse:
        """A token for a new visitor, given to this page only."""
        _only_from_this_page(request)
        # from this machine comes whoever tries it out here, or everybody whom a proxy on it lets through
        address = None if is_loopback(request.remote or "") else request.remote
        if not self._allowance.take(address, self._clock()):
            refused = {"error": "Too many calls were begun within a minute. Wait a little, then join again."}
            return web.json_response(refused, status=429, headers={"Retry-After": "60"})
        seconds = LIVES.total_seconds()
        return web.json_response({"url": self._url(request), "token": token(self._rooms), "seconds": seconds})

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        """What this page saw of a call, as a picture."""
        _only_from_this_page(request)
        try:
            shown = drawing.drawn(await request.json())
        except (ValueError, TypeError, LookupError) as error:
            raise web.HTTPBadRequest(reason="That is no call") from error
        return web.Response(text=shown, content_type="image/svg+xml")

    def _url(self, request: web.Request) -> str:
        """Where the visitor's browser finds the rooms: our own server under the name that it knows this machine by."""
        if self._rooms.port is None:
            return without_secrets(self._rooms.url)  # a visitor's browser is told it
        host = host_of(request) or "127.0.0.1"
        return f"ws://{f'[{host}]' if ':' in host else host}:{self._rooms.port}"


def _only_from_this_page(request: web.Request) -> None:
    own = [f"{scheme}://{request.host}" for scheme in ("http", "https")]
    if (
        request.headers.get("Origin") not in own
        or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
    ):
        raise web.HTTPForbidden(reason="This is for this page only")


def _reachable(url: str) -> list[str]:
    """What the page may connect to for LiveKit at `url`: by WebSocket, and by HTTP, to ask why that failed."""
    parts = urlsplit(url)
    secure = "s" if parts.scheme in ("wss", "https") else ""
    hosts = [parts.netloc]
    if parts.hostname is not None and parts.hostname.endswith(".livekit.cloud"):
        hosts.append("*.livekit.cloud")  # LiveKit Cloud sends a browser to the region that is next to it
    return [f"{scheme}{secure}://{host}" for host in hosts for scheme in ("ws", "http")]

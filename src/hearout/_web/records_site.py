"""`hearout receipts serve`: a page on loopback that shows a ledger. It reads; nothing in it writes."""

import argparse
import asyncio
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from .._text import shown
from ..errors import HearoutError
from ..ledger import Ledger, Mode
from ..ledger._checkpoint import anchors
from ..ledger._entries import STANDINGS
from ..ledger._read import verify
from ..ledger._signing import Verifier, load_verifier
from ..receipts._codec import Json
from ..receipts._picture import svg
from .loopback import file, guarding, listening, serving
from .records import LEVELS, Recordings, ShownCall, calls

HERE = Path(__file__).parent
PAGE = HERE / "records"
SHARED = (HERE / "page" / "page.css", HERE / "page" / "make.js")
"""What this page takes of the other one."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DRAWING = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""The policy of a picture: its colours, and nothing that runs."""


class RecordsSite:
    """The page of one book.

    Args:
        verifier, known: as of :func:`hearout.ledger._read.verify`; `known` gives the anchors.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        recordings: Recordings,
        verifier: Verifier | None = None,
        known: Callable[[], list[Any]] = list,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger, self._recordings, self._clock = ledger, recordings, clock
        self._verifier, self._known = verifier, known
        # a check of a long book takes minutes, and nobody else should wait for it
        self._reads, self._checks = ThreadPoolExecutor(1), ThreadPoolExecutor(1)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[guarding(loopback=True, headers=_headers)], client_max_size=1024)
        app.on_cleanup.append(self._close)
        app.router.add_get("/", file(PAGE / "index.html"))
        for path in (*sorted(PAGE.iterdir()), *SHARED):
            app.router.add_get(f"/{path.name}", file(path))
        app.router.add_get("/book", self._book)
        app.router.add_get("/calls", self._calls)
        app.router.add_get("/call", self._call)
        app.router.add_get("/picture.svg", self._picture)
        app.router.add_get("/recording", self._recording)
        app.router.add_get("/verify", self._verify)
        return app

    async def _close(self, _: web.Application) -> None:
        for thread in (self._reads, self._checks):
            thread.shutdown(wait=False, cancel_futures=True)

    async def _read(self, read: Callable[[], Any], *, by: ThreadPoolExecutor | None = None) -> Any:
        """Read the ledger in a thread of its own.

        Raises:
            web.HTTPConflict: the ledger cannot be read.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(by or self._reads, read)
        except HearoutError as error:
            raise web.HTTPConflict(reason=" ".join(str(error).split())) from error

    async def _book(self, _: web.Request) -> web.StreamResponse:
        told = {"book": self._ledger.book, "ledger": self._ledger.name, "outcomes": STANDINGS, "levels": LEVELS}
        return web.json_response(told)

    async def _calls(self, request: web.Request) -> web.StreamResponse:
        chosen = {name: value for name, value in request.query.items() if value}
        since, until = (_number(chosen[name]) if name in chosen else None for name in ("since", "until"))
        like = {name: chosen.get(name, "") for name in ("outcome", "level", "call")}
        now = self._clock()
        told = await self._read(lambda: calls(self._ledger, now=now, since=since, until=until, **like))
        return web.json_response(told)

    async def _record(self, request: web.Request) -> ShownCall:
        """The call that is asked for.

        Raises:
            web.HTTPNotFound: there is none of that name.
        """
        call, now = request.query.get("call", ""), self._clock()
        record: ShownCall = await self._read(lambda: ShownCall.read(self._ledger, call, now=now))
        if not record.entries and not record.questions:
            raise web.HTTPNotFound(reason="There is no such call in this book")
        return record

    async def _call(self, request: web.Request) -> web.StreamResponse:
        told = (await self._record(request)).to_json()
        recording = await self._found(told["call"])
        if recording is not None:
            told["recording"] = {"session_at": Recordings.session_at(recording)}
        return web.json_response(told)

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        wide = _number(request.query.get("wide", "800"))
        record = await self._record(request)
        drawn = svg(record.drawn(wide), title="What was said in the call, over time")
        return web.Response(text=drawn, content_type="image/svg+xml")

    async def _found(self, call: str) -> Path | None:
        return await asyncio.get_running_loop().run_in_executor(self._reads, self._recordings.find, call)

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        found = await self._found(request.query.get("call", ""))
        if found is None:
            raise web.HTTPNotFound(reason="There is no recording of this call")
        return web.FileResponse(found)

    async def _verify(self, _: web.Request) -> web.StreamResponse:
        def check() -> Json:
            verdict = verify(self._ledger, verifier=self._verifier, anchors=self._known())
            fault = None if verdict.fault is None else vars(verdict.fault)
            return {**vars(verdict), "fault": fault, "checked": self._verifier is not None}

        return web.json_response(await self._read(check, by=self._checks))


def _headers(request: web.Request) -> dict[str, str]:
    policy = DRAWING if request.path == "/picture.svg" else POLICY
    return {"Content-Security-Policy": policy, "Cache-Control": "no-store"}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e12:
        raise web.HTTPBadRequest(reason="That is no number")
    return value


def serve(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; the exit status.

    Args:
        options: of the command line: `ledger`, `book`, `port`, `recordings`, `key`, `anchors`.

    Raises:
        HearoutError: the ledger, the key, or the folder cannot be read, or the port is taken.
    """
    verifier = None if options.key is None else load_verifier(options.key)
    ledger = Ledger(options.ledger, options.book, mode=Mode.READ)
    ledger.checkpoint()  # a ledger that is not there is said so now
    if options.recordings is not None and not options.recordings.is_dir():
        raise HearoutError(f"--recordings {options.recordings}: there is no such folder")

    def known() -> list[Any]:
        return [] if options.anchors is None else list(anchors(options.anchors, options.book))

    known()
    site = RecordsSite(ledger, recordings=Recordings(options.recordings), verifier=verifier, known=known)
    try:
        with listening("127.0.0.1", options.port) as taken:
            asyncio.run(_run(site.app(), taken))
    finally:
        ledger.close()
    return 0


async def _run(app: web.Application, taken: socket.socket) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with serving(app, taken):
        where = f"http://127.0.0.1:{taken.getsockname()[1]}"
        print(shown(f"Open {where} to look at the receipts. Nothing is changed. Ctrl-C ends it."), flush=True)  # noqa: T201
        await stopped.wait()

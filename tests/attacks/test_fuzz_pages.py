"""Hostile requests: the servers of our pages answer or refuse them, and nothing breaks."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.test_utils import TestServer

from harness.hostile import attack
from harness.ledger_workers import NOW
from harness.shown_book import filled
from hearout._web.records import Recordings
from hearout._web.records_site import RecordsSite
from hearout._web.rooms import Rooms
from hearout._web.site import Site
from hearout.ledger import Ledger, Mode

REQUEST = b"POST /token HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\nConnection: close\r\n\r\n"
LOOKS = (
    b"GET /calls?since=1.5&until=2e9&outcome=finished&level=played&call=dental HTTP/1.1\r\n",
    b"GET /picture.svg?call=dental-4412&wide=800 HTTP/1.1\r\n",
    b"GET /recording?call=dental-4412 HTTP/1.1\r\nRange: bytes=0-9\r\n",
)


PATIENCE = 0.1
"""Seconds to wait for an answer to bytes that may be no whole request; an answer takes a thousandth of one."""


async def said(port: int, request: bytes, patience: float) -> bytes:
    """What a page's server answers to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request + b"\r\n\r\n")
    try:
        return await asyncio.wait_for(reader.read(), patience)
    except (ConnectionError, TimeoutError):  # a request without its end is answered never
        return b""
    finally:
        writer.close()


@contextmanager
def served(app: web.Application) -> Iterator[Callable[[bytes, float], bytes]]:
    """A page's server, asked with whatever bytes."""
    with asyncio.Runner() as runner:
        server = TestServer(app, host="127.0.0.1")
        runner.run(server.start_server())
        try:
            port = server.port or 0
            yield lambda request, patience: runner.run(said(port, request.replace(b"%d", b"%d" % port), patience))
        finally:
            runner.run(server.close())


def test_whatever_is_asked_of_a_page_nothing_breaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path}/receipts.db"
    filled(url)
    (tmp_path / "dental-4412.wav").write_bytes(bytes(100))
    ledger = Ledger(url, mode=Mode.READ)
    records = RecordsSite(ledger, recordings=Recordings(tmp_path), clock=lambda: NOW + 7200)
    rooms = Rooms("ws://127.0.0.1:7880", "key", "secret" * 8, 7880)
    rest = b"Host: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"
    every = (
        (Site(rooms, host="127.0.0.1").app(), [REQUEST]),
        (records.app(), [look + rest for look in LOOKS]),
    )
    for app, requests in every:
        with served(app) as ask:
            for request in requests:

                def read(content: bytes) -> None:
                    answer = ask(content, PATIENCE)
                    assert not answer.startswith(b"HTTP/1.1 5") or b"505" in answer[:13], answer[:200]

                assert ask(request, 30.0).startswith(b"HTTP/1.1 20")
                attack(request, read)
    failed = [one.exc_info[1] for one in caplog.records if one.name == "aiohttp.server" and one.exc_info]
    assert [one for one in failed if not isinstance(one, HttpProcessingError)] == []  # those are aiohttp's own refusals
    ledger.close()

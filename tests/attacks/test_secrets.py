"""A password in a URL is shown nowhere, and what is sent to one host goes to no other."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import encode_basic_auth, web

from hearout._local.chat import Chat
from hearout._local.choice import answers, choose
from hearout._local.upstream import Server, Trouble, Upstream
from hearout._web.rooms import Rooms
from hearout._web.site import Site
from hearout.errors import HearoutError
from hearout.ledger import Ledger
from hearout.ledger._anchors import Anchors
from hearout.ledger._checkpoint import Checkpoint

SECRET = "s3cret"
KEYS = {"LIVEKIT_API_KEY": "a", "LIVEKIT_API_SECRET": "b"}
INFERENCE = {"LIVEKIT_INFERENCE_API_KEY": "a", "LIVEKIT_INFERENCE_API_SECRET": "b"}
ANCHOR = Checkpoint("main", 1, "0" * 64, "0" * 64, 1.0)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def told(work: Callable[[], object]) -> str:
    """The value as it is shown, or the error with all its causes."""
    try:
        made = work()
    except (HearoutError, Trouble) as error:
        return "".join(traceback.format_exception(error))
    return f"{made} {made!r}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:9/receipts",
        "postgres://ann:s3cret@127.0.0.1:9/receipts",
        "postgresql://127.0.0.1:9/receipts?user=ann&password=s3cret",
        "postgresql://ann:s3cret@host:s3cret/receipts",
        "ann:s3cret@host/receipts",
        "redis://:s3cret@127.0.0.1",
        "postgresql://user:half@s3cret@127.0.0.1:9/db",
    ],
)
def test_a_ledgers_password_is_in_no_message(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def opened() -> str:
        ledger = Ledger(url)
        shown = f"{ledger!r} {ledger.name}"
        assert SECRET not in shown
        return str(ledger.owed("room"))

    assert SECRET not in told(opened) + caplog.text


ENVIRONMENTS = [
    {"HEAROUT_LLM_URL": "http://ann:s3cret@127.0.0.1/v1"},
    {"HEAROUT_LLM_URL": "ann:s3cret@127.0.0.1/v1"},
    {"HEAROUT_LLM": "ann:s3cret@127.0.0.1/v1"},
    {"HEAROUT_LLM": "http://127.0.0.1/v1?key=s3cret"},
    {"HEAROUT_LLM": "s3cret"},
    {"HEAROUT_LLM_URL": "http://127.0.0.1/v1", "HEAROUT_LLM_KEY": "s3cret"},
    {"LIVEKIT_INFERENCE_URL": "wss://ann:s3cret@host", **INFERENCE},
    {"LIVEKIT_INFERENCE_URL": "wss://host/?token=s3cret", **INFERENCE},
    {"LIVEKIT_INFERENCE_URL": "ann:s3cret@host", **INFERENCE},
    {"LIVEKIT_URL": "wss://ann:s3cret@host.livekit.cloud", **KEYS},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: "-".join(one.values())[:40])
def test_a_models_password_is_in_no_message(environment: Mapping[str, str]) -> None:
    assert SECRET not in told(lambda: choose(environment)) + told(lambda: answers(environment))


def test_a_visitor_is_told_no_password_of_the_rooms() -> None:
    rooms = Rooms("wss://ann:s3cret@rooms.example/?key=s3cret", "key", "s3cret" * 8)
    assert SECRET not in repr(rooms)
    assert Site(rooms, host="127.0.0.1")._url(None) == "wss://rooms.example/"  # type: ignore[arg-type]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_no_log_has_the_password_of_the_models_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    known: list[str | None] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        known.append(request.headers.get("Authorization"))
        return web.Response(status=500)

    async def main() -> str:
        async with serving(answer) as place:
            upstream = Upstream(f"http://ann:{SECRET}@{place}/v1", "qwen")
            server = Server(upstream)
            try:
                _ = [one async for one in server.events({"messages": [], "stream": True})]
            except Trouble as trouble:
                told = "".join(traceback.format_exception(trouble))
            finally:
                await server.close()
            return told + repr(upstream) + Chat(upstream).name

    assert SECRET not in asyncio.run(main()) + caplog.text
    assert known == [encode_basic_auth("ann", SECRET)]  # and yet the server was told it


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_sent_to_one_host_goes_to_no_other(status: int, scheme: str) -> None:
    reached: list[str] = []

    async def other(request: web.Request) -> web.StreamResponse:
        reached.append(await request.text())
        return web.Response(text="{}")

    async def main() -> None:
        async with serving(other) as elsewhere:
            moved: list[str] = []

            async def move(request: web.Request) -> web.StreamResponse:
                moved.append(request.path)
                return web.Response(status=status, headers={"Location": f"{scheme}://{elsewhere}{request.path}"})

            async with serving(move) as place:
                server = Server(Upstream(f"http://{place}/v1", "qwen"))
                asked = {"messages": [{"role": "user", "content": "private words"}], "stream": True}
                with pytest.raises(Trouble, match=f"status {status}"):
                    _ = [one async for one in server.events(asked)]
                await server.close()
                anchors = Anchors(f"http://{place}/anchors")
                anchors.tell(ANCHOR)
                await asyncio.to_thread(anchors.wait, 5.0)
            assert moved == ["/v1/chat/completions", "/anchors"]

    asyncio.run(main())
    assert reached == []

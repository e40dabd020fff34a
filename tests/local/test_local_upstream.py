"""A model server behind the gateway, and everything that it may do wrong."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from livekit.agents import APIConnectOptions, inference, llm

from harness.livekit_calls import ONCE, answered, in_a_job, text_of, use
from hearout._local.gateway import Gateway, Upstream

pytestmark = pytest.mark.real


@asynccontextmanager
async def model_server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def forwarded(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], *asked: str, **options: Any
) -> list[list[llm.ChatChunk]]:
    """What LiveKit's LLM gets through a gateway whose model server is `handler`."""

    async def main() -> list[list[llm.ChatChunk]]:
        async with model_server(handler) as url:
            return await _asked_of(Upstream(url, "qwen", "sesame"), *asked, **options)

    return in_a_job(main)


def asked_of(upstream: Upstream, *asked: str) -> list[list[llm.ChatChunk]]:
    return in_a_job(lambda: _asked_of(upstream, *asked))


async def _asked_of(upstream: Upstream, *asked: str, **options: Any) -> list[list[llm.ChatChunk]]:
    gateway = await asyncio.to_thread(Gateway.start, upstream=upstream)
    with pytest.MonkeyPatch.context() as patch:
        use(gateway, patch)
        try:
            return [await answered(text, **options) for text in asked]
        finally:
            await asyncio.to_thread(gateway.close)


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "qwen", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def test_a_model_server_answers_instead_of_the_script_tools_included() -> None:
    seen: list[tuple[dict[str, Any], str]] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        seen.append((await request.json(), request.headers["Authorization"]))
        response = await begin(request)
        call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look_up", "arguments": '{"n": 3}'}}
        await response.write(event({"role": "assistant", "content": "Wait. "}) + event({"tool_calls": [call]}))
        await response.write(event({}, "tool_calls") + b"data: [DONE]\n\n")
        return response

    @llm.function_tool
    async def look_up(n: int) -> str:
        """Look something up."""
        return str(n)

    (chunks,) = forwarded(serve, "Look it up", tools=[look_up])
    assert text_of(chunks) == "Wait. "
    (call,) = [call for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]
    assert (call.name, call.arguments) == ("look_up", '{"n": 3}')
    body, key = seen[0]
    assert (body["model"], key, body["tools"][0]["function"]["name"]) == ("qwen", "Bearer sesame", "look_up")


@pytest.mark.parametrize(
    ("status", "check"), [(503, "HEAROUT_LLM_URL"), (401, "HEAROUT_LLM_KEY"), (404, "HEAROUT_LLM_MODEL")]
)
def test_a_model_server_that_refuses_is_said_and_the_agent_stays_alive(
    caplog: pytest.LogCaptureFixture, status: int, check: str
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": await request.text()}, status=status)

    first, second = (text_of(chunks) for chunks in forwarded(refuse, "private words", "more words"))
    assert first.startswith("I am sorry, the language model ")
    assert second.startswith("The language model still ")
    assert check in first
    assert check in second
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "hearout" and r.levelno >= logging.WARNING]
    assert check in warning
    assert str(status) in warning
    assert "private" not in caplog.text


def test_a_model_server_that_is_not_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (chunks,) = asked_of(Upstream(f"http://127.0.0.1:{port}/v1"), "Hello?")
    assert text_of(chunks) == (
        "I am sorry, the language model does not answer. Please check HEAROUT_LLM_URL, and whether its server runs."
    )


def test_a_page_of_the_web_is_no_model_server() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    (chunks,) = forwarded(page, "Hello?")
    assert "Please check HEAROUT_LLM_URL." in text_of(chunks)


def test_a_model_server_that_stalls_is_given_up_before_livekit_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout._local.upstream.STALL", 2.0)
    monkeypatch.setattr("hearout._local.chat.BEAT", 0.3)
    asked = 0

    async def stall(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        response = await begin(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(50):  # a server that only says that it is alive stalls too
                await response.write(b": loading\n\n")
                await asyncio.sleep(0.1)
        return response

    # LiveKit gives up, and asks again, after so many seconds without a byte: here 1 instead of 10.
    options = APIConnectOptions(max_retry=3, timeout=1.0, retry_interval=0.1)
    (chunks,) = forwarded(stall, "Hello?", conn_options=options)
    assert "takes too long. Please check the server at HEAROUT_LLM_URL" in text_of(chunks)
    assert asked == 1


def test_a_model_server_that_stalls_in_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout._local.upstream.STALL", 1.0)

    async def stall(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        with contextlib.suppress(ConnectionError):
            await response.write(event({"content": "The answer is"}))
            for _ in range(50):
                await response.write(b": loading\n\n")
                await asyncio.sleep(0.1)
        return response

    (chunks,) = forwarded(stall, "Hello?")
    assert text_of(chunks) == "The answer is I am sorry, the language model takes too long."


def test_a_model_server_that_breaks_off_is_said_without_the_half_event() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await response.write(event({"content": "The answer is"}) + event({"content": " forty"})[:30])
        assert request.transport is not None
        request.transport.close()
        return response

    (chunks,) = forwarded(break_off, "Hello?")
    assert text_of(chunks) == "The answer is I am sorry, the language model broke off."


def test_a_tool_call_that_breaks_off_is_not_carried_out() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 1'}}
        await response.write(event({"role": "assistant", "tool_calls": [call]}))
        return response

    (chunks,) = forwarded(break_off, "Pay ten.")
    assert not [call for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]
    assert "broke off" in text_of(chunks)


def test_an_error_in_the_stream_is_said() -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await response.write(b'data: {"error": {"message": "out of memory"}}\n\n')
        return response

    (chunks,) = forwarded(fail, "Hello?")
    assert text_of(chunks).startswith("I am sorry, the language model broke off.")


def test_a_stream_without_its_last_line_and_in_single_bytes_is_whole() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for byte in (event({"content": "Grüße."}) + event({}, "stop")).replace(b"\n", b"\r\n"):
            await response.write(bytes([byte]))
        return response

    (chunks,) = forwarded(trickle, "Hello?")
    assert text_of(chunks) == "Grüße."


def test_a_slow_answer_that_goes_on_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout._local.upstream.STALL", 1.0)

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for word in ("One ", "two ", "three ", "four ", "five."):
            await asyncio.sleep(0.25)
            await response.write(event({"content": word}))
        await response.write(b"data: [DONE]\n\n")
        return response

    (chunks,) = forwarded(slowly, "Count.")
    assert text_of(chunks) == "One two three four five."


def test_a_client_that_leaves_ends_the_model_servers_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        try:
            while True:
                await response.write(event({"content": "and "}))
                await asyncio.sleep(0.02)
        except ConnectionError:
            ended.set()
        return response

    async def leave() -> None:
        model = inference.LLM("openai/gpt-4.1-mini")
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="Hello?")
        async with model.chat(chat_ctx=context, conn_options=ONCE) as stream:
            await anext(aiter(stream))
        await asyncio.wait_for(ended.wait(), 5)
        await model.aclose()

    async def main() -> None:
        async with model_server(endless) as url:
            gateway = await asyncio.to_thread(Gateway.start, upstream=Upstream(url))
            with pytest.MonkeyPatch.context() as patch:
                use(gateway, patch)
                await leave()
            await asyncio.to_thread(gateway.close)

    in_a_job(main)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_redirect_to_another_host_gets_no_words() -> None:
    reached: list[str] = []

    async def other(request: web.Request) -> web.StreamResponse:
        reached.append(await request.text())
        return web.Response(text="{}")

    async def main() -> list[list[llm.ChatChunk]]:
        async with model_server(other) as elsewhere:

            async def move(_: web.Request) -> web.StreamResponse:
                raise web.HTTPTemporaryRedirect(f"{elsewhere}/chat/completions")

            async with model_server(move) as url:
                return await _asked_of(Upstream(url), "private words")

    (chunks,) = in_a_job(main)
    assert "refused the request" in text_of(chunks)
    assert not reached

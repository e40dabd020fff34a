"""The gateway, driven by LiveKit's own inference classes, unchanged, with the real local models."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, APIStatusError, inference, llm, stt, utils
from livekit.agents.inference._utils import create_access_token

from hearout.local.gateway import Gateway, Limits, Upstream
from hearout.local.llm import ABOUT, EARLY, MONOLOGUE, reply
from hearout.local.stt import Ear
from hearout.local.tts import SAMPLE_RATE, Voice
from support import alike, words

pytestmark = pytest.mark.real

ONCE = APIConnectOptions(max_retry=0, timeout=10)
SENTENCE = "I would like to change my address, please."


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway.start(limits=Limits(streams=4, text_characters=500, message_bytes=200_000)) as running:
        yield running


@pytest.fixture(autouse=True)
def _found(gateway: Gateway, _bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    use(gateway, monkeypatch)


def use(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gateway.environment().items():
        monkeypatch.setenv(name, value)


def in_a_job(call: Callable[[], Awaitable[Any]]) -> Any:
    """Run `call` as inside a job: with LiveKit's shared HTTP client."""

    async def main() -> Any:
        async with utils.http_context.open():
            return await asyncio.wait_for(call(), 30)

    return asyncio.run(main())


def frames(samples: np.ndarray[Any, Any], rate: int = SAMPLE_RATE) -> Iterator[rtc.AudioFrame]:
    for start in range(0, len(samples), rate // 20):
        piece = samples[start : start + rate // 20]
        yield rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece))


async def heard(spoken: str) -> list[stt.SpeechEvent]:
    recogniser = inference.STT("deepgram/nova-3-general")
    audio = Voice().synthesise(spoken)
    events = []
    async with recogniser.stream(conn_options=ONCE) as stream:
        for frame in frames(np.concatenate([audio, np.zeros(SAMPLE_RATE, np.int16)])):
            stream.push_frame(frame)
        stream.end_input()
        events.extend([event async for event in stream])
    await recogniser.aclose()
    return events


async def said(text: str) -> np.ndarray[Any, Any]:
    voice = inference.TTS("cartesia/sonic-3")
    async with voice.stream(conn_options=ONCE) as stream:
        stream.push_text(text)
        stream.end_input()
        pieces = [np.frombuffer(event.frame.data, np.int16) async for event in stream]
    await voice.aclose()
    return np.concatenate(pieces)


async def answered(asked: str, **options: Any) -> list[llm.ChatChunk]:
    model = inference.LLM("openai/gpt-4.1-mini")
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=asked)
    async with model.chat(chat_ctx=context, conn_options=ONCE, **options) as stream:
        chunks = [chunk async for chunk in stream]
    await model.aclose()
    return chunks


def text_of(chunks: list[llm.ChatChunk]) -> str:
    return "".join(chunk.delta.content or "" for chunk in chunks if chunk.delta)


def test_a_spoken_sentence_comes_back_as_text_with_interims_and_times() -> None:
    events = in_a_job(lambda: heard(SENTENCE))
    finals = [e.alternatives[0] for e in events if e.type is stt.SpeechEventType.FINAL_TRANSCRIPT]
    interims = [e for e in events if e.type is stt.SpeechEventType.INTERIM_TRANSCRIPT]
    assert alike(" ".join(final.text for final in finals), SENTENCE) >= 0.85
    assert interims
    assert 0 <= finals[0].start_time < 0.5
    assert 2 < finals[-1].end_time < 4


def test_two_streams_at_once_keep_their_words_apart() -> None:
    async def both() -> list[list[stt.SpeechEvent]]:
        return await asyncio.gather(heard("I want to pay my bill."), heard("Where is the nearest office?"))

    first, second = (
        " ".join(e.alternatives[0].text for e in events if e.type is stt.SpeechEventType.FINAL_TRANSCRIPT)
        for events in in_a_job(both)
    )
    assert "bill" in first
    assert "office" not in first
    assert "office" in second
    assert "bill" not in second


def test_a_text_becomes_speech_whose_transcript_matches() -> None:
    audio = in_a_job(lambda: said(SENTENCE))
    assert alike(Ear().transcribe(audio, SAMPLE_RATE), SENTENCE) >= 0.85  # the tiny model may hear an "uh" before it
    assert audio[-1] == 0 or abs(int(audio[-1])) < 400


def test_a_pooled_connection_serves_one_utterance_after_another() -> None:
    async def twice() -> list[str]:
        voice = inference.TTS("cartesia/sonic-3")
        texts = []
        for text in ("This is the first one.", "And this is the second."):
            async with voice.stream(conn_options=ONCE) as stream:
                stream.push_text(text)
                stream.end_input()
                pieces = [np.frombuffer(event.frame.data, np.int16) async for event in stream]
            texts.append(Ear().transcribe(np.concatenate(pieces), SAMPLE_RATE))
        await voice.aclose()
        return texts

    first, second = in_a_job(twice)
    assert "first" in first
    assert "second" in second


def test_the_seeded_prompt_gets_the_monologue_and_a_question_is_said_back() -> None:
    seeded = in_a_job(lambda: answered("Say something long and rather boring, so that I can test you."))
    assert text_of(seeded) == MONOLOGUE
    assert 25 <= len(Voice().synthesise(MONOLOGUE)) / SAMPLE_RATE <= 30
    chunks = in_a_job(lambda: answered("What does it cost? And when do you open?"))
    assert words(text_of(chunks)) == words("You said: what does it cost? And when do you open?")
    assert chunks[-1].usage is not None


def test_the_script_says_that_it_is_a_script() -> None:
    assert text_of(in_a_job(lambda: answered("Who are you?"))) == ABOUT
    assert "HEAROUT_LLM_URL" in ABOUT


def test_the_script_asks_again_when_the_answer_came_before_the_question() -> None:
    asked = reply([{"role": "system", "content": f"Their words {EARLY}."}, {"role": "user", "content": "yes"}])
    assert asked.endswith("?")
    assert "yes" not in asked


def test_a_substitution_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with Gateway.start() as fresh, pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.INFO, "hearout"):
        use(fresh, patch)
        in_a_job(lambda: said("One."))
        in_a_job(lambda: said("Two."))
    assert [r.getMessage() for r in caplog.records if r.name == "hearout"] == ["cartesia/sonic-3 → local voice hibari"]


def test_whoever_has_no_token_gets_401(gateway: Gateway) -> None:
    async def knock(headers: dict[str, str]) -> list[int]:
        async with aiohttp.ClientSession(headers=headers) as client:
            found = [(await client.get(f"{gateway.url}/{path}")).status for path in ("models", "stt", "tts", "eot")]
            return [*found, (await client.post(f"{gateway.url}/chat/completions", json={})).status]

    forged = create_access_token("hearout", "x" * 40)
    assert asyncio.run(knock({})) == [401] * 5
    assert asyncio.run(knock({"Authorization": f"Bearer {forged}"})) == [401] * 5
    assert asyncio.run(knock(credentials(gateway)))[0] == 200


def credentials(gateway: Gateway) -> dict[str, str]:
    environment = gateway.environment()
    token = create_access_token(environment["LIVEKIT_INFERENCE_API_KEY"], environment["LIVEKIT_INFERENCE_API_SECRET"])
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        ("stt", {"type": "input_audio", "audio": ""}, 400),
        ("stt", {"type": "session.create", "settings": {"sample_rate": "12"}}, 400),
        ("stt", {"type": "session.create", "padding": "x" * 200_000}, 413),
        ("stt", "no JSON", 400),
        ("stt", ["a list"], 400),
        ("tts", {"type": "input_transcript", "transcript": "x" * 501}, 413),
        ("tts", {"type": "nonsense"}, 400),
    ],
)
def test_a_bad_message_gets_the_protocols_own_error(gateway: Gateway, path: str, message: Any, code: int) -> None:
    async def send() -> Any:
        async with (
            aiohttp.ClientSession(headers=credentials(gateway)) as client,
            client.ws_connect(f"{gateway.url}/{path}") as socket,
        ):
            await socket.send_str(message if isinstance(message, str) else json.dumps(message))
            return await socket.receive_json(timeout=5)

    answer = asyncio.run(send())
    assert (answer["type"], answer["code"]) == ("error", code)


def test_one_stream_too_many_is_refused_and_the_next_one_after_it_served(gateway: Gateway) -> None:
    async def open_five() -> list[str]:
        async with aiohttp.ClientSession(headers=credentials(gateway)) as client:
            sockets = [await client.ws_connect(f"{gateway.url}/stt") for _ in range(5)]
            for socket in sockets:
                await socket.send_json({"type": "session.create", "settings": {}})
            kinds = [(await socket.receive_json(timeout=5))["type"] for socket in sockets]
            for socket in sockets:
                await socket.close()
            return kinds

    assert asyncio.run(open_five()) == ["session.created"] * 4 + ["error"]
    assert in_a_job(lambda: heard("Hello there."))


def test_a_client_that_leaves_ends_the_synthesis(gateway: Gateway) -> None:
    async def leave_and_ask() -> float:
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(headers=credentials(gateway)) as client:
            socket = await client.ws_connect(f"{gateway.url}/tts")
            for _ in range(200):
                await socket.send_json({"type": "input_transcript", "transcript": f"{MONOLOGUE[:400]} "})
            await socket.receive_json(timeout=5)
            await socket.close()
        asked = loop.time()
        async with utils.http_context.open():
            await said("Now me.")
        return loop.time() - asked

    # 200 texts of 26 s are more than a minute's work for the voice.
    assert asyncio.run(leave_and_ask()) < 10


def test_livekit_falls_back_to_its_own_turn_detector_without_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def detect() -> None:
        detector = inference.TurnDetector()
        stream = detector.stream()
        for frame in frames(Voice().synthesise(SENTENCE)):
            stream.push_audio(frame)
        await asyncio.sleep(0.5)
        await stream.aclose()

    in_a_job(detect)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@asynccontextmanager
async def model_server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app)
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
            gateway = await asyncio.to_thread(Gateway.start, upstream=Upstream(url, "qwen", "sesame"))
            with pytest.MonkeyPatch.context() as patch:
                use(gateway, patch)
                try:
                    return [await answered(text, **options) for text in asked]
                finally:
                    await asyncio.to_thread(gateway.close)

    return in_a_job(main)


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "qwen", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def test_a_model_server_answers_instead_of_the_script_tools_included() -> None:
    seen: list[tuple[dict[str, Any], str]] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        seen.append((await request.json(), request.headers["Authorization"]))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
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


def test_a_model_server_that_refuses_is_said_once_and_the_agent_stays_alive(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=503)

    first, second = (text_of(chunks) for chunks in forwarded(refuse, "private words", "more words"))
    assert "refused" in first
    assert "HEAROUT_LLM_URL" in first
    assert "HEAROUT_LLM_URL" not in second
    warnings = [r.getMessage() for r in caplog.records if r.name == "hearout" and r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "private" not in caplog.text


def test_a_model_server_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout.local.chat.STALL", 0.3)

    async def stall(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    (chunks,) = forwarded(stall, "Hello?")
    assert "does not answer" in text_of(chunks)


def test_a_model_server_that_breaks_off_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event({"content": "The answer is"}))
        assert request.transport is not None
        request.transport.close()
        return response

    (chunks,) = forwarded(break_off, "Hello?")
    assert text_of(chunks) == "The answer is I am sorry, the language model broke off."


def test_the_gateway_ends_and_can_be_ended_twice() -> None:
    gateway = Gateway.start()
    gateway.close()
    gateway.close()
    assert os.environ["LIVEKIT_INFERENCE_URL"] != gateway.url
    with pytest.MonkeyPatch.context() as patch:
        use(gateway, patch)
        with pytest.raises((APIError, APIStatusError)):
            in_a_job(lambda: said("Nobody is there."))

"""The gateway, driven by LiveKit's own inference classes, unchanged, with the real local models."""

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import jwt
import numpy as np
import pytest
from livekit.agents import AgentSession, APIError, APIStatusError, inference, stt

from harness import alike, words
from harness.livekit_calls import ONCE, answered, credentials, final_text, frames, heard, in_a_job, said, text_of, use
from hearout._local import tts
from hearout._local.gateway import Gateway, Limits
from hearout._local.llm import MONOLOGUE
from hearout._local.stt import transcribe
from hearout._local.tts import SAMPLE_RATE, SpokenSentence, synthesise
from hearout.errors import LocalVoiceMissingError

pytestmark = pytest.mark.real

CREATE: dict[str, Any] = {"type": "session.create", "settings": {}}

SENTENCE = "I would like to change my address, please."


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway.start(limits=Limits(streams=4, text_characters=500, message_bytes=200_000)) as running:
        yield running


@pytest.fixture(autouse=True)
def _found(gateway: Gateway, _bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    use(gateway, monkeypatch)


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

    first, second = (final_text(events) for events in in_a_job(both))
    assert "bill" in first
    assert "office" not in first
    assert "office" in second
    assert "bill" not in second


def test_a_text_becomes_speech_whose_transcript_matches() -> None:
    audio = in_a_job(lambda: said(SENTENCE))
    assert alike(transcribe(audio, SAMPLE_RATE), SENTENCE) >= 0.85  # the tiny model may hear an "uh" before it
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
            texts.append(transcribe(np.concatenate(pieces), SAMPLE_RATE))
        await voice.aclose()
        return texts

    first, second = in_a_job(twice)
    assert "first" in first
    assert "second" in second


def test_each_utterance_of_a_connection_says_when_its_sentences_are_spoken(gateway: Gateway) -> None:
    async def twice() -> list[list[Any]]:
        utterances = []
        async with (
            aiohttp.ClientSession(headers=credentials(gateway)) as client,
            client.ws_connect(f"{gateway.url}/tts") as connection,
        ):
            await connection.send_json(CREATE)
            for _ in range(2):
                await connection.send_json({"type": "input_transcript", "transcript": "One moment. I will look."})
                await connection.send_json({"type": "session.flush"})
                told = []
                while (message := await connection.receive_json(timeout=5))["type"] != "done":
                    told += message.get("words", [])
                utterances.append(told)
        return utterances

    first, second = asyncio.run(twice())
    assert [sentence["word"] for sentence in first] == ["One moment.", "I will look."]
    assert first[0]["start"] == 0
    assert first[0]["start"] < first[0]["end"] < first[1]["start"] < first[1]["end"] < 3
    assert first == second


def test_the_script_answers_livekits_model_class() -> None:
    seeded = in_a_job(lambda: answered("Say something long and rather boring, so that I can test you."))
    assert text_of(seeded) == MONOLOGUE
    chunks = in_a_job(lambda: answered("What does it cost? And when do you open?"))
    assert text_of(chunks) == "You said: What does it cost? And when do you open?"
    assert chunks[-1].usage is not None


def test_other_sample_rates_are_served() -> None:
    async def at_16_khz() -> tuple[np.ndarray[Any, Any], int]:
        voice = inference.TTS("cartesia/sonic-3", sample_rate=16_000)
        async with voice.stream(conn_options=ONCE) as stream:
            stream.push_text(SENTENCE)
            stream.end_input()
            frames = [event.frame async for event in stream]
        await voice.aclose()
        return np.concatenate([np.frombuffer(f.data, np.int16) for f in frames]), frames[0].sample_rate

    audio, rate = in_a_job(at_16_khz)
    assert rate == 16_000
    assert abs(len(audio) / rate - len(synthesise(SENTENCE)) / SAMPLE_RATE) < 0.2
    assert words(transcribe(audio, rate)) == words(SENTENCE)


def test_a_sessions_models_from_plain_strings_are_the_local_voice() -> None:
    async def talk() -> tuple[str, str, str]:
        session: AgentSession[None] = AgentSession(
            stt="deepgram/nova-3-general", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-3:some-voice"
        )
        assert isinstance(session.stt, inference.STT)
        assert isinstance(session.llm, inference.LLM)
        assert isinstance(session.tts, inference.TTS)
        events = await heard(SENTENCE, session.stt)
        asked = final_text(events)
        answer = text_of(await answered(asked, session.llm))
        return asked, answer, transcribe(await said(answer, session.tts), SAMPLE_RATE)

    asked, answer, spoken = in_a_job(talk)
    assert words(asked) == words(SENTENCE)
    assert words(answer) == ["you", "said", *words(SENTENCE)]
    assert words(spoken) == words(answer)


def test_a_substitution_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with Gateway.start() as fresh, pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.INFO, "hearout"):
        use(fresh, patch)
        in_a_job(lambda: said("One."))
        in_a_job(lambda: said("Two."))
    assert [r.getMessage() for r in caplog.records if r.name == "hearout"] == ["cartesia/sonic-3 → local voice hibari"]


def test_whoever_has_no_token_gets_401(gateway: Gateway) -> None:
    async def knock(headers: dict[str, str]) -> list[int]:
        async with aiohttp.ClientSession(headers=headers) as client:
            found = [(await client.get(f"{gateway.url}/{path}")).status for path in ("stt", "tts", "eot")]
            return [*found, (await client.post(f"{gateway.url}/chat/completions", json={})).status]

    assert asyncio.run(knock({})) == [401] * 4
    assert asyncio.run(knock(credentials(gateway)))[-1] == 400
    secret = gateway.environment()["LIVEKIT_INFERENCE_API_SECRET"]
    later, grant = time.time() + 60, {"perform": True}
    good = {"iss": "hearout", "exp": later, "inference": grant}
    assert asyncio.run(knock(bearer(good, secret)))[-1] == 400
    assert asyncio.run(knock(bearer(good, "x" * 40))) == [401] * 4
    for claims in (
        {**good, "exp": time.time() - 60},
        {**good, "iss": "somebody"},
        {**good, "inference": {}},
        {**good, "inference": "perform"},
        {"iss": "hearout", "inference": grant},
        {"exp": later, "inference": grant},
    ):
        assert asyncio.run(knock(bearer(claims, secret)))[-1] == 401


def bearer(claims: dict[str, Any], secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}


@pytest.mark.parametrize(
    ("path", "messages", "code"),
    [
        ("stt", [{"type": "input_audio", "audio": ""}], 400),
        ("stt", [{"type": "session.create", "settings": {"sample_rate": "12"}}], 400),
        ("stt", [{"type": "session.create", "settings": {"sample_rate": "9" * 5000}}], 400),
        ("stt", [{"type": "session.create", "settings": {"encoding": "mp3"}}], 400),
        ("stt", [CREATE, CREATE], 400),
        ("stt", [CREATE, {"type": "input_audio", "audio": "no base64"}], 400),
        ("stt", [CREATE, {"type": "input_audio", "audio": "QUFB"}], 400),
        ("stt", [CREATE, {"type": "nonsense"}], 400),
        ("stt", [{"type": "session.create", "padding": "x" * 200_000}], 413),
        ("stt", ["no JSON"], 400),
        ("stt", ["[" * 100_000], 400),
        ("stt", [["a list"]], 400),
        ("tts", [{"type": "input_transcript", "transcript": "Hello."}], 400),
        ("tts", [CREATE, {"type": "input_transcript", "transcript": "x" * 501}], 413),
        ("tts", [CREATE, *[{"type": "input_transcript", "transcript": "word " * 90}] * 130], 429),
        ("tts", [{"type": "session.create", "sample_rate": "96000"}], 400),
        ("tts", [CREATE, {"type": "nonsense"}], 400),
    ],
)
def test_a_bad_message_gets_the_protocols_own_error(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, path: str, messages: list[Any], code: int
) -> None:
    async def send() -> Any:
        async with (
            aiohttp.ClientSession(headers=credentials(gateway)) as client,
            client.ws_connect(f"{gateway.url}/{path}") as socket,
        ):
            for message in messages:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
            while True:
                answer = await socket.receive_json(timeout=5)
                if answer["type"] == "error":
                    return answer

    assert asyncio.run(send())["code"] == code
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"no JSON", 400), (b"[" * 100_000, 400), (b"{}", 400), (b'{"messages": ["hello"]}', 400), (b"x" * 300_000, 413)],
)
def test_a_bad_chat_request_gets_the_protocols_own_error(gateway: Gateway, body: bytes, code: int) -> None:
    async def post() -> Any:
        async with (
            aiohttp.ClientSession(headers=credentials(gateway)) as client,
            client.post(f"{gateway.url}/chat/completions", data=body) as answer,
        ):
            return answer.status, (await answer.json())["error"]["code"]

    assert asyncio.run(post()) == (code, code)


def test_what_a_model_raises_is_told_to_its_client_and_no_words_are_logged(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(text: str) -> Iterator[Any]:
        raise RuntimeError(text)

    monkeypatch.setattr(tts, "parts", fail)
    with pytest.raises(APIError, match="the local voice failed"):
        in_a_job(lambda: said("My secret."))
    errors = [r.getMessage() for r in caplog.records if r.name == "hearout" and r.levelno >= logging.WARNING]
    assert errors == ["the local voice failed on one tts stream (RuntimeError)"]
    assert "secret" not in "".join(r.getMessage() for r in caplog.records if r.name in ("hearout", "aiohttp.server"))


def test_one_stream_too_many_is_refused_and_the_next_one_after_it_served(gateway: Gateway) -> None:
    async def open_five() -> list[str]:
        async with aiohttp.ClientSession(headers=credentials(gateway)) as client:
            sockets = [await client.ws_connect(f"{gateway.url}/stt") for _ in range(5)]
            for socket in sockets:
                await socket.send_json(CREATE)
            kinds = [(await socket.receive_json(timeout=5))["type"] for socket in sockets]
            for socket in sockets:
                await socket.close()
            return kinds

    assert asyncio.run(open_five()) == ["session.created"] * 4 + ["error"]
    assert in_a_job(lambda: heard("Hello there."))


def test_a_client_that_leaves_ends_the_synthesis(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def parts(text: str) -> Iterator[SpokenSentence]:
        nonlocal made
        made += 1
        time.sleep(0.02)
        yield SpokenSentence(text, np.zeros(SAMPLE_RATE, np.int16))

    monkeypatch.setattr(tts, "parts", parts)

    async def leave() -> None:
        async with aiohttp.ClientSession(headers=credentials(gateway)) as client:
            connection = await client.ws_connect(f"{gateway.url}/tts")
            await connection.send_json(CREATE)
            for _ in range(100):
                await connection.send_json({"type": "input_transcript", "transcript": "More."})
            while (await connection.receive_json(timeout=5))["type"] != "output_audio":
                pass
            await connection.close()
        await asyncio.sleep(2.5)  # more than the 100 texts would take

    asyncio.run(leave())
    assert 0 < made < 50


def test_livekit_falls_back_to_its_own_turn_detector_without_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEKIT_DEV_MODE", "1")  # as in the console and in dev; else it does not even ask us

    async def detect() -> float:
        detector = inference.TurnDetector()
        assert detector.model == "turn-detector-v1"
        stream = detector.stream()
        for frame in frames(synthesise(SENTENCE)):
            stream.push_audio(frame)
        await asyncio.sleep(0.3)
        assert detector.model == "turn-detector-v1-mini"
        event = await asyncio.wait_for(stream.predict(), 5)
        await stream.aclose()
        return event.end_of_turn_probability

    assert 0 < in_a_job(detect) < 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_livekit_falls_back_to_its_vad_for_interruptions_without_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def detect() -> list[inference.InterruptionDetectionError]:
        detector = inference.AdaptiveInterruptionDetector()
        errors: list[inference.InterruptionDetectionError] = []
        detector.on("error", errors.append)
        stream = detector.stream()
        with pytest.raises(APIError):  # which AudioRecognition takes for the end of adaptive detection
            await asyncio.wait_for(anext(aiter(stream)), 5)
        await stream.aclose()
        return errors

    (error,) = in_a_job(detect)
    assert not error.recoverable
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_gateway_without_its_voice_says_so_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise LocalVoiceMissingError

    before = threading.active_count()
    monkeypatch.setattr("hearout._local.tts.load", missing)
    with Gateway.start() as gateway, pytest.raises(LocalVoiceMissingError):
        gateway.loaded()
    assert threading.active_count() == before


def test_a_gateway_answers_while_its_models_still_load(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = threading.Event()

    def load() -> None:
        assert begin.wait(5)

    monkeypatch.setattr(tts, "load", load)
    with Gateway.start() as fresh, pytest.MonkeyPatch.context() as patch:
        use(fresh, patch)
        assert in_a_job(lambda: answered("Hello."))
        begin.set()
        fresh.loaded()


def test_a_gateway_ends_at_once_with_streams_open() -> None:
    running = Gateway.start()

    async def open_and_end() -> float:
        async with aiohttp.ClientSession(headers=credentials(running)) as client:
            connections = [await client.ws_connect(f"{running.url}/{path}") for path in ("stt", "tts")]
            for connection in connections:
                await connection.send_json(CREATE)
                await connection.receive_json(timeout=5)
            began = time.perf_counter()
            closing = asyncio.create_task(asyncio.to_thread(running.close))
            for connection in connections:
                assert (await connection.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            await closing
            return time.perf_counter() - began

    assert asyncio.run(open_and_end()) < 0.9  # a second is what aiohttp gives to whom does not go


def test_the_gateway_ends_and_can_be_ended_twice() -> None:
    gateway = Gateway.start()
    gateway.close()
    gateway.close()
    assert os.environ["LIVEKIT_INFERENCE_URL"] != gateway.url
    with pytest.MonkeyPatch.context() as patch:
        use(gateway, patch)
        with pytest.raises((APIError, APIStatusError)):
            in_a_job(lambda: said("Nobody is there."))

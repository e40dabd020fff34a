"""The realtime plugins of OpenAI and Google behind the floor: their classes without a key, their servers with one."""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit import rtc

from hearout._pipeline.realtime import RealtimeModels

SERVICES = {"openai": "OPENAI_API_KEY", "google": "GOOGLE_API_KEY"}


def model(service: str, **options: Any) -> Any:
    """The plugin's model; the test is skipped where the plugin is not installed."""
    try:
        realtime = importlib.import_module(f"livekit.plugins.{service}.realtime")
    except ImportError:
        pytest.skip(f"livekit-plugins-{service} is not installed")
    return realtime.RealtimeModel(**options)


def in_session(service: str, act: Callable[[Any, list[bool]], Awaitable[None]], **options: Any) -> None:
    """Open a session of the plugin's model behind the proxy; `act` gets it, and whether the floor holds."""

    async def main() -> None:
        holds = [False]
        behind = model(service, **options)
        proxy = RealtimeModels(holds=lambda: holds[0], opened=lambda _: None).behind(behind)
        assert (proxy.capabilities, proxy.label, proxy.model) == (behind.capabilities, behind.label, behind.model)
        session = proxy.session()
        try:
            await act(session, holds)
        finally:
            await session.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("service", SERVICES)
def test_a_plugins_own_class_passes_through_the_proxy(service: str) -> None:
    async def act(session: Any, holds: list[bool]) -> None:
        session.on("openai_server_event_received", lambda _: None)
        holds[0] = True
        session.push_audio(rtc.AudioFrame(bytes(3200), 16_000, 1, 1600))
        assert session.chat_ctx.items == []
        assert session.tools.flatten() == []
        session.start_user_activity()
        session.take_over()
        assert session.capabilities == session.behind.capabilities
        assert callable(session.update_options)

    unreachable = {"base_url": "http://127.0.0.1:9/v1"} if service == "openai" else {}
    in_session(service, act, api_key="none", **unreachable)


@pytest.mark.real
@pytest.mark.parametrize("service", SERVICES)
def test_a_server_that_is_given_silence_hears_nobody_speak(service: str) -> None:
    if not os.environ.get(SERVICES[service]):
        pytest.skip(f"{SERVICES[service]} is not set: the real service was not asked")
    from hearout._local.tts import SAMPLE_RATE, synthesise

    speech = synthesise("Wait, please change my address first.")

    async def say(session: Any) -> None:
        step = SAMPLE_RATE // 20
        for begin in range(0, len(speech) + 2 * SAMPLE_RATE, step):
            piece = speech[begin : begin + step].tobytes().ljust(2 * step, b"\0")
            session.push_audio(rtc.AudioFrame(piece, SAMPLE_RATE, 1, step))
            await asyncio.sleep(0.05)

    async def act(session: Any, holds: list[bool]) -> None:
        heard: list[str] = []
        for name in ("input_speech_started", "generation_created"):
            session.on(name, lambda _, name=name: heard.append(name))
        holds[0] = True
        await say(session)
        assert heard == []
        holds[0] = False
        await say(session)
        await asyncio.sleep(3.0)
        assert "generation_created" in heard

    in_session(service, act)

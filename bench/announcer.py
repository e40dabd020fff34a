"""The agent of the calls that are held at once: it says a ready-made announcement each time the benchmark asks for it.

A worker of hearout's, or with ``BENCH_PEER=stock`` of LiveKit's own. Its voice activity detector is a real one, and so
are its room and its sound; the STT, the model and the voice of its answers are scripted, and cost next to
nothing, for in a call they are somebody else's machine. Where ``BENCH_MODELS`` has the environment of the local models,
those serve.

``BENCH_NOTICE`` is the announcement's manifest. ``BENCH_ROUNDS`` is a folder: whenever the number in its file ``round``
changes, the announcement is said, and what became of it is written to a file of the room's and the round's name.
"""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    APIConnectOptions,
    JobContext,
    JobProcess,
    LanguageCode,
    NotGivenOr,
    inference,
    stt,
)
from livekit.agents import cli as livekit_cli
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils import AudioBuffer
from livekit.plugins import silero

from hearout import AgentSession, Announcement, cli
from hearout.receipts._codec import to_json
from hearout.testing import LLM, TTS
from hearout.testing._llm import ScriptedLLM
from hearout.testing._tts import ScriptedTTS

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import peers
from bench.cost import watch_the_loop
from bench.table import percentile

QUESTION = "Wait, can I change my address first?"

LOUD, PAUSE = 500, 0.4
"""The sample value from which the caller is heard, and the seconds without one that end what was said."""

MODELS: dict[str, str] = json.loads(os.environ.get("BENCH_MODELS", "{}"))

ANSWERED = 12.0 if MODELS else 4.0
"""Seconds after the announcement within which the answer must be over."""

os.environ.update(MODELS)
server = AgentServer(num_idle_processes=1)


def load(process: JobProcess) -> None:
    """Load what every call needs, once for each process."""
    process.userdata["vad"] = silero.VAD.load()
    process.userdata["notice"] = Announcement.load(os.environ["BENCH_NOTICE"])


server.setup_fnc = load


class Recogniser(stt.STT[Any]):
    """An STT that writes :data:`QUESTION` whenever a caller's sound has ended."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(streaming=True, interim_results=False, offline_recognize=False)
        )

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> "_Stream":
        return _Stream(stt=self, conn_options=conn_options)

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        raise NotImplementedError("it only streams")


class _Stream(stt.RecognizeStream):
    async def _run(self) -> None:
        at, began, quiet = 0.0, None, 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            at += frame.duration
            if np.abs(np.frombuffer(frame.data, np.int16).astype(np.int32)).max(initial=0) >= LOUD:
                began, quiet = at if began is None else began, 0.0
            elif began is not None:
                quiet += frame.duration
                if quiet >= PAUSE:
                    self._heard(self.start_time_offset + began, self.start_time_offset + at - quiet)
                    began = None

    def _heard(self, start: float, end: float) -> None:
        words = stt.SpeechData(
            language=LanguageCode("en"), text=QUESTION, start_time=start, end_time=end, confidence=1.0
        )
        self._event_ch.send_nowait(stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[words]))


class Announcing:
    """One call: the announcement of each round in it."""

    def __init__(self, room: str, session: Any, notice: Announcement) -> None:
        self._room, self._session, self._notice = room, session, notice
        self._folder = Path(os.environ["BENCH_ROUNDS"])
        self._answers = 0
        self._answered = asyncio.Event()
        session.on("conversation_item_added", self._on_item)

    async def run(self) -> None:
        """Wait for each round, and do it, until it is cancelled."""
        before = self._number()
        self._write("here", {})
        while True:
            await asyncio.sleep(0.05)
            if (number := self._number()) != before:
                before = number
                self._answers = 0
                self._answered.clear()
                self._write(number, await self._announce(number))

    async def _announce(self, number: str) -> dict[str, Any]:
        receipt, lags = None, list[float]()
        watching = asyncio.create_task(watch_the_loop(lags))
        if isinstance(self._session, AgentSession):
            receipt = to_json(await self._session.announce(audio=self._notice, id=f"notice-{number}"))
        else:
            notice = self._notice
            await self._session.say(notice.text, audio=notice.frames(), allow_interruptions=False)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), ANSWERED)
        watching.cancel()
        return {"receipt": receipt, "answers": self._answers, "late": percentile(lags, 99)}

    def _on_item(self, event: Any) -> None:
        if event.item.role == "assistant" and event.item.text_content != self._notice.text:
            self._answers += 1
            self._answered.set()

    def _number(self) -> str:
        return (self._folder / "round").read_text()

    def _write(self, what: str, facts: dict[str, Any]) -> None:
        new = self._folder / f"{self._room}-{what}.new"
        new.write_text(json.dumps(facts))
        new.replace(new.with_suffix(".json"))


def _models() -> dict[str, Any]:
    """STT, LLM and TTS of a session."""
    if MODELS:
        stt, llm, tts = "deepgram/nova-3-general", "openai/gpt-4.1-mini", "cartesia/sonic-3"
        return {"stt": inference.STT(stt), "llm": inference.LLM(llm), "tts": inference.TTS(tts)}
    now = asyncio.get_running_loop().time
    return {"stt": Recogniser(), "llm": ScriptedLLM(LLM(), now), "tts": ScriptedTTS(TTS(), now)}


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = peers.SESSIONS[os.environ["BENCH_PEER"]](vad=ctx.proc.userdata["vad"], **_models())
    await session.start(agent=Agent(instructions="Answer briefly."), room=ctx.room)
    await ctx.connect()
    announcing = asyncio.create_task(Announcing(ctx.room.name, session, ctx.proc.userdata["notice"]).run())

    async def over() -> None:
        announcing.cancel()

    ctx.add_shutdown_callback(over)


if __name__ == "__main__":
    (livekit_cli if os.environ["BENCH_PEER"] == peers.STOCK else cli).run_app(server)

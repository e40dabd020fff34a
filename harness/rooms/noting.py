"""An agent for tests of presence that announces, and notes floor events and receipts, a file for each room.

The folder is named by ``ROOM_NOTES``. Each file is JSON: ``zero`` (the call's start, by this machine's monotonic
clock), ``events`` (what the floor was told and decided: second, name, and its facts), ``receipts``, ``late`` (when this
process ran late, and by how many seconds), and ``closed``.
"""

import asyncio
import dataclasses
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import Any

import numpy as np
from dotenv import load_dotenv
from livekit import rtc
from livekit.agents import Agent, AgentServer, JobContext, JobProcess, ModelSettings, inference, room_io
from livekit.plugins import silero

from harness import leaks
from harness.rooms.notice import NOTICE, POLICY
from hearout import AgentSession, cli
from hearout.receipts._codec import to_json

LOUD = 150
"""The sample value from which the voice speaks."""

load_dotenv()

server = AgentServer(num_idle_processes=1)


def load_vad(process: JobProcess) -> None:
    """Load the voice activity detector once for each process."""
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = load_vad


class Notes:
    """What a test reads, written again whenever something happened."""

    def __init__(self, room: str, session: AgentSession[None]) -> None:
        self._path = Path(os.environ["ROOM_NOTES"]) / f"{room}.json"
        self._session = session
        self._notes: dict[str, Any] = {"zero": 0.0, "events": [], "receipts": [], "late": [], "closed": None}
        session.on_floor(self._on_floor)
        session.on("close", lambda _: self._close())

    def _on_floor(self, at: float, what: Any) -> None:
        facts = {field.name: getattr(what, field.name) for field in dataclasses.fields(what)}
        plain = {name: fact for name, fact in facts.items() if isinstance(fact, str | float | int | None)}
        self._notes["events"].append([at, type(what).__name__, plain])
        if not self._notes["zero"]:
            self._notes["zero"] = time.monotonic() - at

    def _close(self) -> None:
        self._notes["closed"] = time.monotonic()
        self.write()

    def write(self) -> None:
        """All of it, at once: a reader never sees half a file."""
        self._notes["receipts"] = [to_json(receipt) for receipt in self._session.receipts]
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._notes))
        new.replace(self._path)

    async def keep(self) -> None:
        """Write it down twice a second, for ever, and how late this process ran."""
        while True:
            for _ in range(10):
                due = time.monotonic() + 0.05
                await asyncio.sleep(0.05)
                if (late := time.monotonic() - due) > 0.05:
                    self._notes["late"].append([due, late])
            self.write()


class Announcing(Agent):
    """Announces, and answers what was said meanwhile."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    async def on_enter(self) -> None:
        assert isinstance(self.session, AgentSession)
        self.session.announce(NOTICE, id="notice")

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """The voice without the third of a second of silence with which it begins, in which a clip would not show."""
        spoken = False
        async for frame in Agent.default.tts_node(self, text, model_settings):
            spoken = spoken or bool(np.abs(np.frombuffer(frame.data, np.int16).astype(np.int32)).max() > LOUD)
            if spoken:
                yield frame


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession[None](
        policy=POLICY,
        stt=inference.STT("deepgram/nova-3-general"),
        llm=inference.LLM("openai/gpt-4.1-mini"),
        tts=inference.TTS("cartesia/sonic-3", voice="9626c31c-bec5-4cca-baa8-f8ba9e84c8bc"),
        vad=ctx.proc.userdata["vad"],
    )
    notes = Notes(ctx.room.name, session)
    # three times LiveKit's own wait for what a microphone took before the call: machines are busy
    options = room_io.RoomOptions(audio_input=room_io.AudioInputOptions(pre_connect_audio_timeout=9.0))
    await session.start(agent=Announcing(), room=ctx.room, room_options=options)
    await ctx.connect()
    keeping = asyncio.create_task(notes.keep())

    async def over() -> None:
        keeping.cancel()
        notes.write()
        await leaks.note(ctx.room.name, Path(os.environ["ROOM_NOTES"]))

    ctx.add_shutdown_callback(over)


if __name__ == "__main__":
    cli.run_app(server)

"""Calls held with LiveKit's session or hearout's: one line of stdin asks for one, the same with "done" says it is over.

Run it with ``python -m bench.peers.on_livekit PEER``; the models are those at ``LIVEKIT_INFERENCE_URL``.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livekit.agents import Agent, inference, utils
from livekit.agents import __version__ as livekit_version
from livekit.agents.voice import AgentSession as LiveKitSession
from livekit.plugins import silero

from bench.course import Course, order, read
from bench.peers import HEAROUT, SESSIONS
from hearout import AgentSession
from hearout._console.line import Line
from hearout._session.process import use_line
from hearout.receipts._codec import to_json


class Notice(Agent):
    """Says one thing that may not be interrupted, and answers."""

    def __init__(self, text: str) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)
        self._text = text

    async def on_enter(self) -> None:
        self.session.say(self._text)


class _Call:
    """One call on the console's line, with the course that all peers share."""

    def __init__(self, asked: Mapping[str, Any], vad: silero.VAD) -> None:
        self._asked, self._folder = asked, Path(asked["folder"])
        self._course = Course(read(self._folder / "said.wav"))
        self._over = asyncio.Event()
        self._line = Line(on_tick=self._tick, on_attached=lambda _: None, on_caption=lambda _: None)
        self._session: LiveKitSession[Any] = SESSIONS[asked["peer"]](
            stt=inference.STT("deepgram/nova-3-general"),
            llm=inference.LLM(asked["call"]),
            tts=inference.TTS("cartesia/sonic-3", voice="local"),
            vad=vad,
        )

    async def hold(self) -> None:
        """From the agent's first word until both sides have been quiet for long."""
        if isinstance(self._session, AgentSession):
            use_line(self._line, call=self._asked["call"])  # it attaches the line itself, as in the console
        else:
            self._line.attach(self._session)
        try:
            await self._session.start(agent=Notice(self._asked["notice"]))
            await self._over.wait()
        finally:
            await self._line.hang_up()
            messages = [
                {"role": item.role, "content": item.text_content or ""}
                for item in self._session.history.items
                if item.type == "message"
            ]
            await self._session.aclose()
        session = self._session
        receipts = [to_json(one) for one in session.receipts] if isinstance(session, AgentSession) else []
        self._course.save(self._folder, messages=messages, receipts=receipts)

    def _tick(self, _: float) -> None:
        played = self._line._recorded[-1][1]  # what every peer's program gives to its course: the last 20 ms
        self._line.speak(self._course.next(played))
        if self._course.over:
            self._over.set()


async def main(peer: str) -> None:
    """Hold calls until stdin ends."""
    logging.basicConfig(level=os.environ.get("BENCH_LOG", "ERROR"), stream=sys.stderr)
    vad, loop = silero.VAD.load(), asyncio.get_running_loop()
    print(json.dumps({"ready": livekit_version}), flush=True)
    while text := await loop.run_in_executor(None, sys.stdin.readline):
        asked = order(text)
        async with utils.http_context.open():
            await _Call({**asked, "peer": peer}, vad).hold()
        print(json.dumps({**asked, "done": True}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else HEAROUT))

"""The agent of the short calls with the local voice: it says a notice that may not be interrupted, and answers.

Run it as any agent of hearout's: ``python bench/notice.py console --script bench/calls/middle.toml``. With ``--stock``
it is LiveKit's; with ``--stock`` and ``BENCH_PEER=strongest``, LiveKit's as a team would have to set it up.
"""

import os
import sys
from pathlib import Path
from typing import Any

from livekit.agents import Agent, AgentServer, JobContext, JobProcess, inference
from livekit.plugins import silero

from hearout import AgentSession, cli

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.peers import STRONGEST, STRONGEST_ARGUMENTS, KeptWords

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "Please have your customer number ready now."
)

server = AgentServer()


def load_vad(process: JobProcess) -> None:
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = load_vad


class Notice(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    strongest = os.environ.get("BENCH_PEER") == STRONGEST
    session: AgentSession[Any] = AgentSession(
        stt=inference.STT("deepgram/nova-3-general"),
        llm=inference.LLM("openai/gpt-4.1-mini"),
        tts=inference.TTS("cartesia/sonic-3", voice="9626c31c-bec5-4cca-baa8-f8ba9e84c8bc"),
        vad=ctx.proc.userdata["vad"],
        **(STRONGEST_ARGUMENTS if strongest else {"turn_handling": {"turn_detection": "vad"}}),
    )
    if strongest:
        KeptWords(session)
    await session.start(agent=Notice(), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)

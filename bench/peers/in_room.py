"""The agent that voicebench calls in a real room: it says the notice, and answers; ``BENCH_PEER`` says whose session.

The local models are hearout's for both: its command line brings them.
"""

import os
import sys
from pathlib import Path

from livekit.agents import AgentServer, JobContext, JobProcess, inference
from livekit.plugins import silero

from hearout import cli

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.peers import SESSIONS
from bench.peers.callers import NOTICE
from bench.peers.on_livekit import Notice

server = AgentServer(num_idle_processes=1)


def load_vad(process: JobProcess) -> None:
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = load_vad


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = SESSIONS[os.environ["BENCH_PEER"]](
        stt=inference.STT("deepgram/nova-3-general"),
        llm=inference.LLM("openai/gpt-4.1-mini"),
        tts=inference.TTS("cartesia/sonic-3", voice="local"),
        vad=ctx.proc.userdata["vad"],
    )
    await session.start(agent=Notice(NOTICE), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)

"""An agent file for the tests of the page: one short notice, and a button for it.

In seconds, where they are set: ``ROOM_GRACE`` for its caller's return, ``ROOM_COMES`` until it comes into the room,
``ROOM_LOOKS_UP`` until its session begins, ``ROOM_LEAVES`` until it leaves.
"""

import asyncio
import os

from livekit.agents import Agent, AgentServer, JobContext, JobProcess, inference
from livekit.plugins import silero

from hearout import AgentSession, Policy, cli
from hearout.policy import Timeouts

NOTICE = "This call is recorded. Your words are kept for thirty days."

server = AgentServer()


def given(name: str, usual: float = 0.0) -> float:
    """Seconds from the environment."""
    return float(os.environ.get(name, usual))


def load_vad(process: JobProcess) -> None:
    """Once for each process."""
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = load_vad


class NoticeAgent(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You read a notice.")

    async def on_enter(self) -> None:
        assert isinstance(self.session, AgentSession)
        self.session.announce(NOTICE, id="notice", acknowledge="Press OK")


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Read the notice to whoever calls."""
    await asyncio.sleep(given("ROOM_COMES"))
    if looks_up := given("ROOM_LOOKS_UP"):
        await ctx.connect()
        await asyncio.sleep(looks_up)
    session = AgentSession[None](
        policy=Policy(timeouts=Timeouts(caller_return=given("ROOM_GRACE", 20.0))),
        stt=inference.STT("deepgram/nova-3-general"),
        llm=inference.LLM("openai/gpt-4.1-mini"),
        tts=inference.TTS("cartesia/sonic-3", voice="9626c31c-bec5-4cca-baa8-f8ba9e84c8bc"),
        vad=ctx.proc.userdata["vad"],
    )
    await session.start(agent=NoticeAgent(), room=ctx.room)
    if leaves := given("ROOM_LEAVES"):
        await asyncio.sleep(leaves)
        ctx.shutdown()


if __name__ == "__main__":
    cli.run_app(server)

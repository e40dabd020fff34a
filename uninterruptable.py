"""An agent that finishes what it says, hears what is said meanwhile, and answers it right after.

Run it with `python uninterruptable.py console`; `dev`, `start` and `connect` join a LiveKit server.
"""

from dotenv import load_dotenv

from hearout import Agent, AgentSession, cli  # isort: skip (before LiveKit, which is imported faster so)
from livekit.agents import AgentServer, JobContext, JobProcess, inference
from livekit.plugins import silero

load_dotenv()

server = AgentServer()


def load_vad(process: JobProcess) -> None:
    """Load the voice activity detector once for each process, not once for each call."""
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = load_vad


class UninterruptableAgent(Agent):
    def __init__(self) -> None:
        super().__init__(
            instructions="You are a friendly voice assistant. Nobody can interrupt you, but you hear every word.",
            allow_interruptions=False,
        )

    async def on_enter(self) -> None:
        self.session.generate_reply(
            user_input="Tell me something long and rather boring, so that I can try to interrupt you."
        )


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    ctx.log_context_fields = {"room": ctx.room.name}
    session = AgentSession(
        stt=inference.STT("deepgram/nova-3-general"),
        llm=inference.LLM("openai/gpt-4.1-mini"),
        tts=inference.TTS("cartesia/sonic-3", voice="9626c31c-bec5-4cca-baa8-f8ba9e84c8bc"),
        vad=ctx.proc.userdata["vad"],
        preemptive_generation=True,
    )
    await session.start(agent=UninterruptableAgent(), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)

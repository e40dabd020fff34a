"""An agent file for real calls of `ask()`: one question, a word about the answer, and the end of the call.

``ROOM_WAIT`` is the question's `wait` in seconds, ``ROOM_STAYS`` the seconds for which the agent stays after its last
word. In a room of :data:`ENDING` nothing is asked: LiveKit's `EndCallTool` says goodbye and ends the call.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import Agent, AgentServer, JobContext, JobProcess, inference, llm
from livekit.agents.beta.tools import EndCallTool
from livekit.plugins import silero

from hearout import AgentSession, YesNo, cli

QUESTION = "May we record this call?"
REPEAT = "Please say yes or no."
GOODBYE = "Thank you, we have noted that. Goodbye."
ENDING = "ending-"
"""How the names of these rooms begin."""

server = AgentServer(num_idle_processes=1)


def load_vad(process: JobProcess) -> None:
    """Once for each process."""
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = load_vad


class Asking(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    async def on_enter(self) -> None:
        assert isinstance(self.session, AgentSession)
        answer = await self.session.ask(
            QUESTION,
            id="recording-consent",
            version="3",
            choices=YesNo(keys={"1": "yes", "2": "no"}),
            repeat=REPEAT,
            wait=float(os.environ.get("ROOM_WAIT", "6")),
        )
        if answer.choice:
            await self.session.announce(GOODBYE, id="goodbye")
            await asyncio.sleep(float(os.environ.get("ROOM_STAYS", "0")))
            await self.session.hang_up()


class Ending(Agent):
    """Its model calls the tool, and says goodbye when that has answered; neither may be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", tools=[EndCallTool()], allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="End the call.")

    async def llm_node(self, chat_ctx: llm.ChatContext, *_: Any) -> AsyncIterator[llm.ChatChunk | str]:  # type: ignore[override]
        if any(item.type == "function_call_output" for item in chat_ctx.items):
            yield GOODBYE
            return
        call = llm.FunctionToolCall(name="end_call", arguments="{}", call_id="1")
        yield llm.ChatChunk(id="1", delta=llm.ChoiceDelta(role="assistant", tool_calls=[call]))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Ask whoever calls."""
    session = AgentSession[None](
        stt=inference.STT("deepgram/nova-3-general"),
        llm=inference.LLM("openai/gpt-4.1-mini"),
        tts=inference.TTS("cartesia/sonic-3", voice="9626c31c-bec5-4cca-baa8-f8ba9e84c8bc"),
        vad=ctx.proc.userdata["vad"],
    )
    agent = Ending() if ctx.job.room.name.startswith(ENDING) else Asking()
    await session.start(agent=agent, room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)

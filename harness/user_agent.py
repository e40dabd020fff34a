"""A team's own agent, as their strict mypy sees it: each line must pass, and each `type: ignore` must be needed."""

from dataclasses import dataclass

from livekit.agents import AgentServer, JobContext, RunContext, function_tool, inference

from hearout import (
    Agent,
    AgentSession,
    AgentTask,
    CallerAnswer,
    Choices,
    CutIn,
    Ledger,
    Level,
    Outcome,
    Policy,
    QuestionHandle,
    Receipt,
    Retention,
    YesNo,
    attach,
    cli,
)
from hearout.testing import LLM, Call, Say, first_sound

server = AgentServer()
attach(server)


@dataclass
class Patient:
    name: str = ""


class Consent(AgentTask[bool]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for consent.")

    async def on_enter(self) -> None:
        answer: CallerAnswer = await self.session.ask("Do you agree?", id="consent", choices=YesNo(keys={"1": "yes"}))
        self.complete(answer.choice == "yes")


class FrontDesk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        receipt = await self.session.announce("This call is recorded.", id="notice", cut_in=CutIn(keys="0"))
        whole: bool = receipt.outcome is Outcome.FINISHED and receipt.level >= Level.PLAYED
        if whole and await Consent():
            self.session.say("Thank you.", allow_interruptions=True)
        self.session.announce(1)  # type: ignore[arg-type]
        self.session.say("Hello.", interruptible=True)  # type: ignore[call-arg]

    @function_tool
    async def pick(self, context: RunContext[Patient]) -> str:
        """Pick a department."""
        asked: QuestionHandle = self.session.ask("Which one?", id="which", choices=Choices("sales", "support"))
        return (await asked).choice or context.userdata.name


class Session(AgentSession[Patient]):
    def over(self) -> list[Receipt]:
        return [one for one in self.receipts if one.outcome is Outcome.FINISHED]


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = Session(
        stt=inference.STT("deepgram/nova-3-general"),
        llm="openai/gpt-4.1-mini",
        tts=inference.TTS("cartesia/sonic-3"),
        policy=Policy(words_on_receipt=Retention.KEEP),
        ledger=Ledger("sqlite:///receipts.db"),
        userdata=Patient(),
    )
    AgentSession(sst="deepgram/nova-3-general", userdata=Patient())  # type: ignore[call-arg]
    found: Patient = AgentSession(userdata=Patient()).userdata
    await session.start(agent=FrontDesk(), room=ctx.room)
    await session.start(agent=FrontDesk(), rooms=ctx.room)  # type: ignore[call-overload]
    handle = session.announce(f"{found.name} is called.")
    handle.stop("enough")
    await ctx.connect()


def test_the_notice_is_whole() -> None:
    result = Call(agent=FrontDesk, caller=[Say(first_sound(1.0), "wait")], llm=LLM(answers=["Yes?"])).play()
    assert result.protected[0].whole
    assert result.session.receipts[0].played > 1.0


if __name__ == "__main__":
    cli.run_app(server)

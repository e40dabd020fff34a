"""What the tests of the scripted caller share: three agents, LiveKit's own session in two settings."""

from typing import Any

from livekit.agents import Agent, AgentSession

from hearout.testing import Result

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "Please have your customer number ready now."
)
SIX_WORDS = "wait please change my address first"


class Announcing(Agent):
    """Says a notice that may not be interrupted; so are its replies."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


class Interruptible(Agent):
    """Says the same, and lets itself be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


class Asking(Agent):
    """Lets the model speak first, not to be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Say the notice.")


def stock(**models: Any) -> AgentSession[Any]:
    return AgentSession(turn_handling={"turn_detection": "vad"}, aec_warmup_duration=None, **models)


def hearing(**models: Any) -> AgentSession[Any]:
    """Stock, and the STT hears what is said over protected speech."""
    return AgentSession(
        turn_handling={"turn_detection": "vad", "interruption": {"discard_audio_if_uninterruptible": False}},
        aec_warmup_duration=None,
        **models,
    )


def words_heard(result: Result) -> list[str]:
    return [word.text for _, word in result.heard]

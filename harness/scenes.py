"""Agents and calls for tests in virtual time: with hearout's session, and with LiveKit's own in two settings."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from livekit.agents import Agent, RunContext, function_tool
from livekit.agents import AgentSession as LiveKitSession

from hearout import AgentSession, Policy, Receipt
from hearout._session.runner import FloorListener
from hearout.testing import Call, Result
from hearout.testing._script import Act

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "Please have your customer number ready now."
)
CONSENT = (
    "This call is recorded for training and quality. Your data is kept for thirty days and then erased. "
    "Do you agree to that?"
)
QUIET = 10.0
"""Seconds without anything after which a call of the tests ends: longer than any wait of a session that nobody sees."""

SECOND = "There is one more thing that you should know about. Our offices are closed on the first of May."
QUESTION = "wait please change my address first"


class Announcing(Agent):
    """Says something that may not be interrupted; its replies may."""

    def __init__(self, *texts: str, **options: Any) -> None:
        super().__init__(instructions="Answer briefly.", **options)
        self.texts = texts or (NOTICE,)

    async def on_enter(self) -> None:
        for text in self.texts:
            self.session.say(text, allow_interruptions=False)


class Uninterruptable(Announcing):
    """The recipe's agent: nothing that it says may be interrupted."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts, allow_interruptions=False)


class Interruptible(Agent):
    """Says a notice, and lets itself be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


class Mixed(Agent):
    """Says one thing that may be interrupted and one that may not."""

    def __init__(self, *, protected_first: bool) -> None:
        super().__init__(instructions="Answer briefly.")
        self.protected_first = protected_first
        self.texts: tuple[str, ...] = (NOTICE, SECOND)

    async def on_enter(self) -> None:
        for protected in (self.protected_first, not self.protected_first):
            self.session.say(self.texts[0 if protected else 1], allow_interruptions=not protected)


class Next(Agent):
    """To whom a call is handed over."""

    def __init__(self) -> None:
        super().__init__(instructions="You are the next agent.")


class Thinking(Agent):
    """Lets the model speak first, not to be interrupted; so are its replies."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Say the notice.")


class Working(Thinking):
    """Has a tool."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[float] = []

    @function_tool
    async def look_up(self, context: RunContext[None]) -> str:
        """Look something up."""
        self.ran.append(1.0)
        return "found"


def stock(**models: Any) -> LiveKitSession[Any]:
    """LiveKit's own session."""
    return LiveKitSession(turn_handling={"turn_detection": "vad"}, aec_warmup_duration=None, **models)


def hearing(**models: Any) -> LiveKitSession[Any]:
    """Stock, and the STT hears what is said over protected speech."""
    return LiveKitSession(
        turn_handling={"turn_detection": "vad", "interruption": {"discard_audio_if_uninterruptible": False}},
        aec_warmup_duration=None,
        **models,
    )


def ours(
    policy: Policy | None = None, on_floor: FloorListener | None = None, **more: Any
) -> Callable[..., AgentSession[Any]]:
    """Makes hearout's session."""

    def make(**models: Any) -> AgentSession[Any]:
        session = AgentSession[Any](policy=policy, turn_handling={"turn_detection": "vad"}, **more, **models)
        if on_floor is not None:
            session.on_floor(on_floor)
        return session

    return make


def call(
    *caller: Act,
    agent: Callable[[], Agent] = Announcing,
    policy: Policy | None = None,
    on_floor: FloorListener | None = None,
    ends_after: float | None = None,
    **more: Any,
) -> Result:
    """A call with hearout's session, until `ends_after`, or until nothing has happened for `QUIET`."""
    ends = {"ends_quiet": QUIET} if ends_after is None else {"ends_after": ends_after}
    return Call(agent=agent, session=ours(policy, on_floor), caller=caller, **{**ends, **more}).play()


def receipts(result: Result) -> list[Receipt]:
    """The receipts of a call."""
    found: list[Receipt] = result.session.receipts
    return found


def fates(result: Result, number: int = 0) -> list[tuple[str, str]]:
    """Held words of an utterance, each with the fate."""
    return [(held.text, fate.value) for held, fate in receipts(result)[number].held]


def words_heard(result: Result) -> list[str]:
    """The words that the STT heard."""
    return [word.text for _, word in result.heard]


def said(result: Result) -> Sequence[str]:
    """What the agent said."""
    return [one.said for one in result.utterances]


def first(result: Result) -> float:
    """When the agent's first utterance began."""
    return result.utterances[0].start


def assert_answered_at_once(result: Result, *turns: str, gap: float = 0.1) -> None:
    """Everything was delivered, and answered once, right after it."""
    assert result.protected[0].whole, result.describe()
    assert (result.kept, result.turns, result.false_replies) == (1.0, list(turns), []), result.describe()
    assert len(result.replies) == len(turns), result.describe()
    assert result.gaps[0] <= gap, result.describe()


class Reading(Agent):
    """Does what it is given, on entering."""

    def __init__(self, read: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        super().__init__(instructions="Answer briefly.")
        self.read = read

    async def on_enter(self) -> None:
        await self.read(self.session)


def reading(read: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[], Agent]:
    return lambda: Reading(read)

"""Where nothing is protected, LiveKit's session behaves as its user chose; what is protected is kept all the same."""

import asyncio
import os
from typing import Any

import pytest
from livekit.agents import Agent, function_tool, inference, text_transforms
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.beta import EndCallTool
from livekit.agents.inference.interruption import OverlappingSpeechEvent
from livekit.agents.voice.agent_session import SessionConnectOptions

from harness.scenes import NOTICE, QUESTION, Announcing, Interruptible, assert_answered_at_once, receipts
from harness.untouched import Met, compared
from hearout import AgentSession, Outcome
from hearout.testing import LLM, STT, Call, Do, Outage, Reply, Result, Say, UseTool, first_sound

CALLS = int(os.environ.get("HEAROUT_UNTOUCHED_CALLS", "30"))
DIFFERED = (1062, 5040)
"""Calls that differed once: a text typed while the session drains; a caller who talks on after the close."""


def played(session: type[LiveKitSession[Any]], *caller: Say, agent: Any = Interruptible, **more: Any) -> Result:
    """A call with the arguments that LiveKit's examples give."""
    arguments = dict(more.pop("arguments", {}))
    handling = {"turn_detection": "vad", **arguments.pop("turn_handling", {})}

    def make(**models: Any) -> Any:
        return session(turn_handling=handling, **arguments, **models)

    return Call(agent=agent, session=make, caller=caller, **more).play()


def events(result: Result) -> list[tuple[float, str, str]]:
    """What a user of the session sees, to the tick of a frame."""
    return [(round(at, 2), name, _facts(event)) for at, name, event in result.events]


def _facts(event: Any) -> str:
    names = ("new_state", "transcript", "is_final", "source", "user_initiated", "resumed", "reason")
    known = {name: getattr(event, name) for name in names if hasattr(event, name)}
    if (item := getattr(event, "item", None)) is not None:
        known |= {"role": getattr(item, "role", ""), "text": getattr(item, "text_content", "")}
    return str(known)


# Turns, interruptions, tools, hand-overs, metrics, contexts: the same, and timings to one tick.
def test_calls_without_protected_speech_are_livekits_event_for_event() -> None:
    met = Met()
    different = {seed: found for seed in (*range(CALLS), *DIFFERED) if (found := compared(seed, met))}

    assert not different
    assert met.compared > 0.8 * CALLS


class Quickstart(Agent):
    """As the agent of LiveKit's quickstart: greets by a reply, looks up the weather, and can end the call."""

    def __init__(self) -> None:
        super().__init__(instructions="Your name is Kelly.", tools=[EndCallTool()])

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the user.")

    @function_tool
    async def lookup_weather(self, location: str = "Paris") -> str:
        """Look up the weather."""
        return f"sunny in {location}"


def test_livekits_quickstart_is_the_same_call_with_only_the_import_changed() -> None:
    arguments = {
        "turn_handling": {
            "interruption": {"resume_false_interruption": True, "false_interruption_timeout": 1.0},
            "preemptive_generation": {"enabled": True, "max_retries": 3},
        },
        "aec_warmup_duration": 3.0,
        "tts_text_transforms": ["filter_emoji", "filter_markdown", text_transforms.replace({"LiveKit": "Live Kit"})],
        "stt_context_options": {"keyterms": ["LiveKit"]},
    }
    model = LLM(
        answers=[
            "Hello, I am Kelly.",
            Reply("", tools=(UseTool("lookup_weather"),)),
            "Sunny.",
            Reply("", tools=(UseTool("end_call"),)),
        ]
    )
    caller = [Say(5.0, QUESTION), Say(first_sound(8.0), "goodbye then"), Say(first_sound(9.5), "and thank you")]
    ours, theirs = (
        played(kind, *caller, agent=Quickstart, arguments=arguments, llm=model)
        for kind in (AgentSession, LiveKitSession)
    )

    assert events(ours) == events(theirs)
    assert (ours.closed, ours.turns) == (theirs.closed, theirs.turns)
    assert ours.closed is not None
    assert "function_tools_executed" in {name for _, name, _ in events(ours)}


def test_what_an_agent_says_as_it_leaves_is_said_at_the_end_too() -> None:
    class Leaving(Interruptible):
        async def on_exit(self) -> None:
            await self.session.say("Goodbye then.")

    close = Do(12.0, lambda session: session.aclose())
    ours, theirs = (played(kind, close, agent=Leaving) for kind in (AgentSession, LiveKitSession))  # type: ignore[arg-type]

    assert [one.said for one in ours.utterances] == [one.said for one in theirs.utterances] == [NOTICE, "Goodbye then."]


def test_a_goodbye_that_may_not_be_interrupted_has_a_receipt() -> None:
    class Leaving(Interruptible):
        async def on_exit(self) -> None:
            await self.session.say("Goodbye then.", allow_interruptions=False)

    result = played(AgentSession, Do(12.0, lambda session: session.aclose()), agent=Leaving)  # type: ignore[arg-type]

    assert [(one.text, one.outcome) for one in receipts(result)] == [("Goodbye then.", Outcome.FINISHED)]


def test_the_echo_cancellers_warm_up_holds_over_interruptible_speech() -> None:
    ours, theirs = (played(kind, Say(first_sound(0.5), QUESTION)) for kind in (AgentSession, LiveKitSession))

    assert ours.turns == theirs.turns
    assert len(ours.heard) == len(theirs.heard) < 6


@pytest.mark.parametrize("warmup", [{}, {"aec_warmup_duration": 3.0}, {"aec_warmup_duration": None}])
def test_words_over_protected_speech_are_heard_during_the_warm_up(warmup: dict[str, Any]) -> None:
    result = played(AgentSession, Say(first_sound(0.5), QUESTION), agent=Announcing, arguments=warmup)

    assert_answered_at_once(result, QUESTION)


def fails(kind: type[LiveKitSession[Any]], agent: Any, errors: int = 1) -> Result:
    options = SessionConnectOptions(max_unrecoverable_errors=errors)
    down = STT(outages=(Outage(0.5, seconds=60.0, retryable=False),))
    return played(kind, agent=agent, arguments={"conn_options": options}, stt=down)


def test_too_many_errors_close_a_session_that_owes_nothing_as_livekits() -> None:
    ours, theirs = (fails(kind, Interruptible) for kind in (AgentSession, LiveKitSession))

    assert ours.closed is not None
    assert ours.closed == theirs.closed


def test_too_many_errors_do_not_close_a_session_while_it_owes_speech() -> None:
    result = fails(AgentSession, Announcing)

    assert result.protected[0].whole
    assert receipts(result)[0].outcome is Outcome.FINISHED


class Backchannels(inference.AdaptiveInterruptionDetector):
    """Takes whatever a caller says over the agent for a backchannel."""

    def __init__(self) -> None:
        super().__init__(api_key="key", api_secret="secret")

    def stream(self, **_: Any) -> Any:
        return _Verdicts()


class _Verdicts:
    def __init__(self) -> None:
        self._ended: asyncio.Queue[OverlappingSpeechEvent] = asyncio.Queue()

    def push_frame(self, frame: Any) -> None:
        if "OverlapSpeechEnded" in type(frame).__name__:
            self._ended.put_nowait(OverlappingSpeechEvent(agent_ended=frame.agent_ended))

    def __aiter__(self) -> "_Verdicts":
        return self

    async def __anext__(self) -> OverlappingSpeechEvent:
        return await self._ended.get()

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def adaptive(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(inference, "AdaptiveInterruptionDetector", Backchannels)
    return {"aec_warmup_duration": None, "turn_handling": {"interruption": {"mode": "adaptive"}}}


def test_adaptive_interruption_judges_interruptible_speech_as_livekits(adaptive: dict[str, Any]) -> None:
    caller = Say(first_sound(2.0), QUESTION)
    ours, theirs = (played(kind, caller, arguments=adaptive) for kind in (AgentSession, LiveKitSession))
    vad = played(LiveKitSession, caller, arguments={"aec_warmup_duration": None})

    assert events(ours) == events(theirs)
    assert len(ours.utterances[0].said.split()) > len(vad.utterances[0].said.split())


@pytest.mark.parametrize("at", [0.5, 3.0, 6.5, 7.5])
def test_adaptive_interruption_takes_no_word_said_over_protected_speech(adaptive: dict[str, Any], at: float) -> None:
    result = played(AgentSession, Say(first_sound(at), QUESTION), agent=Announcing, arguments=adaptive)

    assert result.protected[0].whole
    assert (result.kept, result.turns) == (1.0, [QUESTION])

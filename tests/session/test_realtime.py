"""Realtime models: protected speech finishes, and the caller's words reach the model once."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from livekit.agents import Agent, AgentTask, RunContext, function_tool, llm
from livekit.agents import AgentSession as LiveKitSession

from harness.scenes import NOTICE, QUESTION, QUIET, Announcing, Thinking, Uninterruptable, fates, receipts
from hearout import AgentSession, SettingsError
from hearout.receipts import Outcome
from hearout.testing import LLM, STT, Call, Do, Noise, Realtime, Reply, Result, Say, UseTool, first_sound, from_end
from hearout.testing._realtime import ScriptedRealtimeModel

KINDS = {
    "the server takes turns": Realtime(),
    "create_response=False": Realtime(creates_response=False),
    "its turn detection can be disabled": Realtime(can_disable=True),
    "turn_detection=None": Realtime(detects_turns=False),
    "Gemini": Realtime(commits=False),
    "it tells no transcripts": Realtime(transcribes=False),
}
BY_LIVEKIT = ("create_response=False", "its turn detection can be disabled", "turn_detection=None")
"""Kinds of which LiveKit makes the turns."""


CALLS = int(os.environ.get("HEAROUT_REALTIME_CALLS", "24"))
FEW, MANY = (settings(max_examples=examples) for examples in (CALLS // 6, CALLS))


def played(kind: str | Realtime, *caller: Any, agent: Callable[[], Agent] = Announcing, **more: Any) -> Result:
    """A call with a realtime model and hearout's session, unless it is given another."""
    realtime = KINDS[kind] if isinstance(kind, str) else kind
    handling = {"turn_handling": {"turn_detection": "vad"}} if kind in BY_LIVEKIT else {}
    arguments = {**handling, **more.pop("arguments", {})}
    made: Callable[..., Any] = more.pop("session", AgentSession)
    return Call(
        agent=agent,
        session=lambda **models: made(**(models | arguments)),
        caller=caller,
        realtime=realtime,
        **({"ends_after": 40.0, "ends_quiet": None if "ends_after" in more else QUIET} | more),
    ).play()


def model_of(result: Result) -> Any:
    model = result.session.llm
    return getattr(model, "behind", model)


def reached(result: Result) -> list[str]:
    """The caller's turns as the model has them at the end."""
    return [text for role, text in model_of(result).sessions[-1].conversation if role == "user" and text]


def test_a_program_sees_the_kind_of_a_realtime_model_behind_the_floor() -> None:
    result = played("Gemini", ends_after=1.0)

    assert isinstance(result.session.llm, ScriptedRealtimeModel)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("agent", [Announcing, Uninterruptable])
def test_words_over_a_notice_reach_a_realtime_model_once(kind: str, agent: Callable[[], Agent]) -> None:
    result = played(kind, Say(first_sound(2.0), QUESTION), agent=agent)

    assert result.protected[0].whole, result.describe()
    assert (reached(result), len(result.replies)) == ([QUESTION], 1), result.describe()
    assert fates(result) == [(QUESTION, "delivered")]
    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert 0.0 < result.gaps[0] < 0.7
    assert receipts(result)[0].gap == pytest.approx(result.gaps[0], abs=0.06)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [-2.5, -1.2, -0.3])
def test_a_caller_who_talks_across_the_end_is_heard_out(kind: str, before: float) -> None:
    result = played(kind, Say(from_end(before), QUESTION))

    assert result.protected[0].whole, result.describe()
    assert (reached(result), len(result.replies)) == ([QUESTION], 1), result.describe()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Gemini"])
@pytest.mark.parametrize("at", [5.3, 5.6, 6.2, 7.0])
def test_words_that_began_before_the_notice_reach_the_model_once(kind: str, at: float) -> None:
    announce = Do(at, lambda session: session.announce(NOTICE, id="notice"))
    result = played(kind, Say(5.0, QUESTION), announce, agent=lambda: Agent(instructions="Answer."))

    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert " ".join(reached(result)) == QUESTION, result.describe()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_after_the_notice_is_the_models_as_ever(kind: str) -> None:
    result = played(kind, Say(first_sound(2.0), QUESTION), Say(20.0, "and my name too"))

    assert reached(result) == [QUESTION, "and my name too"], result.describe()


@pytest.mark.parametrize("kind", KINDS)
def test_a_protected_reply_of_the_model_itself_finishes(kind: str) -> None:
    llms = LLM(answers=[NOTICE, "That is noted."])
    result = played(kind, Say(first_sound(2.0), QUESTION), agent=Thinking, llm=llms)

    assert [one.said for one in result.utterances] == [NOTICE, "That is noted."], result.describe()
    assert result.protected[0].whole
    assert (reached(result), fates(result)) == ([QUESTION], [(QUESTION, "delivered")])
    assert receipts(result)[0].text == NOTICE


@pytest.mark.parametrize("kind", KINDS)
def test_a_backchannel_and_a_cough_over_a_notice_are_answered_by_nobody(kind: str) -> None:
    result = played(kind, Say(first_sound(2.0), "mm-hm", answered=False), Noise(first_sound(4.0), 0.4))

    assert result.protected[0].whole
    assert (reached(result), len(result.utterances)) == ([], 1), result.describe()
    assert fates(result) == [("mm-hm", "backchannel")]


def test_livekits_own_session_cuts_a_notice_where_the_server_takes_turns() -> None:
    result = played("the server takes turns", Say(first_sound(2.0), QUESTION), session=LiveKitSession)

    assert result.utterances[0].cut


def test_an_agent_that_livekit_refuses_is_protected() -> None:
    with pytest.raises(ValueError, match="server-side turn detection"):
        played("the server takes turns", agent=Uninterruptable, session=LiveKitSession)
    result = played("the server takes turns", Say(20.0, QUESTION), Say(22.5, "no wait"), agent=Uninterruptable)

    assert all(one.protected and one.whole for one in result.utterances)
    assert reached(result) == [QUESTION, "no wait"]


def test_an_agent_is_as_it_was_when_its_session_is_closed() -> None:
    agent = Uninterruptable()
    played("the server takes turns", agent=lambda: agent)

    assert agent.allow_interruptions is False


def test_a_speech_that_may_be_interrupted_is_by_an_agent_that_may_not() -> None:
    class Mixed(Uninterruptable):
        async def on_enter(self) -> None:
            self.session.say(NOTICE, allow_interruptions=True)

    result = played("the server takes turns", Say(first_sound(2.0), QUESTION), agent=Mixed)

    assert (result.utterances[0].protected, result.utterances[0].cut) == (False, True)


@pytest.mark.parametrize("kind", ["its turn detection can be disabled", "turn_detection=None"])
def test_in_manual_turns_what_was_said_over_a_notice_is_in_the_context(kind: str) -> None:
    commit = Do(15.0, lambda session: session.commit_user_turn())
    manual = {"turn_handling": {"turn_detection": "manual"}}
    result = played(kind, Say(first_sound(2.0), QUESTION), Say(13.0, "thank you"), commit, arguments=manual)

    assert fates(result) == [(QUESTION, "noted")]
    assert reached(result)[:2] == [QUESTION, "thank you"], result.describe()
    assert len([one for one in result.requests if one.at < 16.0]) == 1


def test_a_commit_over_a_notice_is_answered_after_it() -> None:
    commit = Do(first_sound(5.0), lambda session: session.commit_user_turn())
    manual = {"turn_handling": {"turn_detection": "manual"}}
    result = played("turn_detection=None", Say(first_sound(2.0), QUESTION), commit, arguments=manual)

    assert (reached(result)[:1], fates(result)) == ([QUESTION], [(QUESTION, "delivered")])
    assert result.replies[0].start >= result.protected[0].end


def test_without_a_vad_the_stts_words_suffice() -> None:
    result = played("the server takes turns", Say(first_sound(2.0), QUESTION), arguments={"vad": None})

    assert result.protected[0].whole
    assert reached(result) == [QUESTION], result.describe()


def test_an_stt_that_hears_phrases_late_loses_nothing() -> None:
    late = STT(interim=None, pause=0.6, final=4.0)
    result = played("the server takes turns", Say(from_end(-2.5), QUESTION), stt=late)

    assert reached(result) == [QUESTION], result.describe()


class Calling(Agent):
    """Has a tool that announces something."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer.")

    @function_tool
    async def book(self, context: RunContext[None]) -> str:
        """Book it."""
        await self.session.announce(NOTICE, id="notice")
        return "booked"


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_that_announces_is_answered_and_so_are_the_words_over_it(kind: str) -> None:
    llms = LLM(answers=[Reply("", tools=(UseTool("book"),)), "It is booked.", "It is changed.", "Yes."])
    result = played(kind, Say(2.0, "book a table"), Say(8.0, QUESTION), agent=Calling, llm=llms)

    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert reached(result) == ["book a table", QUESTION], result.describe()
    assert any("It is booked." in one.said for one in result.utterances), result.describe()


# Every door


class Plain(Agent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="Answer.", **options)


def duplex() -> Any:
    """A model whose turn-taking cannot be kept off."""
    from hearout.testing._realtime import ScriptedRealtimeModel

    return ScriptedRealtimeModel(Realtime(overlapping=True), LLM(), None, None, lambda: 0.0)  # type: ignore[arg-type]


def test_a_duplex_model_is_refused_at_construction_and_at_the_start() -> None:
    with pytest.raises(SettingsError, match="duplex"):
        played(Realtime(overlapping=True))
    with pytest.raises(SettingsError, match="model of the agent is a duplex"):
        played("the server takes turns", agent=lambda: Plain(llm=duplex()))


def test_a_duplex_model_is_refused_at_a_hand_over() -> None:
    hand = Do(2.0, lambda session: session.update_agent(Plain(llm=duplex())), raises=SettingsError)
    result = played("the server takes turns", hand, Say(5.0, QUESTION), agent=Plain)

    assert len(result.replies) == 1


def test_a_duplex_model_of_an_agent_task_is_refused() -> None:
    class Task(AgentTask[None]):
        def __init__(self) -> None:
            super().__init__(instructions="Ask.", llm=duplex())

    class Asking(Agent):
        async def on_enter(self) -> None:
            try:
                await Task()
            except SettingsError:
                refused.append(True)

    refused: list[bool] = []
    result = played("the server takes turns", Say(5.0, QUESTION), agent=lambda: Asking(instructions="Ask."))

    assert (refused, len(result.replies)) == ([True], 1)


@pytest.mark.parametrize("lacks", ["stt", "tts"])
def test_a_notice_without_an_stt_or_a_tts_says_what_to_pass(lacks: str) -> None:
    refused: list[str] = []

    def asked(what: Callable[[Any], Any]) -> Callable[[Any], None]:
        def ask(session: Any) -> None:
            with pytest.raises(SettingsError, match=f"pass an? {lacks} beside"):
                what(session)
            refused.append(lacks)

        return ask

    result = played(
        "the server takes turns",
        Do(2.0, asked(lambda session: session.announce(NOTICE, id="notice"))),
        Do(3.0, asked(lambda session: session.say(NOTICE, allow_interruptions=False))),
        Do(4.0, asked(lambda session: session.ask("Do you agree?", id="consent"))),
        Say(6.0, QUESTION),
        arguments={lacks: None},
        agent=Plain,
    )

    assert (len(refused), len(result.replies)) == (3, 1)


def test_an_agent_that_may_not_be_interrupted_needs_an_stt() -> None:
    with pytest.raises(SettingsError, match="pass an stt"):
        played("the server takes turns", agent=Uninterruptable, arguments={"stt": None})


@pytest.mark.parametrize("kind", KINDS)
def test_a_hand_over_to_an_agent_with_a_realtime_model_is_protected(kind: str) -> None:
    made: list[Any] = []

    def hand_over(session: Any) -> None:
        other = type(model_of_session(session))
        old = model_of_session(session)
        made.append(other(old.kind, old.answers, old.voice, old.lexicon, old.now))
        session.update_agent(Announcing(llm=made[0]))

    result = played(kind, Do(2.0, hand_over), Say(first_sound(2.0), QUESTION), agent=Plain)

    assert receipts(result)[0].outcome is Outcome.FINISHED
    said = [text for role, text in made[0].sessions[-1].conversation if role == "user" and text]
    assert said == [QUESTION], result.describe()


def model_of_session(session: Any) -> Any:
    return session.llm.behind


# Nothing is protected


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(ats=st.lists(st.floats(1.0, 15.0), min_size=1, max_size=3), noise=st.floats(1.0, 15.0))
def test_without_protected_speech_all_is_as_livekits(kind: str, ats: list[float], noise: float) -> None:
    caller = [Say(round(at, 2), f"number {n} please") for n, at in enumerate(sorted(ats))]
    caller = [one for one, after in zip(caller, [*caller[1:], None], strict=True) if not after or after.at > one.at + 1]  # type: ignore[operator]
    calls = [
        played(kind, *caller, Noise(round(noise, 2), 0.3), session=session, agent=Plain, ends_after=25.0)
        for session in (AgentSession, LiveKitSession)
    ]
    ours, theirs = (sorted((round(at, 3), name) for at, name, _ in one.events) for one in calls)  # ties have no order
    assert ours == theirs
    assert [one.said for one in calls[0].utterances] == [one.said for one in calls[1].utterances]
    assert [one.context for one in calls[0].requests] == [one.context for one in calls[1].requests]


# Words once, in order


@MANY
@example("create_response=False", [2.125], [1] * 5, 4.0)  # the server ends the sound as the announcement begins
@given(
    kind=st.sampled_from([kind for kind in KINDS if kind != "Gemini"]),
    gaps=st.lists(st.floats(0.4, 4.0), min_size=1, max_size=5),
    lengths=st.lists(st.integers(1, 5), min_size=5, max_size=5),
    at=st.floats(0.0, 6.0),
)
@example(kind="create_response=False", gaps=[2.125], lengths=[1] * 5, at=4.0)  # left to the model, and taken back
def test_words_reach_the_model_once_and_in_order(kind: str, gaps: list[float], lengths: list[int], at: float) -> None:
    caller, second, word = [], 1.0, 0
    for gap, length in zip(gaps, lengths, strict=False):
        second += gap
        caller.append(Say(round(second, 2), " ".join(f"word{word + n}" for n in range(length))))
        second, word = second + 0.3 * length, word + length
    announce = Do(round(at, 2), lambda session: session.announce(NOTICE, id="notice"))
    deaf = {"aec_warmup_duration": None}  # LiveKit's, over speech that may be interrupted
    result = played(kind, announce, *caller, agent=Plain, ends_after=45.0, arguments=deaf)

    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert " ".join(reached(result)).split() == [f"word{n}" for n in range(word)], result.describe()


def test_a_models_fallback_adapter_stands_behind_the_floor_too() -> None:
    def adapted(**models: Any) -> Any:
        return AgentSession(**(models | {"llm": llm.RealtimeModelFallbackAdapter([models["llm"]])}))

    result = played("the server takes turns", Say(first_sound(2.0), QUESTION), session=adapted)

    assert result.protected[0].whole
    assert fates(result) == [(QUESTION, "delivered")]

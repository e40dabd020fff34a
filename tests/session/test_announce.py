"""`announce()`: arguments, result and receipt. Calls in virtual time."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, ChatContext, RunContext, function_tool

from harness.scenes import NOTICE, QUESTION, SECOND, Reading, call, fates, reading, said
from hearout import (
    AgentSession,
    AlreadyOwedError,
    AnnouncementError,
    AnnouncementHandle,
    Answer,
    CutIn,
    FloorClosedError,
    HearoutError,
    Level,
    Outcome,
    Receipt,
    Redeliver,
)
from hearout._pipeline.own_audio import own_audio
from hearout._pipeline.retry import SPEECH
from hearout.receipts import Cause
from hearout.testing import LLM, TTS, Call, Do, Press, Say, UseTool, first_sound, from_end
from hearout.testing._llm import Reply


def test_an_announcement_is_awaited_for_its_receipt_in_on_enter() -> None:
    got: list[Receipt] = []

    async def read(session: AgentSession[Any]) -> None:
        got.append(await session.announce(NOTICE, id="recording-notice"))
        session.say("Now to you.")

    result = call(Say(first_sound(1.0), QUESTION), agent=reading(read))

    (receipt,) = got
    assert (receipt.id, receipt.outcome, receipt.level) == ("recording-notice", Outcome.FINISHED, Level.PLAYED)
    assert [receipt.played, receipt.expected] == pytest.approx([TTS().seconds(NOTICE)] * 2)
    assert [(held.text, fate.value) for held, fate in receipt.held] == [(QUESTION, "delivered")]
    assert result.protected[0].whole
    assert said(result)[0] == NOTICE
    assert result.turns == [QUESTION]


def test_half_a_sign_in_a_text_changes_nothing() -> None:
    half = "This \ud83d is recorded. Stay \ude00 with us."

    async def read(session: AgentSession[Any]) -> None:
        session.announce(half)

    result = call(Say(first_sound(1.0), QUESTION), agent=reading(read), llm=LLM(answers=[half]))
    assert result.protected[0].whole
    assert [reply.said for reply in result.replies] == [half]


def test_two_announcements_at_once_are_said_in_their_order() -> None:
    got: list[Receipt] = []

    async def read(session: AgentSession[Any]) -> None:
        first, second = session.announce(NOTICE, id="one"), session.announce(SECOND, id="two")
        got.extend(await asyncio.gather(second, first))

    result = call(agent=reading(read))

    assert said(result) == [NOTICE, SECOND]
    assert [one.id for one in got] == ["two", "one"]
    assert all(one.whole for one in result.protected)


def test_an_id_that_is_owed_is_refused_and_one_that_is_over_is_not() -> None:
    complaints: list[str] = []

    async def read(session: AgentSession[Any]) -> None:
        first = session.announce(NOTICE, id="notice")
        try:
            session.announce(SECOND, id="notice")
        except AlreadyOwedError as error:
            complaints.append(str(error))
        await first
        await session.announce(SECOND, id="notice")

    result = call(agent=reading(read))

    assert said(result) == [NOTICE, SECOND]
    (complaint,) = complaints
    assert complaint.startswith("'notice' is being announced")


@pytest.mark.parametrize(
    ("choices", "act", "cause"),
    [
        ({"cut_in": CutIn(phrases=("operator",))}, Say(first_sound(2.0), "operator please"), Cause.PHRASE),
        ({"cut_in": CutIn(keys="0")}, Press(first_sound(2.0), "0"), Cause.KEY),
        ({"cut_in": CutIn(after=1.0)}, Say(first_sound(2.0), "stop it now"), Cause.TIME),
    ],
)
def test_who_may_cut_in_is_chosen_for_each_announcement(choices: Any, act: Any, cause: Cause) -> None:
    got: list[Receipt] = []

    async def read(session: AgentSession[Any]) -> None:
        got.append(await session.announce(NOTICE, id="open", **choices))
        got.append(await session.announce(SECOND, id="closed"))

    call(act, agent=reading(read))

    assert (got[0].outcome, got[0].cause) == (Outcome.CUT_IN, cause)
    assert got[0].played == pytest.approx(2.3, abs=0.8)
    assert got[1].outcome is Outcome.FINISHED


def test_answers_and_redelivery_are_chosen_for_each_announcement() -> None:
    got: list[Receipt] = []

    async def read(session: AgentSession[Any]) -> None:
        got.append(await session.announce(NOTICE, answer=Answer.DROP, redeliver=Redeliver.NEVER))

    result = call(
        Say(first_sound(1.0), QUESTION),
        Do(first_sound(5.0), lambda session: session.user_left()),
        Do(first_sound(6.0), lambda session: session.user_returned()),
        agent=reading(read),
    )

    assert got[0].outcome is Outcome.CALLER_GONE
    assert fates(result) == [(QUESTION, "dropped")]
    assert got[0].id.startswith("say-")


def test_it_can_be_stopped_and_tells_how_far_it_is() -> None:
    handles: list[AnnouncementHandle] = []

    async def read(session: AgentSession[Any]) -> None:
        handles.append(session.announce(NOTICE, id="notice"))

    seen: list[Any] = []

    def look(_: Any) -> None:
        seen.append((handles[0].done(), repr(handles[0])))
        handles[0].stop("the lawyer said so")

    result = call(Do(first_sound(3.0), look), agent=reading(read))

    assert seen[0][0] is False
    assert "s played" in seen[0][1]
    receipt = result.session.receipts[0]
    assert (receipt.outcome, receipt.cause, receipt.cut_in_by) == (Outcome.CUT_IN, Cause.OPERATOR, "operator")
    assert receipt.why == "operator: the lawyer said so"
    assert handles[0].done()
    assert handles[0].played == receipt.played == pytest.approx(3.0, abs=0.2)
    handles[0].stop("once more")  # it is over: nothing


def test_the_one_that_is_being_said_can_be_stopped_without_its_handle() -> None:
    async def read(session: AgentSession[Any]) -> None:
        session.announce(NOTICE)
        session.announce(SECOND)

    result = call(Do(first_sound(2.0), lambda session: session.stop_announcement("changed")), agent=reading(read))

    assert [one.outcome for one in result.session.receipts] == [Outcome.CUT_IN, Outcome.FINISHED]


def test_who_stops_waiting_does_not_stop_the_announcement() -> None:
    async def read(session: AgentSession[Any]) -> None:
        try:
            async with asyncio.timeout(1.0):
                await session.announce(NOTICE)
        except TimeoutError:
            pass

    result = call(agent=reading(read))

    assert result.session.receipts[0].outcome is Outcome.FINISHED


def test_a_voice_that_fails_is_told_by_the_receipt_and_not_by_an_error() -> None:
    got: list[Receipt] = []

    async def read(session: AgentSession[Any]) -> None:
        got.append(await session.announce(NOTICE))

    call(agent=reading(read), tts=TTS(dead=True), ends_after=40.0)

    assert [(one.outcome, one.cause, one.level) for one in got] == [(Outcome.FAILED, Cause.VOICE, Level.NOTHING)]


def test_it_works_in_a_tool() -> None:
    class Consulting(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Answer briefly.")
            self.got: list[Receipt] = []

        async def on_enter(self) -> None:
            self.session.generate_reply(instructions="Look it up.")

        @function_tool
        async def look_up(self, context: RunContext[None]) -> str:
            """Look something up."""
            self.got.append(await self.session.announce(SECOND, id="closed-on-may-first"))
            return "found"

    agent = Consulting()
    result = call(
        agent=lambda: agent, llm=LLM((Reply("One moment.", tools=(UseTool("look_up"),)), Reply("Here it is.")))
    )

    assert [one.outcome for one in agent.got] == [Outcome.FINISHED]
    assert said(result) == ["One moment.", SECOND, "Here it is."]


class LookingUp(Agent):
    """Announces in a tool, and waits for the receipt."""

    def __init__(self, *, more: float = 0.0) -> None:
        super().__init__(instructions="Answer briefly.")
        self.more = more

    @function_tool
    async def look_up(self, context: RunContext[None]) -> str:
        """Look something up."""
        await self.session.announce(NOTICE, id="notice")
        await asyncio.sleep(self.more)
        return "found"


def looked_up(context: ChatContext) -> Reply | str:
    """What a model says that answers the last thing that nobody has answered."""
    if not any(one.type == "function_call" for one in context.items):
        return Reply("", tools=(UseTool("look_up"),))  # as an LLM does that is not told of a tool that runs
    asked = [one.text_content or "" for one in context.messages() if one.role == "user"][-1]
    answered = any("It has changed" in (one.text_content or "") for one in context.messages())
    if asked == QUESTION and not answered:
        return "It has changed."
    return "Found it."


@pytest.mark.parametrize("turns", [None, "manual"])
@pytest.mark.parametrize("more", [0.0, 4.0])
def test_what_is_said_over_an_announcement_of_a_tool_is_answered_once(more: float, turns: str | None) -> None:
    """LiveKit gives what follows a tool all that was said meanwhile: it was answered there, and a second time.

    The prepared answer was not told of the tool: it called it again, and the LLM had to be asked anew.
    """
    options: dict[str, Any] = {} if turns is None else {"turn_detection": turns}
    commits = [Do(2.5, lambda s: s.commit_user_turn()), Do(from_end(-0.5), lambda s: s.commit_user_turn())]
    result = Call(
        agent=lambda: LookingUp(more=more),
        session=lambda **models: AgentSession(**models, **options),
        caller=[Say(1.0, "look it up"), Say(first_sound(1.0), QUESTION), *(commits if turns else [])],
        llm=LLM(looked_up),
        ends_after=40.0,
        ends_quiet=8.0,
    ).play()

    assert said(result) == [NOTICE, "It has changed.", "Found it."], result.describe()
    assert fates(result) == [(QUESTION, "delivered")]
    assert (len(result.requests), result.gap(result.utterances[1]) < 0.1) == (3, True), result.requests
    context = [text for _, text in result.requests[-1].context]
    assert ("It has changed." in context) is (QUESTION in context)  # the LLM sees it answered, or not at all


def test_speech_requested_in_livekits_own_way_has_a_receipt_by_its_text() -> None:
    async def read(session: AgentSession[Any]) -> None:
        session.say(NOTICE, allow_interruptions=False)
        session.say(NOTICE, allow_interruptions=False)

    ids = [receipt.id for receipt in call(agent=reading(read)).session.receipts]

    assert ids[0].startswith("say-")
    assert ids[1] == f"{ids[0]}#2"


@pytest.mark.parametrize(("text", "id"), [("", None), ("  ", None), (NOTICE, "  ")])
def test_nothing_to_say_is_refused(text: str, id: str | None) -> None:
    complaints: list[Exception] = []

    async def read(session: AgentSession[Any]) -> None:
        try:
            session.announce(text, id=id)
        except AnnouncementError as error:
            complaints.append(error)

    call(agent=reading(read), ends_after=3.0)

    assert len(complaints) == 1


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"text": "😀 👍🏽"}, "no word in the text"),
        ({"text": "<break time='1s'/>"}, "no word in the text"),
        ({"text": None}, "text must be a string, not None"),
        ({"id": 7}, "id must be a string, not 7"),
        ({"cut_in": "0"}, "cut_in must be CutIn"),
        ({"answer": "drop"}, "answer must be one of .*Answer.DROP"),
        ({"redeliver": "never"}, "redeliver must be one of .*Redeliver.NEVER"),
        ({"acknowledge": True}, "acknowledge must be a string"),
        ({"acknowledge_keys": 1}, "acknowledge_keys must be a string"),
    ],
)
def test_what_is_no_choice_is_refused_before_anything_is_said(wrong: dict[str, Any], why: str) -> None:
    """A string that reads like a choice was taken for none of them: `cut_in="0"` broke the caller's keys and words."""
    complaints: list[Exception] = []

    async def read(session: AgentSession[Any]) -> None:
        try:
            session.announce(**{"text": NOTICE, "id": "notice"} | wrong)
        except AnnouncementError as error:
            complaints.append(error)

    result = call(agent=reading(read), ends_after=3.0)

    assert [re.search(why, str(one)) is not None for one in complaints] == [True], complaints
    assert said(result) == []


@pytest.mark.parametrize("what", ["announce", "ask"])
def test_from_another_thread_it_is_refused_with_what_to_do(what: str) -> None:
    """It said that the session is closing."""
    complaints: list[str] = []

    async def read(session: AgentSession[Any]) -> None:
        def work() -> None:
            try:
                getattr(session, what)(SECOND, id="another")
            except HearoutError as error:
                complaints.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    result = call(agent=reading(read), ends_after=3.0)

    assert [f"call_soon_threadsafe(lambda: session.{what}(…))" in one for one in complaints] == [True], complaints
    assert said(result) == []


def test_before_and_after_the_call_it_is_refused() -> None:
    complaints: list[str] = []

    async def ask(session: AgentSession[Any]) -> None:
        try:
            session.announce(SECOND)
        except FloorClosedError as error:
            complaints.append(str(error))

    async def early() -> None:
        await ask(AgentSession())

    asyncio.run(early())
    handles: list[AnnouncementHandle] = []

    async def read(session: AgentSession[Any]) -> None:
        handles.append(session.announce(NOTICE))

    async def close(session: AgentSession[Any]) -> None:
        await session.aclose()
        await ask(session)

    call(Do(first_sound(1.0), close), agent=reading(read))

    assert len(complaints) == 2
    assert handles[0].done()


def test_an_announcement_without_a_voice_is_refused_with_what_to_pass() -> None:
    complaints: list[AnnouncementError | FloorClosedError] = []

    async def ask(session: AgentSession[Any]) -> None:
        try:
            session.announce(NOTICE, id="notice")
        except (AnnouncementError, FloorClosedError) as error:
            complaints.append(error)

    async def close(session: AgentSession[Any]) -> None:
        await session.aclose()
        await ask(session)

    def mute(*, tts: Any, **models: Any) -> AgentSession[Any]:
        return AgentSession(**models)

    Call(agent=reading(ask), session=mute, caller=[Do(1.0, close)]).play()
    running, closed = complaints

    assert isinstance(running, AnnouncementError)
    assert "'notice'" in str(running)
    assert "tts=" in str(running)
    assert "without a TTS" in str(running.__cause__)
    assert isinstance(closed, FloorClosedError)


def test_an_agent_without_a_voice_is_told_so_though_the_session_has_one() -> None:
    complaints: list[str] = []

    async def ask(session: AgentSession[Any]) -> None:
        with pytest.raises(AnnouncementError) as refused:
            session.announce(NOTICE)
        complaints.append(str(refused.value))

    class Mute(Reading):
        def __init__(self) -> None:
            Agent.__init__(self, instructions="Answer briefly.", tts=None)
            self.read = ask

    result = call(agent=Mute)

    assert len(complaints) == 1
    assert result.utterances == []


def a_frame(rate: int = 24_000, channels: int = 1) -> rtc.AudioFrame:
    samples = np.full(channels * rate // 50, 500, dtype=np.int16)
    return rtc.AudioFrame(samples.tobytes(), rate, channels, rate // 50)


@pytest.mark.parametrize(("made", "pace"), [(0, 0.0), (100, 0.0), (100, 0.02)])
def test_audio_that_breaks_off_is_claimed_as_far_as_it_was_played(made: int, pace: float) -> None:
    async def frames() -> AsyncIterator[rtc.AudioFrame]:
        for _ in range(made):
            await asyncio.sleep(pace)
            yield a_frame()
        raise ValueError("the file is cut off")

    async def read(session: AgentSession[Any]) -> None:
        session.say("From a file.", audio=frames(), allow_interruptions=False)
        session.say("And this is next.")

    result = call(agent=reading(read))

    (receipt,) = result.session.receipts
    assert (receipt.outcome, receipt.why) == (Outcome.FAILED, "the voice gave up")
    assert [receipt.played, receipt.made] == pytest.approx([made / 50] * 2)
    assert result.utterances[0].start >= made / 50, "the next one began over it"


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 1), (24_000, 2), (48_000, 2)])
def test_audio_that_changes_its_form_keeps_its_speed(rate: int, channels: int) -> None:
    async def frames() -> AsyncIterator[rtc.AudioFrame]:
        for number in range(100):
            yield a_frame(24_000) if number < 50 else a_frame(rate, channels)

    async def read(session: AgentSession[Any]) -> None:
        session.say("From a file.", audio=frames(), allow_interruptions=False)

    (receipt,) = call(agent=reading(read)).session.receipts
    assert (receipt.outcome, receipt.played) == (Outcome.FINISHED, pytest.approx(2.0, abs=0.01))


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_audio_keeps_the_channels_of_its_first_frame(first: int, then: int) -> None:
    async def frames() -> AsyncIterator[rtc.AudioFrame]:
        yield a_frame(24_000, first)
        yield a_frame(24_000, then)
        yield a_frame(48_000, then)

    async def given() -> list[rtc.AudioFrame]:
        speech: Any = SimpleNamespace(id="speech", allow_interruptions=False)
        watcher: Any = None
        SPEECH.set(speech)
        return [frame async for frame in own_audio(frames(), watcher)]

    found = asyncio.run(given())
    assert {(frame.num_channels, frame.sample_rate) for frame in found} == {(first, 24_000)}
    assert sum(frame.duration for frame in found) == pytest.approx(0.06, abs=0.005)


def test_foreign_sound_is_on_the_receipt_and_ends_no_call() -> None:
    dice = np.random.default_rng(1)

    async def frames() -> AsyncIterator[rtc.AudioFrame]:
        for _ in range(100):
            yield rtc.AudioFrame(dice.integers(-9000, 9000, 480, dtype=np.int16).tobytes(), 24_000, 1, 480)

    async def read(session: AgentSession[Any]) -> None:
        session.say("Two seconds of noise.", audio=frames(), allow_interruptions=False)

    result = call(Say(first_sound(0.5), QUESTION), agent=reading(read))

    (receipt,) = result.session.receipts
    assert (receipt.outcome, receipt.played) == (Outcome.FINISHED, pytest.approx(2.0))
    assert [one.said for one in result.utterances] == [one.said for one in result.replies]
    assert result.turns == [QUESTION]

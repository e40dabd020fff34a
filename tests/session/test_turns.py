"""Turn controls while protected speech is owed: manual turns, commit, clear and limits."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import Agent

from harness.scenes import NOTICE, QUESTION, Announcing, Uninterruptable, fates, receipts
from hearout import AgentSession
from hearout.testing import STT, Call, Do, Result, Say, first_sound, from_end


def played(*caller: Any, agent: Callable[[], Agent] = Announcing, mode: Any = "manual", **more: Any) -> Result:
    arguments = more.pop("arguments", {})
    handling = {"turn_detection": mode, **more.pop("handling", {})}

    def make(**models: Any) -> Any:
        return AgentSession[Any](turn_handling=handling, **(models | arguments))

    return Call(agent=agent, session=make, caller=caller, **more).play()


def turns(result: Result) -> list[str]:
    """The caller's turns; in manual mode, LiveKit makes one of what it has when the session closes (1.8.9)."""
    closes = next(at for at, name, _ in result.events if name == "close")
    items = [event.item for at, name, event in result.events if name == "conversation_item_added" and at < closes - 1.0]
    return [item.text_content for item in items if getattr(item, "role", "") == "user"]


def commit(session: Any) -> None:
    session.commit_user_turn()


def clear(session: Any) -> None:
    session.clear_user_turn()


def test_in_manual_turns_nothing_commits_by_itself() -> None:
    result = played(Say(first_sound(2.0), QUESTION))

    assert result.protected[0].whole
    assert (turns(result), result.replies) == ([], [])
    assert fates(result) == [(QUESTION, "handed back")]


@pytest.mark.parametrize("at", [5.0, 12.0])
def test_in_manual_turns_a_commit_is_one_turn_and_is_answered_once(at: float) -> None:
    result = played(Say(first_sound(2.0), QUESTION), Do(first_sound(at), commit))

    assert result.protected[0].whole
    assert (turns(result), len(result.replies), result.false_replies) == ([QUESTION], 1, [])
    assert result.replies[0].start >= result.protected[0].end


def test_a_commit_in_the_middle_leaves_what_follows_for_the_next() -> None:
    result = played(
        Say(first_sound(1.0), QUESTION),
        Do(first_sound(4.0), commit),
        Say(first_sound(5.0), "and my name"),
        Do(first_sound(14.0), commit),
        ends_after=40.0,
    )

    assert turns(result) == [QUESTION, "and my name"]
    assert fates(result) == [(QUESTION, "delivered"), ("and my name", "handed back")]


def test_what_is_committed_before_its_final_came_is_in_the_turn() -> None:
    result = played(Say(from_end(-2.5), QUESTION), Do(from_end(-0.3), commit))

    assert (turns(result), len(result.replies)) == ([QUESTION], 1)


def told(*caller: Any, **more: Any) -> tuple[Result, list[tuple[float, str]]]:
    """A call whose `commit` notes what `commit_user_turn()` gave back, and how many seconds later."""
    given: list[tuple[float, str]] = []

    async def commits(session: Any) -> None:
        at = asyncio.get_running_loop().time()
        text = await session.commit_user_turn()
        given.append((round(asyncio.get_running_loop().time() - at, 2), text))

    return played(*[Do(act.at, commits) if isinstance(act, Do) else act for act in caller], **more), given


@pytest.mark.parametrize(
    ("at", "more", "seconds"),
    [
        (6.0, {}, 0.0),
        (3.0, {}, 1.15),
        (4.5, {"stt": STT(final=1.5, interim=None)}, 0.85),
        (4.5, {"stt": STT(final=1.5, interim=None), "arguments": {"vad": None}}, 0.85),
        (4.5, {"stt": STT(final=4.0)}, 2.0),
    ],
)
def test_a_commit_gives_the_words_back_once_they_are_known(at: float, more: Any, seconds: float) -> None:
    result, given = told(Say(first_sound(2.0), QUESTION), Do(first_sound(at), commit), **more)

    assert given == [(seconds, QUESTION)]
    assert (turns(result), fates(result)) == ([QUESTION], [(QUESTION, "delivered")])


@pytest.mark.parametrize("mode", ["manual", "vad"])
def test_each_of_two_commits_gives_its_own_words_back(mode: str) -> None:
    first, second = Do(first_sound(3.8), commit), Do(first_sound(6.8), commit)
    result, given = told(
        Say(first_sound(1.0), QUESTION), first, Say(first_sound(4.5), "and my name"), second, mode=mode
    )

    assert given == [(0.0, QUESTION), (0.0, "and my name")]
    assert turns(result) == [f"{QUESTION} and my name"]


def test_a_commit_gives_back_the_words_too_that_livekit_has() -> None:
    class Late(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Answer.")

        async def on_enter(self) -> None:
            await asyncio.sleep(4.0)
            self.session.say(NOTICE, allow_interruptions=False)

    result, given = told(Say(1.0, QUESTION), Say(5.15, "and my name"), Do(8.15, commit), agent=Late)

    assert given == [(0.0, f"{QUESTION} and my name")]
    assert turns(result) == [f"{QUESTION} and my name"]


@pytest.mark.parametrize("at", [2.9, 3.2])
def test_protected_speech_right_after_a_commit_loses_no_turn(at: float) -> None:
    given: list[str] = []

    async def both(session: Any) -> None:
        turn = session.commit_user_turn()
        session.say(NOTICE, allow_interruptions=False)
        given.append(await turn)

    result = played(Say(1.0, QUESTION), Do(at, both), agent=lambda: Agent(instructions="Answer."))

    assert (given, turns(result), len(result.replies)) == ([QUESTION], [QUESTION], 1)
    assert result.protected[0].whole


def test_a_commit_over_nothing_gives_nothing_back() -> None:
    assert told(Do(first_sound(2.0), commit))[1] == [(2.0, "")]


def test_an_okay_that_was_committed_is_an_answer() -> None:
    result = played(Say(first_sound(2.0), "okay"), Do(first_sound(4.0), commit))

    assert turns(result) == ["okay"]


def test_a_turn_that_is_cleared_is_dropped_and_its_receipt_says_so() -> None:
    result = played(Say(first_sound(2.0), QUESTION), Do(first_sound(5.0), clear), Do(first_sound(12.0), commit))

    assert fates(result) == [(QUESTION, "dropped")]
    assert QUESTION not in turns(result)


def test_a_commit_without_a_reply_keeps_the_words_in_the_context() -> None:
    quiet = Do(first_sound(5.0), lambda session: session.commit_user_turn(skip_reply=True))
    result = played(Say(first_sound(2.0), QUESTION), quiet)

    assert (fates(result), turns(result), result.replies) == ([(QUESTION, "noted")], [QUESTION], [])


def test_manual_turns_may_be_chosen_while_protected_speech_plays() -> None:
    choose = Do(first_sound(1.0), lambda session: session.update_options(turn_detection="manual"))
    result = played(choose, Say(first_sound(2.0), QUESTION), mode="vad")

    assert (turns(result), result.session.turn_detection) == ([], "manual")
    assert fates(result) == [(QUESTION, "handed back")]


def test_manual_turns_that_are_chosen_while_livekit_must_end_none_are_kept() -> None:
    choose = Do(1.9, lambda session: session.update_options(turn_detection="manual"))
    result = played(
        Say(0.1, QUESTION, duration=2.5),
        Do(1.5, lambda session: session.announce(NOTICE)),
        choose,
        agent=lambda: Agent(instructions="Answer."),
        mode="vad",
    )

    assert (turns(result), result.session.turn_detection) == ([], "manual")


@pytest.mark.parametrize("mode", ["manual", "stt"])
def test_an_agents_own_turn_detection_survives(mode: Any) -> None:
    class Own(Uninterruptable):
        def __init__(self) -> None:
            super().__init__()
            self._turn_detection = mode

    agents: list[Agent] = []
    result = played(
        Say(first_sound(2.0), QUESTION),
        agent=lambda: agents.append(Own()) or agents[0],  # type: ignore[func-returns-value]
        mode="vad",
    )

    assert agents[0].turn_detection == mode
    assert turns(result) == ([] if mode == "manual" else [QUESTION])


def test_words_held_at_a_hand_over_are_the_next_agents_to_commit() -> None:
    class ByHand(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Answer.", turn_handling={"turn_detection": "manual"})

    hand_over = Do(first_sound(2.0), lambda session: session.update_agent(ByHand()))
    result = played(hand_over, Say(first_sound(3.0), QUESTION), Do(first_sound(14.0), commit), mode="vad")

    assert result.protected[0].whole
    assert (turns(result), len(result.replies)) == ([QUESTION], 1)


def test_a_hook_that_takes_long_does_not_turn_two_questions_around() -> None:
    class Slow(Announcing):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            if new_message.text_content == QUESTION:
                await asyncio.sleep(15.0)

    result = played(
        Say(first_sound(2.0), QUESTION), Say(from_end(11.0), "and my name"), agent=Slow, mode="vad", ends_after=60.0
    )

    assert turns(result) == [QUESTION, "and my name"]


def test_a_turn_that_is_too_long_is_answered_once() -> None:
    words = " ".join(f"word{number}" for number in range(33))
    result = played(
        Say(1.0, words, duration=12.0),
        agent=lambda: Agent(instructions="Answer."),
        mode="vad",
        handling={"user_turn_limit": {"max_words": 20}},
        ends_after=60.0,
    )

    said = " ".join(turns(result)).split()
    assert sorted(said) == sorted(set(said))
    assert len(result.replies) <= 1 + (len(turns(result)) > 1)


def test_words_that_are_held_are_not_reported_as_missing() -> None:
    missed: list[Any] = []

    class Waiting(Announcing):
        async def on_enter(self) -> None:
            self.session.on("user_transcription_timeout", missed.append)
            await super().on_enter()

    result = played(
        Say(first_sound(2.0), QUESTION), agent=Waiting, mode="vad", arguments={"transcription_timeout": 2.0}
    )

    assert (turns(result), missed) == ([QUESTION], [])
    assert len(receipts(result)) == 1


def push(session: Any) -> None:
    """As LiveKit's push-to-talk example does when the button goes down; its `interrupt()` is refused meanwhile."""
    session.clear_user_turn()
    session.input.set_audio_enabled(True)


def release(session: Any) -> None:
    session.input.set_audio_enabled(False)
    session.commit_user_turn(transcript_timeout=10.0, stt_flush_duration=2.0)


UP_AT_ONCE = 2.0 + Say(0.0, QUESTION).seconds
"""The button goes up with the last word: the STT hears nothing after it."""


@pytest.mark.parametrize("detector", [True, False])
@pytest.mark.parametrize("up", [UP_AT_ONCE, 4.35, 5.0])
def test_push_to_talk_over_protected_speech_is_one_turn(up: float, *, detector: bool) -> None:
    off = Do(0.1, lambda session: session.input.set_audio_enabled(False))
    button = [Do(first_sound(1.5), push), Say(first_sound(2.0), QUESTION), Do(first_sound(up), release)]
    more = {} if detector else {"arguments": {"vad": None}}
    result = played(off, *button, **more)

    assert result.protected[0].whole
    assert (turns(result), fates(result), len(result.replies)) == ([QUESTION], [(QUESTION, "delivered")], 1)


def test_a_button_that_goes_down_again_drops_nothing_of_the_turn_before() -> None:
    off = Do(0.1, lambda session: session.input.set_audio_enabled(False))
    first = [Do(first_sound(0.5), push), Say(first_sound(1.0), QUESTION), Do(first_sound(3.6), release)]
    then = [Do(first_sound(4.2), push), Say(first_sound(4.6), "and my name")]
    both = played(off, *first, *then, Do(first_sound(6.4), release))
    one = played(off, *first, *then)

    assert (turns(both), len(both.replies)) == ([f"{QUESTION} and my name"], 1)
    assert turns(one) == [QUESTION], "words that nobody committed are in a turn"


def test_turns_that_end_by_themselves_again_are_answered_at_once() -> None:
    choose = Do(first_sound(5.0), lambda session: session.update_options(turn_detection="vad"))
    result = played(Say(first_sound(1.0), QUESTION), choose)

    assert result.replies[0].start == pytest.approx(result.protected[0].end, abs=0.05)


def test_what_is_said_while_the_button_is_up_is_not_heard() -> None:
    result = played(Do(0.1, lambda session: session.input.set_audio_enabled(False)), Say(first_sound(2.0), QUESTION))

    assert (turns(result), fates(result)) == ([], [])


def test_a_turn_that_is_cancelled_by_its_button_is_dropped() -> None:
    def cancel(session: Any) -> None:
        session.input.set_audio_enabled(False)
        session.clear_user_turn()

    off = Do(0.1, lambda session: session.input.set_audio_enabled(False))
    result = played(off, Do(first_sound(1.5), push), Say(first_sound(2.0), QUESTION), Do(first_sound(5.0), cancel))

    assert (turns(result), fates(result)) == ([], [(QUESTION, "dropped")])


def test_the_stt_ends_the_turns_where_there_is_no_vad() -> None:
    result = played(
        Say(first_sound(2.0), QUESTION), Say(from_end(4.0), "and my name"), mode="stt", arguments={"vad": None}
    )

    assert result.protected[0].whole
    assert (turns(result), len(result.replies)) == ([QUESTION, "and my name"], 2)


def test_a_caller_whom_the_stt_hears_is_not_away() -> None:
    states: list[str] = []

    class Watched(Announcing):
        async def on_enter(self) -> None:
            self.session.on("user_state_changed", lambda event: states.append(event.new_state))
            await super().on_enter()

    talks = [Say(first_sound(float(at)), f"word{at}", duration=1.0) for at in (1, 3, 5)]
    played(*talks, agent=Watched, mode="stt", arguments={"vad": None, "user_away_timeout": 3.0}, ends_after=8.0)

    assert "away" not in states

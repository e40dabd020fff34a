"""Calls in virtual time, against a real `AgentSession`: what is delivered, kept and answered, and how soon."""

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent

from harness.scenes import (
    CONSENT,
    NOTICE,
    QUESTION,
    SECOND,
    Announcing,
    Interruptible,
    Mixed,
    Thinking,
    Uninterruptable,
    assert_answered_at_once,
    call,
    fates,
    ours,
    receipts,
)
from hearout import Answer, Outcome, Policy
from hearout._floor.actions import FinishShutdown
from hearout.testing import LLM, TTS, Call, Do, Noise, Press, Say, Type, first_sound, from_end

BOTH = pytest.mark.parametrize("agent", [Announcing, Uninterruptable])


# What the caller says


@BOTH
def test_a_silent_caller_gets_the_whole_announcement_and_no_reply(agent: Any) -> None:
    result = call(agent=agent)

    assert result.protected[0].whole
    assert (result.turns, result.requests, len(result.utterances)) == ([], [], 1)
    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert receipts(result)[0].played == pytest.approx(TTS().seconds(NOTICE), abs=0.05)


@BOTH
@pytest.mark.parametrize("at", [first_sound(0.5), first_sound(1.5), first_sound(3.0)])
def test_a_question_before_the_end_is_answered_one_frame_after_it(agent: Any, at: Any) -> None:
    result = call(Say(at, QUESTION), agent=agent)

    assert_answered_at_once(result, QUESTION, gap=0.04)
    assert fates(result) == [(QUESTION, "delivered")]
    assert len(result.requests) == 1


@BOTH
def test_two_questions_become_one_turn_in_their_order(agent: Any) -> None:
    result = call(Say(first_sound(1.0), "what does it cost"), Say(first_sound(4.0), "and how long"), agent=agent)

    assert_answered_at_once(result, "what does it cost and how long", gap=0.04)


@BOTH
def test_a_question_that_ends_just_before_the_end_is_answered_once(agent: Any) -> None:
    result = call(Say(from_end(-2.1), QUESTION), agent=agent)  # its last word ends 0.3 s before

    assert_answered_at_once(result, QUESTION, gap=1.5)


@BOTH
def test_what_is_said_across_the_end_is_one_turn(agent: Any) -> None:
    result = call(Say(from_end(-0.9), QUESTION), agent=agent)

    assert_answered_at_once(result, QUESTION, gap=2.5)


@BOTH
def test_a_finished_question_and_another_across_the_end_are_one_turn(agent: Any) -> None:
    result = call(Say(first_sound(1.0), "what does it cost"), Say(from_end(-0.6), "and how long"), agent=agent)

    assert_answered_at_once(result, "what does it cost and how long", gap=2.0)


def test_what_is_said_while_the_model_thinks_is_kept() -> None:
    model = LLM(answers=[NOTICE, "Fine."], first_token=2.5)
    result = call(Say(0.2, QUESTION), agent=Thinking, llm=model)

    assert_answered_at_once(result, QUESTION, gap=0.1)


def test_a_caller_who_talks_to_three_seconds_past_the_end_is_heard_out() -> None:
    text = " ".join(f"word{number}" for number in range(30))
    result = call(Say(from_end(-6.0), text), agent=Announcing)

    assert result.protected[0].whole
    assert (result.kept, len(result.turns)) == (1.0, 1)
    assert result.replies[0].start > result.said[-1].end


def test_five_backchannels_are_recorded_and_not_answered() -> None:
    murmurs = ["mm-hm", "okay", "right", "uh-huh", "I see"]
    acts = [Say(first_sound(0.5 + 1.4 * n), text, answered=False) for n, text in enumerate(murmurs)]
    result = call(*acts)

    assert result.protected[0].whole
    assert (result.turns, result.requests) == ([], [])
    assert [fate for _, fate in fates(result)] == ["backchannel"] * 5


def test_yes_after_the_question_is_an_answer() -> None:
    result = call(Say(from_end(0.3), "yes"), agent=lambda: Announcing(CONSENT))

    assert result.turns == ["yes"]
    assert all("came before" not in text for _, text in result.requests[0].context)


def test_a_yes_before_the_question_is_delivered_as_one_that_came_before() -> None:
    result = call(Say(first_sound(1.0), "yes"), agent=lambda: Announcing(CONSENT))

    assert_answered_at_once(result, "yes", gap=0.04)
    assert [("came before" in text) for role, text in result.requests[0].context if role == "system"] == [False, True]
    assert receipts(result)[0].held[0][0].early


def test_an_early_yes_that_is_handed_back_is_marked_too() -> None:
    result = call(
        Say(first_sound(1.0), "yes"), Say(from_end(-0.3), "and what does it cost"), agent=lambda: Announcing(CONSENT)
    )

    assert result.turns == ["yes and what does it cost"]
    assert any("came before" in text for role, text in result.requests[-1].context if role == "system")


def test_a_cough_in_the_middle_costs_no_time_and_no_reply() -> None:
    result = call(Say(first_sound(1.0), QUESTION), Noise(first_sound(5.0), 0.4))

    assert_answered_at_once(result, QUESTION, gap=0.04)
    assert receipts(result)[0].sounds == 1


def test_noise_alone_is_no_turn() -> None:
    result = call(Noise(first_sound(2.0), 0.5))

    assert (result.turns, result.requests, len(result.utterances)) == ([], [], 1)


def test_a_correction_is_kept_as_it_was_said() -> None:
    result = call(Say(first_sound(1.0), "on Tuesday please"), Say(first_sound(3.5), "no Wednesday"))

    assert_answered_at_once(result, "on Tuesday please no Wednesday", gap=0.04)


def test_typed_text_is_kept_and_answered_after() -> None:
    result = call(Type(first_sound(2.0), "my number is seven"))

    assert_answered_at_once(result, "my number is seven", gap=0.04)
    assert fates(result) == [("my number is seven", "delivered")]


def test_typed_text_where_nothing_is_protected_is_answered_as_ever() -> None:
    result = call(Type(12.0, "hello there"))

    assert result.turns == ["hello there"]
    assert len(result.replies) == 1


def test_text_typed_just_as_protected_speech_begins_is_answered_after() -> None:
    def make(**models: Any) -> Any:
        session = ours()(**models)
        session.once("speech_created", lambda _: asyncio.ensure_future(session.user_typed("hello there")))
        return session

    result = Call(agent=Announcing, session=make).play()

    assert result.protected[0].whole
    assert (result.turns, len(result.replies)) == (["hello there"], 1)


def test_keys_that_may_not_cut_in_are_recorded() -> None:
    result = call(Press(first_sound(2.0), "12"))

    assert result.protected[0].whole
    assert fates(result) == [("12", "recorded")]


class Later(Agent):
    """Says its announcement in the middle of the caller's sentence."""

    def __init__(self, at: float) -> None:
        super().__init__(instructions="Answer briefly.")
        self.at = at

    async def on_enter(self) -> None:
        await asyncio.sleep(self.at)
        self.session.say(NOTICE, allow_interruptions=False)


@pytest.mark.parametrize("at", [2.0, 2.9, 3.1, 3.4, 3.7, 4.0])
def test_protected_speech_that_begins_while_the_caller_talks_loses_nothing(at: float) -> None:
    result = call(Say(1.2, QUESTION), Say(6.0, "and how long"), agent=lambda: Later(at))

    assert result.protected[0].whole
    assert result.kept == 1.0, result.describe()
    assert " ".join(result.turns) == f"{QUESTION} and how long", result.describe()
    assert all(one.replies for one in result.answered), result.describe()


# Policy


def test_words_that_are_to_be_noted_are_in_the_context_and_not_answered() -> None:
    result = call(Say(first_sound(1.0), QUESTION), Say(14.0, "what did I say"), policy=Policy(answer=Answer.NOTE))

    assert result.turns == [QUESTION, "what did I say"]
    assert len(result.requests) == 1
    assert ("user", QUESTION) in result.requests[0].context


def test_words_that_are_to_be_dropped_are_on_the_receipt_only() -> None:
    result = call(Say(first_sound(1.0), QUESTION), policy=Policy(answer=Answer.DROP))

    assert (result.turns, result.requests) == ([], [])
    assert fates(result) == [(QUESTION, "dropped")]


# Echo


def test_the_announcements_own_echo_is_no_turn() -> None:
    echo = "recorded for training and quality"
    result = call(Say(first_sound(1.0), echo, answered=False))

    assert (result.turns, result.requests) == ([], [])
    assert fates(result) == [(echo, "echo")]


def test_questions_before_a_late_word_do_not_delay_its_answer() -> None:
    early = [Say(first_sound(at), words) for at, words in ((1.0, "what does it cost"), (4.0, "who gets my data"))]
    gaps = [
        call(*asked, Say(from_end(-1.2), "no"), agent=lambda: Announcing(NOTICE * 2), llm=LLM(["Very well."] * 3)).gaps
        for asked in ([], early)
    ]

    assert gaps[0] == pytest.approx(gaps[1], abs=0.021)  # a frame: the STT's and the TTS's time is the whole gap
    assert 0.04 < gaps[0][0] < 0.5


# Several utterances


def test_words_over_two_protected_utterances_are_answered_after_both() -> None:
    result = call(
        Say(first_sound(1.0), "what does it cost"),
        Say(first_sound(11.0), "and how long"),
        agent=lambda: Announcing(NOTICE, SECOND),
    )

    assert [one.whole for one in result.protected[:2]] == [True, True]
    assert result.turns == ["what does it cost and how long"]
    assert len(result.replies) == 1
    assert result.gaps[0] <= 0.04
    assert len(receipts(result)) == 2


def test_a_protected_utterance_behind_an_interruptible_one_is_whole() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Mixed(protected_first=False))

    assert result.utterances[0].cut
    assert result.protected[0].whole
    assert (result.kept, len(result.replies)) == (1.0, 1)


def test_an_interruptible_utterance_behind_a_protected_one_loses_no_words() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Mixed(protected_first=True))

    assert result.protected[0].whole
    assert (result.kept, result.turns, len(result.replies)) == (1.0, [QUESTION], 1)


def test_ten_announcements_in_a_row_keep_every_word() -> None:
    texts = [f"This is announcement number {number} of ten." for number in range(10)]
    acts = [Say(first_sound(1.0 + 2.9 * number), f"question{number}") for number in range(9)]
    result = call(*acts, agent=lambda: Announcing(*texts), ends_after=60.0)

    assert [one.whole for one in result.protected[:10]] == [True] * 10
    assert (result.kept, len(result.turns), len(result.replies)) == (1.0, 1, 1)
    assert len(receipts(result)) == 10


# Going on while the answer waits


def test_a_caller_who_goes_on_while_an_answer_waits_gets_one_answer_to_all() -> None:
    result = call(Say(first_sound(1.0), "what does it cost"), Say(from_end(-2.2), "and how long"))

    assert_answered_at_once(result, "what does it cost and how long", gap=1.0)
    assert len(result.requests) <= 3


def test_the_model_is_asked_a_bounded_number_of_times() -> None:
    policy = Policy(prepare=20.0, model_calls=2)
    acts = [Say(first_sound(0.5 + 2.0 * number), f"question{number}") for number in range(4)]
    result = call(*acts, policy=policy)

    assert result.kept == 1.0
    assert len(result.replies) == 1
    assert len(result.requests) <= 2


# Nothing protected


def test_where_nothing_is_protected_the_floor_does_nothing() -> None:
    happened: list[Any] = []
    result = call(
        Do(0.0, lambda session: session.on_floor(lambda at, what: happened.append(what))),
        Say(first_sound(3.0), QUESTION),
        Say(14.0, "and how long"),
        agent=Interruptible,
    )

    assert receipts(result) == []
    # but let the session end when it is to end
    assert [what for what in happened if type(what).__module__ == "hearout._floor.actions"] == [FinishShutdown()]
    assert (result.kept, len(result.turns)) == (1.0, 2)

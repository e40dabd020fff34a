"""Calls in virtual time, against a real `AgentSession`: what is delivered, kept and answered, and how soon."""

import asyncio
import math
from typing import Any

import pytest
from livekit.agents import Agent, AgentTask, StopResponse, ToolError, llm

from hearout import After, Answer, Keys, Outcome, Phrases, Policy, Redeliver
from hearout.actions import FinishShutdown
from hearout.receipt import Cause
from hearout.testing import (
    Do,
    Ear,
    Listener,
    Model,
    Noise,
    Outage,
    Reply,
    Result,
    Say,
    Type,
    UseTool,
    Voice,
    VoiceFault,
    first_sound,
    from_end,
)
from hearout.testing import Keys as Press
from scenes import (
    CONSENT,
    NOTICE,
    QUESTION,
    SECOND,
    Announcing,
    Thinking,
    Uninterruptable,
    Working,
    call,
    fates,
    receipts,
    said,
)

REST = NOTICE[NOTICE.index("Your data") :]
BOTH = pytest.mark.parametrize("agent", [Announcing, Uninterruptable])


def assert_answered_at_once(result: Result, *turns: str, gap: float = 0.1) -> None:
    """Everything was delivered, and answered once, right after it."""
    assert result.protected[0].whole, result.describe()
    assert (result.kept, result.turns, result.false_replies) == (1.0, list(turns), []), result.describe()
    assert len(result.replies) == len(turns), result.describe()
    assert result.gaps[0] <= gap, result.describe()


# What the caller says


@BOTH
def test_a_silent_caller_gets_the_whole_announcement_and_no_reply(agent: Any) -> None:
    result = call(agent=agent)

    assert result.protected[0].whole
    assert (result.turns, result.requests, len(result.utterances)) == ([], [], 1)
    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert receipts(result)[0].played == pytest.approx(Voice().seconds(NOTICE), abs=0.05)


@BOTH
@pytest.mark.parametrize("at", [first_sound(0.5), first_sound(1.5), first_sound(3.0)])
def test_a_question_early_or_in_the_middle_is_answered_one_frame_after_the_end(agent: Any, at: Any) -> None:
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
    model = Model(answers=[NOTICE, "Fine."], first_token=2.5)
    result = call(Say(0.2, QUESTION), agent=Thinking, model=model)

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


def test_yes_before_the_question_is_delivered_with_the_word_that_it_came_before() -> None:
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


def test_keys_that_may_not_cut_in_are_recorded() -> None:
    result = call(Press(first_sound(2.0), "12"))

    assert result.protected[0].whole
    assert fates(result) == [("12", "recorded")]


# Cut-ins


@pytest.mark.parametrize(
    ("cut_in", "act", "why"),
    [
        (Phrases("operator"), Say(first_sound(2.0), "operator"), "phrase 'operator'"),
        (Keys("0"), Press(first_sound(2.3), "0"), "key 0"),
        (After(2.0), Say(first_sound(2.2), "listen please"), "after 2 s"),
    ],
)
def test_a_cut_in_that_is_allowed_stops_it_within_200_ms_and_is_on_the_receipt(cut_in: Any, act: Any, why: str) -> None:
    result = call(act, policy=Policy(cut_in=cut_in))

    assert result.protected[0].cut
    # the first word is known 0.15 s after its end, at 2.45 s
    assert result.protected[0].end - first(result) <= 2.5 + 0.45 + 0.2
    assert (receipts(result)[0].outcome, receipts(result)[0].why) == (Outcome.CUT_IN, why)
    assert receipts(result)[0].played == pytest.approx(result.protected[0].end - first(result), abs=0.2)


@pytest.mark.parametrize(
    "act", [Say(first_sound(2.0), "operator"), Press(first_sound(2.3), "0"), Say(first_sound(2.2), "listen please")]
)
def test_the_same_words_cut_nothing_when_they_are_not_allowed_to(act: Any) -> None:
    result = call(act)

    assert result.protected[0].whole


def test_a_backchannel_does_not_cut_in_after_its_time() -> None:
    result = call(Say(first_sound(3.0), "mm-hm", answered=False), policy=Policy(cut_in=After(2.0)))

    assert result.protected[0].whole


def test_what_cut_in_is_answered() -> None:
    result = call(Say(first_sound(2.0), "operator please"), policy=Policy(cut_in=Phrases("operator")))

    assert result.turns == ["operator please"]
    assert len(result.replies) == 1


def first(result: Result) -> float:
    return result.utterances[0].start


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


class Mixed(Agent):
    def __init__(self, *, protected_first: bool) -> None:
        super().__init__(instructions="Answer briefly.")
        self.protected_first = protected_first

    async def on_enter(self) -> None:
        for protected in (self.protected_first, not self.protected_first):
            self.session.say(NOTICE if protected else SECOND, allow_interruptions=not protected)


def test_a_protected_utterance_behind_an_interruptible_one_is_whole_and_the_words_over_both_are_kept() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Mixed(protected_first=False))

    assert result.utterances[0].cut
    assert result.protected[0].whole
    assert (result.kept, len(result.replies)) == (1.0, 1)


def test_an_interruptible_utterance_behind_a_protected_one_does_not_lose_the_words() -> None:
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


def test_a_caller_who_goes_on_while_the_answer_waits_gets_one_answer_to_all_of_it() -> None:
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


# The agent's own hook, tools and hand-overs


class Hooked(Announcing):
    """Its hook counts turns, and changes or stops them."""

    def __init__(self, what: str = "") -> None:
        super().__init__()
        self.what = what
        self.turns: list[str] = []

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        self.turns.append(new_message.text_content or "")
        if self.what == "stop":
            raise StopResponse
        if self.what == "add":
            turn_ctx.add_message(role="system", content="The caller is a customer of ours.")
        if self.what == "fail":
            raise ValueError("no database")


def test_the_turn_goes_through_the_agents_own_hook_once() -> None:
    agent = Hooked()
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: agent)

    assert agent.turns == [QUESTION]
    assert_answered_at_once(result, QUESTION, gap=0.04)


def test_a_hook_that_stops_the_response_is_obeyed() -> None:
    agent = Hooked("stop")
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: agent)

    assert agent.turns == [QUESTION]
    assert len(result.utterances) == 1


def test_what_a_hook_adds_is_what_the_model_is_asked() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Hooked("add"))

    assert len(result.replies) == 1
    assert ("system", "The caller is a customer of ours.") in result.requests[-1].context


def test_a_hook_that_fails_does_not_lose_the_words() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: Hooked("fail"))

    assert result.turns == [QUESTION]


def test_a_tool_that_the_answer_calls_runs_once_and_after_the_announcement() -> None:
    agent = Working()
    model = Model(answers=[NOTICE, Reply("", tools=(UseTool("look_up"),)), "I found it."])
    result = call(Say(first_sound(1.0), QUESTION), agent=lambda: agent, model=model)

    assert len(agent.ran) == 1
    assert said(result)[-1] == "I found it."
    assert result.protected[0].whole
    assert result.kept == 1.0


def test_words_over_a_protected_reply_with_a_tool_are_answered_after_the_tools_result() -> None:
    model = Model(answers=[Reply(NOTICE, tools=(UseTool("look_up"),)), SECOND, "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Working, model=model)

    assert said(result)[:2] == [NOTICE, SECOND]
    assert (result.kept, len(result.turns)) == (1.0, 1)
    assert result.turns == [QUESTION]


def test_the_answer_to_words_over_a_tools_preamble_is_prepared_and_the_model_asked_once() -> None:
    model = Model(answers=[Reply(NOTICE, tools=(UseTool("look_up"),)), SECOND, "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Working, model=model)

    assert said(result) == [NOTICE, SECOND, "Fine."]
    assert result.gaps[0] <= 0.04, result.describe()
    assert len(result.requests) == 3  # the notice, what follows the tool, and the answer
    assert [text for role, text in result.requests[-1].context if role == "assistant"] == [NOTICE, SECOND]


def test_a_hand_over_in_the_middle_keeps_the_words_for_the_next_agent() -> None:
    class Next(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="You are the next agent.")

    result = call(Say(first_sound(1.0), QUESTION), Do(first_sound(3.0), lambda s: s.update_agent(Next())))

    assert result.protected[0].whole
    assert (result.kept, result.turns) == (1.0, [QUESTION])
    assert len(result.replies) == 1
    assert any("next agent" in text for role, text in result.requests[-1].context if role == "system")


def test_two_quick_turns_with_an_uninterruptable_agent_lose_nothing() -> None:
    """livekit/agents #4316 and #4443: the second turn was lost to a RuntimeError in 1.8.9."""

    class Slow(Uninterruptable):
        async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
            await asyncio.sleep(2.0)

    result = call(Say(11.0, "what does it cost"), Say(13.3, "and how long"), agent=Slow)

    assert result.kept == 1.0
    assert sum(len(one.replies) > 0 for one in result.answered) == 2
    assert not [line for line in result.warnings if "RuntimeError" in line]


# What breaks: the recogniser


def test_a_final_that_is_three_seconds_late_is_answered_after_the_end() -> None:
    result = call(Say(first_sound(1.0), QUESTION), ear=Ear(finals={0: 3.0}))

    assert_answered_at_once(result, QUESTION, gap=0.04)


def test_a_final_that_never_comes_is_replaced_by_what_was_guessed() -> None:
    result = call(Say(first_sound(1.0), QUESTION), ear=Ear(finals={0: None}))

    assert_answered_at_once(result, QUESTION, gap=1.9)


def test_a_final_that_comes_after_its_guess_was_answered_is_not_answered_again() -> None:
    result = call(Say(from_end(-2.6), QUESTION), ear=Ear(finals={0: 4.0}))

    assert_answered_at_once(result, QUESTION, gap=3.0)
    assert result.turns == [QUESTION]


@pytest.mark.parametrize("retryable", [True, False])
def test_a_recogniser_that_reconnects_does_not_end_the_call(retryable: Any) -> None:
    ear = Ear(outages=(Outage(4.0, seconds=2.0, retryable=retryable),))
    result = call(Say(first_sound(1.0), "what does it cost"), ear=ear)

    assert result.closed is None
    assert_answered_at_once(result, "what does it cost", gap=0.04)


def test_a_recogniser_that_is_gone_for_long_does_not_cut_the_announcement() -> None:
    result = call(ear=Ear(outages=(Outage(1.0, seconds=20.0, retryable=False),)))

    assert result.protected[0].whole
    assert result.closed is None


# What breaks: the model


def test_a_model_that_breaks_off_is_on_the_receipt() -> None:
    model = Model(answers=[Reply(NOTICE, breaks_after=0.5), "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Thinking, model=model)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert receipts(result)[0].why == "the model gave up"
    assert (result.kept, len(result.replies)) == (1.0, 1)


def test_a_model_that_hits_its_limit_is_on_the_receipt() -> None:
    result = call(agent=Thinking, model=Model((Reply(NOTICE, max_words=11),)))

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.cause) == (Outcome.FAILED, Cause.MODEL)
    assert receipt.why.endswith("ends in the middle of a sentence")


def test_a_model_that_is_asked_again_says_nothing_twice() -> None:
    model = Model(answers=[Reply(NOTICE, breaks_after=0.5, retryable=True), "Fine."])
    result = call(agent=Thinking, model=model)

    assert result.protected[0].whole
    assert receipts(result)[0].outcome is Outcome.FINISHED


def test_a_model_that_stalls_for_ever_does_not_leave_the_agent_deaf() -> None:
    model = Model(answers=[Reply(NOTICE, stall=math.inf, stall_after=0.5), "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Thinking, model=model, ends_after=40.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert (result.kept, len(result.replies)) == (1.0, 1)


def test_a_model_that_never_begins_does_not_leave_the_agent_deaf() -> None:
    model = Model(answers=[Reply(NOTICE, stall=math.inf), "Fine."])
    result = call(Say(1.0, QUESTION), agent=Thinking, model=model, ends_after=40.0)

    assert receipts(result)[0].why == "the model or the voice did not begin"
    assert (result.kept, len(result.replies)) == (1.0, 1)


# What breaks: the voice


def test_a_voice_that_fails_at_40_percent_goes_on_from_there() -> None:
    result = call(Say(first_sound(1.0), QUESTION), voice=Voice(faults=(VoiceFault(0, after=0.4),)))

    assert result.protected[0].delivered == 1.0
    assert result.protected[0].repeated == 0.0
    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert result.kept == 1.0


def test_a_voice_that_stalls_for_three_seconds_leaves_no_hole() -> None:
    result = call(voice=Voice(faults=(VoiceFault(0, after=0.4, stall=3.0),)))

    assert result.protected[0].delivered == 1.0
    assert result.protected[0].repeated == 0.0


def test_a_dead_voice_is_on_the_receipt_and_leaves_nobody_deaf() -> None:
    result = call(Say(1.0, QUESTION), voice=Voice(dead=True), ends_after=40.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert result.kept == 1.0


# What breaks: the loudspeaker


def test_nobody_subscribes() -> None:
    result = call(Say(1.0, QUESTION), listener=Listener(subscribed_at=None), ends_after=60.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert receipts(result)[0].why == "nobody listened, or the loudspeaker is dead"
    assert result.kept == 1.0


def test_a_loudspeaker_that_dies_in_the_middle() -> None:
    result = call(Say(1.0, QUESTION), listener=Listener(dead_from=3.0), ends_after=60.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert result.kept == 1.0


# The end of the call


@pytest.mark.parametrize(
    "ending",
    [
        Do(first_sound(2.0), lambda session: session.aclose()),
        Do(first_sound(2.0), lambda session: session.shutdown()),
        Do(first_sound(2.0), lambda session: session.shutdown(drain=False)),
    ],
    ids=["aclose", "shutdown", "shutdown without drain"],
)
def test_closing_the_session_lets_the_announcement_finish_within_its_grace(ending: Do) -> None:
    result = call(Say(first_sound(1.0), "what does it cost"), ending)

    assert result.protected[0].whole
    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert result.turns == ["what does it cost"]
    assert fates(result) == [("what does it cost", "shut down")]


def test_the_grace_is_bounded() -> None:
    result = call(Do(first_sound(1.0), lambda session: session.aclose()), policy=Policy(shutdown_grace=2.0))

    assert receipts(result)[0].outcome is Outcome.SHUT_DOWN
    assert receipts(result)[0].played == pytest.approx(3.0, abs=0.2)


def test_a_forced_interruption_by_the_program_is_on_the_receipt() -> None:
    result = call(Do(first_sound(2.0), lambda session: session.current_speech.interrupt(force=True)))

    assert receipts(result)[0].outcome is Outcome.CUT_IN
    assert receipts(result)[0].why.startswith("operator")


def test_a_task_that_is_cancelled_is_on_the_receipt() -> None:
    class Asking(AgentTask[None]):
        def __init__(self) -> None:
            super().__init__(instructions="Ask.")

        async def on_enter(self) -> None:
            self.session.say(NOTICE, allow_interruptions=False)

    class Delegating(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Answer briefly.")

        async def on_enter(self) -> None:
            try:
                await Asking()
            except ToolError:
                self.session.say("That was cancelled.")

    result = call(
        Say(first_sound(1.0), QUESTION),
        Do(first_sound(3.0), lambda session: session.current_agent.cancel()),
        agent=Delegating,
    )

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.cause) == (Outcome.CUT_IN, Cause.OPERATOR)
    assert receipt.played == pytest.approx(3.0, abs=0.2)
    assert result.turns == [QUESTION]


def test_a_caller_who_leaves_is_not_spoken_to() -> None:
    result = call(Say(first_sound(1.0), QUESTION), Do(first_sound(4.0), lambda session: session.user_left()))

    assert receipts(result)[0].outcome is Outcome.CALLER_GONE
    assert receipts(result)[0].played == pytest.approx(4.0, abs=0.2)
    assert fates(result) == [(QUESTION, "caller gone")]
    assert result.turns == [QUESTION]
    assert result.closed == (pytest.approx(first(result) + 26.0, abs=0.3), "user_initiated")


def test_a_caller_who_comes_back_is_answered() -> None:
    result = call(
        Say(first_sound(1.0), QUESTION),
        Do(first_sound(4.0), lambda session: session.user_left()),
        Do(first_sound(8.0), lambda session: session.user_returned()),
        policy=Policy(redeliver=Redeliver.NEVER),
    )

    assert receipts(result)[0].outcome is Outcome.CALLER_GONE
    assert (result.turns, len(result.replies)) == ([QUESTION], 1)


@pytest.mark.parametrize(
    ("redeliver", "again"),
    [
        (Redeliver.FROM_CUT, REST),
        (Redeliver.FROM_START, NOTICE),
    ],
)
@pytest.mark.parametrize("agent", [Announcing, Thinking])
def test_a_caller_who_comes_back_hears_the_rest_and_is_answered(agent: Any, redeliver: Any, again: str) -> None:
    result = call(
        Say(first_sound(1.0), QUESTION),
        Do(first_sound(4.0), lambda session: session.user_left()),
        Do(first_sound(8.0), lambda session: session.user_returned()),
        agent=agent,
        policy=Policy(redeliver=redeliver),
        model=Model((NOTICE, "It is changed.")) if agent is Thinking else Model(("It is changed.",)),
    )

    receipt = receipts(result)[0]
    assert (receipt.outcome, len(receipt.attempts)) == (Outcome.FINISHED, 2)
    assert receipt.attempts[0].played == pytest.approx(4.0, abs=0.2)
    assert receipt.attempts[1].starts_from == (0.0 if again == NOTICE else pytest.approx(3.2, abs=0.1))
    assert result.utterances[1].said == again
    assert result.utterances[1].whole
    assert (result.turns[-1:], len(result.replies)) == ([QUESTION], 1)
    assert fates(result) == [(QUESTION, "delivered")]
    assert receipt.gap == pytest.approx(0.0, abs=0.05)


def test_what_was_said_to_nobody_is_said_again() -> None:
    """The caller is known to have been gone only after a while: what was played meanwhile does not count."""
    result = call(
        Do(first_sound(5.0), lambda session: session.user_left(known_until=3.0)),
        Do(first_sound(8.0), lambda session: session.user_returned()),
    )

    (receipt,) = receipts(result)
    assert receipt.attempts[0].played == pytest.approx(3.0 - first(result), abs=0.1)
    assert result.utterances[1].said == NOTICE


@pytest.mark.parametrize("agent", [Announcing, Thinking])
def test_what_ended_while_the_caller_had_vanished_is_said_again_and_has_a_receipt_of_its_own(agent: Any) -> None:
    result = call(
        Do(first_sound(12.0), lambda session: session.user_left(known_until=6.0)),
        Do(first_sound(14.0), lambda session: session.user_returned()),
        agent=agent,
        model=Model((NOTICE,)),
    )

    played, again = receipts(result)
    assert (played.outcome, again.outcome, again.id) == (Outcome.FINISHED, Outcome.FINISHED, played.id)
    assert (len(played.attempts), len(again.attempts)) == (1, 2)
    assert said(result) == [NOTICE, REST]


def test_a_caller_who_leaves_before_it_begins_hears_all_of_it_on_return() -> None:
    result = call(
        Do(first_sound(4.0), lambda session: session.user_left()),
        Do(first_sound(8.0), lambda session: session.user_returned()),
        agent=lambda: Announcing(NOTICE, SECOND),
    )

    assert [one.outcome for one in receipts(result)] == [Outcome.FINISHED, Outcome.FINISHED]
    assert said(result)[1:] == [REST, SECOND]


def test_a_reply_of_which_only_a_part_was_known_is_not_said_again() -> None:
    """Half of an answer would look like all of it."""
    result = call(
        Do(first_sound(2.0), lambda session: session.user_left()),
        Do(first_sound(8.0), lambda session: session.user_returned()),
        agent=Thinking,
        model=Model((Reply(NOTICE, stall=20.0, stall_after=0.6),)),
    )

    assert receipts(result)[0].outcome is Outcome.CALLER_GONE
    assert len(result.utterances) == 1


def test_a_caller_who_does_not_come_back_is_on_the_receipt_once() -> None:
    result = call(Do(first_sound(4.0), lambda session: session.user_left()), ends_after=40.0)

    (receipt,) = receipts(result)
    assert (receipt.outcome, len(receipt.attempts)) == (Outcome.CALLER_GONE, 1)


# What LiveKit's own handle does not tell (livekit-facts, section b)


def test_a_buffer_that_somebody_clears_is_on_the_receipt() -> None:
    result = call(Do(first_sound(2.0), lambda session: session.output.audio.clear_buffer()))

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert receipts(result)[0].played == pytest.approx(2.0, abs=0.1)


def test_a_pause_that_lost_its_queue_is_on_the_receipt() -> None:
    result = call(
        Do(first_sound(2.0), lambda session: session.output.audio.pause()),
        Do(first_sound(3.0), lambda session: session.output.audio.resume()),
    )

    assert receipts(result)[0].played == pytest.approx(Voice().seconds(NOTICE) - 0.2, abs=0.02)


def test_a_disabled_output_is_on_the_receipt() -> None:
    class Muted(Announcing):
        async def on_enter(self) -> None:
            self.session.output.set_audio_enabled(False)
            await super().on_enter()

    result = call(agent=Muted)

    assert result.utterances == []
    assert receipts(result)[0].outcome is Outcome.FAILED


def test_speech_that_is_made_interruptible_is_let_go() -> None:
    def release(session: Any) -> None:
        session.current_speech.allow_interruptions = True

    result = call(Do(first_sound(1.0), release), Say(first_sound(2.0), QUESTION))

    assert result.utterances[0].cut
    assert (result.kept, result.turns, len(result.replies)) == (1.0, [QUESTION], 1)
    assert receipts(result)[0].outcome is Outcome.CUT_IN


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


# Nothing protected


class Free(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


def test_where_nothing_is_protected_the_floor_does_nothing() -> None:
    happened: list[Any] = []
    result = call(
        Do(0.0, lambda session: session.on_floor(lambda at, what: happened.append(what))),
        Say(first_sound(3.0), QUESTION),
        Say(14.0, "and how long"),
        agent=Free,
    )

    assert receipts(result) == []
    # but let the session end when it is to end
    assert [what for what in happened if type(what).__module__ == "hearout.actions"] == [FinishShutdown()]
    assert (result.kept, len(result.turns)) == (1.0, 2)

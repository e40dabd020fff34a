"""Calls in virtual time that end protected speech early, and the fate of speech and words then."""

from typing import Any

import pytest
from livekit.agents import Agent, AgentTask, ToolError

from harness.scenes import NOTICE, QUESTION, SECOND, Announcing, Thinking, call, fates, first, receipts, said
from hearout import CutIn, Outcome, Policy, Redeliver
from hearout.policy import Timeouts
from hearout.receipts import Cause
from hearout.testing import LLM, TTS, Do, HangUp, Press, Reply, Return, Say, first_sound

REST = NOTICE[NOTICE.index("Your data") :]


# Cut-ins


@pytest.mark.parametrize(
    ("cut_in", "act", "why"),
    [
        (CutIn(phrases=("operator",)), Say(first_sound(2.0), "operator"), "phrase 'operator'"),
        (CutIn(keys="0"), Press(first_sound(2.3), "0"), "key 0"),
        (CutIn(after=2.0), Say(first_sound(2.2), "listen please"), "after 2 s"),
    ],
)
def test_an_allowed_cut_in_stops_speech_within_200_ms(cut_in: Any, act: Any, why: str) -> None:
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
    result = call(Say(first_sound(3.0), "mm-hm", answered=False), policy=Policy(cut_in=CutIn(after=2.0)))

    assert result.protected[0].whole


def test_what_cut_in_is_answered() -> None:
    result = call(Say(first_sound(2.0), "operator please"), policy=Policy(cut_in=CutIn(phrases=("operator",))))

    assert result.turns == ["operator please"]
    assert len(result.replies) == 1


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
    result = call(
        Do(first_sound(1.0), lambda session: session.aclose()), policy=Policy(timeouts=Timeouts(shutdown=2.0))
    )

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
    leaves = Do(first_sound(4.0), lambda session: session.user_left())
    result = call(Say(first_sound(1.0), QUESTION), leaves, ends_after=30.0)

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
        llm=LLM((NOTICE, "It is changed.")) if agent is Thinking else LLM(("It is changed.",)),
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
def test_speech_that_its_caller_missed_is_repeated_with_its_own_receipt(agent: Any) -> None:
    result = call(
        Do(first_sound(12.0), lambda session: session.user_left(known_until=6.0)),
        Do(first_sound(14.0), lambda session: session.user_returned()),
        agent=agent,
        llm=LLM((NOTICE,)),
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
        llm=LLM((Reply(NOTICE, stall=20.0, stall_after=0.6),)),
    )

    assert receipts(result)[0].outcome is Outcome.CALLER_GONE
    assert len(result.utterances) == 1


def test_a_caller_who_does_not_come_back_is_on_the_receipt_once() -> None:
    result = call(Do(first_sound(4.0), lambda session: session.user_left()), ends_after=40.0)

    (receipt,) = receipts(result)
    assert (receipt.outcome, len(receipt.attempts)) == (Outcome.CALLER_GONE, 1)


# What LiveKit's own handle does not tell


def test_a_buffer_that_somebody_clears_is_on_the_receipt() -> None:
    result = call(Do(first_sound(2.0), lambda session: session.output.audio.clear_buffer()))

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert receipts(result)[0].played == pytest.approx(2.0, abs=0.1)


def test_a_pause_that_lost_its_queue_is_on_the_receipt() -> None:
    result = call(
        Do(first_sound(2.0), lambda session: session.output.audio.pause()),
        Do(first_sound(3.0), lambda session: session.output.audio.resume()),
    )

    assert receipts(result)[0].played == pytest.approx(TTS().seconds(NOTICE) - 0.2, abs=0.02)


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

    # later than LiveKit's echo warm-up of 3 s, in which interruptible speech is deaf
    result = call(Do(first_sound(1.0), release), Say(first_sound(3.5), QUESTION))

    assert result.utterances[0].cut
    assert (result.kept, result.turns, len(result.replies)) == (1.0, [QUESTION], 1)
    assert receipts(result)[0].outcome is Outcome.CUT_IN


@pytest.mark.parametrize("at", [1.0, 2.0, 2.19])
def test_a_final_after_the_caller_left_is_answered_on_return(at: float) -> None:
    """They went to LiveKit, where nobody answered them: the floor did not hold while the caller was gone."""
    result = call(Say(first_sound(at), QUESTION), HangUp(first_sound(4.0)), Return(first_sound(9.0)))

    assert fates(result) == [(QUESTION, "delivered")]
    assert [one.said for one in result.replies] == [f"You said {QUESTION}."], result.describe()
    assert result.gaps[0] < 0.1


def test_a_final_after_the_caller_left_for_good_is_on_the_receipt() -> None:
    result = call(Say(first_sound(2.0), QUESTION), HangUp(first_sound(4.0)), ends_after=40.0)

    assert fates(result) == [(QUESTION, "caller gone")]
    assert receipts(result)[0].outcome is Outcome.CALLER_GONE
    assert (result.turns, result.replies) == ([QUESTION], [])

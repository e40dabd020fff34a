"""Calls in virtual time in which the STT, the model, the voice or the audio output breaks."""

import math
from typing import Any

import pytest

from harness.scenes import NOTICE, QUESTION, Thinking, assert_answered_at_once, call, receipts
from hearout import Outcome
from hearout.testing import LLM, STT, TTS, AudioReceiver, Outage, Reply, Say, TTSFault, first_sound, from_end

# The STT


def test_a_final_that_is_three_seconds_late_is_answered_after_the_end() -> None:
    result = call(Say(first_sound(1.0), QUESTION), stt=STT(finals={0: 3.0}))

    assert_answered_at_once(result, QUESTION, gap=0.04)


def test_a_final_that_never_comes_is_replaced_by_what_was_guessed() -> None:
    result = call(Say(first_sound(1.0), QUESTION), stt=STT(finals={0: None}))

    assert_answered_at_once(result, QUESTION, gap=1.9)


def test_a_final_after_its_answered_interim_is_not_answered_again() -> None:
    result = call(Say(from_end(-2.6), QUESTION), stt=STT(finals={0: 4.0}))

    assert_answered_at_once(result, QUESTION, gap=3.0)
    assert result.turns == [QUESTION]


@pytest.mark.parametrize("retryable", [True, False])
def test_an_stt_that_reconnects_does_not_end_the_call(retryable: Any) -> None:
    ear = STT(outages=(Outage(4.0, seconds=2.0, retryable=retryable),))
    result = call(Say(first_sound(1.0), "what does it cost"), stt=ear)

    assert result.closed is None
    assert_answered_at_once(result, "what does it cost", gap=0.04)


def test_an_stt_that_is_gone_for_long_does_not_cut_the_announcement() -> None:
    result = call(stt=STT(outages=(Outage(1.0, seconds=20.0, retryable=False),)))

    assert result.protected[0].whole
    assert result.closed is not None, "LiveKit's rule for too many errors holds again where nothing is owed"
    assert result.closed[0] > result.protected[0].end


# The model


def test_a_model_that_breaks_off_is_on_the_receipt() -> None:
    model = LLM(answers=[Reply(NOTICE, breaks_after=0.5), "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Thinking, llm=model)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert receipts(result)[0].why == "the model gave up"
    assert (result.kept, len(result.replies)) == (1.0, 1)


@pytest.mark.parametrize("text", ["Great, you are all set. See you tomorrow", "Is that all? I see, a full stop is no"])
def test_a_reply_without_a_full_stop_is_finished(text: str) -> None:
    """LiveKit 1.8.9 passes no finish reason on, so nothing is said of an LLM's limit."""
    (receipt,) = receipts(call(agent=Thinking, llm=LLM((text,))))

    assert (receipt.outcome, receipt.why, receipt.text) == (Outcome.FINISHED, "", text)


def test_a_model_that_is_asked_again_says_nothing_twice() -> None:
    model = LLM(answers=[Reply(NOTICE, breaks_after=0.5, retryable=True), "Fine."])
    result = call(agent=Thinking, llm=model)

    assert result.protected[0].whole
    assert receipts(result)[0].outcome is Outcome.FINISHED


def test_a_model_that_stalls_for_ever_does_not_leave_the_agent_deaf() -> None:
    model = LLM(answers=[Reply(NOTICE, stall=math.inf, stall_after=0.5), "Fine."])
    result = call(Say(first_sound(1.0), QUESTION), agent=Thinking, llm=model, ends_after=40.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert (result.kept, len(result.replies)) == (1.0, 1)


def test_a_model_that_never_begins_does_not_leave_the_agent_deaf() -> None:
    model = LLM(answers=[Reply(NOTICE, stall=math.inf), "Fine."])
    result = call(Say(1.0, QUESTION), agent=Thinking, llm=model, ends_after=40.0)

    assert receipts(result)[0].why == "the model or the voice did not begin"
    assert (result.kept, len(result.replies)) == (1.0, 1)


# The voice


def test_a_voice_that_fails_at_40_percent_resumes_with_its_sentence() -> None:
    result = call(Say(first_sound(1.0), QUESTION), tts=TTS(faults=(TTSFault(0, after=0.4),)))

    assert result.protected[0].delivered == 1.0
    assert result.protected[0].repeated <= TTS().seconds("This call is recorded for training and quality.")
    assert receipts(result)[0].outcome is Outcome.FINISHED
    assert result.kept == 1.0


def test_a_voice_that_stalls_for_three_seconds_leaves_no_hole() -> None:
    result = call(tts=TTS(faults=(TTSFault(0, after=0.4, stall=3.0),)))

    assert result.protected[0].delivered == 1.0
    assert result.protected[0].repeated == 0.0


def test_a_dead_voice_is_on_the_receipt_and_leaves_nobody_deaf() -> None:
    result = call(Say(1.0, QUESTION), tts=TTS(dead=True), ends_after=40.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert result.kept == 1.0


# The audio output


def test_nobody_subscribes() -> None:
    result = call(Say(1.0, QUESTION), listener=AudioReceiver(subscribed_at=None), ends_after=60.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert receipts(result)[0].why == "nobody listened, or the audio output is dead"
    assert result.kept == 1.0


def test_an_audio_output_that_dies_in_the_middle() -> None:
    result = call(Say(1.0, QUESTION), listener=AudioReceiver(dead_from=3.0), ends_after=60.0)

    assert receipts(result)[0].outcome is Outcome.FAILED
    assert result.kept == 1.0

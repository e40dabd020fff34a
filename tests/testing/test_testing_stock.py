"""The scripted caller against LiveKit's own session gives the figures that real sound gave."""

from typing import Any

import pytest
from livekit.agents import AgentSession

from harness.scenes import NOTICE, QUESTION, Interruptible, Thinking, Uninterruptable, hearing, stock, words_heard
from hearout.testing import (
    LLM,
    STT,
    TTS,
    AudioReceiver,
    Call,
    Do,
    HangUp,
    Outage,
    Reply,
    Say,
    TTSFault,
    first_sound,
    from_end,
)

# What livekit-facts.md, section c, measured with real voice activity detection and real sound.


@pytest.mark.parametrize("at", [first_sound(2.0), from_end(-2.0)], ids=["long before the end", "just before the end"])
def test_stock_loses_every_word_said_over_a_protected_utterance(at: Any) -> None:
    result = Call(agent=Uninterruptable, session=stock, caller=[Say(at, QUESTION)]).play()

    assert result.protected[0].whole
    assert (words_heard(result), result.kept, result.replies) == ([], 0.0, [])


def test_stock_answers_the_second_half_of_what_is_said_across_the_end() -> None:
    result = Call(agent=Uninterruptable, session=stock, caller=[Say(from_end(-0.9), QUESTION)]).play()

    assert words_heard(result) == ["my", "address", "first"]
    assert result.kept == 0.5
    assert [reply.said for reply in result.replies] == ["You said my address first."]


def test_stock_keeps_what_is_said_after_the_end() -> None:
    result = Call(agent=Uninterruptable, session=stock, caller=[Say(from_end(0.4), QUESTION)]).play()

    assert result.kept == 1.0
    assert result.turns == [QUESTION]
    assert len(result.answered[0].replies) == 1
    assert 0.8 < result.replies[0].start - result.said[-1].end < 1.4


def test_stock_loses_every_word_said_while_the_model_thinks() -> None:
    model = LLM(answers=[NOTICE, "Fine."], first_token=4.0)
    result = Call(agent=Thinking, session=stock, caller=[Say(0.5, QUESTION)], llm=model).play()

    assert (words_heard(result), result.kept, len(result.utterances)) == ([], 0.0, 1)


def test_stock_cuts_an_interruptible_utterance_and_keeps_the_words() -> None:
    result = Call(agent=Interruptible, session=stock, caller=[Say(first_sound(4.0), QUESTION)]).play()

    assert result.kept == 1.0
    assert result.protected == []
    assert 0.45 < result.utterances[0].delivered < 0.65
    assert result.utterances[0].cut


def test_stock_that_hears_throws_away_a_turn_that_ends_inside() -> None:
    result = Call(agent=Uninterruptable, session=hearing, caller=[Say(first_sound(1.0), QUESTION)]).play()

    assert words_heard(result) == QUESTION.split()
    assert (result.kept, result.replies) == (0.0, [])
    assert any("skipping reply to user input" in line for line in result.warnings)


def test_stock_that_hears_keeps_what_is_said_across_the_end() -> None:
    result = Call(agent=Uninterruptable, session=hearing, caller=[Say(from_end(-0.9), QUESTION)]).play()

    assert (result.kept, result.turns) == (1.0, [QUESTION])


def test_the_first_three_seconds_are_deaf_while_echo_cancellation_warms_up() -> None:
    def warming_up(**models: Any) -> AgentSession[Any]:
        return AgentSession(turn_handling={"turn_detection": "vad"}, **models)

    result = Call(agent=Interruptible, session=warming_up, caller=[Say(first_sound(0.5), "one two three four")]).play()

    assert words_heard(result) == []


# Section b: what ends a protected utterance all the same.


@pytest.mark.parametrize(
    ("what", "closed"),
    [
        (Do(2.0, lambda session: session.aclose()), "user_initiated"),
        (Do(2.0, lambda session: session.current_speech.interrupt(force=True)), None),
        (HangUp(2.0), "user_initiated"),
    ],
    ids=["aclose", "force", "hang-up"],
)
def test_a_protected_utterance_is_cut_by(what: Do, closed: str | None) -> None:
    result = Call(agent=Uninterruptable, session=stock, caller=[what]).play()

    assert 0.15 < result.protected[0].delivered < 0.3
    assert result.protected[0].end == pytest.approx(2.0, abs=0.1)
    assert (result.closed[1] if result.closed else None) == closed


def test_an_interruption_that_livekit_refuses_raises_and_cuts_nothing() -> None:
    refused = Do(2.0, lambda session: session.interrupt(), raises=RuntimeError)
    result = Call(agent=Uninterruptable, session=stock, caller=[refused]).play()

    assert result.protected[0].whole


def test_four_unrecoverable_errors_of_the_stt_close_the_session() -> None:
    ear = STT(outages=(Outage(1.0, seconds=20.0, retryable=False),))
    result = Call(agent=Uninterruptable, session=stock, stt=ear).play()

    assert result.closed is not None
    assert result.closed[1] == "error"
    assert result.protected[0].cut


def test_a_voice_that_breaks_off_truncates_the_utterance() -> None:
    voice = TTS(faults=(TTSFault(0, after=0.5, retryable=False),))
    result = Call(agent=Uninterruptable, session=stock, tts=voice).play()

    notice = result.protected[0]
    # half of the two sentences that it had begun with; the third was never taken up
    assert (notice.intended, notice.said) == (NOTICE, "This call is recorded for training and")
    assert notice.delivered == pytest.approx(2.49 / voice.seconds(NOTICE), abs=0.01)
    assert notice.holes == ((pytest.approx(notice.end), pytest.approx(voice.seconds(NOTICE) - 2.49, abs=0.02)),)
    assert any("Task exception was never retrieved" in line for line in result.warnings)


def test_a_model_that_breaks_off_and_is_retried_says_the_first_part_twice() -> None:
    model = LLM(answers=[Reply(NOTICE, breaks_after=0.5, retryable=True)])
    result = Call(agent=Thinking, session=stock, llm=model).play()

    assert result.protected[0].delivered == 1.0
    assert result.protected[0].repeated == pytest.approx(0.5 * 8.5, abs=0.5)
    assert not result.protected[0].whole


def test_a_model_that_hits_its_limit_leaves_the_sentence_undelivered() -> None:
    result = Call(agent=Thinking, session=stock, llm=LLM(answers=[Reply(NOTICE, max_words=8)])).play()

    assert result.protected[0].said == "This call is recorded for training and quality."
    assert result.protected[0].cut


@pytest.mark.parametrize(
    "listener", [AudioReceiver(subscribed_at=None), AudioReceiver(dead_from=0.0)], ids=["nobody", "dead"]
)
def test_nothing_is_delivered_to(listener: AudioReceiver) -> None:
    result = Call(agent=Uninterruptable, session=stock, listener=listener).play()

    assert result.utterances == []


def test_audio_waits_for_the_first_subscriber() -> None:
    result = Call(agent=Uninterruptable, session=stock, listener=AudioReceiver(subscribed_at=3.0)).play()

    assert result.protected[0].whole
    assert result.protected[0].start == pytest.approx(3.0)


def test_a_loudspeaker_that_is_paused_loses_what_was_queued() -> None:
    caller = [
        Do(2.0, lambda session: session.output.audio.pause()),
        Do(3.0, lambda session: session.output.audio.resume()),
    ]
    result = Call(agent=Uninterruptable, session=stock, caller=caller).play()
    utterance = result.protected[0]

    assert utterance.holes == ((2.0, pytest.approx(0.2, abs=0.011)),)
    assert utterance.silences == ((2.0, pytest.approx(1.0)),)

"""Calls in virtual time with voices as teams bring them: slow, sampled, breaking, in sentences, behind another."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest
from livekit.agents import Agent, ModelSettings, llm

from harness.scenes import NOTICE, QUESTION, Announcing, Thinking, Uninterruptable, call, receipts, said
from hearout import Outcome
from hearout.receipts import Cause
from hearout.testing import LLM, TTS, HangUp, Reply, Result, Return, Say, TTSFault, first_sound, zoo

SENTENCES = (
    "This call is recorded for training and quality.",
    "Your data is kept for thirty days.",
    "Please have your customer number ready now.",
)


def assert_whole(result: Result, *, again: float = 0.0) -> None:
    """All of it was heard, at most so many seconds twice, and the receipt says so."""
    (utterance, *_) = result.protected
    assert utterance.delivered == 1.0, result.describe()
    assert utterance.repeated <= again, result.describe()
    (receipt, *_) = receipts(result)
    assert (receipt.outcome, receipt.why) == (Outcome.FINISHED, "")
    assert receipt.played == pytest.approx(receipt.made, abs=0.1)


LONGEST = 4.2
"""Seconds of the longest sentence, said 25 % slower than usual."""


@pytest.mark.parametrize("name", zoo.TTS_KINDS)
def test_a_voice_of_the_zoo_says_all_of_it_once(name: str) -> None:
    assert_whole(call(tts=zoo.TTS_KINDS[name], ends_after=40.0))


@pytest.mark.parametrize("name", zoo.TTS_KINDS)
def test_a_voice_of_the_zoo_says_a_reply_once(name: str) -> None:
    assert_whole(call(agent=Thinking, llm=LLM([NOTICE], rate=5.0), tts=zoo.TTS_KINDS[name], ends_after=45.0))


@pytest.mark.parametrize("name", zoo.BREAKING)
def test_a_voice_that_breaks_off_is_resumed_by_its_text(name: str) -> None:
    result = call(tts=zoo.BREAKING[name], ends_after=40.0)

    assert_whole(result, again=2 * LONGEST)


@pytest.mark.parametrize("name", zoo.BREAKING)
def test_a_reply_that_breaks_off_is_resumed_by_its_text(name: str) -> None:
    result = call(agent=Thinking, llm=LLM([NOTICE], rate=5.0), tts=zoo.BREAKING[name], ends_after=45.0)

    assert_whole(result, again=2 * LONGEST)


# What the TTS was given


class Structured(Agent):
    """Its LLM writes an object, of which one field is spoken."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer in JSON.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Say the notice.")

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        written = "".join([piece async for piece in text])

        async def field() -> AsyncIterator[str]:
            yield json.loads(written)["response"]

        return Agent.default.tts_node(self, field(), model_settings)


class Shown(Structured):
    """The same field is what its transcript shows, as in LiveKit's example of structured output."""

    async def transcription_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        written = "".join([str(piece) async for piece in text])
        yield json.loads(written)["response"] if written.startswith("{") else written


OBJECT = json.dumps({"mood": "calm", "response": NOTICE})
BREAKS = TTS(faults=(TTSFault(0, after=0.6),))


@pytest.mark.parametrize("voice", [TTS(), BREAKS])
def test_of_structured_output_the_spoken_field_is_what_counts(voice: TTS) -> None:
    result = call(agent=Structured, llm=LLM([Reply(OBJECT, spoken=NOTICE)]), tts=voice)

    assert_whole(result, again=LONGEST)
    assert receipts(result)[0].text == NOTICE


def test_an_answer_after_structured_output_is_prepared() -> None:
    answer = json.dumps({"response": "That is noted."})
    result = call(
        Say(first_sound(1.0), QUESTION),
        agent=Shown,
        llm=LLM([Reply(OBJECT, spoken=NOTICE), Reply(answer, spoken="That is noted.")]),
    )

    assert result.gaps[0] <= 0.05, result.describe()
    assert len(result.requests) == 2


class Hooked(Uninterruptable):
    """Its hook adds something, so that the LLM is asked afresh."""

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        turn_ctx.add_message(role="system", content="The caller is a customer of ours.")


def test_an_answer_that_is_asked_for_afresh_is_said_once() -> None:
    answer = "That is noted. Thank you for calling us about this today."
    result = call(Say(first_sound(4.5), QUESTION), agent=Hooked, llm=LLM([answer], rate=5.0))

    assert (result.replies[0].delivered, result.replies[0].repeated) == (1.0, 0.0), result.describe()
    assert receipts(result)[1].outcome is Outcome.FINISHED


def test_structured_output_is_resumed_for_a_caller_who_was_gone() -> None:
    result = call(
        HangUp(first_sound(4.2)),
        Return(first_sound(7.0)),
        agent=Structured,
        llm=LLM([Reply(OBJECT, spoken=NOTICE)]),
    )

    assert said(result)[1].endswith(SENTENCES[2]), result.describe()
    assert receipts(result)[0].outcome is Outcome.FINISHED


class Pronouncing(Announcing):
    """Says some words otherwise than they are written."""

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        async def put() -> AsyncIterator[str]:
            async for piece in text:
                yield piece.replace("SQL", "sequel")

        return Agent.default.tts_node(self, put(), model_settings)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("You can read it at https://example.com/terms/of/the/service/and/all/that/there/is/to/know", None),
        ('Hello. <break time="1s"/> <emphasis level="strong">Your number</emphasis> is ready.', None),
        ("That is **very** important. \U0001f60a Thank you.", "That is very important.  Thank you."),
        ("We keep it in SQL. Thank you.", "We keep it in sequel. Thank you."),
    ],
)
def test_what_the_tts_was_given_is_on_the_receipt_and_finished(text: str, given: str | None) -> None:
    result = call(agent=lambda: Pronouncing(text))

    assert_whole(result)
    assert receipts(result)[0].text.split() == (given or text).split()


@pytest.mark.parametrize(
    "answer", ["That is **noted**. Thank you.", "Noted \U0001f60a thank you.", "It is in SQL now."]
)
def test_an_answer_is_prepared_as_it_will_be_spoken(answer: str) -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=Pronouncing, llm=LLM([Reply(answer, spoken=plain(answer))]))

    assert result.gaps[0] <= 0.05, result.describe()
    assert result.replies[0].delivered == 1.0


def plain(text: str) -> str:
    return " ".join(text.replace("**", "").replace("\U0001f60a", "").replace("SQL", "sequel").split())


# Failures are the voice's own


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), OSError("broken pipe"), ValueError("no such voice")])
def test_any_error_of_a_voice_is_the_voices(error: Exception) -> None:
    result = call(tts=TTS(faults=tuple(TTSFault(nth, after=0.3, error=error) for nth in range(3))))

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.why, receipt.cause) == (Outcome.FAILED, "the voice gave up", Cause.VOICE)


def test_a_voice_that_ends_early_is_noticed_by_its_pace_in_the_call() -> None:
    texts = (NOTICE, "There is one more thing that you should know about.", NOTICE)
    voice = TTS(faults=(TTSFault(2, after=0.5, quiet=True),))
    result = call(agent=lambda: Announcing(*texts), tts=voice, ends_after=40.0)

    assert [one.outcome for one in receipts(result)] == [Outcome.FINISHED] * 3
    assert result.protected[2].delivered == 1.0
    assert 0.0 < result.protected[2].repeated < LONGEST


def test_a_stream_that_closes_late_is_synthesised_once() -> None:
    result = call(tts=TTS(closes_after=3.0))

    assert_whole(result)
    assert len(result.session.tts.syntheses) == 1


def test_a_pause_with_sound_left_to_play_is_no_stall() -> None:
    result = call(tts=TTS(faults=(TTSFault(0, after=0.9, stall=3.0),)))

    assert result.protected[0].whole, result.describe()
    assert len(result.session.tts.syntheses) == 1


def test_an_utterance_of_twenty_minutes_is_said_whole() -> None:
    minutes = " ".join(f"This is sentence number {number} of a very long text." for number in range(360))
    result = call(agent=lambda: Announcing(minutes), ends_after=1300.0)

    assert result.protected[0].end - result.protected[0].start > 1100.0
    assert_whole(result)

"""Calls in virtual time with what strangers bring: SSML, texts without words, slow voices, frames of any length."""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, ModelSettings

from harness.scenes import NOTICE, QUESTION, SECOND, Announcing, Thinking, Uninterruptable, call, reading, receipts
from hearout import Outcome
from hearout._pipeline.attempt import Loudness
from hearout._pipeline.pace import Pace, letters
from hearout._text import open_tags
from hearout.testing import LLM, TTS, Do, Result, Say, TTSFault, first_sound, from_end, zoo

LONGEST = 8.5
"""Seconds of the whole notice: before a voice has shown its pace, all of it may be said again."""

SPEAK = (
    '<speak>Hello <prosody rate="slow">my <emphasis level="strong">dear</emphasis> friend</prosody>. '
    '<break time="500ms"/> Your code is <say-as interpret-as="digits">47 11</say-as> for today. Good bye.</speak>'
)


def broken(after: float, **more: Any) -> TTS:
    return TTS(faults=(TTSFault(0, after=after),), **more)


def assert_whole(result: Result, *, number: int = 0, again: float = LONGEST) -> None:
    utterance, receipt = result.protected[number], receipts(result)[number]
    assert utterance.delivered == 1.0, result.describe()
    assert utterance.repeated <= again, result.describe()
    assert (receipt.outcome, receipt.why) == (Outcome.FINISHED, "")


# Markup


@pytest.mark.parametrize("after", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("aligned", [True, False])
def test_what_is_left_of_ssml_is_well_formed(after: float, *, aligned: bool) -> None:
    result = call(agent=lambda: Announcing(SPEAK), tts=broken(after, aligned=aligned))

    assert_whole(result)
    for synthesis in result.session.tts.syntheses:
        assert open_tags(synthesis.given) == "", synthesis.given
        assert synthesis.given.count("</") == len(re.findall(r"<(?![/]|break)", synthesis.given)), synthesis.given


# Texts without a word


@pytest.mark.parametrize("text", ["\U0001f60a\U0001f44d", "...", "", "  ", '<break time="2s"/>', "—"])
def test_a_text_without_a_word_is_no_failure_of_the_voice(text: str) -> None:
    result = call(agent=lambda: Announcing(text), tts=TTS(faults=(TTSFault(0, after=0.0, quiet=True),)))

    assert receipts(result)[0].outcome is Outcome.FINISHED, receipts(result)[0].why


# Slow and silent voices


@pytest.mark.parametrize("rate", [5.0, 8.0, 25.0])
@pytest.mark.parametrize("after", [0.2, 0.6, 0.9])
def test_of_a_voice_of_any_pace_no_word_is_lost(rate: float, after: float) -> None:
    assert_whole(call(tts=broken(after, rate=rate), ends_after=90.0), again=30.0)


@pytest.mark.parametrize("agent", [Announcing, Thinking])
def test_a_voice_that_pauses_longer_than_a_stall_is_said_whole(agent: Any) -> None:
    voice = TTS(pause=8.0)
    assert_whole(call(agent=agent, llm=LLM([NOTICE], rate=5.0), tts=voice, ends_after=90.0))


def test_a_pause_that_a_voice_has_shown_is_waited_for() -> None:
    result = call(agent=lambda: Announcing(NOTICE, SECOND), tts=TTS(pause=8.0), ends_after=120.0)

    assert_whole(result, number=1, again=0.0)


def test_a_pause_that_sound_in_the_queue_hid_is_known_all_the_same() -> None:
    answers = LLM(["One moment. Your number is the one that you had before, and nothing else changes."])
    result = call(Say(from_end(0.5), QUESTION), agent=Uninterruptable, llm=answers, tts=TTS(pause=3.0), ends_after=60.0)

    assert_whole(result, number=1, again=0.0)


def test_requests_that_were_only_slower_leave_tries_for_what_breaks_off() -> None:
    result = call(tts=TTS(first_audio=9.0, faults=(TTSFault(0, after=0.6),)), ends_after=90.0)

    assert_whole(result)


def test_a_sentence_that_ends_early_is_said_again_before_the_next() -> None:
    texts = (NOTICE, NOTICE)
    voice = TTS(streaming=False, faults=(TTSFault(4, after=0.5, quiet=True),))
    result = call(agent=lambda: Announcing(*texts), tts=voice, ends_after=60.0)

    assert_whole(result, number=1, again=2.5)


def test_a_voice_that_hangs_in_its_text_twice_has_not_said_all() -> None:
    hangs = tuple(TTSFault(number, after=after, stall=float("inf")) for number, after in enumerate((0.52, 0.93)))
    assert_whole(
        call(agent=lambda: Announcing(SECOND), tts=TTS(faults=hangs, lengths=(1.25, 1.25, 1.0)), ends_after=60.0)
    )


def test_a_voice_that_never_closes_its_stream_is_not_asked_three_times() -> None:
    class Hanging(Announcing):
        async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
            async for frame in Agent.default.tts_node(self, text, model_settings):
                yield frame
            await asyncio.get_running_loop().create_future()

    result = call(agent=Hanging, ends_after=60.0)

    assert_whole(result)
    assert len(result.session.tts.syntheses) == 2


def test_a_voice_that_gives_nothing_is_asked_again() -> None:
    class Mute(Announcing):
        asked = 0

        async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
            self.asked += 1
            if self.asked > 1:
                async for frame in Agent.default.tts_node(self, text, model_settings):
                    yield frame
            else:
                async for _ in text:
                    pass

    assert_whole(call(agent=Mute), again=0.0)


# Frames


class Framed(Announcing):
    """Its node gives the sound in frames of another length."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
        pending, step, rate = b"", 0, 0
        try:
            async for frame in Agent.default.tts_node(self, text, model_settings):
                pending, rate = pending + bytes(frame.data), frame.sample_rate
                step = 2 * round(self.seconds * rate)
                while len(pending) >= step:
                    yield _frame(pending[:step], rate)
                    pending = pending[step:]
        finally:
            broke_off = pending
        if broke_off:
            yield _frame(broke_off, rate)


def _frame(sound: bytes, rate: int) -> rtc.AudioFrame:
    return rtc.AudioFrame(sound, rate, 1, len(sound) // 2)


@pytest.mark.parametrize("seconds", [0.001, 0.01, 1.0, 60.0])
@pytest.mark.parametrize("voice", [TTS(), broken(0.6), broken(0.6, sample_rate=8_000)])
def test_the_length_of_its_frames_makes_no_difference(seconds: float, voice: TTS) -> None:
    assert_whole(call(agent=lambda: Framed(seconds), tts=voice, ends_after=60.0))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [0.001, 0.02, 0.5, 3.0])
def test_silence_in_the_sound_is_no_speech(channels: int, length: float) -> None:
    rate = 16_000
    sound = np.concatenate([np.full(rate, 3000), np.full(rate, 20), np.full(rate, -3000)]).astype(np.int16)
    loud = Loudness()
    step = round(rate * length)
    for begin in range(0, len(sound), step):
        piece = np.repeat(sound[begin : begin + step], channels)
        loud.add(rtc.AudioFrame(piece.tobytes(), rate, channels, len(piece) // channels))

    assert loud.seconds() == pytest.approx(2.0, abs=0.05)
    assert loud.seconds(since=0.5, until=2.5) == pytest.approx(1.0, abs=0.05)


# What a voice has needed


def test_a_sentence_counts_as_cut_only_far_below_what_the_others_took() -> None:
    pace, sentence = Pace(), "This is a sentence like the others."
    usual = letters(sentence) / 15
    assert not pace.is_cut(sentence, 0.3 * usual)
    for _ in range(3):
        pace.said(sentence, usual)

    assert pace.is_cut(sentence, 0.55 * usual)
    assert not pace.is_cut(sentence, 0.61 * usual)


def test_after_one_synthesis_the_next_may_be_two_thirds_slower() -> None:
    pace, text = Pace(), "This is a sentence like the others."
    assert pace.letters_in(1.0) == pytest.approx(5.0)
    pace.said(text, letters(text) / 15)

    assert pace.letters_in(1.0) == pytest.approx(15 / (1 + 2 / 3))


# Speech after speech that was interrupted


class Greeting(Announcing):
    """Greets, which may be interrupted, before it says the notice."""

    async def on_enter(self) -> None:
        self.session.say(SECOND, allow_interruptions=True)
        await super().on_enter()


@pytest.mark.parametrize("voice", [TTS(), TTS(closes_after=3.0), TTS(first_audio=0.6)])
def test_a_greeting_that_is_cut_short_ends_nothing_that_comes_after_it(voice: TTS) -> None:
    result = call(Say(first_sound(0.6), QUESTION), agent=Greeting, tts=voice, ends_after=60.0)

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.played) == (Outcome.FINISHED, pytest.approx(receipt.made, abs=0.1)), receipt.why
    assert [len(one.replies) for one in result.answered] == [1], result.describe()


# Speech that may be interrupted, and on which something owed depends


def test_a_greeting_whose_voice_never_begins_holds_nothing_up() -> None:
    result = call(agent=Greeting, tts=zoo.BREAKING["never begins, once"], ends_after=40.0)

    assert [one.delivered for one in result.utterances] == [1.0, 1.0], result.describe()
    assert receipts(result)[0].outcome is Outcome.FINISHED


@pytest.mark.parametrize("after", [0.0, 0.5])
@pytest.mark.parametrize("stall", [0.0, float("inf")])
def test_an_answer_whose_voice_breaks_off_is_said_whole(after: float, stall: float) -> None:
    voice = TTS(faults=(TTSFault(1, after=after, stall=stall),))
    result = call(Say(first_sound(1.0), QUESTION), tts=voice, ends_after=40.0)

    assert [one.delivered for one in result.replies] == [1.0], result.describe()


# A prepared answer


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("after", [0.0, 0.3, 0.7])
def test_a_prepared_answer_that_breaks_off_is_said_whole(after: float, *, streaming: bool) -> None:
    answer = "Thank you for your call. Your address is changed from today on. Is there something else?"
    faults = tuple(TTSFault(number, after=after) for number in ((1,) if streaming else (4,)))
    result = call(
        Say(first_sound(1.0), QUESTION),
        agent=Uninterruptable,
        llm=LLM([answer]),
        tts=TTS(faults=faults, streaming=streaming),
        ends_after=40.0,
    )

    (reply,) = result.replies
    assert reply.delivered == 1.0, result.describe()
    assert receipts(result)[1].outcome is Outcome.FINISHED, receipts(result)[1].why
    assert len(result.requests) == 1


def test_the_prepared_answer_is_still_used() -> None:
    result = call(Say(first_sound(1.0), QUESTION), agent=Uninterruptable, llm=LLM(["Thank you. It is changed."]))

    assert result.gaps[0] <= 0.05
    assert len(result.session.tts.syntheses) == 2


def test_the_answer_of_a_slow_llm_is_prepared_earlier_the_next_time() -> None:
    again = [Do(first_sound(30.0), lambda session: session.announce(NOTICE)), Say(first_sound(31.0), QUESTION)]
    result = call(Say(first_sound(1.0), QUESTION), *again, llm=LLM(first_token=4.0), ends_after=60.0)

    assert result.gaps == [pytest.approx(1.3, abs=0.3), pytest.approx(0.0, abs=0.05)], result.describe()


# A first sound that takes longer than a dead TTS is waited for


def test_a_first_sound_as_slow_as_an_earlier_one_is_waited_for() -> None:
    async def greet(session: Any) -> None:
        session.say(SECOND)

    again = Do(first_sound(1.0), lambda session: session.announce(NOTICE))
    result = call(again, agent=reading(greet), tts=TTS(first_audio=20.0), ends_after=90.0)

    assert_whole(result, again=0.0)

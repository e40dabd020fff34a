"""Calls in virtual time in which the voice breaks while the model still writes, or the text under the voice does."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import ModelSettings
from livekit.agents.voice import SpeechHandle

from harness.scenes import NOTICE, Announcing, Thinking, call, ours, receipts, said
from hearout import Outcome, Policy
from hearout._pipeline.awake import Awake
from hearout._pipeline.retry import SPEECH, Patience, Retry, TtsNode
from hearout.policy import Timeouts
from hearout.receipts import Cause
from hearout.testing import LLM, TTS, Call, Do, HangUp, Reply, Result, Return, TTSFault, first_sound, run

WRITES_LONG = 2
"""Words a second: slower than the voice says them."""
WRITES_ALONG = 5
WRITES_SHORT = 50
"""The voice breaks off in the first sentence, and the last is not written yet."""


FIRST = TTS().seconds("This call is recorded for training and quality.")


def assert_whole_again_from_its_sentence(result: Result, *, times: int = 1) -> None:
    """All of it was heard; again, only what had been heard of the first sentence, in which the voice broke off."""
    assert result.protected[0].delivered == 1.0, result.describe()
    assert 0.0 < result.protected[0].repeated <= times * FIRST, result.describe()
    assert said(result)[0].endswith(NOTICE), result.describe()


@pytest.mark.parametrize("rate", [WRITES_LONG, WRITES_ALONG, WRITES_SHORT])
def test_a_voice_that_fails_while_the_model_writes_says_all_of_it_once(rate: float) -> None:
    fault = TTSFault(0, after=0.4)
    result = call(agent=Thinking, llm=LLM([NOTICE], rate=rate), tts=TTS(faults=(fault,)))

    assert_whole_again_from_its_sentence(result)
    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.text) == (Outcome.FINISHED, NOTICE)


def test_a_voice_that_fails_twice_during_the_text_says_it_all_once() -> None:
    faults = (TTSFault(0, after=0.4), TTSFault(1, after=0.8))
    result = call(agent=Thinking, llm=LLM([NOTICE], rate=WRITES_LONG), tts=TTS(faults=faults))

    assert_whole_again_from_its_sentence(result, times=2)
    assert receipts(result)[0].outcome is Outcome.FINISHED


@pytest.mark.parametrize("rate", [WRITES_LONG, WRITES_ALONG, WRITES_SHORT])
def test_a_voice_that_gives_up_while_the_model_writes_is_on_the_receipt(rate: float) -> None:
    faults = tuple(TTSFault(nth, after=0.4) for nth in range(3))
    result = call(agent=Thinking, llm=LLM([NOTICE], rate=rate), tts=TTS(faults=faults))

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.why, receipt.cause) == (Outcome.FAILED, "the voice gave up", Cause.VOICE)
    assert result.protected[0].delivered < 0.5


def test_speech_stopped_while_the_model_writes_leaves_no_task() -> None:
    stopped = Do(first_sound(1.0), lambda session: session.aclose())
    result = call(stopped, agent=Thinking, llm=LLM([NOTICE], rate=1.0), policy=Policy(timeouts=Timeouts(shutdown=0.5)))

    assert result.closed is not None
    assert receipts(result)[0].outcome is Outcome.SHUT_DOWN


def test_a_model_that_breaks_off_after_a_voice_retry_is_on_the_receipt() -> None:
    model = LLM(answers=(Reply(NOTICE, breaks_after=0.7), "Fine."), rate=WRITES_ALONG)

    result = call(agent=Thinking, llm=model, tts=TTS(faults=(TTSFault(0, after=0.3),)))

    assert (receipts(result)[0].outcome, receipts(result)[0].why) == (Outcome.FAILED, "the model gave up")


# At the node


class Narrated:
    """A voice's node as it is called for protected speech, and how the text under it ended."""

    def __init__(self, node: TtsNode) -> None:
        self.failures: list[str] = []
        self.text_ended = False
        retry = Retry(tries=3, patience=Patience(10.0, 2.0, 5.0), left=lambda *_: 0.0, watcher=self, awake=Awake())
        self._speak = retry.tts_node(node)

    def failed(self, handle: SpeechHandle, what: str) -> None:
        self.failures.append(what)

    def given_up(self, handle: SpeechHandle, what: str) -> None:
        self.failures.append(what)

    def waits(self, handle: SpeechHandle) -> None:
        pass

    def spoken(self, handle: SpeechHandle, piece: int, text: str, *, complete: bool) -> None:
        pass

    def sentence_placed(self, handle: SpeechHandle, seconds: float, text: str) -> None:
        pass

    def frames(self, *pieces: str, then: Exception | None = None) -> AsyncGenerator[rtc.AudioFrame, None]:
        """The voice's frames for these pieces of text; then the text breaks off, or does not end."""
        SPEECH.set(SpeechHandle.create(allow_interruptions=False))

        async def text() -> AsyncIterator[str]:
            try:
                for piece in pieces:
                    yield piece
                if then is not None:
                    raise then
                await asyncio.get_running_loop().create_future()
            finally:
                self.text_ended = True

        made: AsyncGenerator[rtc.AudioFrame, None] = self._speak(text(), ModelSettings())
        return made


async def a_frame_for_each_piece(text: AsyncIterable[str], _: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
    async for _piece in text:
        yield rtc.AudioFrame.create(24000, 1, 240)


def test_an_error_of_the_text_reaches_its_voice_and_is_not_the_voices() -> None:
    async def main() -> None:
        narrated = Narrated(a_frame_for_each_piece)
        frames = narrated.frames("one", then=ValueError("the text is lost"))
        await anext(frames)
        with pytest.raises(ValueError, match="the text is lost"):
            await anext(frames)
        assert narrated.failures == []

    run(main)


def test_a_voice_closed_in_the_middle_leaves_neither_its_text_nor_a_task() -> None:
    async def main() -> None:
        narrated = Narrated(a_frame_for_each_piece)
        frames = narrated.frames("one", "two")
        await anext(frames)
        await frames.aclose()

        assert narrated.text_ended

    run(main)  # names the tasks that are left


def test_a_voice_cancelled_while_it_waits_for_text_leaves_nothing_behind() -> None:
    async def main() -> None:
        narrated = Narrated(a_frame_for_each_piece)
        frames = narrated.frames("one")
        await anext(frames)
        waiting = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert narrated.text_ended

    run(main)  # names the tasks that are left


# Taken up after it broke off

DOCTOR = "Good day. Please ask for Dr. Smith at 3 p.m. on Monday. Thank you and good bye."


@pytest.mark.parametrize("aligned", [False, True])
def test_a_caller_who_returns_hears_the_sentence_with_its_abbreviations(aligned: Any) -> None:
    result = Call(
        agent=lambda: Announcing(DOCTOR),
        session=ours(use_tts_aligned_transcript=aligned),
        caller=[HangUp(first_sound(3.4)), Return(first_sound(6.0))],
        tts=TTS(aligned=aligned),
    ).play()

    assert said(result)[1] == DOCTOR.removeprefix("Good day. ")
    assert receipts(result)[0].outcome is Outcome.FINISHED

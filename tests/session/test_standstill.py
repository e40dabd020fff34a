"""What stands still with the agent's own event loop is nobody's failure, and the receipt says for how long."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, APIConnectionError, ModelSettings, llm

from harness.scenes import NOTICE, QUESTION, Announcing, Thinking, call, ours, receipts
from hearout import Outcome, Policy
from hearout.policy import Timeouts
from hearout.receipts import Cause
from hearout.testing import LLM, STT, TTS, Do, Result, Say, TTSFault, _call, first_sound
from hearout.testing._script import When

SLOW = TTS(speed=1.05)
"""Makes its sound hardly faster than it plays: a standstill always meets it at work."""


def blocked(at: When, seconds: float) -> Do:
    """A blocking call in the loop's thread."""

    return Do(at, lambda _: stand_still(seconds))


def stand_still(seconds: float) -> None:
    loop: Any = asyncio.get_running_loop()
    loop.stand_still(seconds)


def failed_by(result: Result) -> tuple[Outcome, Cause | None]:
    return receipts(result)[0].outcome, receipts(result)[0].cause


@pytest.mark.parametrize("seconds", [1.0, 20.0, 300.0])
@pytest.mark.parametrize("at", [0.05, first_sound(3.0)])
@pytest.mark.parametrize("tts", [TTS(), SLOW, TTS(first_audio=3.0), TTS(streaming=False), TTS(pause=0.5)])
def test_a_blocking_call_is_no_failure_of_the_tts(at: When, seconds: float, tts: TTS) -> None:
    result = call(blocked(at, seconds), tts=tts, ends_after=40.0 + seconds)

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.cause) == (Outcome.FINISHED, None), result.describe()
    assert seconds - 0.3 <= receipt.stood_still <= seconds
    assert result.protected[0].delivered == 1.0, result.describe()


def test_standstills_add_up_on_the_receipt() -> None:
    acts = [blocked(first_sound(second), 2.0) for second in (1.0, 4.0, 7.0)]

    result = call(*acts, tts=SLOW)

    assert failed_by(result) == (Outcome.FINISHED, None)
    assert 5.2 <= receipts(result)[0].stood_still <= 6.0


def test_what_does_not_stand_still_says_nothing_of_it() -> None:
    assert receipts(call(blocked(first_sound(1.0), 0.4), tts=SLOW))[0].stood_still == 0.0


def test_the_times_of_a_receipt_are_those_of_the_call() -> None:
    result = call(blocked(first_sound(1.0), 5.0), Say(first_sound(8.0), QUESTION), tts=SLOW)

    (receipt,) = receipts(result)
    heard = result.protected[0]
    assert receipt.started_at == pytest.approx(heard.start, abs=0.1)
    assert receipt.ended_at == pytest.approx(heard.end, abs=0.3)
    assert receipt.held[0][0].at == pytest.approx(result.said[0].start, abs=0.4)


def test_words_over_speech_are_answered_after_a_standstill() -> None:
    result = call(Say(first_sound(1.0), QUESTION), blocked(first_sound(5.0), 15.0))

    assert (result.turns, len(result.replies)) == ([QUESTION], 1), result.describe()
    assert failed_by(result) == (Outcome.FINISHED, None)


def test_the_gap_has_the_seconds_for_which_the_caller_waited() -> None:
    end = call(Say(first_sound(1.0), QUESTION)).protected[0].end

    result = call(Say(first_sound(1.0), QUESTION), blocked(end + 0.02, 4.0), policy=Policy(prepare=0))

    assert (receipts(result)[0].gap or 0.0) >= 4.0


def test_a_tts_that_breaks_off_with_the_loop_is_asked_again() -> None:
    faults = tuple(TTSFault(nth, after=0.3) for nth in range(3))

    result = call(blocked(first_sound(0.3), 4.0), tts=TTS(speed=1.0, faults=faults), ends_after=60.0)

    assert failed_by(result) == (Outcome.FINISHED, None), result.describe()
    assert failed_by(call(tts=TTS(speed=1.0, faults=faults))) == (Outcome.FAILED, Cause.VOICE)


class Blocked(Thinking):
    """Blocks the loop in each of its nodes, which break off by that: `tts` and `llm` times."""

    def __init__(self, *, tts: int = 0, llm: int = 0) -> None:
        super().__init__()
        self.left = {"tts": tts, "llm": llm}

    def block(self, node: str) -> None:
        if self.left[node]:
            self.left[node] -= 1
            stand_still(6.0)
            raise APIConnectionError("the connection was closed meanwhile")

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
        async for frame in Agent.default.tts_node(self, text, model_settings):
            yield frame
            self.block("tts")

    async def llm_node(self, *asked: Any) -> AsyncIterator[llm.ChatChunk]:
        async for chunk in Agent.default.llm_node(self, *asked):  # type: ignore[misc]
            yield chunk
            self.block("llm")


@pytest.mark.parametrize(
    ("times", "ended"),
    [(3, (Outcome.FINISHED, None)), (5, (Outcome.FINISHED, None)), (6, (Outcome.FAILED, Cause.STOOD_STILL))],
)
def test_tries_that_a_standstill_broke_off_are_not_counted(times: int, ended: tuple[Outcome, Cause | None]) -> None:
    result = call(agent=lambda: Blocked(tts=times), llm=LLM([NOTICE]), ends_after=120.0)

    assert failed_by(result) == ended, result.describe()


def test_an_llm_that_broke_off_by_a_standstill_is_not_to_blame() -> None:
    result = call(agent=lambda: Blocked(llm=1), llm=LLM([NOTICE]), ends_after=120.0)

    assert failed_by(result) == (Outcome.FAILED, Cause.STOOD_STILL)
    assert "stood still" in receipts(result)[0].why


def test_a_tts_that_dies_by_itself_is_still_to_blame() -> None:
    dead = TTS(dead=True)

    result = call(blocked(0.05, 5.0), tts=dead, ends_after=90.0)

    assert failed_by(result) == (Outcome.FAILED, Cause.VOICE), result.describe()


def test_a_standstill_does_not_make_the_session_more_patient() -> None:
    """The pace of a TTS is measured, and waits are longer for a slow one: a standstill is no slowness."""
    faults = (TTSFault(1, stall=float("inf")),)
    agent: Callable[[], Announcing] = lambda: Announcing(NOTICE, NOTICE)  # noqa: E731 - a factory

    def silent(*acts: Do) -> float:
        result = call(*acts, agent=agent, tts=TTS(streaming=True, faults=faults), ends_after=120.0)
        first, second = receipts(result)
        assert second.outcome is Outcome.FINISHED, result.describe()
        return (second.started_at or 0.0) - first.ended_at

    assert silent(blocked(0.05, 30.0)) == pytest.approx(silent(), abs=0.2)


@pytest.mark.parametrize("seconds", [3.0, 12.0])
def test_an_stt_is_waited_for_as_long_as_the_loop_runs(seconds: float) -> None:
    stt = STT()
    spoken = Say(first_sound(9.0), QUESTION)
    plain = call(spoken, stt=stt)

    result = call(spoken, blocked(plain.protected[0].end + 0.4, seconds), stt=stt)

    assert result.turns == plain.turns == [QUESTION], result.describe()


def test_a_shutdown_gives_speech_its_whole_grace() -> None:
    policy = Policy(timeouts=Timeouts(shutdown=12.0))
    closes = Do(first_sound(1.0), lambda session: session.shutdown(drain=False))

    result = call(closes, blocked(first_sound(2.0), 10.0), policy=policy, tts=SLOW)

    assert failed_by(result) == (Outcome.FINISHED, None), result.describe()


def test_a_tool_that_sleeps_in_a_real_loop_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_call, "report_lost_errors", lambda: None)  # of a loop in virtual time
    asleep = Do(1.0, lambda _: time.sleep(4.0))
    policy = Policy(timeouts=Timeouts(voice=2.0, stall=1.0, close=1.0, output=1.0))
    agent = lambda: Announcing("This call is recorded. Your data is kept.")  # noqa: E731 - a factory
    played = _call.Call(agent=agent, session=ours(policy), caller=[asleep], tts=SLOW, ends_after=9.0)

    async def through() -> Result:
        return await _call._Playing(played).through()

    result = asyncio.run(through())

    assert failed_by(result) == (Outcome.FINISHED, None), result.describe()
    assert 3.0 <= receipts(result)[0].stood_still <= 5.0

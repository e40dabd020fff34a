"""The scripted caller: what it measures of LiveKit's own session is what was measured with real sound."""

import asyncio
import time
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool
from livekit.agents.voice.agent_session import SessionConnectOptions

from hearout.testing import (
    Call,
    CallError,
    Do,
    Ear,
    HangUp,
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
    run,
)
from hearout.testing.clock import BUSY_LIMIT

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "Please have your customer number ready now."
)
SIX_WORDS = "wait please change my address first"


class Announcing(Agent):
    """Says a notice that may not be interrupted; so are its replies."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


class Interruptible(Agent):
    """Says the same, and lets itself be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.")

    async def on_enter(self) -> None:
        self.session.say(NOTICE)


class Asking(Agent):
    """Lets the model speak first, not to be interrupted."""

    def __init__(self) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Say the notice.")


def stock(**models: Any) -> AgentSession[Any]:
    return AgentSession(turn_handling={"turn_detection": "vad"}, aec_warmup_duration=None, **models)


def hearing(**models: Any) -> AgentSession[Any]:
    """Stock, and the recogniser hears what is said over protected speech."""
    return AgentSession(
        turn_handling={"turn_detection": "vad", "interruption": {"discard_audio_if_uninterruptible": False}},
        aec_warmup_duration=None,
        **models,
    )


def words_heard(result: Result) -> list[str]:
    return [word.text for _, word in result.heard]


# What livekit-facts.md, section c, measured with real voice activity detection and real sound.


@pytest.mark.parametrize("at", [first_sound(2.0), from_end(-2.0)], ids=["long before the end", "just before the end"])
def test_stock_loses_every_word_said_over_a_protected_utterance(at: Any) -> None:
    result = Call(agent=Announcing, session=stock, caller=[Say(at, SIX_WORDS)]).play()

    assert result.protected[0].whole
    assert (words_heard(result), result.kept, result.replies) == ([], 0.0, [])


def test_stock_answers_the_second_half_of_what_is_said_across_the_end() -> None:
    result = Call(agent=Announcing, session=stock, caller=[Say(from_end(-0.9), SIX_WORDS)]).play()

    assert words_heard(result) == ["my", "address", "first"]
    assert result.kept == 0.5
    assert [reply.said for reply in result.replies] == ["You said my address first."]


def test_stock_keeps_what_is_said_after_the_end() -> None:
    result = Call(agent=Announcing, session=stock, caller=[Say(from_end(0.4), SIX_WORDS)]).play()

    assert result.kept == 1.0
    assert result.turns == [SIX_WORDS]
    assert len(result.answered[0].replies) == 1
    assert 0.8 < result.replies[0].start - result.said[-1].end < 1.4


def test_stock_loses_every_word_said_while_the_model_thinks() -> None:
    model = Model(answers=[NOTICE, "Fine."], first_token=4.0)
    result = Call(agent=Asking, session=stock, caller=[Say(0.5, SIX_WORDS)], model=model).play()

    assert (words_heard(result), result.kept, len(result.utterances)) == ([], 0.0, 1)


def test_stock_cuts_an_interruptible_utterance_and_keeps_the_words() -> None:
    result = Call(agent=Interruptible, session=stock, caller=[Say(first_sound(4.0), SIX_WORDS)]).play()

    assert result.kept == 1.0
    assert result.protected == []
    assert 0.45 < result.utterances[0].delivered < 0.65
    assert result.utterances[0].cut


def test_stock_that_hears_throws_away_a_turn_that_ends_inside() -> None:
    result = Call(agent=Announcing, session=hearing, caller=[Say(first_sound(1.0), SIX_WORDS)]).play()

    assert words_heard(result) == SIX_WORDS.split()
    assert (result.kept, result.replies) == (0.0, [])
    assert any("skipping reply to user input" in line for line in result.warnings)


def test_stock_that_hears_keeps_what_is_said_across_the_end() -> None:
    result = Call(agent=Announcing, session=hearing, caller=[Say(from_end(-0.9), SIX_WORDS)]).play()

    assert (result.kept, result.turns) == (1.0, [SIX_WORDS])


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
    result = Call(agent=Announcing, session=stock, caller=[what]).play()

    assert 0.15 < result.protected[0].delivered < 0.3
    assert result.protected[0].end == pytest.approx(2.0, abs=0.1)
    assert (result.closed[1] if result.closed else None) == closed


def test_an_interruption_that_livekit_refuses_raises_and_cuts_nothing() -> None:
    refused = Do(2.0, lambda session: session.interrupt(), raises=RuntimeError)
    result = Call(agent=Announcing, session=stock, caller=[refused]).play()

    assert result.protected[0].whole


def test_an_exception_that_was_not_expected_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="does not allow interruptions"):
        Call(agent=Announcing, session=stock, caller=[Do(2.0, lambda session: session.interrupt())]).play()


def test_an_exception_that_was_expected_must_come() -> None:
    with pytest.raises(CallError, match="was to raise RuntimeError"):
        Call(agent=Announcing, session=stock, caller=[Do(1.0, lambda _: None, raises=RuntimeError)]).play()


def test_four_unrecoverable_errors_of_the_recogniser_close_the_session() -> None:
    ear = Ear(outages=(Outage(1.0, seconds=20.0, retryable=False),))
    result = Call(agent=Announcing, session=stock, ear=ear).play()

    assert result.closed is not None
    assert result.closed[1] == "error"
    assert result.protected[0].cut


def test_a_voice_that_breaks_off_truncates_the_utterance() -> None:
    voice = Voice(faults=(VoiceFault(0, after=0.5, retryable=False),))
    result = Call(agent=Announcing, session=stock, voice=voice).play()

    notice = result.protected[0]
    # half of the two sentences that it had begun with; the third was never taken up
    assert (notice.intended, notice.said) == (NOTICE, "This call is recorded for training and")
    assert notice.delivered == pytest.approx(2.49 / voice.seconds(NOTICE), abs=0.01)
    assert notice.holes == ((pytest.approx(notice.end), pytest.approx(voice.seconds(NOTICE) - 2.49, abs=0.02)),)


def test_a_model_that_breaks_off_and_is_tried_again_says_the_first_part_twice() -> None:
    model = Model(answers=[Reply(NOTICE, breaks_after=0.5, retryable=True)])
    result = Call(agent=Asking, session=stock, model=model).play()

    assert result.protected[0].delivered == 1.0
    assert result.protected[0].repeated == pytest.approx(0.5 * 8.5, abs=0.5)
    assert not result.protected[0].whole


def test_a_model_that_hits_its_limit_leaves_the_sentence_undelivered() -> None:
    result = Call(agent=Asking, session=stock, model=Model(answers=[Reply(NOTICE, max_words=8)])).play()

    assert result.protected[0].said == "This call is recorded for training and quality."
    assert result.protected[0].cut


@pytest.mark.parametrize("listener", [Listener(subscribed_at=None), Listener(dead_from=0.0)], ids=["nobody", "dead"])
def test_nothing_is_delivered_to(listener: Listener) -> None:
    result = Call(agent=Announcing, session=stock, listener=listener).play()

    assert result.utterances == []


def test_audio_waits_for_the_first_subscriber() -> None:
    result = Call(agent=Announcing, session=stock, listener=Listener(subscribed_at=3.0)).play()

    assert result.protected[0].whole
    assert result.protected[0].start == pytest.approx(3.0)


def test_a_loudspeaker_that_is_paused_loses_what_was_queued() -> None:
    caller = [
        Do(2.0, lambda session: session.output.audio.pause()),
        Do(3.0, lambda session: session.output.audio.resume()),
    ]
    result = Call(agent=Announcing, session=stock, caller=caller).play()
    utterance = result.protected[0]

    assert utterance.holes == ((2.0, pytest.approx(0.2, abs=0.011)),)
    assert utterance.silences == ((2.0, pytest.approx(1.0)),)


# What the tool itself promises.


def test_noise_is_speech_without_words() -> None:
    result = Call(agent=Announcing, session=stock, caller=[Noise(10.0, 0.5)]).play()
    states = [event.new_state for at, name, event in result.events if name == "user_state_changed" and at > 9.9]

    assert states[:2] == ["speaking", "listening"]
    assert (result.turns, result.false_replies) == ([], [])


def test_a_final_may_be_late_or_never_come() -> None:
    def play(delay: float | None) -> Result:
        return Call(
            agent=Announcing, session=stock, caller=[Say(10.0, "hello there")], ear=Ear(finals={0: delay})
        ).play()

    late, never = play(3.0), play(None)

    finals = [at for at, name, event in late.events if name == "user_input_transcribed" and event.is_final]
    assert finals == [pytest.approx(10.6 + 3.0, abs=0.06)]
    assert late.turns == ["hello there"]
    # LiveKit leaves the interim lying until the session closes, waits 2 s more, and takes it for the final: too late
    # for an answer
    assert (never.turns, never.kept, never.replies) == (["hello there"], 1.0, [])
    assert [at for at, name, event in never.events if name == "user_input_transcribed" and event.is_final] == [32.0]


def test_a_recogniser_that_comes_back_hears_what_livekit_kept_for_it() -> None:
    ear = Ear(outages=(Outage(10.5, seconds=1.0),))
    result = Call(agent=Announcing, session=stock, ear=ear, caller=[Say(12.0, "still here")]).play()

    assert len(result.errors) >= 1
    assert result.turns == ["still here"]


def test_what_is_typed_stops_an_interruptible_agent_and_is_answered() -> None:
    result = Call(agent=Interruptible, session=stock, caller=[Type(2.0, "where are you")]).play()

    assert result.turns == ["where are you"]
    assert result.answered[0].kept == 1.0
    assert [reply.said for reply in result.answered[0].replies] == ["You said where are you."]


class WithTool(Interruptible):
    """Can look something up."""

    @function_tool
    async def look_up(self, context: RunContext[Any]) -> str:
        """Look up the opening hours."""
        await asyncio.sleep(1.0)
        return "nine to five"


def test_a_tool_is_called_and_its_answer_spoken() -> None:
    model = Model(answers=[Reply("One moment.", tools=(UseTool("look_up"),)), "Nine to five."])
    result = Call(agent=WithTool, session=stock, model=model, caller=[Say(10.0, "when do you open")]).play()

    assert [one.said for one in result.utterances[1:]] == ["One moment.", "Nine to five."]
    assert result.requests[1].to_tool
    assert result.false_replies == []


def test_a_reply_to_a_backchannel_is_false_and_so_is_one_to_nothing() -> None:
    result = Call(
        agent=Announcing,
        session=stock,
        caller=[
            Say(10.0, "okay", answered=False),
            Do(15.0, lambda session: session.generate_reply(instructions="Fill the silence.")),
        ],
        ends_after=20.0,
    ).play()

    assert [one.answers for one in result.false_replies] == ["okay", ""]


def test_the_same_call_gives_the_same_result() -> None:
    def play() -> tuple[object, ...]:
        result = Call(agent=Announcing, session=stock, caller=[Say(from_end(-0.9), SIX_WORDS)]).play()
        return ([(one.start, one.end, one.said) for one in result.utterances], result.turns, result.requests)

    assert play() == play()


def test_a_minute_takes_less_than_half_a_second() -> None:
    call = Call(agent=Announcing, session=stock, caller=[Say(10.0 * n, SIX_WORDS) for n in range(1, 6)], ends_after=60)
    took: list[float] = []
    for _ in range(3):
        before = time.process_time()
        result = call.play()
        took.append(time.process_time() - before)
        assert len(result.turns) == 5

    assert min(took) < 0.5  # 0.14 s on two busy cores of 2024


def test_the_clocks_of_the_process_are_as_before() -> None:
    originals = (time.time, time.monotonic, time.perf_counter, time.perf_counter_ns)
    Call(agent=Announcing, session=stock, ends_after=1.0).play()

    assert (time.time, time.monotonic, time.perf_counter, time.perf_counter_ns) == originals


def test_what_livekit_stamps_follows_the_call() -> None:
    result = Call(agent=Announcing, session=stock, caller=[Say(20.0, "hello")]).play()
    stamps = [item.created_at for item in result.history.messages()]

    assert stamps == sorted(stamps)
    assert stamps[1] - stamps[0] == pytest.approx(21.0, abs=1.5)


def test_a_moment_that_has_passed_when_it_is_known_ends_the_run() -> None:
    with pytest.raises(CallError, match="known only at"):
        Call(agent=Announcing, session=stock, caller=[Say(from_end(-8.4), "hello")]).play()


class Leaking(Announcing):
    """Leaves a task behind."""

    async def on_enter(self) -> None:
        self.leak = asyncio.create_task(asyncio.sleep(1e6), name="forgotten")


def test_a_task_left_behind_ends_the_run_and_is_named() -> None:
    with pytest.raises(CallError, match="forgotten"):
        Call(agent=Leaking, session=stock, ends_after=1.0).play()


def test_tasks_that_wait_for_each_other_end_the_run() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(CallError, match="nothing is scheduled"):
        run(forever)


def test_a_task_that_spins_ends_the_run() -> None:
    async def spin() -> None:
        for _ in range(2 * BUSY_LIMIT):
            await asyncio.sleep(0)

    with pytest.raises(CallError, match="something spins"):
        run(spin)


def test_work_for_threads_is_done_in_order_and_at_once() -> None:
    async def work() -> list[int]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        done = await asyncio.gather(*(asyncio.to_thread(lambda n=n: n) for n in range(10)))
        assert loop.time() == before
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 / 0)
        return done

    assert run(work) == list(range(10))


def test_many_errors_may_be_survived_when_the_session_is_told_so() -> None:
    def patient(**models: Any) -> AgentSession[Any]:
        return AgentSession(
            turn_handling={"turn_detection": "vad"},
            conn_options=SessionConnectOptions(max_unrecoverable_errors=100),
            **models,
        )

    ear = Ear(outages=(Outage(1.0, seconds=5.0, retryable=False),))
    result = Call(agent=Announcing, session=patient, ear=ear, caller=[Say(12.0, "hello")]).play()

    assert result.protected[0].whole
    assert result.turns == ["hello"]

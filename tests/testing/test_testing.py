"""The scripted caller and virtual time: what hearout.testing promises of itself."""

import asyncio
import random
import re
import time
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, RunContext, function_tool
from livekit.agents.voice.agent_session import SessionConnectOptions

from harness import ROOT
from harness.scenes import NOTICE, QUESTION, Interruptible, Uninterruptable, hearing, stock, words_heard
from hearout import AgentSession as OurSession
from hearout import CutIn, Ledger, Outcome, Policy
from hearout.ledger import Mode
from hearout.ledger._read import entries
from hearout.testing import (
    LLM,
    STT,
    TTS,
    Call,
    CallError,
    Do,
    HangUp,
    Noise,
    Outage,
    Press,
    Reply,
    Result,
    Return,
    Say,
    TTSFault,
    Type,
    UseTool,
    _clock,
    first_sound,
    from_end,
    run,
)
from hearout.testing._clock import BUSY_LIMIT


def test_an_exception_that_was_not_expected_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="does not allow interruptions"):
        Call(agent=Uninterruptable, session=stock, caller=[Do(2.0, lambda session: session.interrupt())]).play()


@pytest.mark.parametrize("kind", [RuntimeError, Exception, AssertionError])
def test_an_exception_that_was_expected_must_come(kind: type[Exception]) -> None:
    with pytest.raises(CallError, match=f"was to raise {kind.__name__}"):
        Call(agent=Uninterruptable, session=stock, caller=[Do(1.0, lambda _: None, raises=kind)]).play()


def test_a_quiet_call_ends_early_and_not_before_the_caller_is_done() -> None:
    said = Say(first_sound(2.0), QUESTION)
    later = Do(22.0, lambda session: session.say("One more thing."))
    ends = ((1, None), (1, 4.0), (2, 4.0))
    more: Any = {"agent": Uninterruptable, "llm": LLM(first_token=9.0)}  # longer than the quiet
    calls = [Call(caller=[said, later][:acts], ends_quiet=quiet, **more) for acts, quiet in ends]
    whole, early, late = (call.play() for call in calls)

    assert [result.utterances for result in (whole, early)] == [late.utterances[:-1], whole.utterances]
    assert (whole.turns, early.turns, early.closed) == ([QUESTION], [QUESTION], None)
    closed = [at for result in (whole, early, late) for at, name, _ in result.events if name == "close"]
    assert closed[0] == pytest.approx(32.0)  # LiveKit takes two seconds to close
    last = [result.utterances[-1].end for result in (early, late)]
    assert closed[1:] == [pytest.approx(at + 4.0 + 2.5, abs=0.6) for at in last]


def test_noise_is_speech_without_words() -> None:
    result = Call(agent=Uninterruptable, session=stock, caller=[Noise(10.0, 0.5)]).play()
    states = [event.new_state for at, name, event in result.events if name == "user_state_changed" and at > 9.9]

    assert states[:2] == ["speaking", "listening"]
    assert (result.turns, result.false_replies) == ([], [])


def test_a_final_may_be_late_or_never_come() -> None:
    def play(delay: float | None) -> Result:
        return Call(
            agent=Uninterruptable, session=stock, caller=[Say(10.0, "hello there")], stt=STT(finals={0: delay})
        ).play()

    late, never = play(3.0), play(None)

    finals = [at for at, name, event in late.events if name == "user_input_transcribed" and event.is_final]
    assert finals == [pytest.approx(10.6 + 3.0, abs=0.06)]
    assert late.turns == ["hello there"]
    # LiveKit leaves the interim lying until the session closes, waits 2 s more, and takes it for the final: too late
    # for an answer
    assert (never.turns, never.kept, never.replies) == (["hello there"], 1.0, [])
    assert [at for at, name, event in never.events if name == "user_input_transcribed" and event.is_final] == [32.0]


def test_an_stt_that_comes_back_hears_what_livekit_kept_for_it() -> None:
    ear = STT(outages=(Outage(10.5, seconds=1.0),))
    result = Call(agent=Uninterruptable, session=stock, stt=ear, caller=[Say(12.0, "still here")]).play()

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
    model = LLM(answers=[Reply("One moment.", tools=(UseTool("look_up"),)), "Nine to five."])
    result = Call(agent=WithTool, session=stock, llm=model, caller=[Say(10.0, "when do you open")]).play()

    assert [one.said for one in result.utterances[1:]] == ["One moment.", "Nine to five."]
    assert result.requests[1].to_tool
    assert result.false_replies == []


def test_a_reply_to_a_backchannel_is_false_and_so_is_one_to_nothing() -> None:
    result = Call(
        agent=Uninterruptable,
        session=stock,
        caller=[
            Say(10.0, "okay", answered=False),
            Do(15.0, lambda session: session.generate_reply(instructions="Fill the silence.")),
        ],
        ends_after=20.0,
    ).play()

    assert [one.answers for one in result.false_replies] == ["okay", ""]


def test_a_hang_up_at_half_is_one_to_hearouts_session_and_ends_livekits() -> None:
    caller = [HangUp(first_sound(4.0))]
    ours = Call(agent=Uninterruptable, caller=caller).play()
    livekits = Call(agent=Uninterruptable, session=stock, caller=caller).play()

    (receipt,) = ours.session.receipts
    assert (receipt.outcome, receipt.played) == (Outcome.CALLER_GONE, pytest.approx(4.0, abs=0.1))
    assert ours.closed is not None
    assert livekits.closed is not None
    assert ours.closed[0] - livekits.closed[0] == pytest.approx(Policy().timeouts.caller_return)
    for result in (ours, livekits):
        assert 0.4 < result.protected[0].delivered < 0.5


def test_a_caller_who_hung_up_and_returns_hears_the_rest_and_is_heard() -> None:
    caller = [HangUp(first_sound(4.0)), Return(first_sound(8.0)), Say(first_sound(9.0), QUESTION)]
    result = Call(agent=Uninterruptable, caller=caller).play()

    receipt = result.session.receipts[0]
    assert (receipt.outcome, len(receipt.attempts)) == (Outcome.FINISHED, 2)
    assert NOTICE.endswith(result.protected[1].said)
    assert result.protected[1].whole
    assert (result.turns, len(result.replies)) == ([QUESTION], 1)


def test_a_caller_who_hung_up_neither_hears_nor_is_heard_until_they_return() -> None:
    caller = [
        HangUp(first_sound(2.0)),
        Say(first_sound(3.0), "is anybody there"),
        Return(first_sound(4.0)),
        Say(first_sound(12.0), QUESTION),
        HangUp(first_sound(19.0)),
    ]
    result = Call(agent=Interruptible, caller=caller, tts=TTS(rate=10.0)).play()

    assert words_heard(result) == QUESTION.split()
    ((at, seconds),) = result.utterances[0].silences
    assert (at - result.utterances[0].start, seconds) == pytest.approx((2.0, 2.0), abs=0.05)


def test_a_return_says_nothing_to_livekits_session_which_ended() -> None:
    result = Call(
        agent=Uninterruptable, session=stock, caller=[HangUp(first_sound(2.0)), Return(first_sound(4.0))]
    ).play()

    assert len(result.utterances) == 1
    assert result.closed is not None


def test_the_same_call_with_the_same_seed_gives_the_same_result() -> None:
    call = Call(
        agent=WithTool,
        session=hearing,
        caller=[*(Say(10.0 * n, QUESTION) for n in range(1, 5)), Type(33.0, "typed"), Noise(36.0, 0.4), HangUp(50.0)],
        stt=STT(outages=(Outage(12.0, seconds=2.0), Outage(22.0, seconds=1.0, retryable=False)), finals={1: 2.0}),
        llm=LLM(answers=[Reply("One moment.", tools=(UseTool("look_up"),)), "Nine to five.", "Fine."]),
        tts=TTS(faults=(TTSFault(2),)),
        ends_after=60,
        seed=7,
    )

    def play() -> tuple[object, ...]:
        result = call.play()
        events = [(at, name) for at, name, _ in result.events]
        heard = [(at, word.text) for at, word in result.heard]
        return (events, result.utterances, result.turns, result.requests, heard, result.warnings)

    assert play() == play()


def test_the_seed_is_that_of_the_random_module_for_the_length_of_a_run() -> None:
    async def draw() -> float:
        return random.random()

    before = random.getstate()
    drawn = [run(draw, seed=seed) for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1] != drawn[2]
    assert random.getstate() == before


def test_a_minute_takes_less_than_half_a_second() -> None:
    call = Call(
        agent=Uninterruptable, session=stock, caller=[Say(10.0 * n, QUESTION) for n in range(1, 6)], ends_after=60
    )
    took: list[float] = []
    for _ in range(3):
        before = time.process_time()
        result = call.play()
        took.append(time.process_time() - before)
        assert len(result.turns) == 5

    assert min(took) < 0.5  # 0.14 s on two busy cores


def test_the_clocks_of_the_process_are_as_before() -> None:
    originals = (time.time, time.monotonic, time.perf_counter, time.perf_counter_ns)
    Call(agent=Uninterruptable, session=stock, ends_after=1.0).play()

    assert (time.time, time.monotonic, time.perf_counter, time.perf_counter_ns) == originals


def test_the_guide_is_true() -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    for example in examples:
        exec(example, names)
    tests = [name for name in names if name.startswith("test_")]
    for name in tests:
        names[name]()

    assert (len(examples), len(tests)) == (2, 1)


def test_typed_text_and_keys_go_the_way_of_the_session_that_gets_them() -> None:
    def ours(**models: Any) -> OurSession[Any]:
        return OurSession(policy=Policy(cut_in=CutIn(keys="1")), **models)

    typed = Call(agent=Uninterruptable, caller=[Type(first_sound(1.0), "where are you")]).play()
    pressed = Call(agent=Uninterruptable, session=ours, caller=[Press(first_sound(2.0), "1")]).play()
    ignored = Call(agent=Uninterruptable, session=stock, caller=[Press(first_sound(2.0), "1")]).play()

    assert (typed.protected[0].whole, typed.turns) == (True, ["where are you"])
    assert pressed.protected[0].end - pressed.protected[0].start == pytest.approx(2.0, abs=0.1)
    assert ignored.protected[0].whole


def test_what_livekit_stamps_follows_the_call() -> None:
    result = Call(agent=Uninterruptable, session=stock, caller=[Say(20.0, "hello")]).play()
    stamps = [item.created_at for item in result.history.messages()]

    assert stamps == sorted(stamps)
    assert stamps[1] - stamps[0] == pytest.approx(21.0, abs=1.5)


def test_a_moment_that_has_passed_when_it_is_known_ends_the_run() -> None:
    with pytest.raises(CallError, match="known only at"):
        Call(agent=Uninterruptable, session=stock, caller=[Say(from_end(-8.4), "hello")]).play()


class Leaking(Uninterruptable):
    """Leaves a task behind."""

    async def on_enter(self) -> None:
        self.leak = asyncio.create_task(asyncio.sleep(1e6), name="forgotten")


def test_a_task_left_behind_ends_the_run_and_is_named() -> None:
    with pytest.raises(CallError, match="forgotten"):
        Call(agent=Leaking, session=stock, ends_after=1.0).play()


@pytest.mark.parametrize("session", [stock, OurSession])
def test_a_program_may_be_closing_the_session_when_the_call_ends(session: Any) -> None:
    close = Do(3.0, lambda session: session.aclose())

    result = Call(agent=Interruptible, session=session, caller=[Say(1.0, QUESTION), close], ends_after=3.2).play()

    assert [name for _, name, _ in result.events].count("close") == 1


def test_tasks_that_wait_for_each_other_end_the_run() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(CallError, match=r"wait for each other: .*forever, test_testing.py:\d+"):
        run(forever)


def test_a_task_that_spins_ends_the_run() -> None:
    async def spin() -> None:
        for _ in range(2 * BUSY_LIMIT):
            await asyncio.sleep(0)

    with pytest.raises(CallError, match=r"without time passing; tasks: .*spin, test_testing.py:"):
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

    ear = STT(outages=(Outage(1.0, seconds=5.0, retryable=False),))
    result = Call(agent=Uninterruptable, session=patient, stt=ear, caller=[Say(12.0, "hello")]).play()

    assert result.protected[0].whole
    assert result.turns == ["hello"]


def test_speech_after_speech_whose_voice_died_is_an_utterance_of_its_own() -> None:
    class Greeting(Uninterruptable):
        async def on_enter(self) -> None:
            self.session.say("Good morning to you, and welcome to the clinic.", allow_interruptions=True)
            await super().on_enter()

    result = Call(agent=Greeting, caller=[Say(0.7, QUESTION)], tts=TTS(faults=(TTSFault(0, after=0.6),))).play()

    assert [one.protected for one in result.utterances] == [False, True, True], result.describe()
    assert result.protected[0].whole
    assert not [line for line in result.warnings if "more times than" in line]


def test_an_llm_writes_in_pieces_that_tear_words_apart() -> None:
    said = Call(agent=Interruptible, caller=[Say(12.0, "hello")], llm=LLM(["Hello. How are you?"], piece=3)).play()
    pieces = LLM(piece=3).pieces(Reply("One\n- two three", max_words=3))

    assert said.replies[0].said == "Hello. How are you?"
    assert pieces == ["One", "\n- ", "two"]


def test_a_call_with_a_ledger_is_the_same_as_one_without(tmp_path: Path) -> None:
    """The ledger writes in a thread of its own: virtual time went on meanwhile, so that each promise came late."""
    ledger = Ledger(f"sqlite:///{tmp_path}/receipts.db")
    acts = [Say(first_sound(1.0), QUESTION)]
    session = lambda **models: OurSession(ledger=ledger, **models)  # noqa: E731
    kept = Call(agent=Uninterruptable, session=session, caller=acts).play()

    assert kept.describe() == Call(agent=Uninterruptable, caller=acts).play().describe()
    with closing(Ledger(ledger.url, mode=Mode.READ)) as book:
        found = list(entries(book, now=time.time()))
    assert [(one.standing, one.spooled) for one in found] == [("finished", False)] * 2


def test_a_thread_that_hangs_lets_time_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clock, "STANDS", 0.05)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _clock.VirtualLoop)
        loop.await_thread(Future())
        await asyncio.sleep(100.0)
        return loop.time()

    assert run(main) == pytest.approx(_clock.MONOTONIC_START + 100.0)


def test_a_call_is_described_with_all_that_the_caller_did() -> None:
    acts = [Press(0.5, "1"), Type(1.0, "hello"), Noise(2.0, 0.5), HangUp(5.0), Return(6.0)]
    told = Call(agent=Interruptible, session=OurSession, caller=acts, ends_after=8.0).play().describe()

    for what in (
        "0.50  caller  presses 1",
        "types 'hello'",
        "makes a noise for 0.5 s",
        "5.00  caller  hangs up",
        "is back",
    ):
        assert what in told, told


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Call(agent=Uninterruptable()), "needs what makes the agent"),
        (lambda: Call(agent=Uninterruptable, ends_after=float("inf")), "would never end"),
        (lambda: Call(agent=Uninterruptable, caller="hello"), "needs acts, as Say"),
        (lambda: Call(agent=Uninterruptable, caller=[Say("2", QUESTION)]), "`at` must be a number"),
        (lambda: Call(agent=Uninterruptable, caller=[Say(float("nan"), QUESTION)]), "`at` must be a number"),
        (lambda: TTS(rate=0), re.escape("TTS(rate=0) must be above 0")),
        (lambda: TTS(speed=float("nan")), re.escape("TTS(speed=nan) must be above 0")),
        (lambda: TTS(lengths=()), "says of no synthesis"),
        (lambda: LLM(rate=-1.0), re.escape("LLM(rate=-1.0) must be above 0")),
        (lambda: LLM(piece=0), re.escape("LLM(piece=0) must be above 0")),
        (lambda: LLM(answers=[]), "answers nothing"),
    ],
)
def test_a_call_that_makes_no_sense_says_why(wrong: Any, says: str) -> None:
    with pytest.raises(CallError, match=says):
        wrong()


def test_a_call_that_is_played_in_a_loop_says_what_to_do() -> None:
    async def within() -> None:
        Call(agent=Uninterruptable).play()

    with pytest.raises(CallError, match="from a function that is not async"):
        asyncio.run(within())

"""The time in which the event loop stood still is no time to the floor; its records are in seconds of the call."""

import dataclasses
import random
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.laws_awake import stood_still_and_not
from harness.mutants import mutated
from harness.orders import played
from hearout import Policy
from hearout._floor import actions as a
from hearout._floor import awake
from hearout._floor import events as e
from hearout._floor.answering import Expected
from hearout._floor.awake import TIMES, AwakeFloor, AwakeTime
from hearout.policy import Timeouts
from hearout.receipts import Cause, Outcome, Receipt
from hearout.receipts._question import QuestionReceipt

LENGTHS = frozenset(
    {"begins_at", "expected", "every", "due_in", "seconds", "since", "patience", "wait", "confidence"}
) | {*("stood_still", "played", "made", "gap", "after", "sure")}
"""Fields with numbers that are no seconds of the call: lengths, and seconds of an utterance."""
LATER = frozenset({"revoked_at", "starts_from", "delay"})
"""Those that the floor leaves empty, or that follow from others."""
TEXT = "This call is recorded. Do you agree to that?"


@given(st.lists(st.tuples(st.floats(0.1, 50.0), st.floats(0.5, 400.0)), max_size=6), st.floats(0.0, 300.0))
def test_awake_seconds_lead_back_to_the_seconds_of_the_call(standstills: list[tuple[float, float]], at: float) -> None:
    time, now = AwakeTime(), 0.0
    gone: list[tuple[float, float]] = []
    for ran, lost in standstills:
        now += ran + lost
        time.stood_still(now, lost)
        gone.append((now - lost, now))

    within = [end for begin, end in gone if begin < at < end]
    if within:
        assert time.real(time.awake(at)) == pytest.approx(within[0] - next(e - b for b, e in gone if e == within[0]))
    else:
        assert time.real(time.awake(at)) == pytest.approx(at)
    assert time.awake(at) <= time.awake(at + 0.1)


def stands(*events: tuple[float, e.Event], policy: Policy | None = None) -> tuple[AwakeFloor, list[a.Action]]:
    floor = AwakeFloor(policy)
    return floor, [action for at, event in events for action in floor.apply(event, at)]


def receipt(actions: list[a.Action]) -> Receipt:
    (written,) = [action.receipt for action in actions if isinstance(action, a.WriteReceipt)]
    return written


PLAYING = (
    (0.0, e.SpeechRequested("n1", text=TEXT)),
    (0.5, e.AudioMade("n1", 2.0)),
    (0.5, e.PlayoutStarted("n1")),
)


def test_words_that_were_held_are_not_livekits_again_after_a_standstill() -> None:
    heard = e.WordsHeard("hello there", began=23.0, ended=23.8)

    floor, _ = stands(*PLAYING, (22.0, e.StoodStill(20.0)), (24.0, heard))

    assert floor.new_for_livekit(heard, 24.05) == ""


def test_a_receipt_names_the_standstill_and_has_seconds_of_the_call() -> None:
    _, actions = stands(
        *PLAYING,
        (1.0, e.CallerStarted()),
        (1.5, e.CallerStopped()),
        (1.6, e.WordsHeard("hello there", began=1.1, ended=1.4)),
        (22.0, e.StoodStill(20.0)),
        (22.0, e.AudioMade("n1", 4.0, complete=True)),
        (24.0, e.PlayoutFinished("n1", 4.0)),
        (24.5, e.SpeechEnded("n1")),
    )

    written = receipt(actions)
    assert (written.outcome, written.stood_still) == (Outcome.FINISHED, 20.0)
    assert (written.asked_at, written.started_at, written.ended_at) == (0.0, 0.5, 24.5)
    assert [(one.began_at, one.ended_at) for one in written.attempts] == [(0.5, 24.0)]
    assert written.held[0][0].at == pytest.approx(1.1)


def test_a_wait_that_began_before_a_standstill_goes_on_after_it() -> None:
    floor, _ = stands(*PLAYING)
    alarm = floor.next_alarm
    assert alarm is not None

    assert floor.apply(e.StoodStill(60.0), 61.0) == []

    assert floor.next_alarm == pytest.approx(alarm + 60.0, abs=0.01)
    assert floor.progress("n1").played <= 1.5


@pytest.mark.parametrize("seconds", [5.0, 60.0])
def test_a_question_waits_for_its_answer_as_long_as_the_loop_runs(seconds: float) -> None:
    asking = e.QuestionAsked("q", text="Do you agree?", wait=4.0, expected=Expected(yes_no=True))
    _, actions = stands(
        (0.0, asking),
        (0.0, e.SpeechRequested("n1", text="Do you agree?", question="q")),
        (0.1, e.AudioMade("n1", 1.0, complete=True)),
        (0.1, e.PlayoutStarted("n1")),
        (1.1, e.PlayoutFinished("n1", 1.0)),
        (1.2, e.SpeechEnded("n1")),
        (2.0 + seconds, e.StoodStill(seconds)),
        (4.0 + seconds, e.CallerStarted()),
        (4.3 + seconds, e.CallerStopped()),
        (4.4 + seconds, e.WordsHeard("yes I agree")),
        (5.6 + seconds, e.AlarmRang()),
        policy=Policy(language="en"),
    )

    (ended,) = [action.receipt for action in actions if isinstance(action, a.EndQuestion)]
    assert ended.choice == "yes"
    assert ended.answers[-1].known_at == pytest.approx(4.4 + seconds)
    assert ended.delay == pytest.approx(ended.decided_at - (ended.attempts[-1].asked_at or 0.0))
    assert ended.delay > seconds


def test_a_caller_who_is_gone_has_the_whole_time_to_return() -> None:
    floor, _ = stands(
        *PLAYING,
        (1.0, e.CallerLeft()),
        (61.0, e.StoodStill(60.0)),
        policy=Policy(timeouts=Timeouts(caller_return=20.0)),
    )

    assert any(isinstance(action, a.Resume) for action in floor.apply(e.CallerReturned(), 75.0))


def test_what_a_standstill_broke_off_is_not_the_voices() -> None:
    _, actions = stands(
        *PLAYING,
        (1.0, e.VoiceFailed("n1", "stood still")),
        (1.0, e.PlayoutFinished("n1", 0.5)),
        (1.1, e.SpeechEnded("n1")),
    )

    assert (receipt(actions).outcome, receipt(actions).cause) == (Outcome.FAILED, Cause.STOOD_STILL)
    assert "voice" not in receipt(actions).why


def keeps_the_law(which: type[AwakeFloor]) -> None:
    for seed in range(300):
        stood_still_and_not(played(random.Random(seed).randbytes(120)), seed, floor=which)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self._time.stood_still(at, event.seconds)", "pass"),
        (
            "super().apply(_moved(event, self._time.awake), self._time.awake(at))",
            "super().apply(event, self._time.awake(at))",
        ),
        ("[_moved(action, self._time.real) for action in actions]", "actions"),
        ("None if alarm is None else self._time.real(alarm)", "alarm"),
        ("awake = at - self._lost[number]", "awake = at"),
        ("lo=1) - 1]", "lo=1) - 2]"),
        ('"asked_at", ', ""),
        ("    if isinstance(what, tuple):", "    if isinstance(what, list):"),
    ],
)
def test_a_mutant_of_the_awake_floor_breaks_the_law_of_standstills(old: str, new: str) -> None:
    broken = mutated(awake, old, new).AwakeFloor

    with pytest.raises((AssertionError, ValueError)):  # another number of actions
        keeps_the_law(broken)


def numbers(kind: Any, seen: set[str]) -> Iterator[tuple[str, str]]:
    """The fields with numbers of a class, of those that inherit from it, and of all that its fields hold."""
    if str(kind) in seen:
        return
    seen.add(str(kind))
    parts = kind.__subclasses__() if isinstance(kind, type) else typing.get_args(kind)
    for one in parts:
        yield from numbers(one, seen)
    if not dataclasses.is_dataclass(kind):
        return
    hints = typing.get_type_hints(kind)
    for one in dataclasses.fields(kind):
        if hints[one.name] in (float, float | None):
            yield f"{kind.__name__}.{one.name}", one.name
        yield from numbers(hints[one.name], seen)


def test_each_number_of_an_event_or_action_is_known_as_seconds_or_not() -> None:
    found = {of: name for kind in (e.Event, a.Action) for of, name in numbers(kind, set())}
    found |= {of: name for kind in (Receipt, QuestionReceipt) for of, name in numbers(kind, set())}

    told_later = {of for of in found if of.startswith("Listener.")}
    assert not {of for of, name in found.items() if name not in TIMES | LENGTHS | LATER} - told_later
    assert set(found.values()) >= TIMES


def test_a_transcript_is_taken_or_left_by_the_awake_second() -> None:
    floor, _ = stands(*PLAYING, (61.0, e.StoodStill(60.0)))

    assert floor.takes("hello there", 61.5)

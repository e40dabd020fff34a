"""A receipt claims what was witnessed and no more: its levels, over known lies and over random evidence."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.ledger_workers import receipt
from hearout.receipts import Attempt, Level, Listener, Outcome, Receipt
from hearout.receipts import _spans as spans
from hearout.receipts._receipt import HOLE, SHORT

RUNGS = [level for level in Level if level]


def said(**fields: Any) -> Receipt:
    """An announcement of 7 s that was played from second 1 to second 8 of the call."""
    return receipt(**({"text": "This call is recorded.", "held": (), "attempts": ()} | fields))


def ann(**fields: Any) -> Listener:
    """A caller who was there all the time."""
    return Listener("ann", **({"present": ((0.0, 20.0),)} | fields))


def seconds(one: Receipt, level: Level, identity: str = "ann") -> float:
    return one.levels(identity)[level]


# The ladder


def test_without_a_listener_it_rests_on_what_was_played() -> None:
    assert said().level is Level.PLAYED


def test_a_caller_who_stayed_makes_it_present() -> None:
    assert said(caller="ann", listeners=(ann(),)).level is Level.PRESENT


def test_the_client_s_report_of_all_of_it_makes_it_reported() -> None:
    assert said(caller="ann", listeners=(ann(reported=6.9),)).level is Level.REPORTED


@pytest.mark.parametrize(
    ("length", "reported", "level"),
    [
        (2.0, 1.91, Level.REPORTED),  # 0.1 s: no hole
        (2.0, 1.89, Level.PRESENT),
        (10.0, 9.86, Level.REPORTED),  # 1.5 %
        (10.0, 9.84, Level.PRESENT),
        (60.0, 59.76, Level.REPORTED),  # what may be missing of anything
        (60.0, 59.74, Level.PRESENT),
    ],
)
def test_a_report_that_lacks_an_audible_stretch_is_not_of_the_whole(
    length: float, reported: float, level: Level
) -> None:
    there = ann(present=((0.0, 90.0),), reported=reported)
    told = said(ended_at=1.0 + length, played=length, made=length, expected=length, caller="ann", listeners=(there,))
    assert told.level is level


def test_an_acknowledgement_after_the_end_needs_no_report() -> None:
    assert said(caller="ann", listeners=(ann(acknowledged_at=9.0),)).level is Level.ACKNOWLEDGED
    assert said(caller="ann", listeners=(ann(acknowledged_at=9.0, reported=7.0),)).level is Level.ACKNOWLEDGED


def test_levels_are_in_order_and_say_their_name() -> None:
    assert [str(level) for level in sorted(Level)] == [
        "nothing",
        "synthesised",
        "played",
        "present",
        "reported",
        "acknowledged",
    ]


def test_the_caller_s_level_is_not_that_of_somebody_else() -> None:
    both = (ann(present=((0.0, 4.0),)), Listener("bob", present=((0.0, 20.0),), acknowledged_at=9.0))
    assert said(caller="ann", listeners=both).level is Level.PLAYED
    assert said(caller="bob", listeners=both).level is Level.ACKNOWLEDGED
    assert said(caller="eve", listeners=both).level is Level.PLAYED


def test_where_the_caller_is_not_known_the_level_holds_for_every_listener() -> None:
    both = (ann(), Listener("bob", present=((0.0, 20.0),), acknowledged_at=9.0))
    assert said(listeners=both).level is Level.PRESENT


# What LiveKit calls finished (docs/livekit.md), and a receipt does not


def test_a_voice_that_broke_off_was_not_synthesised_in_full() -> None:
    told = said(outcome=Outcome.FAILED, made=3.0, played=3.0, ended_at=4.0, listeners=(ann(),))
    assert told.level is Level.NOTHING
    assert replace(told, expected=None).level is Level.NOTHING
    assert seconds(told, Level.PRESENT) == pytest.approx(3.0)


def test_a_voice_that_stopped_early_without_an_error_is_not_finished() -> None:
    assert said(made=3.0, played=3.0, expected=7.0).level is Level.NOTHING


def test_a_disabled_output_is_synthesised_only() -> None:
    assert said(started_at=None, played=0.0, listeners=(ann(),)).level is Level.SYNTHESISED


def test_a_cleared_buffer_is_not_played_in_full() -> None:
    assert said(played=4.0, ended_at=5.0).level is Level.SYNTHESISED


def test_a_pause_that_lost_its_queue_is_not_played_in_full() -> None:
    assert said(played=6.79, holes=((2.03, 2.24),)).level is Level.SYNTHESISED
    assert said(played=6.95, holes=((2.03, 2.08),)).level is Level.PLAYED


def test_played_to_a_room_that_nobody_is_in_is_not_present() -> None:
    gone = said(caller="ann", listeners=(ann(present=((0.0, 3.0),)),))
    assert gone.level is Level.PLAYED
    assert seconds(gone, Level.PRESENT) == pytest.approx(2.0)


def test_who_comes_back_has_only_the_rest() -> None:
    back = said(caller="ann", listeners=(ann(present=((0.0, 3.0), (6.0, 20.0))),))
    assert back.level is Level.PLAYED
    assert seconds(back, Level.PRESENT) == pytest.approx(4.0)


def test_who_comes_after_its_end_has_nothing_of_it() -> None:
    late = said(listeners=(ann(present=((8.0, 20.0),), acknowledged_at=9.0),))
    assert seconds(late, Level.PRESENT) == seconds(late, Level.ACKNOWLEDGED) == 0.0


def test_a_report_of_more_than_was_played_counts_nothing() -> None:
    told = said(listeners=(ann(reported=9.0, acknowledged_at=9.0),))
    assert told.level is Level.PRESENT
    assert seconds(told, Level.REPORTED) == seconds(told, Level.ACKNOWLEDGED) == 0.0


def test_a_report_of_a_part_bounds_what_is_acknowledged() -> None:
    told = said(listeners=(ann(reported=3.0, acknowledged_at=9.0),))
    assert told.level is Level.PRESENT
    assert seconds(told, Level.ACKNOWLEDGED) == pytest.approx(3.0)


def test_an_acknowledgement_in_the_middle_is_for_what_was_played_by_then() -> None:
    told = said(listeners=(ann(acknowledged_at=4.0),))
    assert told.level is Level.PRESENT
    assert seconds(told, Level.ACKNOWLEDGED) == pytest.approx(3.0)


def test_a_process_that_died_leaves_seconds_and_no_level() -> None:
    died = said(outcome=Outcome.UNKNOWN, made=0.0, played=3.0, expected=None, ended_at=4.0, listeners=(ann(),))
    assert died.level is Level.NOTHING
    assert seconds(died, Level.SYNTHESISED) == seconds(died, Level.PLAYED) == pytest.approx(3.0)


def test_an_utterance_that_made_no_sound_claims_nothing() -> None:
    assert said(made=0.0, played=0.0, expected=None, started_at=None).level is Level.NOTHING


def test_of_a_very_short_one_half_must_have_been_played() -> None:
    assert said(made=0.2, expected=None, played=0.05, ended_at=1.05).level is Level.SYNTHESISED
    assert said(made=0.2, expected=None, played=0.15, ended_at=1.15).level is Level.PLAYED


# Attempts


def test_two_attempts_that_meet_are_whole() -> None:
    attempts = (Attempt(1.0, 4.0, 3.0, ended_why="the caller left"), Attempt(30.0, 34.0, 4.0, starts_from=3.0))
    twice = said(attempts=attempts, ended_at=34.0, listeners=(ann(present=((0.0, 4.0), (29.0, 40.0))),))
    assert twice.level is Level.PRESENT
    assert twice.spans == ((0.0, 7.0),)


def test_two_attempts_with_a_hole_between_them_are_not() -> None:
    attempts = (Attempt(1.0, 4.0, 3.0), Attempt(30.0, 33.8, 3.8, starts_from=3.2))
    assert said(attempts=attempts, ended_at=33.8, played=6.8).level is Level.SYNTHESISED


def test_what_one_attempt_left_out_another_may_have_played() -> None:
    attempts = (Attempt(1.0, 4.0, 3.0, holes=((1.0, 2.0),)), Attempt(30.0, 37.0, 7.0))
    assert said(attempts=attempts, ended_at=37.0).spans == ((0.0, 7.0),)


def test_a_pause_makes_the_seconds_around_coming_and_going_uncertain() -> None:
    paused = Attempt(0.0, 10.0, 8.0)  # it paused for 2 s, nobody knows when
    assert paused.witnessed((0.0, 10.0)) == ((0.0, 8.0),)
    assert paused.witnessed((0.0, 5.0)) == ((0.0, 3.0),)
    assert paused.witnessed((5.0, 10.0)) == ((5.0, 8.0),)
    assert paused.witnessed((2.0, 3.0)) == ()


def test_a_slow_clock_gives_a_listener_nothing_from_before_they_came() -> None:
    fast = Attempt(0.0, 5.0, 6.0)
    assert fast.witnessed((0.0, 5.0)) == ((0.0, 6.0),)
    assert fast.witnessed((4.0, 9.0)) == ((5.0, 6.0),)


# Never more than was witnessed

times = st.floats(0.0, 30.0, allow_nan=False)
stretches = st.lists(st.tuples(times, times).map(lambda pair: (min(pair), max(pair))), max_size=4).map(tuple)


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    begin, length = draw(times), draw(times)
    return Attempt(begin, begin + length, draw(times), starts_from=draw(times), holes=draw(stretches))


listeners = st.builds(
    Listener,
    st.sampled_from(["ann", "bob"]),
    present=stretches,
    reported=st.none() | st.floats(0.0, 60.0),
    acknowledged_at=st.none() | times,
)
receipts = st.builds(
    said,
    outcome=st.sampled_from(Outcome),
    started_at=st.none() | times,
    ended_at=st.floats(30.0, 60.0),
    played=times,
    made=times,
    expected=st.none() | times,
    attempts=st.lists(attempts(), max_size=3).map(tuple),
    holes=stretches,
    listeners=st.lists(listeners, max_size=2, unique_by=lambda one: one.identity).map(tuple),
    caller=st.sampled_from(["", "ann", "bob"]),
)


@given(receipts)
def test_no_rung_holds_for_more_seconds_than_was_played(one: Receipt) -> None:
    for identity in ("ann", "bob", "nobody"):
        found = one.levels(identity)
        assert found[Level.PLAYED] <= one.played + 1e-6
        assert found[Level.PRESENT] <= found[Level.PLAYED] + 1e-6 <= found[Level.SYNTHESISED] + 2e-6
        assert found[Level.REPORTED] <= found[Level.PRESENT] + 1e-6
        assert found[Level.ACKNOWLEDGED] <= found[Level.PRESENT] + 1e-6


@given(receipts)
@example(
    said(
        outcome=Outcome.FINISHED,
        ended_at=30.0,
        played=3.0,
        made=0.0,
        attempts=(Attempt(0.0, 0.0, 1.0, starts_from=2.0), Attempt(0.0, 2.0, 1.0)),
        listeners=(ann(present=((0.0, 1.0),)),),
    )
)
def test_a_level_is_claimed_only_for_a_whole_utterance(one: Receipt) -> None:
    for identity in ("ann", "bob", "nobody"):
        level = one.level_of(identity)
        if level > Level.NOTHING:
            assert 0.0 < one.levels(identity)[level] >= one.length - SHORT - 1e-5
        if level >= Level.PLAYED:
            gaps = [b[0] - a[1] for a, b in zip(one.spans, one.spans[1:], strict=False)]
            assert all(gap <= HOLE + 1e-5 for gap in gaps)
    assert one.level <= Level.PLAYED or one.listeners


@given(receipts)
def test_who_was_never_there_has_nothing(one: Receipt) -> None:
    found = one.levels("nobody")
    assert found[Level.PRESENT] == found[Level.REPORTED] == found[Level.ACKNOWLEDGED] == 0.0
    assert one.level_of("nobody") <= Level.PLAYED


@given(attempts(), times, times, st.lists(times, max_size=3))
def test_however_it_paused_what_is_witnessed_was_played_in_that_time(
    one: Attempt, begin: float, length: float, pauses: list[float]
) -> None:
    """A playout is made up: it plays at the speed of the clock, with pauses at given places that use up its time."""
    elapsed = one.ended_at - one.began_at
    one = replace(one, played=min(one.played, elapsed))
    places = sorted(min(place, one.played) for place in pauses) or [0.0]
    pause = (elapsed - one.played) / len(places)
    present = (begin, begin + length)

    def is_present(second: float) -> bool:
        at = one.began_at + second + pause * sum(place <= second for place in places)
        return present[0] - 1e-6 <= at <= present[1] + 1e-6

    before = 0.0
    for a, b in one.spans:
        for x, y in spans.shared(one.witnessed(present), [(a, b)]):
            assert is_present(before + (x - a) + 1e-7) or y - x < 1e-5
            assert is_present(before + (y - a) - 1e-7) or y - x < 1e-5
        before += b - a


def test_a_rung_is_there_for_every_level_but_the_lowest() -> None:
    assert list(said().levels("ann")) == RUNGS
    assert min(RUNGS) > Level.NOTHING

"""Turns that the program ends: when their words are known, and what belongs to which."""

import pytest

from hearout._floor import events as e
from hearout._floor.actions import DeliverTurn, RecordFate, Release, TurnKnown
from hearout._floor.floor import Floor
from hearout.receipts import Fate, Held
from tests.floor.test_floor import ended, playing, told


def half_a_turn() -> Floor:
    """A floor that holds half of a turn, which the program has ended at 3.3 s while the caller speaks."""
    floor = playing()
    told(
        floor,
        (1.5, e.TurnsByHand(by_hand=True)),
        (2.0, e.CallerStarted()),
        (3.0, e.CallerStopped()),
        (3.1, e.WordsHeard("what does it")),
        (3.2, e.CallerStarted()),
        (3.3, e.TurnCommitted(2.0)),
    )
    return floor


def test_a_turn_that_is_ended_again_before_its_words_are_known_is_one() -> None:
    rest = (3.4, e.TurnCommitted(2.0)), (3.8, e.CallerStopped()), (4.0, e.WordsHeard("cost"))
    assert TurnKnown("what does it cost") in told(half_a_turn(), *rest)


def test_a_turn_that_is_thrown_away_before_its_words_are_known_has_none() -> None:
    dropped = half_a_turn().apply(e.TurnCleared(), 3.4)
    assert RecordFate(Held("what does it", at=2.0), Fate.DROPPED) in dropped
    assert TurnKnown("") in dropped


def test_what_comes_after_a_turn_was_thrown_away_is_not_of_the_turn_before() -> None:
    floor = half_a_turn()
    told(floor, (3.8, e.CallerStopped()), (4.0, e.WordsHeard("cost")), (4.2, e.TurnCleared()))

    late = told(floor, (4.8, e.WordsHeard("hello", began=4.4)), *ended())

    (turn,) = [action for action in late if isinstance(action, DeliverTurn)]
    assert [held.text for held in turn.words] == ["what does it", "cost"]


def test_a_turn_without_words_is_ended_by_livekit_which_waits_for_them() -> None:
    floor = playing()

    actions = told(floor, (1.5, e.TurnsByHand(by_hand=True)), (6.8, e.TurnCommitted(2.0)), *ended())

    assert actions[-1] == Release(commit=True, patience=pytest.approx(1.8))


def test_typed_words_wait_for_no_end_of_a_turn_by_hand() -> None:
    floor = playing()

    actions = told(floor, (2.0, e.TextTyped("what does it cost")), (2.5, e.TurnsByHand(by_hand=True)), *ended())

    (turn,) = [action for action in actions if isinstance(action, DeliverTurn)]
    assert [held.text for held in turn.words] == ["what does it cost"]

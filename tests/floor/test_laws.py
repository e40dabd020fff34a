"""The laws of the floor, over random orders of events: 2,000 for each law, 20,000 by `make nightly`."""

import os
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import laws
from harness.laws_awake import stood_still_and_not
from harness.orders import late_event, played, to_its_end, vanished

ORDERS = int(os.environ.get("HEAROUT_ORDERS", "2000"))
# short ones, which can be made shorter still, and long ones, which go further
orders = st.binary(max_size=80) | st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes(120))
law = settings(
    max_examples=ORDERS,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


# L1: every held word is delivered exactly once, in the order in which it was said, or its fate is recorded.
@law
@given(orders)
def test_every_held_word_is_delivered_once_or_its_fate_is_recorded(order: bytes) -> None:
    laws.every_word_once(to_its_end(order))


@law
@given(orders)
def test_what_can_be_an_answer_is_never_dropped_as_a_backchannel(order: bytes) -> None:
    laws.answers_are_delivered(to_its_end(order))


# L2: a protected utterance ends only by its end, an allowed cut-in, the operator, the caller's leaving, a shutdown
# after its grace, or a failure.
@law
@given(orders)
def test_nothing_but_an_allowed_reason_ends_a_protected_utterance(order: bytes) -> None:
    laws.only_what_may_ends_it(to_its_end(order))


# L3: there is exactly one receipt for each protected utterance, and none claims what no event supports.
@law
@given(orders)
def test_every_protected_utterance_leaves_one_receipt_of_facts_only(order: bytes) -> None:
    laws.one_true_receipt_each(to_its_end(order))


@law
@given(orders)
def test_speech_missed_by_a_vanished_caller_is_owed_with_one_receipt(order: bytes) -> None:
    laws.one_true_receipt_each(vanished(order))


# L4: no answer begins while the caller talks, or while protected speech plays or waits to play.
@law
@given(orders)
def test_no_answer_begins_over_the_caller_or_over_protected_speech(order: bytes) -> None:
    laws.answers_wait_for_their_turn(to_its_end(order))


# L5: from any state, when events stop coming, the alarms alone lead back to listening within a bounded time.
@law
@given(orders)
def test_the_alarms_alone_lead_back_to_listening(order: bytes) -> None:
    call = played(order)
    call.ring_until_quiet()
    laws.never_stuck(call)


# L10: where the program ends the caller's turns, nothing becomes a turn that it did not commit.
@law
@given(orders)
def test_where_turns_end_by_hand_nothing_commits_by_itself(order: bytes) -> None:
    laws.turns_end_by_hand(to_its_end(order))


# L11: where the model hears sound, no words are given back, and a caller who speaks is heard out.
@law
@given(orders)
def test_a_model_that_hears_sound_is_given_words(order: bytes) -> None:
    laws.who_hears_sound_is_given_words(to_its_end(order))


# L12: a standstill of the event loop, with all that follows it as much later, changes nothing but the seconds.
@law
@given(orders, st.integers(0, 1000))
def test_a_standstill_changes_nothing_but_the_seconds(order: bytes, cut: int) -> None:
    stood_still_and_not(order, cut)


# L8: what a dead agent owed is gone on with, or left; what was said over it has its one fate either way (L1).
@law
@given(orders)
def test_a_dead_agents_debts_are_taken_over_once_or_left_by_policy(order: bytes) -> None:
    laws.every_debt_taken_over_once(to_its_end(order))


# L6: a late report of something that is over changes nothing.
@law
@given(orders, st.integers(0, 1000))
def test_late_reports_change_nothing(order: bytes, choice: int) -> None:
    call = played(order)
    laws.late_reports_change_nothing(call, late_event(call, choice))


# L7: with no protected utterance the floor does nothing at all, but end a call that is to end.
@law
@given(orders)
def test_without_protected_speech_the_floor_does_nothing(order: bytes) -> None:
    laws.nothing_at_all(played(order, protected=False))

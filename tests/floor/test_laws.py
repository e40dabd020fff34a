"""The laws of the floor, over 2,000 random orders of events, 20,000 by `make nightly`. An order is played once for all.

What a broken law says begins with its function in `harness/laws.py`; Hypothesis tells each law that is broken.
"""

import os
import random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import laws
from harness.laws_awake import stood_still_and_not
from harness.orders import ended, late_event, played, vanished

ORDERS = int(os.environ.get("HEAROUT_ORDERS", "2000"))
# short ones, which can be made shorter still, and long ones, which go further
orders = st.binary(max_size=80) | st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes(120))
law = settings(
    max_examples=ORDERS,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

TO_THE_END = (
    # L1: every held word is delivered exactly once, in the order in which it was said, or its fate is recorded.
    laws.every_word_once,
    laws.answers_are_delivered,
    # L2: a protected utterance ends only by its end, an allowed cut-in, the operator, the caller's leaving, a shutdown
    # after its grace, or a failure.
    laws.only_what_may_ends_it,
    # L3: there is exactly one receipt for each protected utterance, and none claims what no event supports.
    laws.one_true_receipt_each,
    # L4: no answer begins while the caller talks, or while protected speech plays or waits to play.
    laws.answers_wait_for_their_turn,
    # L10: where the program ends the caller's turns, nothing becomes a turn that it did not commit.
    laws.turns_end_by_hand,
    # L13: of each turn that the program ends while the floor holds, it is told the words, once.
    laws.ended_turns_are_told,
    # L11: where the model hears sound, no words are given back, and a caller who speaks is heard out.
    laws.who_hears_sound_is_given_words,
    # L8: what a dead agent owed is gone on with, or left; what was said over it has its one fate either way (L1).
    laws.every_debt_taken_over_once,
)
"""The laws of a call that has come to its end."""


@law
@given(orders, st.integers(0, 1000))
@example(random.Random(59).randbytes(120), 0)  # few others come to a final that comes again in part
def test_each_law_holds_in_any_order_of_events(order: bytes, choice: int) -> None:
    call = played(order)

    # L6: a late report of something that is over changes nothing.
    laws.late_reports_change_nothing(call, late_event(call, choice))

    # L12: a standstill of the event loop, with all that follows it as much later, changes nothing but the seconds.
    stood_still_and_not(call, choice)

    # L5: from any state, when events stop coming, the alarms alone lead back to listening within a bounded time.
    call.ring_until_quiet()
    laws.never_stuck(call)

    ended(call)
    for one in TO_THE_END:
        one(call)


@law
@given(orders)
def test_speech_missed_by_a_vanished_caller_is_owed_with_one_receipt(order: bytes) -> None:
    laws.one_true_receipt_each(vanished(order))


# L7: with no protected utterance the floor does nothing at all, but end a call that is to end.
@law
@given(orders)
def test_without_protected_speech_the_floor_does_nothing(order: bytes) -> None:
    laws.nothing_at_all(played(order, protected=False))

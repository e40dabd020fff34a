"""A voice that fails while the model still writes: the rest of the text is not lost with it."""

import pytest

from hearout import Outcome
from hearout.receipt import Cause
from hearout.testing import Model, Reply, Say, Voice, VoiceFault, first_sound
from scenes import NOTICE, QUESTION, Thinking, call, receipts, said

SLOW = Model(answers=(NOTICE, "Fine."), rate=4.0)
"""Writes some 4 words a second: a voice that begins with the first sentence has most of the text still to come."""


@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 0.9])
def test_what_the_model_writes_after_the_voice_failed_is_said(after: float) -> None:
    result = call(agent=Thinking, model=SLOW, voice=Voice(faults=(VoiceFault(0, after=after),)))

    (receipt,) = receipts(result)
    assert (receipt.outcome, receipt.text) == (Outcome.FINISHED, NOTICE)
    assert result.protected[0].whole
    assert said(result) == [NOTICE]


def test_a_voice_that_fails_each_time_while_the_model_writes_is_on_the_receipt() -> None:
    faults = tuple(VoiceFault(number, after=0.3) for number in range(3))

    result = call(Say(first_sound(0.5), QUESTION), agent=Thinking, model=SLOW, voice=Voice(faults=faults))

    assert (receipts(result)[0].outcome, receipts(result)[0].cause) == (Outcome.FAILED, Cause.VOICE)
    assert result.turns == [QUESTION]


def test_a_model_that_breaks_off_after_the_voice_was_asked_again_is_on_the_receipt() -> None:
    model = Model(answers=(Reply(NOTICE, breaks_after=0.7), "Fine."), rate=4.0)

    result = call(agent=Thinking, model=model, voice=Voice(faults=(VoiceFault(0, after=0.3),)))

    assert (receipts(result)[0].outcome, receipts(result)[0].why) == (Outcome.FAILED, "the model gave up")

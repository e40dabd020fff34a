"""Which second of an utterance was played when, where there are gaps that nobody hears of in time."""

import pytest

from hearout._floor import events as e
from hearout._floor.actions import Action, WriteReceipt
from hearout._floor.floor import Floor
from hearout._floor.playhead import Playhead
from hearout.receipts._receipt import SHORT


def told(*steps: tuple[float, e.Event]) -> tuple[Floor, list[Action]]:
    """A floor with an announcement of 6 s that began at 1.0 s, and the actions of the last of these steps."""
    floor, actions = Floor(), list[Action]()
    text = e.TextKnown("n1", "Please have your number ready.")
    begins = e.SpeechRequested("n1"), text, e.AudioMade("n1", 6.0, complete=True), e.PlayoutStarted("n1")
    for at, event in (*((1.0, one) for one in begins), *steps):
        actions = floor.apply(event, at)
    return floor, actions


def test_a_run_goes_by_the_clock_and_a_gap_begins_another() -> None:
    head = Playhead(2.0)
    assert (head.began, head.at(9.0)) == (None, 2.0)
    head.no_further(9.0, 0.0)  # nothing plays

    head.begin(10.0, 2.0)
    head.no_further(11.0, 3.5)  # it may be so far
    head.no_further(14.0, 3.0)
    head.begin(20.0, 5.0)

    assert head.began == 10.0
    assert [head.at(at) for at in (9.0, 10.5, 12.0, 15.0, 19.0, 21.0)] == [2.0, 2.5, 3.0, 4.0, 5.0, 6.0]
    assert [head.when(second) for second in (1.0, 2.5, 3.0, 4.0, 5.5)] == [9.0, 10.5, 14.0, 15.0, 20.5]


def test_what_was_played_before_a_caller_vanished_is_known_across_a_gap() -> None:
    _, actions = told(
        (4.0, e.PlayoutProgressed("n1", 1.0)),  # it ran dry at 2.0 s, and goes on now
        (7.5, e.CallerLeft(known_until=6.0)),
        (7.6, e.PlayoutFinished("n1", 4.5)),
        (7.6, e.SpeechEnded("n1", interrupted=True)),
        (30.0, e.SessionClosed()),
    )

    (receipt,) = [action.receipt for action in actions if isinstance(action, WriteReceipt)]
    assert receipt.played == pytest.approx(3.0, abs=SHORT)
    assert receipt.attempts[0].ended_at == 6.0


def test_a_question_had_been_asked_when_it_was_played_gaps_included() -> None:
    floor, _ = told(
        (1.1, e.SentencePlaced("n1", 0.0, "Is that all right?")),
        (1.1, e.SentencePlaced("n1", 2.0, "Please have your customer number ready.")),
        (6.0, e.PlayoutProgressed("n1", 1.0)),  # it ran dry at 2.0 s, and goes on now
        (9.0, e.PlayoutProgressed("n1", 4.0, since=1.0)),
    )

    notice = floor._queue.named("n1")
    assert notice is not None
    assert notice.question_asked_at == pytest.approx(7.0, abs=SHORT)

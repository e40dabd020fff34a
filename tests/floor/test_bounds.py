"""Floods of words, typed texts, sounds and keys: one event costs the same, and what is held is bounded."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from harness import floors
from harness.floors import TEXT, ended, told
from hearout._floor import events as e
from hearout._floor.actions import Action, AnswerTyped, DeliverTurn, EndQuestion, RecordFate, WriteReceipt
from hearout._floor.floor import Floor
from hearout._floor.held import MOST
from hearout._floor.state import CHARACTERS
from hearout._floor.utterance import KEYS, LEFT_OUT
from hearout.receipts import Fate, Kind, Receipt


def playing() -> Floor:
    """A floor whose announcement of a minute began at 1.0 s."""
    return floors.playing(seconds=60.0)


def asking() -> Floor:
    """A floor whose question is being asked since 1.0 s."""
    floor = Floor()
    told(
        floor,
        (0.4, e.QuestionAsked("q", text="Do you agree?")),
        (0.5, e.SpeechRequested("n1", question="q")),
        (0.6, e.TextKnown("n1", "Do you agree?")),
        (0.9, e.AudioMade("n1", 60.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
    )
    return floor


def receipt(actions: list[Action]) -> Receipt:
    (written,) = [action.receipt for action in actions if isinstance(action, WriteReceipt)]
    return written


def work(floor: Floor, *steps: tuple[float, e.Event]) -> int:
    """How many functions of ours are called for these events."""
    calls = 0

    def count(frame: Any, what: str, _: object) -> None:
        nonlocal calls
        calls += what == "call" and "hearout" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        for at, event in steps:
            floor.apply(event, at)
    finally:
        sys.setprofile(None)
    return calls


Flood = Callable[[int], tuple[e.Event, ...]]

FLOODS: dict[str, Flood] = {
    "typed": lambda number: (e.TextTyped(f"hello {number}"),),
    "typed backchannels": lambda _: (e.TextTyped("okay"),),
    "said": lambda number: (e.CallerStarted(), e.WordsHeard(f"what is {number}"), e.CallerStopped()),
    "guesses": lambda number: (e.WordsGuessed(f"what is {number}"),),
    "sounds": lambda _: (e.CallerStarted(), e.CallerStopped()),
    "keys": lambda _: (e.KeysPressed("5"),),
    "buttons": lambda number: (e.ChoicePressed("n1", f"choice {number}"),),
    "finals given twice": lambda _: (e.WordsHeard("what is that", began=2.0, ended=2.5),),
    "noises with typed words": lambda _: (e.CallerStarted(), e.TextTyped("okay"), e.CallerStopped()),
}
"""Things that a caller can do again and again over protected speech, one after the other."""

STEPS: dict[str, e.Event] = {
    "playout": e.PlayoutProgressed("n1", 20.0),
    "typed": e.TextTyped("hello"),
    "said": e.WordsHeard("what is that"),
    "key": e.KeysPressed("5"),
    "alarm": e.AlarmRang(),
    "begins": e.CallerStarted(),
    "guessed": e.WordsGuessed("what is"),
    "stops": e.CallerStopped(),
    "sentence": e.SentencePlaced("n1", 30.0, "Please have it ready."),
    "made": e.AudioMade("n1", 61.0, complete=True),
    "text": e.TextKnown("n1", TEXT + " Thank you."),
    "agent": e.AgentChanged(busy=True),
    "queued": e.SpeechQueued("n1"),
    "choice": e.ChoicePressed("n1", "acknowledged"),
    "turn": e.TurnTaken(),
    "modes": e.TurnsBySound(by_sound=False),
}


def flooded(floor: Floor, flood: Flood, times: int) -> Floor:
    for number in range(times):
        at = 2.0 + 0.015 * number
        told(floor, *((at, event) for event in flood(number)))
    return floor


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("over", [playing, asking])
def test_one_event_costs_the_same_with_a_thousand_held_as_with_one(over: Callable[[], Floor], flood: str) -> None:
    few, many = flooded(over(), FLOODS[flood], 1), flooded(over(), FLOODS[flood], 1000)
    for name, event in STEPS.items():
        once, more = work(few, (21.0, event)), work(many, (21.0, event))
        assert more <= 3 * once, (name, once, more)


def test_typed_texts_are_one_turn_and_the_excess_is_on_record() -> None:
    floor = playing()
    typed = [told(floor, (2.0, e.TextTyped(f"{number:03d}" + "x" * 97))) for number in range(300)]
    turn = told(floor, *ended(61.0, 60.0))

    left_out = [action.fate for actions in typed for action in actions if isinstance(action, RecordFate)]
    assert left_out == [Fate.TOO_MUCH] * len(left_out)
    (delivered,) = [action for action in turn if isinstance(action, DeliverTurn)]
    text = "\n".join(held.text for held in delivered.words)
    assert [line[:3] for line in text.split("\n")] == [f"{number:03d}" for number in range(300 - len(left_out))]
    assert 15_000 < len(text) <= 20_000
    (receipt,) = [action.receipt for action in turn if isinstance(action, WriteReceipt)]
    assert [fate for _, fate in receipt.held].count(Fate.TOO_MUCH) == 1


@pytest.mark.parametrize("text", ["a", ""])
def test_what_is_typed_over_nothing_is_one_text_and_bounded(text: str) -> None:
    def typed(times: int) -> Floor:
        floor = Floor()
        told(floor, (1.0, e.TextTyped("first")), (1.1, e.TextTyped("second")))
        told(floor, *((1.2, e.TextTyped(text)) for _ in range(times)))
        return floor

    (answered,) = told(typed(30_000), (2.1, e.AlarmRang()))
    assert isinstance(answered, AnswerTyped)
    assert len(answered.text) <= CHARACTERS
    begins = 1.3, e.SpeechRequested("n1")
    assert work(typed(1000), begins) <= 3 * work(typed(1), begins)


@pytest.mark.parametrize("said", ["mm-hm", TEXT])
def test_backchannels_and_echoes_are_held_apart_and_bounded(said: str) -> None:
    sound = e.CallerStarted(), e.CallerStopped()  # without one, the same words are a final that was given twice
    floor = flooded(playing(), lambda number: (e.TextTyped(f"hello {number}"), *sound, e.WordsHeard(said)), 1000)
    assert len(floor.progress("n1").held) <= MOST
    assert [fate for _, fate in receipt(told(floor, *ended(61.0, 60.0))).held].count(Fate.TOO_MUCH) == 1


def test_spoken_words_are_one_turn_and_the_excess_is_on_record() -> None:
    floor = playing()
    said = [f"number {number:04d} of what I say" for number in range(1000)]
    for number, text in enumerate(said):
        at = 2.0 + 0.05 * number
        told(floor, (at, e.CallerStarted()), (at + 0.02, e.CallerStopped()), (at + 0.03, e.WordsHeard(text)))
    turn = told(floor, *ended(61.0, 60.0))
    (delivered,) = [action for action in turn if isinstance(action, DeliverTurn)]
    words = " ".join(held.text for held in delivered.words)
    kept = [text for text in said if text in words]
    assert words == " ".join(kept) == " ".join(said[: len(kept)])
    assert 15_000 < len(words) <= 20_000
    assert [fate for _, fate in receipt(turn).held].count(Fate.TOO_MUCH) == 1


def test_a_receipt_lists_so_many_keys_and_says_that_there_were_more() -> None:
    floor = playing()
    for number in range(3 * KEYS):
        told(floor, (2.0 + number / 100, e.KeysPressed("5")))
    fates = [fate for held, fate in receipt(told(floor, *ended(61.0, 60.0))).held if held.kind is Kind.PRESSED]
    assert fates == [Fate.RECORDED] * KEYS + [Fate.TOO_MUCH]


def test_words_after_the_question_are_not_joined_to_those_before() -> None:
    floor = asking()
    for number in range(20):
        told(floor, (2.0 + number, e.CallerStarted()), (2.4 + number, e.CallerStopped()))
        told(floor, (2.5 + number, e.WordsHeard(f"what is {number}")))
    told(floor, *ended(61.0, 60.0))
    told(floor, (61.6, e.CallerStarted()), (62.2, e.WordsHeard("yes")), (62.3, e.CallerStopped()))
    actions = told(floor, (63.5, e.AlarmRang()))
    assert [one.receipt.choice for one in actions if isinstance(one, EndQuestion)] == ["yes"]


def test_finals_that_are_given_again_and_again_are_on_record_once_too_many() -> None:
    floor = flooded(playing(), FLOODS["finals given twice"], 3 * KEYS)
    fates = [fate for _, fate in receipt(told(floor, *ended(61.0, 60.0))).held]
    assert fates == [Fate.REPEATED] * KEYS + [Fate.TOO_MUCH, Fate.DELIVERED]


def test_of_a_text_that_is_too_long_a_receipt_keeps_the_beginning() -> None:
    floor = playing()
    told(floor, (2.0, e.TextTyped("x" * 10_000_000)))
    ((held, fate),) = receipt(told(floor, *ended(61.0, 60.0))).held
    assert (fate, held.text) == (Fate.TOO_MUCH, "x" * LEFT_OUT)

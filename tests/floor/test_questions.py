"""The laws of answering, over random calls, and the mutants that each of them kills."""

import inspect
import os
from collections.abc import Callable

import pytest

from harness import questions as laws
from harness.mutants import mutated
from hearout._floor import floor, pressed, question

CALLS = min(600, int(os.environ.get("HEAROUT_ORDERS", "600")))
LAWS = (
    laws.ends_once,
    laws.no_choice_from_before,
    laws.silence_is_no_choice,
    laws.asked_as_often_as_allowed,
    laws.what_was_said_is_recorded,
    laws.acknowledged_once_and_after_its_end,
    laws.a_machine_answers_nothing,
)


def test_the_laws_of_answering_hold_in_random_calls() -> None:
    for seed in range(CALLS):
        call = laws.asked(seed)
        for law in LAWS:
            law(call)


def test_the_random_calls_end_in_every_way() -> None:
    receipts = [one.receipt for seed in range(min(400, CALLS)) for one in laws.asked(seed).ends]

    assert {one.outcome for one in receipts} == set(question.AskOutcome)
    assert {one.basis for one in receipts} == set(question.Basis)
    assert {said.verdict for one in receipts for said in one.answers} >= {"yes", "no", "hold-off", "aside", "unclear"}


MUTANTS: dict[str, tuple[str, str, Callable[[laws.Asked], None]]] = {
    "counts what began before the question had been asked": (
        "is_early = self._is_early(one, piece.held)",
        "is_early = False",
        laws.no_choice_from_before,
    ),
    "counts from the beginning of the attempt": (
        "one.since = at if one.utterance.question_asked_at is None else one.utterance.question_asked_at",
        "one.since = one.utterance.started_at or 0.0",
        laws.no_choice_from_before,
    ),
    "counts keys whenever they are pressed": (
        "early = asked_at is None or at < max",
        "early = False and at < max",
        laws.no_choice_from_before,
    ),
    "takes the newest words only": (
        "one.judge(words.join(piece.held.text for piece in own)",
        'one.judge((own[-1].held.text if own else "")',
        laws.no_choice_from_before,
    ),
    "forgets a refusal that began too early": (
        "return any(judge(piece.held.text, language, expected).meaning is Meaning.NO for piece in early)",
        "return False",
        laws.no_choice_from_before,
    ),
    "lets a key win over a refusal": (
        "return said if refuses else",
        "return by_keys if refuses else",
        laws.no_choice_from_before,
    ),
    "takes silence for a yes": (
        'implied = asked.implied if outcome is AskOutcome.SILENT and not self.answers else ""',
        'implied = "yes" if outcome is AskOutcome.SILENT else ""',
        laws.silence_is_no_choice,
    ),
    "asks without an end": (
        "return self.counted < self.asked.attempts",
        "return self.counted < self.asked.attempts + 1",
        laws.asked_as_often_as_allowed,
    ),
    "asks over the caller": (
        "if heard.talking and at < one.deadline + LONGEST:",
        "if False:",
        laws.asked_as_often_as_allowed,
    ),
    "forgets to ring": (
        "            yield self.next_alarm\n",
        "            yield from ()\n",
        laws.ends_once,
    ),
    "calls an early yes a yes": (
        'meaning = "unclear" if said.early and verdict.meaning in _DECISIVE else verdict.meaning.value',
        "meaning = verdict.meaning.value",
        laws.what_was_said_is_recorded,
    ),
    "lets what was cut short be acknowledged": (
        "one.outcome is Outcome.FINISHED and (button",
        "(button",
        laws.acknowledged_once_and_after_its_end,
    ),
    "acknowledges as often as somebody presses": (
        "del self._due[name]\n",
        "pass\n",
        laws.acknowledged_once_and_after_its_end,
    ),
    "asks a machine": (
        "if self._heard.by_machine and not is_being_said:",
        "if False:",
        laws.a_machine_answers_nothing,
    ),
    "lets a machine acknowledge": (
        "if self._heard.by_machine:\n            fate = Fate.MACHINE",
        "if False:\n            fate = Fate.MACHINE",
        laws.a_machine_answers_nothing,
    ),
    "takes no button for an acknowledgement": (
        "event.choice == ACKNOWLEDGED and event.id in self._due",
        "False",
        laws.acknowledged_once_and_after_its_end,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_rules_is_killed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, law = MUTANTS[name]
    which, name = (question, "Questions") if old in inspect.getsource(question) else (pressed, "Pressed")
    monkeypatch.setattr(floor, name, getattr(mutated(which, old, new), name))

    def calls() -> None:
        for seed in range(1200):
            law(laws.asked(seed))

    with pytest.raises((AssertionError, AttributeError, RecursionError)):
        calls()

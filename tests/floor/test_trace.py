"""A recorded call can be played again on a floor, and does the same."""

import json
import os
from typing import Any

import pytest

from harness import replay
from harness.orders import POLICY, to_its_end
from harness.replay import replayed
from harness.scenes import CONSENT, QUESTION, Announcing, Working, call, reading
from hearout import Answer, Choices, CutIn
from hearout._floor import events as e
from hearout._floor import trace
from hearout._floor.floor import Floor
from hearout.testing import STT, Do, Noise, Outage, Say, Type, first_sound, from_end

CALLS = min(200, int(os.environ.get("HEAROUT_ORDERS", "200")))


@pytest.mark.parametrize(
    ("caller", "agent", "more"),
    [
        ([Say(first_sound(1.0), QUESTION), Say(from_end(-0.3), "and how long")], Announcing, {}),
        ([Say(first_sound(1.0), "yes"), Type(first_sound(3.0), "hello"), Noise(first_sound(4.0), 0.5)], Announcing, {}),
        ([Say(first_sound(1.0), "yes")], lambda: Announcing(CONSENT), {}),
        ([Say(first_sound(1.0), QUESTION)], Working, {"stt": STT(outages=(Outage(0.5, 3.0),))}),
        ([Do(first_sound(2.0), lambda session: session.user_left())], Announcing, {}),
    ],
)
def test_a_recorded_call_replays_to_the_same_actions(caller: Any, agent: Any, more: Any) -> None:
    lines: list[str] = []

    call(*caller, agent=agent, on_floor=lambda at, what: lines.append(trace.line(at, what)), **more)

    assert any("WriteReceipt" in line for line in lines)
    assert list(replayed(lines)) == []


def test_random_calls_replay_to_the_same_actions() -> None:
    for seed in range(CALLS):
        happened = to_its_end(bytes((seed * 7 + k * k * 31) % 256 for k in range(120)))
        lines = []
        for step in happened.steps:
            lines += [trace.line(step.at, what) for what in (step.event, *step.actions)]
        assert list(replayed(lines, POLICY)) == []


def test_a_question_replays_to_the_same_actions() -> None:
    async def read(session: Any) -> None:
        await session.ask("Sales or support?", id="which", choices=Choices("sales", "support", keys={"1": "sales"}))

    lines: list[str] = []
    acts = (Say(first_sound(3.0), "why do you ask"), Say(first_sound(9.0), "support"))
    call(*acts, agent=reading(read), on_floor=lambda at, what: lines.append(trace.line(at, what)))

    assert any("EndQuestion" in line and "support" in line for line in lines)
    assert list(replayed(lines)) == []


def test_another_decision_than_the_recorded_one_is_told() -> None:
    lines = [
        trace.line(0.0, e.SpeechRequested("n1", CutIn(phrases=("operator",), keys="0", after=2.0), Answer.NOTE)),
        json.dumps({"at": 0.0, "action": "LetGo", "is": "LetGo(commit=False)"}),
        trace.line(1.0, e.AlarmRang()),
        json.dumps({"at": 1.0, "action": "LetGo", "is": "LetGo(commit=True)"}),
    ]

    assert list(replayed(lines)) == [
        ("LetGo(commit=False)", "Hold(leftover=False)"),
        ("LetGo(commit=True)", "nothing"),
    ]
    assert list(replayed(lines[:1])) == [("nothing", "Hold(leftover=False)")]
    assert list(replayed([lines[0], lines[2]])) == [("nothing", "Hold(leftover=False)")]


def test_what_an_event_says_survives_the_trace() -> None:
    floor, other = Floor(), Floor()
    asked = e.SpeechRequested("n1", CutIn(phrases=("operator",), keys="0", after=2.0), Answer.NOTE)
    floor.apply(asked, 0.0)
    list(replayed([trace.line(0.0, asked)]))
    read = replay._event(json.loads(trace.line(0.0, asked)))
    other.apply(read, 0.0)

    assert read == asked

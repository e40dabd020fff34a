"""Announcements that come again: the laws over random calls, and the mutants that each of them kills."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from harness.mutants import mutated
from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._floor import floor, repeats
from hearout.policy import Policy

EVERY, LENGTH, CALLS = 20.0, 3.0, 300


@dataclass
class Heard:
    """One random call, as it is known from outside the floor."""

    floor: floor.Floor
    draw: random.Random
    at: float = 0.0
    talking: float | None = None
    """Since when the caller talks, with words."""
    silent: float = 0.0
    busy: bool = False
    passed: bool = False
    due: float | None = None
    said: int = 0
    stopped: bool = False
    faults: list[str] = field(default_factory=list)

    def apply(self, event: e.Event) -> None:
        """Feed one event, and say the announcement where the floor wants it."""
        for action in self.floor.apply(event, self.at):
            if isinstance(action, a.SayAgain):
                self._judge()
                assert len(self.faults) < 5, self.faults
                if self.draw.random() < 0.8:  # LiveKit may refuse
                    self.say(f"notice#{self.said}", repeats="notice")

    def _judge(self) -> None:
        if self.talking is not None:
            self.faults.append(f"over the caller at {self.at}")
        if self.busy or (self.passed and self.at < self.silent + 10.0) or self.at < self.silent + 1.0:
            self.faults.append(f"in no pause at {self.at}")
        if self.due is None or self.at < self.due - 1e-6 or self.stopped:
            self.faults.append(f"too soon, or stopped, at {self.at}")

    def say(self, name: str, repeats: str = "") -> None:
        """Say it to its end."""
        self.said, self.due = self.said + 1, None
        self.apply(e.SpeechRequested(name, text="Very well.", every=EVERY, repeats=repeats))
        self.apply(e.AudioMade(name, LENGTH, complete=True))
        self.apply(e.PlayoutStarted(name))
        self.at += LENGTH
        self.apply(e.PlayoutFinished(name, LENGTH))
        self.due = self.at + EVERY
        self.apply(e.SpeechEnded(name))

    def wait(self, seconds: float) -> None:
        """Time passes; the alarms ring at their times."""
        until = self.at + seconds
        rang = 0
        while (alarm := self.floor.next_alarm) is not None and alarm <= until:
            self.at, rang = max(self.at, alarm), rang + 1
            assert rang < 200, "it rings without an end"
            self.apply(e.AlarmRang())
        self.at = max(self.at, until)

    def act(self) -> None:
        """The caller talks, LiveKit makes a turn of it, or the agent answers; now and then the operator stops it."""
        kind = self.draw.random()
        if kind < 0.5:
            self.talking = self.at
            self.apply(e.CallerStarted())
            for _ in range(self.draw.randint(1, 4)):
                self.wait(self.draw.uniform(0.3, 3.0))
                if not self.floor.holding:
                    self.passed, self.silent = True, self.at
                    self.apply(e.WordsLeftToLiveKit())
            self.talking, self.silent = None, self.at
            self.apply(e.CallerStopped())
        elif kind < 0.7 and self.passed:
            self.passed = False
            self.apply(e.TurnTaken())
            self.passed = True  # it is LiveKit's to answer until the agent does
        elif kind < 0.97:
            self.busy, self.passed = True, False
            self.apply(e.TurnTaken())
            self.apply(e.AgentChanged(busy=True))
            self.wait(self.draw.uniform(1.0, 15.0))
            self.busy = False
            self.apply(e.AgentChanged(busy=False))
        elif not self.stopped:
            self.stopped = True
            self.apply(e.StopAsked("enough", "notice"))


def call(seed: int) -> Heard:
    """A random call, and after it a minute in which nothing happens."""
    heard = Heard(floor.Floor(Policy(language="en")), random.Random(seed))
    heard.say("notice")
    for _ in range(heard.draw.randint(0, 15)):
        heard.act()
        heard.wait(heard.draw.choice((0.3, 0.7, 1.5, 5.0, 30.0)))
    heard.passed = False
    heard.apply(e.TurnTaken())
    heard.apply(e.AgentChanged(busy=False))
    return heard


def said_in_a_pause(heard: Heard) -> None:
    """R1: an announcement comes again when due, in a pause, and never after a stop."""
    assert heard.faults == []


def comes_again(heard: Heard) -> None:
    """R2: where nothing happens, an announcement comes again in time, unless it was stopped."""
    before = heard.said
    heard.wait(EVERY + 2 * repeats.AGAIN + repeats.TURN + LENGTH + 20 * repeats.AGAIN)
    assert (heard.said > before) is not heard.stopped


LAWS = (said_in_a_pause, comes_again, said_in_a_pause)


def test_the_laws_of_coming_again_hold_in_random_calls() -> None:
    for seed in range(CALLS):
        heard = call(seed)
        for law in LAWS:
            law(heard)


def test_what_another_agent_said_comes_again_after_its_time() -> None:
    known = floor.Floor()
    assert not [*known.apply(e.RepeatAsked("notice", 5.0), 1.0)]
    assert known.next_alarm == pytest.approx(6.0)
    assert [*known.apply(e.AlarmRang(), 5.9)] == []
    assert a.SayAgain("notice") in [*known.apply(e.AlarmRang(), 6.0)]


def test_what_a_vanished_caller_missed_is_owed_and_does_not_come_again() -> None:
    heard = Heard(floor.Floor(Policy(language="en")), random.Random(0))
    heard.say("notice")
    heard.apply(e.CallerLeft(known_until=1.0))
    heard.wait(2 * EVERY + Policy().timeouts.caller_return)
    assert (heard.said, heard.faults) == (1, [])


MUTANTS: dict[str, tuple[str, str, Callable[[Heard], None]]] = {
    "speaks over the caller": ("if heard.talking:", "if False:", said_in_a_pause),
    "speaks over the agent": ("if self._agent_is_busy:", "if False:", said_in_a_pause),
    "takes the caller's breath for a pause": ("PAUSE = 1.0", "PAUSE = 0.0", said_in_a_pause),
    "steps between a question and its answer": (
        "longest = TURN if passed or self._has_a_turn else PAUSE",
        "longest = PAUSE",
        said_in_a_pause,
    ),
    "comes before it is due": ("at >= max(pause, due.at)", "at >= max(pause, due.at - 4.0)", said_in_a_pause),
    "comes though it was stopped": ('        self._due.pop(name or "", None)\n', "        pass\n", said_in_a_pause),
    "gives up when LiveKit refuses once": (
        "                due.at = at + AGAIN\n",
        "                due.at = at + 1e6\n",
        comes_again,
    ),
    "forgets to ring": ("            yield max(pause, min", "            return; yield max(pause, min", comes_again),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_coming_again_is_killed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, law = MUTANTS[name]
    monkeypatch.setattr(floor, "Repeats", mutated(repeats, old, new).Repeats)

    def calls() -> None:
        for seed in range(CALLS):
            law(call(seed))

    with pytest.raises((AssertionError, RecursionError)):
        calls()

"""Pressed keys and buttons of the caller: each cuts in, answers a question, acknowledges an utterance, or is recorded.

An acknowledgement is a question with one choice, asked by the utterance itself once it was said to its end. It holds
nothing and waits for nothing: words are no acknowledgement, and the agent goes on meanwhile.
"""

from collections.abc import Iterator

from ..receipts import Fate, Held, Kind, Outcome
from . import actions as a
from . import events as e
from .actions import Action
from .held import HeldWords
from .question import Questions
from .state import Queue
from .utterance import Utterance

ACKNOWLEDGED = "acknowledged"
"""The one choice of an acknowledgement."""


class Pressed:
    """The keys and buttons of one call."""

    def __init__(self, questions: Questions, queue: Queue, heard: HeldWords) -> None:
        self._questions, self._queue, self._heard = questions, queue, heard
        self._due: dict[str, str] = {}
        """The keys that acknowledge an utterance, by its id."""
        self._given: list[str] = []

    def note(self, event: e.KeysPressed | e.ChoicePressed, at: float, owner: Utterance, *, holding: bool) -> None:
        """Note a pressed key or button, and settle its fate; it is put on record while the floor holds."""
        if isinstance(event, e.KeysPressed):
            held, of, keys = Held(event.digits, at, Kind.PRESSED), "", event.digits
        else:
            held, of, keys = Held(event.choice, at, Kind.BUTTON), event.id, ""
        fate = Fate.RECORDED
        if self._heard.by_machine:
            fate = Fate.MACHINE
        elif owner in self._queue.open() and owner.cut_by_keys(keys):
            fate = Fate.CUT_IN
        elif self._questions.pressed(held, of):
            fate = Fate.JUDGED
        else:
            self._acknowledge(event)
        if holding:
            self._heard.settled.append((held, fate, owner))

    def _acknowledge(self, event: e.KeysPressed | e.ChoicePressed) -> None:
        """A key acknowledges all that it may, a button its own utterance."""
        if isinstance(event, e.KeysPressed):
            given = [name for name, keys in self._due.items() if set(keys) & set(event.digits)]
        else:
            given = [event.id] if event.choice == ACKNOWLEDGED and event.id in self._due else []
        for name in given:
            del self._due[name]
        self._given += given

    def offer(self, one: Utterance) -> Iterator[Action]:
        """An utterance is over: the caller may acknowledge it, where that was asked for and all of it was said."""
        button, keys = one.request.acknowledge, one.request.acknowledge_keys
        if one.outcome is Outcome.FINISHED and (button or keys):
            self._due[one.id] = keys
            yield a.OfferChoices(one.id, ((ACKNOWLEDGED, button),) if button else (), keys)

    def settle(self, _at: float) -> Iterator[Action]:
        given, self._given = self._given, []
        for name in given:
            yield a.NoteAcknowledgement(name)

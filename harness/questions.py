"""Random calls in which questions are asked of a floor, and the laws of answering, as checks on what it decided."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._floor.answering import Expected
from hearout._floor.floor import Floor
from hearout._floor.question import LONGEST
from hearout._floor.utterance import ONSET
from hearout.policy import Policy, Redeliver
from hearout.receipts import AskAttempt, AskOutcome, Basis, GivenAnswer, Kind, QuestionReceipt

YES = ("yes", "sure", "okay yes")
NO = ("no", "not okay", "okay no wait")
OTHER = ("the blue parrot", "one moment", "why do you ask", "mm-hm", "")
TEXTS = ("May we record this call?", "May we record this call? It is kept for thirty days.")
LENGTH = 4.0
"""Seconds of each attempt; where a second sentence follows, the question takes the first half."""


@dataclass
class Asked:
    """What is known of the questions of one call, from outside the floor."""

    floor: Floor
    draw: random.Random
    at: float = 0.0
    talking: bool = False
    began: float = 0.0
    attempts: dict[str, int] = field(default_factory=dict)
    extra: dict[str, int] = field(default_factory=dict)
    """Attempts that do not count: after an aside, or a return."""
    asked_at: dict[str, float] = field(default_factory=dict)
    """By the question's id, the second at which its last attempt had been asked."""
    waits: list[tuple[str, str]] = field(default_factory=list)
    """Attempts that are to be said: the question, and the utterance."""
    said: list[tuple[float, str]] = field(default_factory=list)
    """What the caller said or pressed, with when it began."""
    events: dict[str, e.QuestionAsked] = field(default_factory=dict)
    ends: list[a.EndQuestion] = field(default_factory=list)
    over_the_caller: list[float] = field(default_factory=list)
    notice_over: float | None = None
    """When the notice had been said to its end, which "7" or its button acknowledges."""
    pressed: list[tuple[float, str]] = field(default_factory=list)
    """What acknowledges it, and when it was pressed."""
    acknowledged: list[float] = field(default_factory=list)
    returned: int = 0
    machine: bool = False
    """Whether an answering machine is at the telephone."""
    to_a_machine: list[a.EndQuestion | a.NoteAcknowledgement] = field(default_factory=list)
    """What was decided while it was."""

    def apply(self, event: e.Event) -> None:
        """Feed one event, and answer what the floor decides as a session does."""
        for action in self.floor.apply(event, self.at):
            if self.machine and isinstance(action, a.EndQuestion | a.NoteAcknowledgement):
                self.to_a_machine.append(action)
            match action:
                case a.AskQuestion():
                    number = self.attempts[action.id] = self.attempts.get(action.id, 0) + 1
                    self.asked_at.pop(action.id, None)
                    self.waits.append((action.id, f"{action.id}#{number}"))
                    if number > 1 and self.talking and self.at < self.began + LONGEST:
                        self.over_the_caller.append(self.at)
                case a.AnswerAside():
                    self.extra[action.id] = self.extra.get(action.id, 0) + 1
                case a.EndQuestion():
                    self.ends.append(action)
                case a.NoteAcknowledgement():
                    self.acknowledged.append(self.at)
                case _:
                    pass

    def say(self) -> None:
        """Say an attempt that waits, to its end, unless the caller's acts fall into it."""
        name, utterance = self.waits.pop(0)
        text = self.events[name].text
        self.apply(e.SpeechRequested(utterance, text=text, question=name, redeliver=Redeliver.NEVER))
        if "." in text:
            self.apply(e.SentencePlaced(utterance, 0.0, text[: text.index("?") + 1]))
            self.apply(e.SentencePlaced(utterance, LENGTH / 2, text[text.index("?") + 2 :]))
        self.apply(e.AudioMade(utterance, LENGTH, complete=True))
        self.apply(e.PlayoutStarted(utterance))
        began = self.at
        if self.draw.random() < 0.4:
            self.wait(self.draw.uniform(0.2, LENGTH - 0.8))
            self.act()
        self.at = max(self.at, began + LENGTH)
        self.apply(e.PlayoutFinished(utterance, LENGTH))
        self.apply(e.SpeechEnded(utterance))
        self.asked_at[name] = began + (LENGTH / 2 if "." in text else LENGTH)

    def notice(self, *, whole: bool) -> None:
        """Say a notice that is to be acknowledged; the caller presses the key in the middle of it, too."""
        self.apply(e.SpeechRequested("notice", text="Very well.", acknowledge="OK", acknowledge_keys="7"))
        self.apply(e.AudioMade("notice", LENGTH, complete=True))
        self.apply(e.PlayoutStarted("notice"))
        self.at += LENGTH / 2
        self.press(e.KeysPressed("7"), "7")
        self.at += LENGTH / 2
        self.apply(e.PlayoutFinished("notice", LENGTH))
        self.notice_over = self.at if whole else None
        self.apply(e.SpeechEnded("notice", interrupted=not whole))

    def press(self, event: e.KeysPressed | e.ChoicePressed, text: str) -> None:
        """The caller presses a key or a button."""
        self.said.append((self.at, text))
        if text in ("7", "acknowledged") and not self.machine:
            self.pressed.append((self.at, text))
        self.apply(event)

    def wait(self, seconds: float) -> None:
        """Time passes; the alarms ring at their times."""
        until = self.at + seconds
        while (alarm := self.floor.next_alarm) is not None and alarm <= until:
            self.at = max(self.at, alarm)
            self.apply(e.AlarmRang())
            if self.waits:
                return
        self.at = max(self.at, until)

    def act(self) -> None:
        """The caller does something, or something happens."""
        kind = self.draw.random()
        if kind < 0.65:
            words = self.draw.choice(self.draw.choice((YES, NO, OTHER)))
            self.talking, self.began = True, self.at
            self.apply(e.CallerStarted())
            began = self.at
            self.wait(0.3 + 0.2 * len(words.split()))
            if words:
                self.said.append((began, words))
                self.apply(e.WordsHeard(words, "en"))
            self.talking = False
            self.apply(e.CallerStopped())
        elif kind < 0.78:
            digit = self.draw.choice("127")
            self.press(e.KeysPressed(digit), digit)
        elif kind < 0.85:
            of, choice = self.draw.choice((("q0", "yes"), ("q0", "no"), ("q1", "yes"), ("notice", "acknowledged")))
            self.press(e.ChoicePressed(of, choice), choice)
        elif kind < 0.9:
            self.returned += 1
            self.apply(e.CallerLeft())
            self.wait(self.draw.choice((1.0, 30.0)))
            self.machine = False
            self.apply(e.CallerReturned())
        elif kind < 0.92:
            self.apply(e.ShutdownAsked(drain=self.draw.random() < 0.5))
        elif kind < 0.94:
            self.apply(e.StopAsked("a person pressed stop"))
        elif kind < 0.96 and self.events:
            self.apply(e.QuestionFailed(self.draw.choice(list(self.events))))
        elif kind < 0.98:
            self.machine = self.draw.random() < 0.7
            self.apply(e.AnsweredBy(machine=self.machine))
        else:
            self.apply(e.TextTyped("yes"))
            self.said.append((self.at, "yes"))


def asked(seed: int, *, floor: type[Floor] = Floor) -> Asked:
    """A random call with one question or two, to its end."""
    draw = random.Random(seed)
    call = Asked(floor(Policy(language="en")), draw)
    if draw.random() < 0.4:
        call.notice(whole=draw.random() < 0.8)
    for number in range(draw.choice((1, 1, 2))):
        event = e.QuestionAsked(
            f"q{number}",
            text=draw.choice(TEXTS),
            expected=Expected(yes_no=True),
            keys=(("1", "yes"), ("2", "no")),
            attempts=draw.randint(1, 3),
            wait=draw.choice((3.0, 6.0)),
            aside=draw.random() < 0.7,
            implied=draw.choice(("", "", "yes")),
        )
        call.events[event.id] = event
        call.apply(event)
    for _ in range(draw.randint(0, 12)):
        if call.waits and draw.random() < 0.95:
            call.say()
        call.act()
        call.wait(draw.choice((0.1, 0.4, 1.0, 2.0, 5.0, 9.0)))
    quiet = 0
    while call.waits or call.floor.next_alarm is not None:
        quiet += 1
        assert quiet < 200, "the floor is never quiet again"
        call.say() if call.waits else call.wait(max(0.0, (call.floor.next_alarm or 0.0) - call.at))
    return call


def ends_once(call: Asked) -> None:
    """Q1: every question ends exactly once, and the floor is free again."""
    assert sorted(one.receipt.id for one in call.ends) == sorted(call.events), "not one end each"
    assert not call.floor.holding, "the floor is still held"


def no_choice_from_before(call: Asked) -> None:
    """Q2: a choice rests on words or keys that began after the question had been asked, and that make it."""
    for one in call.ends:
        receipt = one.receipt
        assert (receipt.outcome is AskOutcome.ANSWERED) == (receipt.basis is Basis.GIVEN), receipt
        if receipt.basis is not Basis.GIVEN:
            continue
        last = receipt.attempts[-1].asked_at
        assert last is not None
        counted = [said for said in receipt.answers if not said.early and said.attempt == len(receipt.attempts) - 1]
        assert counted, "a choice without words"
        for said in counted:
            margin = ONSET if said.kind is Kind.SPOKEN else 0.0
            assert said.began_at >= last + margin - 1e-6, f"it began before the question had been asked: {said}"
        made = {"1": "yes", "2": "no"} | dict.fromkeys(YES, "yes") | dict.fromkeys(NO, "no")
        assert receipt.choice in [made.get(said.text) for said in counted], f"nobody said so: {receipt}"
        if receipt.choice == "yes":
            last_time = [said for said in receipt.answers if said.attempt == len(receipt.attempts) - 1]
            in_words = [said for said in last_time if said.kind in (Kind.SPOKEN, Kind.TYPED)]
            refusals = [said for said in in_words if made.get(said.text) == "no"]
            assert not refusals, f"a refusal was overheard: {receipt}"


def silence_is_no_choice(call: Asked) -> None:
    """Q3: without words or keys there is no choice, unless the program takes silence for one and nothing was said."""
    for one in call.ends:
        receipt, event = one.receipt, call.events[one.receipt.id]
        if receipt.basis is Basis.IMPLIED:
            assert event.implied, receipt
            assert not receipt.answers, receipt
            assert receipt.outcome is AskOutcome.SILENT, receipt
        if receipt.basis is Basis.NONE:
            assert not receipt.choice, receipt


def asked_as_often_as_allowed(call: Asked) -> None:
    """Q4: it is asked no more often than it may be, and never over the caller."""
    for name, number in call.attempts.items():
        more = call.extra.get(name, 0) + call.returned
        assert number <= call.events[name].attempts + more, f"{name} is asked {number} times"
    assert not call.over_the_caller, f"asked over the caller at {call.over_the_caller}"


def _runs(call: Asked) -> Iterator[tuple[float, str]]:
    """Runs of what was said one after the other, each with the second of its beginning: too many pieces are joined."""
    for first, (at, _) in enumerate(call.said):
        for last in range(first, len(call.said)):
            yield at, " ".join(words for _, words in call.said[first : last + 1])


def what_was_said_is_recorded(call: Asked) -> None:
    """Q5: what a receipt says was said, was said then or later; and an early answer is never called a choice."""
    for one in call.ends:
        for answer in one.receipt.answers:
            assert any(answer.text == words and answer.began_at <= at + 1e-6 for at, words in _runs(call)), answer
            assert answer.verdict, answer
            assert not (answer.early and answer.verdict in ("yes", "no", "choice")), answer


def acknowledged_once_and_after_its_end(call: Asked) -> None:
    """Q6: an acknowledgement is noted once, when it is pressed, and of nothing that was not said to its end."""
    assert len(call.acknowledged) <= 1, f"acknowledged {len(call.acknowledged)} times"
    for at in call.acknowledged:
        assert call.notice_over is not None, "what was cut short was acknowledged"
        assert at >= call.notice_over, "acknowledged before its end"
        assert at in [pressed for pressed, _ in call.pressed], "nobody pressed anything"
    buttons = [at for at, text in call.pressed if text == "acknowledged" and at >= (call.notice_over or at)]
    if call.notice_over is not None and buttons:
        assert call.acknowledged, "a press was lost"


def a_machine_answers_nothing(call: Asked) -> None:
    """Q7: while an answering machine is at the telephone, nothing is answered and nothing acknowledged."""
    for one in call.to_a_machine:
        assert isinstance(one, a.EndQuestion), "a machine acknowledged"
        assert (one.receipt.choice, one.receipt.outcome) == ("", AskOutcome.MACHINE), one.receipt


CONSENT_GIVEN = QuestionReceipt(
    "consent",
    "3",
    AskOutcome.ANSWERED,
    "yes",
    Basis.GIVEN,
    text="May we record this call?",
    language="en",
    choices=("yes", "no"),
    rules="1",
    asked_for_at=0.1,
    decided_at=4.5,
    attempts=(AskAttempt("consent", 3.0, spans=((0.5, 3.0),), level="played"),),
    answers=(
        GivenAnswer(
            "yes", Kind.SPOKEN, 0, 3.6, 4.0, 4.2, stt="an STT", confidence=0.9, verdict="yes", rule="agreement"
        ),
    ),
    delay=1.5,
    call="room-1",
    entry="e1",
)
CONSENT_SILENT = QuestionReceipt("consent", "3", AskOutcome.SILENT, text=CONSENT_GIVEN.text, call="room-2", entry="e2")

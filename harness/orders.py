"""Random orders of events, and what a call that is fed to a floor leaves behind: what the laws are checked on."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hearout._floor import events as e
from hearout._floor.actions import Action, Reopen, Resume
from hearout._floor.floor import Floor
from hearout._floor.held import REPEAT_WINDOW
from hearout.policy import Answer, CutIn, Policy, Redeliver
from hearout.receipts import Cause

POLICY = Policy(model_calls=3, language="en")
NOTICE = "This call is recorded for training. Your data is kept for thirty days. Do you agree to that?"
PLAIN = "Please hold the line while we look up the account that you have asked about."
PAUSES = (0.0, 0.02, 0.02, 0.1, 0.3, 0.3, 0.6, 1.2) * 3 + (0.0, 0.1, 0.5, 1.0, 2.4, 3.1, 7.0, 11.0)
CUT_INS = (None, None, CutIn(phrases=("operator",)), CutIn(keys="0"), CutIn(after=2.0))
REDELIVER = (None, None, Redeliver.FROM_START, Redeliver.NEVER)
CAUSES = (None, None, None, Cause.AGENT_REMOVED, Cause.NOT_ANSWERED)
ANSWERS = (None, None, None, Answer.NOTE, Answer.DROP)


OPS = (
    *("asked", "asked", "starts", "starts", "stops", "stops", "stops", "heard", "heard", "heard", "guessed"),
    *("as guessed", "typed", "inherited", "owed", "keys", "leaves", "returns", "shutdown", "operator", "reply"),
    *("no reply", "answer", "turn", "text", "text", "question", "made", "made", "made", "plays", "plays"),
    *("plays", "progress", "played", "tool", "fails", "ended", "ended"),
)
"""What happens, as often as it stands here."""


@dataclass
class Step:
    """One event: the second, the floor's actions, and the seconds that it claims of the speech of the event."""

    at: float
    event: e.Event
    actions: list[Action]
    holding: bool
    talking: bool
    gone: bool
    took: bool = True
    claimed: float = 0.0


@dataclass
class Call:
    """A call as events for a floor, and the facts that can be seen from outside the floor."""

    floor: Floor
    steps: list[Step] = field(default_factory=list)
    at: float = 0.0
    talking: bool = False
    made: dict[str, float] = field(default_factory=dict)
    played: dict[str, float] = field(default_factory=dict)
    requested: dict[str, e.SpeechRequested] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    suspended: set[str] = field(default_factory=set)
    gone: bool = False
    shut: float | None = None
    tokens: int = 0
    first: dict[str, str] = field(default_factory=dict)
    guess: str = ""
    guessed_at: float = 0.0

    def apply(self, event: e.Event) -> Step:
        """Feed one event, as the shell does: a transcript that the floor does not take goes to LiveKit."""
        took = True
        if isinstance(event, e.WordsHeard | e.WordsGuessed):
            took = self.floor.takes(event.text, self.at)
            if not took:
                event = e.WordsLeftToLiveKit(event) if isinstance(event, e.WordsHeard) else e.AlarmRang()
        self._witness(event)
        actions = self.floor.apply(event, self.at)
        for action in actions:
            if isinstance(action, Reopen):
                self._owe_again(action)
            if isinstance(action, Resume):  # LiveKit begins a new attempt
                self.ended.discard(action.id)
                self.suspended.discard(action.id)
        claimed = self.floor.progress(event.id).played if isinstance(event, e.OfSpeech) else 0.0
        self.steps.append(Step(self.at, event, actions, self.floor.holding, self.talking, self.gone, took, claimed))
        return self.steps[-1]

    def _owe_again(self, action: Reopen) -> None:
        """Speech under the new id begins where the caller missed the rest."""
        self.requested[action.id] = replace(self.requested[action.of], id=action.id)
        self.first[action.id] = action.of
        for seconds in (self.made, self.played):
            seconds[action.id] = seconds.get(action.of, 0.0)
        self.ended.add(action.id)

    def ring_until_quiet(self) -> None:
        """No event comes any more; only the alarms ring."""
        while (alarm := self.floor.next_alarm) is not None:
            assert alarm >= self.at, f"an alarm of the past: {alarm} at {self.at}"
            before = self.at, repr(vars(self.floor))
            self.at = alarm
            self.apply(e.AlarmRang())
            assert before[0] < self.at or self.floor.next_alarm != alarm or self.steps[-1].actions, "an alarm in vain"

    def open(self) -> set[str]:
        """Ids of what is owed, from outside: asked for, not ended, not suspended."""
        return set(self.requested) - self.ended - self.suspended

    def _witness(self, event: e.Event) -> None:
        match event:
            case e.SpeechRequested():
                self.requested.setdefault(event.id, event)
            case e.SpeechEnded():
                self.ended.add(event.id)
            case e.SpeechSuspended():
                self.suspended.add(event.id)
            case e.AudioMade() | e.PlayoutStarted() | e.TextKnown() | e.TextSent() | e.ModelAsked():
                self.suspended.discard(event.id)
            case e.CallerStarted():
                self.talking = True
            case e.CallerStopped():
                self.talking = False
            case e.CallerLeft():
                self.gone, self.talking = True, False
            case e.CallerReturned():
                self.gone = False
            case e.ShutdownAsked():
                self.shut = self.at if self.shut is None else self.shut


def decoded(order: bytes, call: Call, *, protected: bool = True) -> Iterator[e.Event]:
    """The events of an order: two bytes each, for the event and the delay. Each transcript is a new word."""
    if protected and order[:1] and order[0] % 4 == 0:
        yield from _whole(call)
    for what, much in zip(order[::2], order[1::2], strict=False):
        call.at = round(call.at + PAUSES[much & 31], 6)
        event = _event(what, much >> 3, call)
        if protected or not isinstance(event, e.SpeechRequested | e.ReplyExpected | e.UnfinishedFound):
            yield event


def _whole(call: Call) -> Iterator[e.Event]:
    """An utterance that is said from its beginning to its end: random events rarely make one."""
    whole = (
        e.SpeechRequested("n0", text=NOTICE),
        e.TextKnown("n0", NOTICE),
        e.AudioMade("n0", 6.0, complete=True),
        e.PlayoutStarted("n0"),
        e.PlayoutFinished("n0", 6.0),
        e.SpeechEnded("n0"),
    )
    call.made["n0"] = call.played["n0"] = 6.0
    for later, event in zip((0.0, 0.1, 0.1, 0.2, 6.0, 0.0), whole, strict=True):
        call.at = round(call.at + later, 6)
        yield event


def played(order: bytes, *, protected: bool = True, floor: type[Floor] = Floor) -> Call:
    """A call with these events, in this order."""
    call = Call(floor(POLICY))
    for event in decoded(order, call, protected=protected):
        call.apply(event)
    return call


def to_its_end(order: bytes, *, floor: type[Floor] = Floor) -> Call:
    """A call with these events, in this order, and what follows when only the alarms ring any more."""
    return ended(played(order, floor=floor))


def vanished(order: bytes, *, floor: type[Floor] = Floor) -> Call:
    """The call to its end, in the middle of which an utterance ends, and the caller proves to have been gone before.

    Events in any order seldom come to that.
    """
    call = Call(floor(POLICY))
    half = len(order) // 4 * 2
    for event in decoded(order[:half], call):
        call.apply(event)
    much = sum(order) % 64
    for event in _said_to_nobody(much, call):
        call.apply(event)
    for event in decoded(order[half:], call):
        call.apply(event)
    return ended(call)


def _said_to_nobody(much: int, call: Call) -> Iterator[e.Event]:
    name = f"n{len(call.requested)}"
    yield e.SpeechRequested(name, redeliver=REDELIVER[much % 4], text=NOTICE)
    yield e.AudioMade(name, 6.0, complete=True)
    yield e.PlayoutStarted(name)
    call.made[name] = call.played[name] = 6.0
    call.at = round(call.at + 6.0, 6)
    yield e.PlayoutFinished(name, 6.0)
    yield e.SpeechEnded(name)
    call.at = round(call.at + much % 5, 6)
    yield e.CallerLeft(call.at - much / 8)
    if much % 3:
        yield e.CallerReturned()


def ended(call: Call) -> Call:
    """The call, and what follows when nothing happens any more but the alarms."""
    call.ring_until_quiet()
    # what waits for a tool or for the caller's task has no alarm: it ends when its task does
    for name in sorted(set(call.requested) - call.ended):
        call.apply(e.SpeechEnded(name))
    call.ring_until_quiet()
    return call


def late_event(call: Call, choice: int) -> e.Event:
    """A report of something that is over in this call, or never was."""
    over = sorted(call.ended & set(call.requested)) or ["never"]
    name = over[choice % len(over)]
    reports: tuple[e.Event, ...] = (
        e.SpeechQueued(name),
        e.TextKnown(name, "late"),
        e.SentencePlaced(name, 1.0, "Do you agree to that?"),
        e.AudioMade(name, 9.0),
        e.PlayoutStarted(name),
        e.PlayoutProgressed(name, 9.0),
        e.PlayoutFinished(name, 9.0),
        e.ToolCalled(name),
        e.TextSent(name),
        e.ModelAsked(name),
        e.SpeechSuspended(name),
        e.VoiceFailed(name, "voice"),
        e.SpeechEnded(name),
        e.SpeechEnded(name, interrupted=True),
        e.SpeechRequested(name) if name != "never" else e.SpeechEnded(name),
    )
    return reports[choice % len(reports)]


def _event(what: int, much: int, call: Call) -> e.Event:  # noqa: C901 - a table
    match OPS[what % len(OPS)]:
        case "asked":
            # most ids are new: an id is used once in a call
            name = _known(much, call) if much % 8 == 7 and call.requested else f"n{len(call.requested)}"
            return e.SpeechRequested(
                name, CUT_INS[much % 5], ANSWERS[(much // 5) % 5], REDELIVER[much % 4], _text(much)
            )
        case "starts":
            return e.CallerStarted()
        case "stops":
            return e.CallerStopped()
        case "heard":
            call.guess = ""  # finals come in the order in which things were said
            return e.WordsHeard(_words(much, call))
        case "guessed":
            if not (much % 2 and call.at < call.guessed_at + REPEAT_WINDOW):
                call.guess, call.guessed_at = _words(much, call), call.at
            return e.WordsGuessed(call.guess)
        case "as guessed":
            # a final that is later than this is a turn of its own
            text, call.guess = call.guess if call.at < call.guessed_at + REPEAT_WINDOW else "", ""
            return e.WordsHeard(f"{text} {_new(call)}" if much % 2 else text)
        case "typed":
            return e.TextTyped(_words(much, call))
        case "inherited":
            return e.EarlierWords(_words(much, call))
        case "owed":
            words = tuple(_words(number, call) for number in range(much % 3))
            return e.UnfinishedFound(
                f"old{call.tokens}", _text(much), words, ANSWERS[much % 5], REDELIVER[much // 8 % 4]
            )
        case "keys":
            return e.KeysPressed("0" if much % 2 else "7")
        case "leaves":
            missed = (None, 1.0, 6.0, 21.0)[much // 4 % 4]  # LiveKit misses a caller whose line died only after a while
            known_until = None if missed is None else max(0.0, call.at - missed)
            return e.CallerLeft(known_until, CAUSES[much % 5]) if much % 4 == 0 else e.AlarmRang()
        case "returns":
            return e.CallerReturned()
        case "shutdown":
            return e.ShutdownAsked(drain=much % 16 == 0) if much % 8 == 0 else e.AlarmRang()
        case "operator":
            return e.StopAsked("a person pressed stop", None if much % 2 else _known(much, call))
        case "reply":
            return e.ReplyExpected()
        case "no reply":
            return e.ReplyCalledOff()
        case "answer":
            return e.ReplyStarted()
        case "turn":
            return _turn(much)
        case op:
            return _of_speech(op, much, _known(much, call), call)


def _turn(much: int) -> e.Event:
    controls = (
        e.TurnsByHand(by_hand=True),
        e.TurnsByHand(by_hand=False),
        e.TurnsByHand(by_hand=False),
        e.TurnCleared(),
    )
    commits = (e.TurnCommitted(), e.TurnCommitted(patience=2.0), e.TurnCommitted(replies=False))
    sounds = (e.TurnsBySound(by_sound=True), e.TurnsBySound(by_sound=False))
    return (*[e.TurnTaken()] * 9, *controls, *commits, *sounds, *sounds)[much % 20]


def _of_speech(op: str, much: int, name: str, call: Call) -> e.Event:
    made, played = call.made.get(name, 0.0), call.played.get(name, 0.0)
    match op:
        case "text":
            return e.TextKnown(name, NOTICE if much % 2 else PLAIN)
        case "question":
            sentence = "Do you agree to that?" if much % 2 else "Your data is kept for thirty days."
            return e.SentencePlaced(name, float(much % 5), sentence)
        case "made":
            call.made[name] = made + 4.0
            return e.AudioMade(name, call.made[name], complete=much % 4 > 0)
        case "plays":
            return e.PlayoutStarted(name)
        case "progress":
            call.played[name] = min(made, played + 1.0)
            return e.PlayoutProgressed(name, call.played[name], since=played)
        case "played":
            call.played[name] = made if much % 4 else max(0.0, made - 2.0)
            return e.PlayoutFinished(name, call.played[name])
        case "tool":
            if much % 8 == 7:
                return e.TextSent(name)
            return (e.SpeechSuspended(name), e.ModelAsked(name), e.ToolCalled(name), e.ToolCalled(name))[much % 4]
        case "fails":
            return e.VoiceFailed(name, "voice") if much % 4 == 0 else e.SpeechQueued(name)
        case _:
            return e.SpeechEnded(name, interrupted=much % 8 == 0)


def _known(much: int, call: Call) -> str:
    names = list(call.requested)
    if not names:
        return "nobody"
    return names[-1] if much % 4 else names[much % len(names)]


def _new(call: Call) -> str:
    call.tokens += 1
    return f"word{call.tokens}"


def _text(much: int) -> str:
    """The whole text of speech from `say()`; LiveKit knows no text of a reply at the beginning."""
    return ("", NOTICE, "", PLAIN)[(much // 2) % 4]


def _words(much: int, call: Call) -> str:
    match much % 8:
        case 0:
            return "mm-hm"
        case 1:
            return f"operator {_new(call)}"
        case 2:
            return "this call is recorded"
        case 3:
            return f"{_new(call)} {_new(call)}"
        case 5:
            return ("okay", "no", "yes", "oh no")[much // 8 % 4]
        case _:
            return _new(call)

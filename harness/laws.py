"""The laws of the floor, as checks on a call. Each says what it found wrong, or nothing."""

import copy
from collections import Counter
from enum import Enum

from harness.orders import NOTICE, Call, Step
from hearout._floor import events as e
from hearout._floor.actions import (
    AddToContext,
    AnswerTyped,
    DeliverTurn,
    EndCall,
    FinishShutdown,
    NoteGap,
    PrepareAnswer,
    RecordFate,
    Release,
    Resume,
    ResumeUnfinished,
    ReturnWords,
    SkipUnfinished,
    StopUtterance,
    TurnKnown,
    WriteReceipt,
)
from hearout._floor.utterance import STOP_GRACE
from hearout.policy import Redeliver
from hearout.receipts import Fate, Kind, Level, Outcome, Receipt
from hearout.receipts._receipt import SHORT

CARRIED = {
    Fate.DELIVERED: DeliverTurn,
    Fate.HANDED_BACK: ReturnWords,
    Fate.NOTED: AddToContext,
    Fate.CALLER_GONE: AddToContext,
    Fate.SHUT_DOWN: AddToContext,
}


def tokens(text: str) -> list[str]:
    return [word for word in text.split() if word.startswith("word")]


def every_word_once(call: Call) -> None:
    """L1"""
    carried: list[str] = []
    texts: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    fated: Counter[str] = Counter()
    for step in call.steps:
        for action in step.actions:
            match action:
                case DeliverTurn() | ReturnWords() | AddToContext():
                    assert action.words, f"an empty turn: {action}"
                    carried += [token for held in action.words for token in tokens(held.text)]
                    texts.update(held.text for held in action.words)
                case RecordFate():
                    fates[action.words.text] += action.fate in CARRIED
                    if action.fate is not Fate.REPEATED:
                        fated.update(tokens(action.words.text))
    heard = [token for step in call.steps for text in _texts(step) for token in tokens(text)]
    lost = [token for token in heard if fated[token] != 1]
    assert not lost, f"of these words, not exactly one fate: {lost}, {fated}"
    assert fates == texts, f"carried and recorded differ: {texts - fates} {fates - texts}"
    assert not (twice := [token for token, count in Counter(carried).items() if count > 1]), f"delivered twice: {twice}"
    order = {token: number for number, token in enumerate(heard)}
    for step in call.steps:
        for action in step.actions:
            if isinstance(action, DeliverTurn | ReturnWords):
                numbers = [order[token] for held in action.words for token in tokens(held.text) if token in order]
                assert numbers == sorted(numbers), f"out of order: {action}"


def _texts(step: Step) -> tuple[str, ...]:
    """What the caller is known to have said by this event, of which the floor owes an account."""
    match step.event:
        case e.WordsHeard(text) if step.took:
            return (text,)
        case e.TextTyped(text) | e.EarlierWords(text) if step.holding:
            return (text,)
        case e.UnfinishedFound() if not any(isinstance(action, ResumeUnfinished) for action in step.actions):
            return step.event.words
    return ()


def answers_are_delivered(call: Call) -> None:
    """L1: what can be an answer is no backchannel: a yes, a no, and after a question everything."""
    open_since: float | None = None
    for step in call.steps:
        if isinstance(step.event, e.TurnTaken):
            open_since = None
        for action in step.actions:
            if isinstance(action, DeliverTurn):
                open_since = None
            if isinstance(action, WriteReceipt) and _asked_to_the_end(action.receipt) and open_since is None:
                open_since = step.at
            if isinstance(action, RecordFate) and action.fate is Fate.BACKCHANNEL:
                assert action.words.text in ("mm-hm", "okay"), f"an answer was dropped: {action}"
                late = open_since is not None and action.words.at > open_since
                assert not late, f"an answer to a question was dropped: {action}"

    for receipt in (a.receipt for step in call.steps for a in step.actions if isinstance(a, WriteReceipt)):
        if receipt.text == NOTICE and receipt.made and len(receipt.attempts) == 1:
            last = receipt.attempts[0]
            asked = last.began_at + receipt.made - last.starts_from
            dropped = [held for held, fate in receipt.held if fate is Fate.BACKCHANNEL and held.at >= asked]
            assert not dropped, f"an answer to its own question was dropped: {dropped}"


def _asked_to_the_end(receipt: Receipt) -> bool:
    return receipt.text == NOTICE and receipt.outcome is Outcome.FINISHED and receipt.played > 0


def only_what_may_ends_it(call: Call) -> None:
    """L2"""
    last: dict[str, float] = {}
    causes: dict[str, str] = {}
    for step in call.steps:
        if (name := getattr(step.event, "id", None)) is not None:
            last[name] = last.get(name, step.at) if isinstance(step.event, e.SpeechRequested) else step.at
        for name, asked in call.requested.items():
            if _cause(step.event, name, asked, call, step.at):
                causes.setdefault(name, "allowed")
        for action in step.actions:
            if isinstance(action, StopUtterance):
                patience = min(call.floor.policy.timeouts.output, call.floor.policy.timeouts.voice)
                silent = step.at - last[action.id] >= patience - 1e-6
                assert action.id in causes or silent, f"stopped without a cause: {action}"
                causes.setdefault(action.id, "stuck")
            if isinstance(action, Resume):
                last[action.id] = step.at
                assert not step.gone, f"speaks to nobody: {action}"
            if isinstance(action, WriteReceipt):
                receipt = action.receipt
                assert receipt.outcome is not Outcome.CUT_IN or causes.get(receipt.id) == "allowed", receipt


def _cause(event: e.Event, name: str, asked: e.SpeechRequested, call: Call, at: float) -> bool:
    ways = asked.cut_in
    if call.shut is not None and at >= call.shut + call.floor.policy.timeouts.shutdown:
        return True
    match event:
        case e.WordsHeard() | e.WordsGuessed() | e.TextTyped():
            return ways is not None and (
                ways.after is not None or ("operator" in ways.phrases and "operator" in event.text)
            )
        case e.KeysPressed():
            return ways is not None and "0" in ways.keys and event.digits == "0"
        case e.StopAsked():
            return event.id in (None, name)
        case e.SpeechEnded():
            return event.id == name and event.interrupted
    return any(isinstance(step.event, e.CallerLeft) and step.at <= at for step in call.steps)


def one_true_receipt_each(call: Call) -> None:
    """L3"""
    receipts = [a.receipt for step in call.steps for a in step.actions if isinstance(a, WriteReceipt)]
    assert Counter(receipt.id for receipt in receipts) == Counter(call.requested.keys()), "not one receipt each"
    _gaps_are_of_receipts(call)
    failed = _failed_while_open(call)
    _none_is_missed(call)
    for step in call.steps:
        if step.claimed and isinstance(step.event, e.OfSpeech):  # a lease does: it is all that is left after a kill
            assert step.claimed <= max(_reported(call, step.event.id, step.at), default=0.0), f"not reported: {step}"
        for action in step.actions:
            if isinstance(action, Resume):
                assert action.begins_at <= max(_reported(call, action.id, step.at), default=0.0), f"skips: {action}"
                assert action.text.strip(), f"nothing is left to say: {action}"
    for receipt in receipts:
        reported = _reported(call, receipt.id, call.at)
        if receipt.outcome in (Outcome.CALLER_GONE, Outcome.NOT_ANSWERED):
            _was_there(call, receipt)
        _says_why(call, receipt)
        assert receipt.played <= max(reported, default=0.0), f"more than anybody reported: {receipt}"
        assert all(held.kind is not None and fate is not None for held, fate in receipt.held)
        if receipt.outcome is Outcome.SENT:
            assert not receipt.made, f"sent as text, and made: {receipt}"
            assert receipt.level is Level.NOTHING, f"claims a sound: {receipt}"
        if receipt.outcome is Outcome.FINISHED:
            ended = _ending(call, receipt.id)
            assert ended is not None, f"finished without an end: {receipt}"
            assert not ended.interrupted
            assert receipt.played >= receipt.made - SHORT, f"finished, but not played: {receipt}"
            assert receipt.id not in failed, f"finished, though a part was never made: {receipt}"


def _gaps_are_of_receipts(call: Call) -> None:
    """A gap is told once, of an utterance whose receipt is written, and after its end."""
    written: dict[str, float] = {}
    gaps: set[str] = set()
    for step in call.steps:
        for action in step.actions:
            if isinstance(action, WriteReceipt):
                written[action.receipt.id] = step.at
            if isinstance(action, NoteGap):
                assert action.id in written, f"of no receipt: {action}"
                assert action.id not in gaps, f"told twice: {action}"
                assert action.seconds >= 0
                gaps.add(action.id)


def _reported(call: Call, name: str, until: float) -> list[float]:
    """To which seconds of an utterance the loudspeaker came, until then, under this id or the one that was missed."""
    names = {name}
    while (name := call.first.get(name, "")) != "":
        names.add(name)
    return [
        step.event.seconds
        for step in call.steps
        if isinstance(step.event, e.PlayoutProgressed | e.PlayoutFinished)
        if step.event.id in names and step.at <= until
    ]


def every_debt_taken_over_once(call: Call) -> None:
    """L8: a dead agent's debt is resumed, or skipped with its held words accounted for (L1)."""
    shut = False
    for step in call.steps:
        shut = shut or isinstance(step.event, e.ShutdownAsked)
        done = [action for action in step.actions if isinstance(action, ResumeUnfinished | SkipUnfinished)]
        if not isinstance(step.event, e.UnfinishedFound):
            assert not done, f"taken over again: {done}"
            continue
        debt = step.event
        sayable = bool(debt.text.strip()) and debt.redeliver is not Redeliver.NEVER and not shut
        assert done == [ResumeUnfinished(debt.id) if sayable else SkipUnfinished(debt.id)], f"{debt}: {done}"


def _none_is_missed(call: Call) -> None:
    """What finished after the caller was last known to be there, as the caller's leaving shows, is owed again."""
    again, finished, gone = set(call.first.values()), dict[str, float](), False
    for step in call.steps:
        match step.event:
            case e.CallerLeft(float() as known, None) if not gone and call.shut is None:
                for name, ended_at in finished.items():
                    kept = call.requested[name].redeliver is Redeliver.NEVER or ended_at <= known + SHORT
                    assert kept or name in again, f"finished to nobody, and not owed: {name}"
        gone = step.gone
        for action in step.actions:
            receipt = action.receipt if isinstance(action, WriteReceipt) else None
            if receipt and receipt.outcome is Outcome.FINISHED and receipt.attempts and receipt.text.strip():
                finished[receipt.id] = receipt.attempts[-1].ended_at


def _was_there(call: Call, receipt: Receipt) -> None:
    """What was played to nobody is not claimed: after the caller was last known to be there."""
    began = next((one.began_at for one in reversed(receipt.attempts)), None)
    begins = receipt.attempts[-1].starts_from if receipt.attempts else 0.0
    left = [s for s in call.steps if isinstance(s.event, e.CallerLeft)]
    if began is not None and len(left) == 1 and left[0].event.known_until is not None:
        heard = begins + max(0.0, left[0].event.known_until - began)
        assert receipt.played <= heard + 1e-6, f"played to nobody: {receipt}"


def _says_why(call: Call, receipt: Receipt) -> None:
    """A caller who never was there, or from whom the agent was taken, did not leave."""
    causes = {step.event.cause for step in call.steps if isinstance(step.event, e.CallerLeft)}
    left = receipt.outcome is Outcome.CALLER_GONE or receipt.why == "the caller left"
    assert not left or None in causes, f"nobody left: {receipt}"


def _ending(call: Call, name: str) -> e.SpeechEnded | None:
    over = None
    for step in call.steps:
        match step.event:
            case e.SpeechEnded() if step.event.id == name and over is None:
                over = step.event
        if any(isinstance(action, Resume) and action.id == name for action in step.actions):
            over = None
    return over


def _failed_while_open(call: Call) -> set[str]:
    asked, over, failed = set[str](), set[str](), set[str]()
    for step in call.steps:
        match step.event:
            case e.SpeechRequested():
                asked.add(step.event.id)
            case e.SpeechEnded():
                over.add(step.event.id)
            case e.CallerLeft():
                asked |= set(call.first)
            case e.VoiceFailed():
                failed |= {step.event.id} & asked - over
    return failed


def answers_wait_for_their_turn(call: Call) -> None:
    """L4"""
    calls = 0
    replay = Call(call.floor)
    told: dict[str, float] = {}
    moved: dict[str, float] = {}
    worded = 0.0
    for step in call.steps:
        if (name := getattr(step.event, "id", None)) is not None:
            by_program = isinstance(step.event, e.SpeechRequested | e.StopAsked)  # no sign of life of the speech
            moved[name] = moved.get(name, step.at) if by_program else step.at
        replay.at = step.at
        replay._witness(step.event)
        if isinstance(step.event, e.CallerStarted | e.WordsGuessed | e.WordsHeard):
            worded = step.at
        if not step.holding and not any(isinstance(a, PrepareAnswer) for a in step.actions):
            calls = 0
        for action in step.actions:
            if isinstance(action, StopUtterance):
                told[action.id] = step.at
            if isinstance(action, PrepareAnswer):
                calls += 1
                assert calls < call.floor.policy.model_calls, "the model was asked too often"
            if isinstance(action, DeliverTurn):
                given_up = {name for name, at in told.items() if step.at >= at + STOP_GRACE - 1e-6}
                patience = call.floor.policy.timeouts.tool
                tools = {name for name, at in moved.items() if step.at >= at + patience - 1e-6}
                noise = step.at >= worded + call.floor.policy.timeouts.noise - 1e-6
                assert not replay.talking or (noise and action.over_noise), "an answer while the caller talks"
                over = replay.open() - given_up - tools
                assert not over, f"an answer over protected speech: {over}"
                assert all(held.kind is not Kind.PRESSED for held in action.words)


def turns_end_by_hand(call: Call) -> None:
    """L10"""
    by_hand = asked = False
    waits: set[str] = set()
    for step in call.steps:
        match step.event:
            case e.TurnsByHand():
                by_hand, waits = step.event.by_hand, set()
            case e.TurnCommitted():
                asked, waits = True, set()
            case e.WordsHeard() | e.WordsGuessed() if by_hand and not asked:
                waits |= set(tokens(step.event.text))
        for action in step.actions:
            if isinstance(action, DeliverTurn):
                early = waits & {token for one in action.words for token in tokens(one.text)}
                assert not early, f"a turn that nobody committed: {early}"
            asked = asked and not isinstance(action, Release)


def ended_turns_are_told(call: Call) -> None:
    """L13"""
    waits = held = False
    told: Counter[str] = Counter()
    for step in call.steps:
        waits = waits or (held and isinstance(step.event, e.TurnCommitted))
        for action in step.actions:
            if isinstance(action, TurnKnown):
                assert waits, "words were told of a turn that the program did not end"
                waits = False
                told.update(tokens(action.text))
            if isinstance(action, Release):
                assert action.commit or not waits, "the program was not told the words of a turn that it ended"
                waits = False
        held = step.holding
    assert not waits, "the program waits for the words of a turn for ever"
    assert not (twice := [token for token, count in told.items() if count > 1]), f"told twice: {twice}"


def who_hears_sound_is_given_words(call: Call) -> None:
    """L11"""
    by_sound = talking = ends = False
    worded, noise = 0.0, call.floor.policy.timeouts.noise
    for step in call.steps:
        match step.event:
            case e.TurnsBySound():
                by_sound = step.event.by_sound
            case e.CallerStarted() | e.CallerStopped():
                talking = isinstance(step.event, e.CallerStarted)
            case e.CallerLeft() | e.ShutdownAsked() | e.SessionClosed():
                ends = True
            case _:
                pass
        if isinstance(step.event, e.CallerStarted | e.WordsGuessed | e.WordsHeard):
            worded = step.at
        for action in step.actions:
            returned = by_sound and isinstance(action, ReturnWords)
            assert not returned, "words were given back that no model would hear"
            speaks = by_sound and talking and not ends and step.at < worded + noise - 1e-6
            assert not (speaks and isinstance(action, Release)), "the caller was not heard out"


def never_stuck(call: Call) -> None:
    """L5"""
    last = max((step.at for step in call.steps if not isinstance(step.event, e.AlarmRang)), default=0.0)
    policy = call.floor.policy
    owed = len(call.requested)
    bound = (
        (policy.timeouts.voice + policy.timeouts.listener + policy.timeouts.tool + policy.timeouts.output + STOP_GRACE)
        * (owed + 1)
        + 4.0 * len(call.steps)  # audio that was made and is still playing
        + policy.timeouts.caller_return
        + policy.timeouts.words
        + policy.timeouts.shutdown
    )
    assert not call.floor.holding, "still holding when the alarms are through"
    let_go = max((step.at for step in call.steps if step.holding), default=0.0)
    assert let_go <= last + bound, f"held until {let_go}, {let_go - last} s after the last event"


def late_reports_change_nothing(call: Call, late: e.Event) -> None:
    """L6"""
    with_it, without = copy.deepcopy(call.floor), copy.deepcopy(call.floor)
    one, other = with_it.apply(late, call.at), without.apply(e.AlarmRang(), call.at)
    assert one == other, f"a late {late} did {one}"
    assert with_it.next_alarm == without.next_alarm
    assert with_it.holding == without.holding
    assert _state(with_it) == _state(without), f"a late {late} changed the floor"


POLICIES = ("policy", "_policy", "_last")
"""What is not compared: the same for both, or only named."""


def _state(thing: object) -> object:
    """All that is kept, and in what is kept."""
    if isinstance(thing, list | tuple | set):
        return [_state(item) for item in thing]
    if isinstance(thing, dict):
        return {key: _state(value) for key, value in thing.items()}
    if type(thing).__module__.startswith("hearout._floor.") and not isinstance(thing, Enum):
        return {name: _state(value) for name, value in vars(thing).items() if name not in POLICIES}
    return repr(thing)


def nothing_at_all(call: Call) -> None:
    """L7"""
    done = [a for step in call.steps for a in step.actions if not isinstance(a, EndCall | FinishShutdown | AnswerTyped)]
    assert not done, f"without protected speech: {done}"
    assert not any(step.holding for step in call.steps)
    assert not any(step.took for step in call.steps if isinstance(step.event, e.WordsHeard | e.WordsGuessed))

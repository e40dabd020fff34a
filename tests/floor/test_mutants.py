"""The laws can fail: each of these hand-made mutants of the floor is killed by the law that it breaks."""

import importlib
import inspect
import random
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from harness import laws
from harness.orders import NOTICE, POLICY, late_event, played, to_its_end, vanished
from hearout._floor import events as e
from hearout._floor import floor, held, piece, pressed, state, utterance
from hearout._floor.actions import DeliverTurn, StopInterruptible, TurnKnown

RARE = (852, 581, 557, 689, 244, 161, 126, 113, 26, 83, 59, 45)
"""Seeds of orders that kill mutants which hundreds of others let live: tried first, for that takes less time."""
ORDERS = [random.Random(seed).randbytes(120) for seed in (*RARE, *range(1500))]

Law = Callable[[bytes, type[floor.Floor]], None]


def l1(order: bytes, which: type[floor.Floor]) -> None:
    laws.every_word_once(to_its_end(order, floor=which))


def l1_answers(order: bytes, which: type[floor.Floor]) -> None:
    laws.answers_are_delivered(to_its_end(order, floor=which))


def l2(order: bytes, which: type[floor.Floor]) -> None:
    laws.only_what_may_ends_it(to_its_end(order, floor=which))


def l3(order: bytes, which: type[floor.Floor]) -> None:
    laws.one_true_receipt_each(to_its_end(order, floor=which))


def l3_missed(order: bytes, which: type[floor.Floor]) -> None:
    laws.one_true_receipt_each(vanished(order, floor=which))


def l4(order: bytes, which: type[floor.Floor]) -> None:
    laws.answers_wait_for_their_turn(to_its_end(order, floor=which))


def l5(order: bytes, which: type[floor.Floor]) -> None:
    call = played(order, floor=which)
    call.ring_until_quiet()
    laws.never_stuck(call)


def l6(order: bytes, which: type[floor.Floor]) -> None:
    call = played(order, floor=which)
    for choice in range(14):
        laws.late_reports_change_nothing(call, late_event(call, choice))


def l8(order: bytes, which: type[floor.Floor]) -> None:
    laws.every_debt_taken_over_once(to_its_end(order, floor=which))


def l7(order: bytes, which: type[floor.Floor]) -> None:
    laws.nothing_at_all(played(order, protected=False, floor=which))


def l10(order: bytes, which: type[floor.Floor]) -> None:
    laws.turns_end_by_hand(to_its_end(order, floor=which))


def l11(order: bytes, which: type[floor.Floor]) -> None:
    laws.who_hears_sound_is_given_words(to_its_end(order, floor=which))


def l13(_order: bytes, which: type[floor.Floor]) -> None:
    """A turn that the program ends, and whose words do not come in time: few random orders have it."""
    asked = which(POLICY)
    late = e.AlarmRang()
    events = ((0.0, e.SpeechRequested("n0", text=NOTICE)), (1.0, e.TurnCommitted(2.0)), (3.0, late), (3.1, late))
    done = [action for at, event in events for action in asked.apply(event, at)]
    assert sum(isinstance(action, TurnKnown) for action in done) == 1, "the words of a turn are told once"


def l1_at_the_end(_order: bytes, which: type[floor.Floor]) -> None:
    """An "okay" between the last word of a question and the end of its speech: no random order is sure to have it."""
    asking = which(POLICY)
    events = (
        (0.0, e.SpeechRequested("n0", text=NOTICE)),
        (0.1, e.AudioMade("n0", 6.0)),
        (0.2, e.PlayoutStarted("n0")),
        (6.3, e.WordsHeard("okay")),
        (6.4, e.AudioMade("n0", 6.0, complete=True)),
        (6.5, e.PlayoutFinished("n0", 6.0)),
        (6.6, e.SpeechEnded("n0")),
    )
    done = [action for at, event in events for action in asking.apply(event, at)]
    assert any(isinstance(action, DeliverTurn) for action in done), "an answer to a question was dropped"


def l5_stuck(_order: bytes, which: type[floor.Floor]) -> None:
    """Protected speech behind speech that hangs: whether that hangs is nothing that an order of the floor's has."""
    waiting = which(POLICY)
    events = ((0.0, e.SpeechRequested("n0", text=NOTICE)), (POLICY.timeouts.voice, e.SpeechQueued("n0", alive_at=0.0)))
    done = [action for at, event in events for action in waiting.apply(event, at)]
    assert done[-1] == StopInterruptible(), "what hangs holds up what is owed"


def l4_slow(_order: bytes, which: type[floor.Floor]) -> None:
    """An answer that was waited for: the random orders have no LLM that takes its time."""
    slow = which(POLICY)

    def said(name: str, begin: float) -> list[tuple[float, e.Event]]:
        return [
            (begin, e.SpeechRequested(name, text=NOTICE)),
            (begin, e.AudioMade(name, 20.0, complete=True)),
            (begin, e.PlayoutStarted(name)),
            (begin + 1.0, e.CallerStarted()),
            (begin + 2.0, e.CallerStopped()),
            (begin + 2.1, e.WordsHeard("what does it cost")),
        ]

    first = [
        *said("n0", 0.0),
        (17.0, e.AlarmRang()),
        (20.0, e.PlayoutFinished("n0", 20.0)),
        (20.0, e.SpeechEnded("n0")),
    ]
    for at, event in (*first, (29.0, e.ReplyStarted()), *said("n1", 30.0)):
        slow.apply(event, at)
    assert slow.next_alarm == 35.0, "a slow answer is prepared too late again"  # 1.25 times 12 s before the end


MODULES = [f"hearout._floor.{one}" for one in ("utterance", "piece", "held", "state", "floor")]

MUTANTS: dict[str, tuple[ModuleType, str, str, Law]] = {
    "takes a turn that the program ends for one of its own": (
        held,
        "piece.by_hand, piece.committed = True, piece.turn > 0",
        "piece.by_hand, piece.committed = True, True",
        l10,
    ),
    "waits for the words of an ended turn for ever": (
        held,
        "if settled or at >= turn.known_by or self._is_known(turn):",
        "if settled or self._is_known(turn):",
        l13,
    ),
    "tells the words of an ended turn again with the next": (
        held,
        "            self.untold = None\n            yield TurnKnown",
        "            turn.known_by = at + 0.1\n            yield TurnKnown",
        l13,
    ),
    "gives words back to a model that hears sound": (
        held,
        "return unanswered or (self.by_sound and not said.committed)",
        "return unanswered",
        l11,
    ),
    "takes words for a part of a turn of sound": (
        state,
        "return not self.by_sound and (self.leftover or self.replies)",
        "return self.leftover or self.replies",
        l11,
    ),
    "does not hear a caller out whose sound was kept": (
        held,
        "return self.by_sound and self.talking and not self.taken_for_noise",
        "return False",
        l11,
    ),
    "hears a noise out for ever": (
        floor,
        "heard.taken_for_noise = heard.is_noise(at)",
        "pass",
        l5,
    ),
    "forgets the guess when the final does not come": (
        held,
        "self.add(self._spoken(new, self.began(at), at, owner, after_question=after_question))",
        "pass",
        l1,
    ),
    "takes every short word for a backchannel": (
        piece,
        "idle = words.is_backchannel(self.held.text, words.language(self.language, self.owner.alignment.more_words))",
        "idle = len(self.held.text) < 6",
        l1_answers,
    ),
    "drops agreement after a question of another utterance": (
        piece,
        "not self.by_hand and not self.after_question and",
        "not self.by_hand and",
        l1_answers,
    ),
    "drops agreement over the question": (
        utterance,
        "return self._attempt_at is not None and at + ASKED_MARGIN >= self._attempt_at + asked - self.begins_at",
        "return False",
        l1_at_the_end,
    ),
    "forgets that it asked when the utterance is over": (
        floor,
        "self._asked = self._asked or one.asks",
        "pass",
        l1_answers,
    ),
    "delivers the newest words first": (
        held,
        "for said in self.said\n            if said.committed",
        "for said in reversed(self.said)\n            if said.committed",
        l1,
    ),
    "settles only the first words of a turn": (
        floor,
        "heard.settle_all(Fate.DELIVERED, committed)",
        "heard.settle_all(Fate.DELIVERED, committed[:1])",
        l1,
    ),
    "says a late final again": (held, "return text if rest is None else rest", "return text", l1),
    "records nothing of what is noted": (held, "self.settle(said, Fate.NOTED)", "self.said.remove(said)", l1),
    "any words cut in": (
        utterance,
        "if words.has_phrase(text, phrase) and",
        "if text and",
        l2,
    ),
    "a shutdown has no grace": (
        floor,
        "elif self.closing.cuts(at):",
        "elif self.closing.cuts_at is not None:",
        l2,
    ),
    "keys cut in that are not allowed": (
        utterance,
        "if digit in self.cut_in.keys), None)",
        "), None)",
        l2,
    ),
    "gives up while it plays": (
        utterance,
        "return known + (timeouts.output if self.complete else timeouts.voice)",
        "return self._sign_of_life + 0.5",
        l2,
    ),
    "a receipt for what still plays": (
        floor,
        "for one in [one for one in self._queue.all if one.ended_at is not None]:",
        "for one in [one for one in self._queue.all if one.ended_at is not None or one.started_at is not None]:",
        l3,
    ),
    "what was made counts as played": (utterance, "played=self.played,", "played=self.made,", l3),
    "a lease goes by the clock": (
        utterance,
        "return self._sure - sum(",
        "return self._so_far(self._sign_of_life) - sum(",
        l3,
    ),
    "a voice that gave up has finished": (utterance, "return self.failure\n", "pass\n", l3),
    "text that was sent hides its sound": (
        utterance,
        "elif self._as_text and not self.failure and self.made == 0.0:",
        "elif self._as_text:",
        l3,
    ),
    "a cut end has finished": (utterance, "if self.played < self.made - SHORT:", "if False:", l3),
    "no receipt for what was given up": (
        utterance,
        "            self._over(at)\n        return False",
        "            self.playing = False\n        return False",
        l3,
    ),
    "what was played to nobody counts": (utterance, "if self._known_until is not None:", "if False:", l3),
    "goes on after what was never said": (
        utterance,
        "self.begins_at, characters = self.resumes_at()",
        "self.begins_at, characters = self.made, 0",
        l3,
    ),
    "forgets who does not come back": (
        utterance,
        "self.away, self.ended_at = False, at",
        "self.away = True",
        l3,
    ),
    "what ended unheard stays finished": (
        state,
        "missed = [one for one in self._closed + self.all if one.is_missed(known_until)]",
        "missed: list[Utterance] = []",
        l3_missed,
    ),
    "what was missed is said from where it ended": (
        utterance,
        "again.leave(known_until, cause)",
        "again.leave(None, cause)",
        l3_missed,
    ),
    "speaks to a caller who is gone": (
        floor,
        "elif self.closing.gone_at is None:\n                before",
        "else:\n                before",
        l2,
    ),
    "says that the caller left when the agent was put out": (
        utterance,
        "self.stop(*LEFT[cause], cause)",
        "self.stop(*LEFT[None], cause)",
        l3,
    ),
    "answers while the caller talks": (
        floor,
        "back = (heard.talking and not noise) or livekits",
        "back = livekits",
        l4,
    ),
    "answers while protected speech waits": (
        floor,
        "if self._queue.open() or self._expected_since is not None or self._questions:\n            return\n",
        "if any(one.playing for one in self._queue.open()) or self._questions:\n            return\n",
        l4,
    ),
    "keeps a turn that was cleared": (
        held,
        "self.settle_all(Fate.DROPPED, pieces)",
        "self.said.clear()",
        l1,
    ),
    "waits for the end of a noise for ever": (
        floor,
        "if noise_from is not None and self._waits_for_a_word():",
        "if False:",
        l5,
    ),
    "asks the model without end": (
        state,
        " and self.calls < self.calls_at_most",
        "",
        l4,
    ),
    "waits for a dead voice for ever": (
        utterance,
        "return min(max(self._sign_of_life, free_since) + timeouts.voice, self._queued_since + timeouts.queue)",
        "return None",
        l5,
    ),
    "never learns how long an answer takes": (
        state,
        "self.needed = max(self.needed, at - self._awaited[0])",
        "pass",
        l4_slow,
    ),
    "waits for ever behind what hangs": (
        state,
        "at >= event.alive_at + self._policy.timeouts.voice",
        "False",
        l5_stuck,
    ),
    "waits for words for ever": (
        floor,
        "if not noise and at < self._words_by():\n                return",
        "return",
        l5,
    ),
    "waits for a listener for ever": (
        utterance,
        "return self._sign_of_life + timeouts.listener",
        "return None",
        l5,
    ),
    "holds for a tool for ever": (utterance, "return self._sign_of_life + timeouts.tool", "return None", l5),
    "waits for its own stop for ever": (
        utterance,
        "if self._told_at is not None:\n            return self._told_at + STOP_GRACE",
        "if self._told_at is not None:\n            return None",
        l5,
    ),
    "listens to late reports": (
        state,
        "for one in self.open(suspended=True):\n            if one.id == event.id:",
        "for one in self.all:\n            if True:",
        l6,
    ),
    "takes a used id again": (state, "if event.id not in self._used:", "if True:", l6),
    "holds words when nothing is protected": (
        floor,
        "return self.holding or self._held_words.repeats(text, at)",
        "return True",
        l7,
    ),
    "goes on with what is not to be said again": (
        floor,
        "yield a.SkipUnfinished(one.id)",
        "yield a.SkipUnfinished(one.id)\n            yield a.ResumeUnfinished(one.id)",
        l8,
    ),
    "tells the gap of what has no receipt": (floor, "if self._last.ended_at is not None else None", "", l3),
    "says again what may not be": (floor, "is not Redeliver.NEVER\n", "is not None\n", l8),
    "forgets what was said over a debt that is left": (
        floor,
        "for text in one.words]",
        "for text in one.words[:1]]",
        l1,
    ),
    "records keys when nothing is protected": (
        pressed,
        "        if holding:\n",
        "        if event:\n",
        l7,
    ),
}


def mutant(module: ModuleType, old: str, new: str) -> type[floor.Floor]:
    """The floor of a program in which one place of one file is otherwise."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {module.__name__}"
    originals = {
        name: sys.modules[name]
        for name in (
            "hearout._floor.utterance",
            "hearout._floor.piece",
            "hearout._floor.held",
            "hearout._floor.state",
            "hearout._floor.pressed",
            "hearout._floor.floor",
        )
    }
    try:
        for name, original in originals.items():
            changed = ModuleType(name)
            changed.__dict__.update(__package__="hearout._floor", __file__=original.__file__)
            sys.modules[name] = changed
            text = inspect.getsource(original)
            exec(compile(text.replace(old, new) if original is module else text, name, "exec"), changed.__dict__)
        return sys.modules["hearout._floor.floor"].Floor
    finally:
        sys.modules.update(originals)
        package = importlib.import_module("hearout._floor")
        for name, original in originals.items():
            setattr(package, name.rpartition(".")[2], original)


def keeps(law: Law, which: type[floor.Floor]) -> None:
    for order in ORDERS:
        law(order, which)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed_by_the_law_that_it_breaks(name: str) -> None:
    module, old, new, law = MUTANTS[name]
    broken = mutant(module, old, new)

    with pytest.raises(AssertionError):
        keeps(law, broken)


@pytest.mark.parametrize(
    "law", [l1, l1_answers, l1_at_the_end, l2, l3, l3_missed, l4, l4_slow, l5, l5_stuck, l6, l7, l8, l10]
)
def test_the_floor_itself_keeps_the_law_in_the_same_orders(law: Law) -> None:
    for order in ORDERS[:40]:  # tests/floor/test_laws.py has 2,000
        law(order, floor.Floor)

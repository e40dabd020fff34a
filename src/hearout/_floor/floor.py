"""Decides who may speak, what is owed, and which of the caller's words are held. No other file decides any of this.

Theory of operation
===================

The floor knows no clock, task or LiveKit. ``apply(event, at)`` takes what happened (``events.py``) and its second, and
returns what must be done (``actions.py``), in two steps:

1. **Note.** A handler writes down one fact and draws no conclusion from it.
2. **Settle.** The rules run in their order, again and again, until none of them has anything to say. A promise is a
   rule over the *joint state*, so it holds whichever way the call came to where it is.

Each rule that waits owes its alarm to ``next_alarm``, at which ``AlarmRang`` is applied if nothing happens before.

Holding
-------
The floor *holds* while protected speech is owed, while a protected reply is expected, while held words are not settled,
and while final transcripts for a sound that ended are due. While it holds, transcripts do not reach LiveKit: LiveKit
1.8.9 drops a turn that ends under uninterruptable speech. ``Hold`` and ``Release`` mark the two edges.

Held words are *delivered* as one turn and answered, *returned* to LiveKit as the beginning of the turn that the caller
is still speaking, *added to the context* unanswered, or *recorded* with their fate only (backchannel, echo, key). To a
realtime model, which hears sound, nothing is returned: the caller is heard out, and all words are delivered.

Passed and leftover
-------------------
A final transcript that came before the floor held went to LiveKit, which has not made a turn of it yet: it *passed*.
Where the floor begins to hold while something passed, LiveKit keeps the first half of the caller's sentence: a
*leftover*. Then LiveKit's own turn detection is switched to manual for as long as the floor holds, the held words are
returned, not delivered, and ``Release(commit=True)`` closes that turn if the caller is silent.

The order of the rules stands in ``_settle``, each with the reason for its place.
The laws of the floor are in ``tests/floor/test_laws.py``. ``docs/floor.md`` draws its main states.
"""

from collections.abc import Iterator

from ..policy import Policy, Redeliver
from ..receipts import Cause, Fate, Held, Kind, Outcome
from . import actions as a
from . import events as e
from .actions import Action
from .held import HeldWords
from .piece import HeldPiece
from .pressed import Pressed
from .question import Questions
from .repeats import Repeats
from .state import Closing, Gap, LiveKitsTurn, Preparing, Progress, Queue, TypedTexts
from .utterance import Utterance


class Floor:
    """The floor of one call, under the policy of its team."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._queue = Queue(self.policy)
        """The utterances whose receipts are not written."""
        self._no_utterance = Utterance(e.SpeechRequested(""), self.policy, 0.0)
        """Owns the words that are held while only a reply is expected."""
        self._last = self._no_utterance
        """The utterance that ended last; owns the words that are held after it."""
        self._held_words = HeldWords(self.policy, self.policy.language)
        """The caller's sounds and words."""
        self._asked = False
        """Whether an utterance that is over asked something, and no turn came since."""
        self._preparing = Preparing(self.policy.model_calls - 1 if self.policy.prepare > 0 else 0)
        """The answer that is made while protected speech still plays."""
        self._arrived: list[e.UnfinishedFound] = []  # what the next settling has to take in
        self._holds = False
        """Whether `Hold` was given and `Release` was not."""
        self._livekits = LiveKitsTurn()
        self._typed = TypedTexts()
        self._expected_since: float | None = None
        """Since when a protected reply is expected that LiveKit has not made yet."""
        self._gap = Gap()
        self.closing = Closing(self.policy.timeouts)
        self._questions = Questions(self.policy, self._queue, self._held_words, self.closing)
        self._pressed = Pressed(self._questions, self._queue, self._held_words)
        self._repeats = Repeats(self._held_words)
        self._shut_down = self._call_ended = False
        """Whether `FinishShutdown` was given, and `EndCall`."""

    # What may be asked

    @property
    def holding(self) -> bool:
        """Whether the caller's words are kept from LiveKit now."""
        waits = self._expected_since is not None or self._waits_at_the_end()
        return waits or bool(self._queue.open() or self._queue.away or self._held_words.said or self._questions)

    @property
    def is_owing(self) -> bool:
        """Whether protected speech is owed that does not wait for its own tool, which may wait for this."""
        return any(not one.waits_for_its_tool for one in self._queue.all)

    @property
    def owes(self) -> bool:
        """Whether speech is owed, to a caller who is here or gone, or an answer to words said over speech."""
        return self.holding or bool(self._queue.all)

    def takes(self, text: str, at: float) -> bool:
        """Whether a transcript that comes now belongs to the floor; otherwise to LiveKit."""
        return self.holding or self._held_words.repeats(text, at)

    def new_for_livekit(self, event: e.WordsHeard, at: float) -> str:
        """The part that was not held before of a final which goes to LiveKit now."""
        return self._held_words.new_for_livekit(event, at)

    @property
    def next_alarm(self) -> float | None:
        """When `AlarmRang` must be applied, unless something else happens before. None: never."""
        return min(self._alarms(), default=None)

    def progress(self, name: str) -> Progress:
        """How far an utterance is that is owed."""
        one = self._queue.named(name)
        held = tuple(said.held for said in self._held_words.said if said.owner is one and not said.is_echo)
        return Progress() if one is None else Progress.of(one, held)

    def apply(self, event: e.Event, at: float) -> list[Action]:
        """Note what happened, and decide what must be done.

        Args:
            at: when, in seconds from the call's start; never less than before.
        """
        self._note(event, at)
        return list(self._settle(at))

    # Noting: one fact each

    def _note(self, event: e.Event, at: float) -> None:  # noqa: C901 - a table: one line an event
        match event:
            case e.SpeechRequested():
                self._queue.ask(event, at)
                self._repeats.stop(event.repeats)
                self._questions.begun(event.question, self._queue.named(event.id))
            case e.QuestionAsked():
                self._questions.asked(event, at)
            case e.QuestionFailed():
                self._questions.failed(event.id)
            case e.ReplyExpected():
                self._expected_since = at
            case e.ReplyCalledOff():
                self._livekits.replies = self._expected_since is not None and not self._queue.open()
                self._expected_since, self._queue.freed_at = None, at
            case e.WordsLeftToLiveKit():
                self._livekits.passed = not self._held_words.by_sound
                self._held_words.passed(at, event.heard)
            case e.PhrasesExpected():
                self._held_words.first_wait = self.policy.timeouts.phrase
            case e.TurnTaken():
                self._livekits.passed = self._livekits.leftover = self._asked = False
                self._held_words.at_livekit = []
                self._repeats.note(event, at)
            case e.RepeatAsked() | e.AgentChanged():
                self._repeats.note(event, at)
            case e.TurnsByHand():
                self._held_words.end_turns_by_hand(by_hand=event.by_hand)
            case e.TurnsBySound():
                self._held_words.by_sound = self._livekits.by_sound = event.by_sound
            case e.TurnCommitted(patience, replies):
                self._held_words.commit_turn(at, patience, replies=replies, holding=self.holding)
            case e.TurnCleared():
                self._livekits.passed = self._livekits.leftover = False
                self._held_words.clear_turn(at, self._owner())
            case e.CallerLeft():
                self._held_words.talking = False
                self.closing.left(at, event.known_until, event.cause)
            case e.AnsweredBy():
                self._questions.answered_by(machine=event.machine)
            case e.CallerReturned():
                self._held_words.by_machine = False
                self.closing.gone_at, self._call_ended = None, False
            case e.ReplyStarted():
                self._gap.answer_began_at = at
                self._preparing.heard(at)
            case e.ShutdownAsked():
                self.closing.asked(at, drain=event.drain)
            case e.SessionClosed():
                self._queue.shut_down(at)
            case e.UnfinishedFound():
                self._arrived.append(event)
            case e.StopAsked():
                self._questions.stop(event.id)
                self._repeats.stop(event.id)
                for one in self._queue.open(suspended=True):
                    if event.id in (one.id, one.repeats) or (event.id is None and one is self._queue.current()):
                        one.stop(Outcome.CUT_IN, f"operator: {event.reason}", Cause.OPERATOR)
            case e.AlarmRang() | e.StoodStill():
                pass
            case e.CallerStarted() | e.CallerStopped() | e.WordsGuessed() | e.WordsHeard():
                self._note_sound(event, at)
            case e.TextTyped() if not self.holding:
                self._typed.add(event.text)
            case e.TextTyped() | e.EarlierWords():
                self._note_words(event, at)
            case e.KeysPressed() | e.ChoicePressed():
                self._pressed.note(event, at, self._owner(), holding=self.holding)
            case _:
                assert isinstance(event, e.OfSpeech)
                if (noted := self._queue.note(event, at)) is not None:
                    self._last, self._queue.freed_at = noted, at

    def _note_sound(self, event: e.CallerStarted | e.CallerStopped | e.WordsGuessed | e.WordsHeard, at: float) -> None:
        match event:
            case e.CallerStarted():
                self._held_words.started(at)
            case e.CallerStopped():
                self._held_words.stopped(at)
            case e.WordsGuessed() if self.holding:
                self._is_in(event.language)
                self._held_words.guessed(event.text, at, self._owner(), after_question=self._asked_before(at))
                self._cut_in(self._held_words.newest(at, self._owner(), after_question=self._asked_before(at)))
            case e.WordsHeard():
                self._is_in(event.language)
                said = self._held_words.final(event, at, self._owner(), after_question=self._asked_before(at))
                if said is not None:
                    self._cut_in(said)

    def _is_in(self, language: str) -> None:
        """The STT says which language it takes the words for; the policy's counts, where it has one."""
        self._held_words.language = self.policy.language or language or self._held_words.language

    def _asked_before(self, at: float) -> bool:
        """Whether something that is not answered was asked before the caller's words that are known now.

        By the utterance that they are said over, it is looked at again when more is known of it; but where it is
        resumed after a cut, this is the attempt that asked.
        """
        owner = self._owner()
        by_owner = owner.complete and owner.has_asked(self._held_words.began(at))
        return self._asked or by_owner or self._queue.has_asked_but(owner)

    def _note_words(self, event: e.TextTyped | e.EarlierWords, at: float) -> None:
        if not self.holding:
            return
        kind, owner = Kind.TYPED if isinstance(event, e.TextTyped) else Kind.SPOKEN, self._owner()
        said = HeldPiece(Held(event.text, at, kind), owner, at, self._held_words.language, self._asked_before(at))
        self._held_words.add(said)
        if kind is Kind.TYPED:
            self._cut_in(said)

    def _cut_in(self, said: HeldPiece) -> None:
        ignored = said.is_echo or self._held_words.by_machine
        if (one := self._queue.current()) is not None and not ignored:
            one.cut_by_words(said.held.text, said.held.at, said.known_at, idle=said.is_idle)
            self._queue.breaks_in = not one.made and not said.is_idle

    # Settling: rules that hold whatever happened

    def _settle(self, at: float) -> Iterator[Action]:
        rules = (
            self._stop_what_must_stop,  # what is over must not be waited for, nor held for, by a later rule
            self._reopen,  # before `_resume`, which says it: what ended while the caller had vanished was missed
            self._resume,  # what is owed is open again before any rule asks whether something is open
            self._take_in,  # what a dead agent left joins the queue before the floor decides whether it holds
            self._begin_to_hold,  # the rules from here on rely on `_holds`
            self._queue.make_room,  # a cut-in of speech without a sound yet stops what plays before it
            self._wait_no_longer,  # a wait that ran out must not keep the next rules waiting
            self._drop_a_stale_answer,  # before the next one is prepared: this one is for other words
            self._prepare_an_answer,  # while the last utterance still plays
            self._questions.settle,  # words that answer a question are no turn
            self._pressed.settle,
            self._settle_the_words,  # only when nothing is owed and nothing is due; fates come out of it
            self._held_words.tell_the_turn,  # before `_release`, by which LiveKit ends a turn in its place
            self._record_fates,  # after every rule that settles words, before the receipt that lists them
            self._write_receipts,  # an utterance is over, and none of its held words is open
            lambda at: self._gap.settle(at),  # the receipt is there, so that the gap can be added to it
            self._release,  # after the receipts: LiveKit may speak from here on, and what comes again be said
            lambda at: self._repeats.settle(at, free=self._is_free, passed=self._livekits.passed),
            self._end,  # last: only when nothing above has anything left to do
        )
        busy = True
        while busy:
            busy = False
            for rule in rules:
                for action in rule(at):
                    busy = True
                    yield action

    def _stop_what_must_stop(self, at: float) -> Iterator[Action]:
        for one in self._queue.open(suspended=True):
            if self.closing.gone_at is not None:
                one.leave(self.closing.known_until, self.closing.cause)
            elif self.closing.cuts(at):
                one.stop(Outcome.SHUT_DOWN, "the session was closed")
            else:
                one.give_up(at, free_since=self._queue.free_since(one))
            if one.must_be_told_to_stop(at):
                yield a.StopUtterance(one.id, one.why)
            if one.ended_at is not None or one.away:
                self._last, self._queue.freed_at = one, at

    def _reopen(self, at: float) -> Iterator[Action]:
        """A caller who vanished is missed only later: what ended since then was said to nobody."""
        ending = self.closing
        if ending.gone_at is None or ending.known_until is None or ending.shutdown_at is not None:
            return
        for name, of in self._queue.reopen(ending.known_until, at, ending.cause):
            yield a.Reopen(name, of)

    def _resume(self, at: float) -> Iterator[Action]:
        for one in self._queue.away:
            if self.closing.shutdown_at is not None or self.closing.is_gone_for_good(at):
                one.stay_away(at)
            elif self.closing.gone_at is None:
                before, text = one.resume(at)
                yield a.Resume(one.id, one.begins_at, before, text)

    def _take_in(self, at: float) -> Iterator[Action]:
        """Take in typed text and unfinished utterances: text typed over nothing is LiveKit's; unfinished speech is
        resumed or skipped, and the words of skipped speech are held."""
        if self.holding or self.closing.shutdown_at is not None:
            if text := self._typed.let_go():
                self._note_words(e.TextTyped(text), at)
        elif text := self._typed.take(at):
            yield a.AnswerTyped(text)
        arrived, self._arrived = self._arrived, []
        for one in arrived:
            again = (one.redeliver or self.policy.redeliver) is not Redeliver.NEVER
            if again and one.text.strip() and self.closing.shutdown_at is None:
                yield a.ResumeUnfinished(one.id)
                continue
            owner = Utterance(e.SpeechRequested(one.id, answer=one.answer), self.policy, at)
            spoken, asked = self._held_words.language, self._asked_before(at)
            self._held_words.said += [HeldPiece(Held(text, at), owner, at, spoken, asked) for text in one.words]
            yield a.SkipUnfinished(one.id)

    def _begin_to_hold(self, _at: float) -> Iterator[Action]:
        if self.holding and not self._holds:
            self._holds, self._livekits.leftover = True, self._livekits.passed
            yield a.Hold(leftover=self._livekits.leftover)

    def _wait_no_longer(self, at: float) -> Iterator[Action]:
        expected = self._expected_since
        if expected is not None and (self.closing.begun or at >= expected + self.policy.timeouts.voice):
            self._expected_since, self._queue.freed_at = None, at
        heard = self._held_words
        if heard.owes_words and not heard.guess and at >= self._words_by():
            heard.expire(at)  # a cough: there were no words in it
            if self._holds:
                self._owner().sounds += 1
        heard.taken_for_noise = heard.is_noise(at)
        yield from ()

    def _drop_a_stale_answer(self, _at: float) -> Iterator[Action]:
        ready = self._preparing.ready
        if ready is not None and (ready.words != self._held_words.to_answer or self.closing.begun):
            self._preparing.take()
            yield a.DropAnswer(ready.number)

    def _prepare_an_answer(self, at: float) -> Iterator[Action]:
        begins = self._prepares_at()
        if begins is not None and at >= begins:
            yield self._preparing.begin(self._held_words.to_answer, at)

    def _settle_the_words(self, at: float) -> Iterator[Action]:
        heard = self._held_words
        if self._queue.open() or self._expected_since is not None or self._questions:
            return
        if self.closing.begun:
            yield from self._note_what_is_left(at)
            return
        noise = heard.is_noise(at)
        if self._holds and (heard.owes_words or (heard.guess and noise)):
            if not noise and at < self._words_by():
                return
            heard.take_the_guess(at, self._owner(), after_question=self._asked_before(at))
        if noted := self._held_words.settle_unanswered():
            yield a.AddToContext(noted)
        yield from self._give(at)
        if not heard.has_answer_due and (left := [said for said in heard.said if not said.committed]):
            yield from self._give_back(left)

    def _give(self, at: float) -> Iterator[Action]:
        """The floor is free: the agent is given its turn, or LiveKit the beginning of its own."""
        if not (turn := (heard := self._held_words).to_answer):
            return
        noise = heard.is_noise(at)
        livekits = self._livekits.takes_words
        if heard.talking and not (noise or livekits or (heard.guess and not heard.by_sound)):
            return  # the next word shows whether the caller goes on
        ready = self._preparing.take()
        # the caller goes on, or LiveKit has the first half: what was said is the beginning of LiveKit's own turn
        back = (heard.talking and not noise) or livekits
        committed = [said for said in heard.said if said.committed]
        if back:
            if ready is not None:
                yield a.DropAnswer(ready.number)
            yield from self._give_back(committed)
        else:
            heard.settle_all(Fate.DELIVERED, committed)
            self._gap = Gap((self._last.id, self._queue.freed_at) if self._last.ended_at is not None else None)
            self._asked = False
            self._preparing.delivered(ready, at)
            yield a.DeliverTurn(turn, ready.number if ready else None, over_noise=noise)

    def _give_back(self, pieces: list[HeldPiece]) -> Iterator[Action]:
        self._livekits.passed = True
        yield a.ReturnWords(self._held_words.settle_all(Fate.HANDED_BACK, pieces))

    def _note_what_is_left(self, at: float) -> Iterator[Action]:
        gone = self.closing.gone_at is not None
        if gone and self.closing.shutdown_at is None and not self.closing.is_gone_for_good(at):
            return
        self._held_words.take_the_guess(at, self._owner(), after_question=self._asked_before(at))
        if noted := self._held_words.settle_unanswered():
            yield a.AddToContext(noted)
        if left := self._held_words.settle_all(Fate.CALLER_GONE if gone else Fate.SHUT_DOWN):
            yield a.AddToContext(left)

    def _record_fates(self, _at: float) -> Iterator[Action]:
        settled, self._held_words.settled = self._held_words.settled, []
        for held, fate, owner in settled:
            owner.keep(held, fate)
            yield a.RecordFate(held, fate)

    def _write_receipts(self, at: float) -> Iterator[Action]:
        for one in [one for one in self._queue.all if one.ended_at is not None]:
            waits = one is self._owner() and self._waits_at_the_end()
            if not waits and all(said.owner is not one for said in self._held_words.said):
                self._queue.close(one, at)
                self._asked = self._asked or one.asks
                self._repeats.over(one)
                yield from self._pressed.offer(one)  # before its receipt, which waits for it
                yield a.WriteReceipt(one.receipt())

    def _release(self, at: float) -> Iterator[Action]:
        if self._holds and not self.holding:
            asked = self._held_words.commit
            leaves = self._livekits.leftover and not self._held_words.talking and not self._held_words.by_hand
            release = a.Release(commit=leaves) if asked is None else asked.release(at)
            self._holds = self._livekits.leftover = self._livekits.replies = False
            self._preparing.release()
            self._last = self._no_utterance
            self._held_words.release()
            yield release

    def _end(self, at: float) -> Iterator[Action]:
        if self._queue.open(suspended=True) or self._held_words.said or self._questions:
            return
        if self.closing.shutdown_at is not None and not self._shut_down:
            self._shut_down = True
            yield a.FinishShutdown()
        if self.closing.is_gone_for_good(at) and not self._call_ended:
            self._call_ended = True
            yield a.EndCall()

    # What the rules ask

    @property
    def _is_free(self) -> bool:
        return not (self.holding or self._holds or self._queue.all or self.closing.begun or self._livekits.replies)

    def _owner(self) -> Utterance:
        return self._queue.current() or self._last

    def _waits_at_the_end(self) -> bool:
        return self._holds and self._held_words.awaits_words and not self.closing.begun

    def _waits_for_a_word(self) -> bool:
        """Whether nothing but a sound without a word stands before an answer."""
        busy = self._queue.open() or self._expected_since is not None or self.closing.begun
        livekits = self._livekits.takes_words or self._questions
        due = self._held_words.has_answer_due or self._held_words.guess or self._held_words.hears_out
        return bool(self._holds and not busy and not livekits and due)

    def _words_by(self) -> float:
        """Until when to wait for the words of a sound; where a guess says that there are words, longer."""
        after_the_end = self._queue.freed_at + self.policy.timeouts.words if self._held_words.guess else 0.0
        return max(after_the_end, self._held_words.due_by or 0.0)

    def _prepares_at(self) -> float | None:
        """When an answer may be prepared; None while it may not."""
        heard, owed = self._held_words, self._queue.open()
        if not self._preparing.may_begin or self.closing.begun or self._questions:
            return None
        if heard.talking or heard.owes_words or self._livekits.leftover or len(owed) != 1 or not heard.has_answer_due:
            return None
        before = self._preparing.seconds_before(self.policy.prepare)
        return None if (ends := owed[0].ends_at()) is None else ends - before

    def _alarms(self) -> Iterator[float]:
        yield from self._queue.alarms(self.closing.cuts_at)
        once = self._typed.due_at, self._prepares_at(), self._held_words.known_by
        yield from (due for due in once if due is not None)
        yield from self._questions.alarms()
        yield from self._repeats.alarms(free=self._is_free, passed=self._livekits.passed)
        if self._expected_since is not None:
            yield self._expected_since + self.policy.timeouts.voice
        noise_from = self._held_words.noise_from
        if noise_from is not None and self._waits_for_a_word():
            yield noise_from
        ends_at = self.closing.gone_for_good_at
        if ends_at is not None and not self._call_ended and not self._queue.open(suspended=True):
            yield ends_at
        waits_anyway = self._queue.open() or self._expected_since is not None
        if self._waits_at_the_end() and self._held_words.owes_words and not (self._held_words.guess and waits_anyway):
            yield self._words_by()

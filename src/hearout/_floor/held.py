"""What the caller said while protected speech was owed. It notes; `floor.py` decides."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .. import _text as words
from ..policy import Answer, Policy
from ..receipts import Fate, Held, Kind
from . import events as e
from .actions import TurnKnown
from .piece import FRESH, Commit, HeldPiece
from .state import CHARACTERS
from .utterance import Utterance

SILENCE = 0.6
"""Seconds of silence after which the caller is known to have stopped (silero: 0.55). A final that came within
them is of all that was said."""

REPEAT_WINDOW = 10.0
"""Seconds in which a final transcript may still come for words that were settled by their guess."""


NEWEST = 60.0
"""Seconds in which the end of a long interim transcript was said: 400 characters, at 7 in a second."""

LATE = 1.25
"""By how much the next final may take longer than the slowest one of this call."""

SAME = 0.1
"""Seconds within which two finals begin that are of the same words, or come if their STT gives no times."""

SOUNDS = 16
"""Sounds that wait for their words at most: those of 10 s. An STT that is further behind gives words for the newest."""

MOST = 100
"""Pieces that are held at most, of which no two that follow each other could be one: backchannels, say."""

PIECES = 4
"""Texts that are held one by one. The rules look at each after every event, so that a caller who typed hundreds would
hold the call up; they are one turn in any case."""


@dataclass
class WordlessSound:
    """A sound of the caller for which the STT may still give words.

    Args:
        began, ended: when; not ended while the caller makes it.
        due_by: until when its words are waited for.
    """

    began: float
    ended: float | None = None
    due_by: float | None = None


@dataclass
class LastFinal:
    """The last final transcript of a call: an STT may give it twice, or begin the next one with it.

    Args:
        heard: the transcript; None before the first one.
        came: when, in seconds from the call's start.
        is_held: whether it was held, or began with one that was: what is said again of it is not left to LiveKit.
    """

    heard: e.WordsHeard | None = None
    came: float = 0.0
    is_held: bool = False

    def new_in(self, event: e.WordsHeard, at: float, *, alone: bool) -> str:
        """The part of a final that is not in the last one.

        Args:
            alone: whether no other sound can have been its words.
        """
        before = self.heard.text if self.heard is not None and self._is_of(event, at, alone=alone) else ""
        rest = words.rest_of(event.text, before)
        return event.text if rest is None else rest

    def _is_of(self, event: e.WordsHeard, at: float, *, alone: bool) -> bool:
        assert self.heard is not None
        if event.began is not None and self.heard.began is not None:
            return abs(event.began - self.heard.began) < SAME
        return at - self.came < SAME and alone and event.text == self.heard.text

    def note(self, event: e.WordsHeard, at: float, *, is_held: bool) -> str | None:
        """This final is the last one now; the text of the one before, None where there was none."""
        before = self.heard
        self.heard, self.came, self.is_held = event, at, is_held
        return None if before is None else before.text


@dataclass
class HeldWords:
    """The caller's sounds and words. Times in seconds from the call's start; None where there is none."""

    policy: Policy = field(repr=False)
    language: str
    """Of the caller's words: the policy's, otherwise what the STT took the last ones for."""
    talking: bool = False
    stopped_at: float | None = None
    """When the caller was last known to have stopped."""
    sounds: list[WordlessSound] = field(default_factory=list)
    """Those for which words may come, the oldest first; the last one goes on while the caller talks."""
    wordless: list[WordlessSound] = field(default_factory=list)
    """Those for which none came in time. An STT that hears whole phrases may be late."""
    first_wait: float = 0.0
    """Seconds that an STT that hears whole phrases is given, until a final has shown what it needs."""
    slowest: float = 0.0
    """Seconds that the slowest final of the call took that came without a guess."""
    worded_at: float | None = None
    """When the caller was last known to say words, or to begin."""
    guess: str = ""
    guessed_at: float = 0.0
    """When it was given."""
    guesses: bool = False
    """Whether the STT has given a guess in this call: then words show within moments."""
    final_at: float | None = None
    """When the last final transcript came."""
    said: list[HeldPiece] = field(default_factory=list)
    settled: list[tuple[Held, Fate, Utterance]] = field(default_factory=list)
    """What is decided, and not yet recorded."""
    repeat: tuple[str, float] | None = None
    """What was settled by its guess, and until when its final may come."""
    last_final: LastFinal = field(default_factory=LastFinal)
    by_hand: bool = False
    """Whether only the program ends the caller's turns."""
    by_sound: bool = False
    """Whether the model hears the caller's sound: LiveKit has no use for words that are given back."""
    taken_for_noise: bool = False
    """Whether the sound that goes on was taken for a noise."""
    commit: Commit | None = None
    """What the program asked for last and has not got."""
    turns: int = 0
    """How many the program ended."""
    untold: Commit | None = None
    """The turn that the program ended last, until it is told its words."""
    at_livekit: list[str] = field(default_factory=list)
    """Where the program ends the turns: the words of the turn that goes on which LiveKit has."""
    heard_at: float | None = None
    """When the last final transcript came, whoever has it."""
    by_machine: bool = False
    """Whether an answering machine is at the far end, whose words count for nothing."""

    @property
    def due_by(self) -> float | None:
        """Until when a final transcript may come for the sounds that ended."""
        return max((one.due_by for one in self.sounds if one.due_by is not None), default=None)

    @property
    def owes_words(self) -> bool:
        """Whether the STT may still give words for a sound that has ended."""
        return not self.talking and (bool(self.guess) or self.due_by is not None)

    @property
    def hears_out(self) -> bool:
        """Whether the caller makes a sound that the model was not given: its words are waited for."""
        return self.by_sound and self.talking and not self.taken_for_noise

    @property
    def awaits_words(self) -> bool:
        """Whether words of a sound are still to come that go to nobody but the floor."""
        return self.owes_words or self.hears_out

    @property
    def to_answer(self) -> tuple[Held, ...]:
        """What an agent is to be given as a turn."""
        return tuple(said.marked for said in self._answered())

    @property
    def has_answer_due(self) -> bool:
        return next(self._answered(), None) is not None

    def _answered(self) -> Iterator[HeldPiece]:
        return (
            said
            for said in self.said
            if said.committed and said.replies and said.owner.answer is Answer.RIGHT_AFTER and not said.is_idle
        )

    def end_turns_by_hand(self, *, by_hand: bool) -> None:
        """The program ends the caller's turns from now on, or no longer; what is held waits for it, or no longer."""
        self.by_hand = by_hand
        for said in self.said:
            if said.held.kind is Kind.SPOKEN:
                said.by_hand, said.committed = by_hand, not by_hand

    def commit_turn(self, at: float, patience: float, *, replies: bool, holding: bool) -> None:
        """The program ends the caller's turn: all that was said until now, and what is still to be recognised of it."""
        ended, self.at_livekit = self.at_livekit, []
        if not holding:
            return
        self.turns += 1
        asked = self.commit = Commit(self.turns, at, at + patience, replies, at + patience, ended)
        if self.untold is not None:
            asked.take_in(self.untold)
        self.untold = asked
        for said in self.said:
            if said.held.kind is Kind.SPOKEN and not said.turn:
                asked.add(said)
            if not said.committed:
                said.committed, said.replies = True, replies

    def clear_turn(self, at: float, owner: Utterance) -> None:
        """The program throws the caller's turn away, with what is being recognised of it.

        A turn that it ended before stays, once it is known: whoever talks by a button clears as the button goes down.
        """
        self.take_the_guess(at, owner)
        goes_on = 0 if self.untold is None else self.untold.number
        pieces = [said for said in self.said if said.held.kind is Kind.SPOKEN and said.turn in (0, goes_on)]
        self.settle_all(Fate.DROPPED, pieces)
        self.at_livekit = []
        if self.untold is not None:
            self.untold.before, self.untold.pieces = [], []
            self.commit = None
        elif self.commit is not None:
            self.commit.until = at

    @property
    def known_by(self) -> float | None:
        """Until when the words of the turn that the program ended are waited for."""
        return None if self.untold is None else self.untold.known_by

    def tell_the_turn(self, at: float) -> Iterator[TurnKnown]:
        """Tell the program the words of the turn that it ended, once they are known."""
        if (turn := self.untold) is None:
            return
        settled = self.commit is not turn
        if settled or at >= turn.known_by or self._is_known(turn):
            self.untold = None
            yield TurnKnown(turn.text("" if settled else self.guess))

    def _is_known(self, turn: Commit) -> bool:
        """Whether the STT is through with the words of a turn, as far as can be told."""
        due = any(one.due_by is not None and one.began <= turn.at for one in self.sounds)
        if self.guess or due:
            return False
        fresh = turn.at - FRESH if self.guesses or not self.talking else turn.at
        if self.heard_at is not None and self.heard_at >= fresh:
            return True
        return bool(turn.pieces) and not self.talking and (self.guesses or self.stopped_at is not None)

    def _spoken(self, text: str, began: float, at: float, owner: Utterance, *, after_question: bool) -> HeldPiece:
        piece = HeldPiece(Held(text, began), owner, at, self.language, after_question)
        if self.commit is not None and self.commit.has(began, at):
            piece.turn = self.commit.number
        if self.by_hand:
            piece.by_hand, piece.committed = True, piece.turn > 0
            piece.replies = self.commit is None or self.commit.replies
        return piece

    @property
    def noise_from(self) -> float | None:
        """When the sound that goes on counts as noise, if no word shows in it before; None while the caller is silent.

        An STT that hears whole phrases gets three times as long.
        """
        noise = self.policy.timeouts.noise
        if not self.talking or self.worded_at is None:
            return None
        return self.worded_at + max(noise if self.guesses else 3 * noise, LATE * self.slowest)

    def is_noise(self, at: float) -> bool:
        since = self.noise_from
        return since is not None and at >= since

    def began(self, at: float) -> float:
        """When the words began that are known only now."""
        return self.sounds[0].began if self.sounds else at

    def started(self, at: float) -> None:
        """The caller makes a sound. What is still owed for the one before may begin there."""
        if not self.talking:
            self.sounds = [*self.sounds[1 - SOUNDS :], WordlessSound(at)]
        self.talking, self.worded_at, self.taken_for_noise = True, at, False
        if self.commit is not None:
            self.commit.until = self.commit.at

    def stopped(self, at: float) -> None:
        if self.talking:
            complete = self.final_at is not None and self.final_at > at - SILENCE and not self.guess
            self.talking, last = False, self.sounds[-1]
            needed = LATE * self.slowest if self.slowest or self.guesses else self.first_wait
            last.ended, last.due_by = at, at + max(self.policy.timeouts.words, needed)
            self.stopped_at = at
            if complete:
                self.sounds.remove(last)

    def guessed(self, text: str, at: float, owner: Utterance, *, after_question: bool = False) -> None:
        """Note an interim transcript; where it is of another sound only, the last one of the sound before stands."""
        sound = self.sounds[-1] if self.sounds else None
        other = sound is not None and self.guess and self.worded_at is not None and self.guessed_at < sound.began
        if sound is not None and other and words.rest_of(text, self.guess) is None:
            self.take_the_guess(at, owner, after_question=after_question)
            self.sounds = [sound]
        self.guess, self.worded_at, self.guessed_at, self.guesses = text, at, at, True
        self.taken_for_noise = False

    def final(
        self, event: e.WordsHeard, at: float, owner: Utterance, *, after_question: bool = False
    ) -> HeldPiece | None:
        """Note a final transcript; the new words in it as a piece, None where there are none."""
        text, self.worded_at, self.taken_for_noise = event.text, at, False
        self.heard_at = at
        new = self._not_restated(event, at)
        before = self.last_final.note(event, at, is_held=True)
        if before is not None and not words.split(new):
            self._note_repeated(text, event.began or self.began(at), owner)
            return None
        explained = self._explained(event, at)
        began = explained if event.began is None else event.began
        piece = self._spoken(text, began, at, owner, after_question=after_question)
        if before is not None and new != text:
            self._note_repeated(before, began, owner)
        elif (new := self._new_in(text, at)) != text and self.repeat is not None:
            self._note_repeated(self.repeat[0], piece.held.at, owner)
        self.repeat = None
        if not words.split(new):
            return None
        piece.held, piece.confidence, piece.stt = replace(piece.held, text=new), event.confidence, event.stt
        self.add(piece)
        return piece

    def _note_repeated(self, text: str, began: float, owner: Utterance) -> None:
        self.settled.append((Held(text, began, early=owner.is_early(began)), Fate.REPEATED, owner))

    def add(self, piece: HeldPiece) -> None:
        """Hold a text; beyond `PIECES` as a part of the last one if they are alike; what is too much, not at all."""
        if self.by_machine:
            self.settled.append((piece.held, Fate.MACHINE, piece.owner))
            return
        goes_on = len(self.said) >= PIECES and self._goes_on(piece)
        if self._is_too_much(piece, goes_on=goes_on):
            self.settled.append((piece.held, Fate.TOO_MUCH, piece.owner))
        elif goes_on:
            self.said[-1].go_on(piece)
        else:
            self.said.append(piece)
            if self.commit is not None and self.commit.number == piece.turn:
                self.commit.add(piece)

    def _is_too_much(self, piece: HeldPiece, *, goes_on: bool) -> bool:
        characters = len(piece.held.text) + sum(len(one.held.text) for one in self.said)
        return characters > CHARACTERS or (len(self.said) >= MOST and not goes_on)

    def _goes_on(self, piece: HeldPiece) -> bool:
        last = self.said[-1]
        return last.alike == piece.alike and not last.is_idle and not piece.is_idle

    def newest(self, at: float, owner: Utterance, *, after_question: bool) -> HeldPiece:
        """The end of the current interim transcript: the part before was looked at when it was new."""
        text = words.tail(self.guess)
        began = self.began(at) if text == self.guess else max(self.began(at), at - NEWEST)
        return HeldPiece(Held(text, began), owner, at, self.language, after_question)

    def passed(self, at: float, event: e.WordsHeard | None = None) -> None:
        """A final transcript went to LiveKit."""
        if event is not None:
            self.at_livekit += [event.text] * self.by_hand
            self.last_final.note(event, at, is_held=self.new_for_livekit(event, at) != event.text)
        self.final_at = self.heard_at = at
        self.forget(at)

    def take_the_guess(self, at: float, owner: Utterance, *, after_question: bool = False) -> None:
        """The final did not come in time: what was guessed is what was said."""
        if words.split(new := self._new_in(self.guess, at)):
            self.repeat = (self.guess, at + REPEAT_WINDOW)
            self.add(self._spoken(new, self.began(at), at, owner, after_question=after_question))
        self.forget(at)

    def repeats(self, text: str, at: float) -> bool:
        """Whether a text is the late final of words that were settled by their interim transcript."""
        if self.repeat is None:
            return False
        said, until = self.repeat
        return at < until and words.rest_of(text, said) is not None

    def _not_restated(self, event: e.WordsHeard, at: float) -> str:
        return self.last_final.new_in(event, at, alone=not self.sounds and not self.wordless)

    def new_for_livekit(self, event: e.WordsHeard, at: float) -> str:
        """What of a final that goes to LiveKit was not held before."""
        return self._not_restated(event, at) if self.last_final.is_held else event.text

    def _new_in(self, text: str, at: float) -> str:
        """The part of a text that was not settled by an earlier interim transcript."""
        if self.repeat is None or at >= self.repeat[1]:
            return text
        rest = words.rest_of(text, self.repeat[0])
        return text if rest is None else rest

    def _explained(self, event: e.WordsHeard, at: float) -> float:
        """When the words of a final began that comes now; the sounds that they were are owed no more.

        An STT that gives guesses is through with all that it heard. One that hears whole phrases gives a final for each
        sound, in their order; a sound that would have taken it much longer than any other was no words.
        """
        ended = [one for one in (*self.wordless, *self.sounds) if one.ended is not None and one.ended <= at]
        late_kind = self.slowest or self.first_wait or self.wordless
        if self.guess or not ended or (self.talking and not late_kind):
            began, self.final_at = self.began(at), at
            self.forget(at)
            return began
        late = LATE * self.slowest if self.slowest else REPEAT_WINDOW
        likely = [one for one in ended if one.ended is not None and at - one.ended <= late] or ended[-1:]
        if event.ended is not None and event.began is not None:
            mine = [one for one in likely if one.began <= event.ended + SILENCE] or likely[:1]
        else:
            mine = likely[:1]
        self.slowest = max(self.slowest, at - (mine[-1].ended or at))
        gone = ended[: ended.index(mine[-1]) + 1]
        owed = [one for one in (*self.wordless, *self.sounds) if one not in gone]
        for one in owed:
            if one.ended is not None:  # the same STT takes as long for these
                one.due_by = max(one.due_by or 0.0, one.ended + LATE * self.slowest)
        self.wordless = []
        self.sounds = [one for one in owed if one.due_by is None or one.due_by > at]
        return mine[0].began

    def expire(self, at: float) -> None:
        """No words came in time: a cough, or an STT that is late for the first time."""
        ended = [one for one in (*self.wordless, *self.sounds) if one.ended is not None]
        self.wordless = [one for one in ended if at - (one.ended or 0.0) < REPEAT_WINDOW][-SOUNDS:]
        self.forget(at)

    def forget(self, at: float) -> None:
        """Nothing is owed for what was heard until now."""
        self.guess = ""
        self.sounds = [WordlessSound(at)] if self.talking else []

    def release(self) -> None:
        """From now on LiveKit hears: nothing is owed for what was before."""
        self.commit = self.untold = None
        self.guess = ""
        self.wordless = []
        if not self.talking:
            self.sounds = []

    def settle_unanswered(self) -> tuple[Held, ...]:
        """Settle the pieces that need no answer; the ones for the chat context."""
        noted = []
        for said in list(self.said):
            if said.owner.answer is Answer.DROP:
                self.settle(said, Fate.DROPPED)
            elif said.is_idle:
                self.settle(said, Fate.ECHO if said.is_echo else Fate.BACKCHANNEL)
            elif self._is_to_note(said):
                noted.append(said.marked)
                self.settle(said, Fate.NOTED)
        return tuple(noted)

    def _is_to_note(self, said: HeldPiece) -> bool:
        """Whether a piece goes into the chat context only; in manual turns, the program may still ask for an answer."""
        unanswered = said.owner.answer is Answer.NOTE or (said.committed and not said.replies)
        return unanswered or (self.by_sound and not said.committed)

    def settle_all(self, fate: Fate, pieces: Iterable[HeldPiece] | None = None) -> tuple[Held, ...]:
        """This becomes of all that is held, or of these pieces; which it was."""
        settled = list(self.said if pieces is None else pieces)
        left = tuple(said.marked for said in settled)
        for said in settled:
            self.settle(said, fate)
        return left

    def settle(self, said: HeldPiece, fate: Fate) -> None:
        self.said.remove(said)
        if fate is Fate.HANDED_BACK:
            self.at_livekit += [said.held.text] * said.by_hand
        elif said.committed:
            self.commit = None
        self.settled.append((said.marked, fate, said.owner))

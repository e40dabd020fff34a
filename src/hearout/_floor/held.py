"""What the caller said while protected speech was owed. It notes; `floor.py` decides."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .. import _text as words
from ..policy import Answer
from ..receipts import Fate, Held, Kind
from .typed import CHARACTERS
from .utterance import Utterance

SILENCE = 0.6
"""Seconds of silence after which the caller is known to have stopped (silero: 0.55). A final that came within
them is of all that was said."""

REPEAT_WINDOW = 10.0
"""Seconds in which a final transcript may still come for words that were settled by their guess."""


NEWEST = 60.0
"""Seconds in which the end of a long interim transcript was said: 400 characters, at 7 in a second."""


PIECES = 4
"""Typed texts that are held one by one. The rules look at each after every event, so that a caller who typed hundreds
would hold the call up; they are one turn in any case."""


@dataclass(eq=False)
class HeldPiece:
    """Something that is held, over which utterance it was said, and when the recogniser gave it."""

    held: Held
    owner: Utterance
    known_at: float
    language: str = ""
    """That it was said in; empty where that is not known."""
    after_question: bool = False
    """Whether another utterance had asked something before that was not answered yet."""
    confidence: float | None = None
    """Of the recogniser, from 0 to 1; None where it does not say."""
    stt: str = ""
    """Names the recogniser."""
    _echo: tuple[tuple[object, ...], bool] | None = field(default=None, repr=False)

    @property
    def is_echo(self) -> bool:
        """Whether it is the agent's own sound, come back."""
        if self.held.kind is not Kind.SPOKEN:
            return False
        known = self.owner.known_sound
        if self._echo is None or self._echo[0] != known:  # looked at after every event, and changed by few
            self._echo = known, self.owner.is_echo(self.held.text, self.held.at, self.known_at)
        return self._echo[1]

    @property
    def is_idle(self) -> bool:
        """Whether no agent is to be told of it."""
        return self.is_echo or (self.held.kind is Kind.SPOKEN and self._is_backchannel)

    @property
    def _is_backchannel(self) -> bool:
        """Whether it can mean nothing but "I am listening"; an answer to a question is never dropped."""
        idle = words.is_backchannel(self.held.text, words.language(self.language))
        return idle and not self.after_question and not self.owner.has_asked(self.held.at)

    @property
    def marked(self) -> Held:
        """The words, with whether they came before the question."""
        return replace(self.held, early=self.owner.is_early(self.held.at))


@dataclass
class HeldWords:
    """The caller's sounds and words. Times in seconds from the call's start; None where there is none."""

    talking: bool = False
    language: str = ""
    """Of the caller's words: the policy's, otherwise what the recogniser took the last ones for."""
    words_from: float | None = None
    """When what is not recognised yet began."""
    due_by: float | None = None
    """Until when a final transcript may come for the sound that ended."""
    guess: str = ""
    stopped_at: float | None = None
    """When the caller was last known to have stopped."""
    final_at: float | None = None
    """When the last final transcript came."""
    said: list[HeldPiece] = field(default_factory=list)
    settled: list[tuple[Held, Fate, Utterance]] = field(default_factory=list)
    """What is decided, and not yet recorded."""
    repeat: tuple[str, float] | None = None
    """What was settled by its guess, and until when its final may come."""

    @property
    def owes_words(self) -> bool:
        """Whether the recogniser may still give words for a sound that has ended."""
        return not self.talking and (bool(self.guess) or self.due_by is not None)

    @property
    def to_answer(self) -> tuple[Held, ...]:
        """What an agent is to be given as a turn."""
        return tuple(said.marked for said in self._answered())

    @property
    def has_answer_due(self) -> bool:
        """Whether there is something that an agent is to be given."""
        return next(self._answered(), None) is not None

    def _answered(self) -> Iterator[HeldPiece]:
        return (said for said in self.said if said.owner.answer is Answer.RIGHT_AFTER and not said.is_idle)

    def began(self, at: float) -> float:
        """When the words began that are known only now."""
        return at if self.words_from is None else self.words_from

    def started(self, at: float) -> None:
        """The caller makes a sound. What is still owed for the one before may begin there."""
        self.words_from = self.began(at) if self.owes_words or self.talking else at
        self.talking, self.due_by = True, None

    def stopped(self, at: float, grace: float) -> None:
        """The caller is silent; words may come for so long, unless they have come."""
        if self.talking:
            complete = self.final_at is not None and self.final_at > at - SILENCE and not self.guess
            self.talking, self.due_by = False, None if complete else at + grace
            self.stopped_at = at
            self.words_from = None if complete else self.words_from

    def final(self, text: str, at: float, owner: Utterance, *, after_question: bool = False) -> HeldPiece | None:
        """The recogniser's last word on it; what is new in it."""
        began, self.final_at = self.began(at), at
        new = self._new_in(text, at)
        if new != text and self.repeat is not None:
            self.settled.append((Held(self.repeat[0], began), Fate.REPEATED, owner))
        self.repeat = None
        self.forget(at)
        if not words.split(new):
            return None
        self.said.append(HeldPiece(Held(new, began), owner, at, self.language, after_question))
        return self.said[-1]

    def add(self, piece: HeldPiece) -> None:
        """Hold a text; what is typed beyond `PIECES` as a part of the last one, and beyond `CHARACTERS` not at all."""
        if len(piece.held.text) + sum(len(one.held.text) for one in self.said) > CHARACTERS:
            self.settled.append((piece.held, Fate.TOO_MUCH, piece.owner))
        elif len(self.said) >= PIECES and self._continues(piece):
            last = self.said[-1].held
            self.said[-1].held = replace(last, text=f"{last.text}\n{piece.held.text}")
        else:
            self.said.append(piece)

    def _continues(self, piece: HeldPiece) -> bool:
        last = self.said[-1]
        return last.held.kind is piece.held.kind is Kind.TYPED and last.owner is piece.owner

    def newest(self, at: float, owner: Utterance, *, after_question: bool) -> HeldPiece:
        """The end of what is guessed now: what stood before was looked at when it was new."""
        text = words.tail(self.guess)
        began = self.began(at) if text == self.guess else max(self.began(at), at - NEWEST)
        return HeldPiece(Held(text, began), owner, at, self.language, after_question)

    def passed(self, at: float) -> None:
        """A final transcript went to LiveKit."""
        self.final_at = at
        self.forget(at)

    def take_the_guess(self, at: float, owner: Utterance, *, after_question: bool = False) -> None:
        """The final did not come in time: what was guessed is what was said."""
        if words.split(new := self._new_in(self.guess, at)):
            self.repeat = (self.guess, at + REPEAT_WINDOW)
            self.said.append(HeldPiece(Held(new, self.began(at)), owner, at, self.language, after_question))
        self.forget(at)

    def repeats(self, text: str, at: float) -> bool:
        """Whether it is the late last word on what was settled by its guess."""
        if self.repeat is None:
            return False
        said, until = self.repeat
        return at < until and words.rest_of(text, said) is not None

    def _new_in(self, text: str, at: float) -> str:
        """What of it was not settled by its guess before."""
        if self.repeat is None or at >= self.repeat[1]:
            return text
        rest = words.rest_of(text, self.repeat[0])
        return text if rest is None else rest

    def forget(self, at: float) -> None:
        """Nothing is owed for what was heard until now."""
        self.guess, self.due_by = "", None
        self.words_from = at if self.talking else None

    def release(self) -> None:
        """From now on LiveKit hears: nothing is owed for what was before."""
        self.guess = ""
        if not self.talking:
            self.words_from = self.due_by = None

    def settle_unanswered(self) -> tuple[Held, ...]:
        """Settle what is not for an answer; what of it goes into the chat context."""
        noted = []
        for said in list(self.said):
            if said.owner.answer is Answer.DROP:
                self.settle(said, Fate.DROPPED)
            elif said.is_idle:
                self.settle(said, Fate.ECHO if said.is_echo else Fate.BACKCHANNEL)
            elif said.owner.answer is Answer.NOTE:
                noted.append(said.marked)
                self.settle(said, Fate.NOTED)
        return tuple(noted)

    def settle_all(self, fate: Fate) -> tuple[Held, ...]:
        """This becomes of all that is held; which it was."""
        left = tuple(said.marked for said in self.said)
        for said in list(self.said):
            self.settle(said, fate)
        return left

    def settle(self, said: HeldPiece, fate: Fate) -> None:
        """Decide what becomes of it."""
        self.said.remove(said)
        self.settled.append((said.marked, fate, said.owner))

"""A piece of what the caller said, and a turn of such pieces that the program ended. It notes; `floor.py` decides."""

from dataclasses import dataclass, field, replace

from .. import _text as words
from ..receipts import Held, Kind
from .actions import Release
from .utterance import Utterance

FRESH = 0.5
"""Seconds before the end of a turn in which a final transcript counts as its last (LiveKit 1.8.9,
``audio_recognition.py``)."""


@dataclass(eq=False)
class Commit:
    """The program's end of a turn: when, and whether it wants an answer. Times in seconds from the call's start.

    Args:
        number: of the turn, from 1.
        until: until when words that come are of this turn.
        known_by: until when the program waits for its words.
        before: its words that LiveKit has.
        pieces: its words that are held, or were.
    """

    number: int
    at: float
    until: float
    replies: bool
    known_by: float
    before: list[str] = field(repr=False)
    pieces: list["HeldPiece"] = field(default_factory=list, repr=False)

    def has(self, began: float, at: float) -> bool:
        return began <= self.at or at <= self.until

    def add(self, piece: "HeldPiece") -> None:
        piece.turn = self.number
        self.pieces.append(piece)

    def take_in(self, earlier: "Commit") -> None:
        self.before = earlier.before + self.before
        for piece in earlier.pieces:
            self.add(piece)

    def text(self, guess: str) -> str:
        """The words of the turn, with the interim transcript `guess` at their end."""
        return words.join([*self.before, *(one.held.text for one in self.pieces if not one.is_echo), guess])

    def release(self, at: float) -> Release:
        """LiveKit ends the turn in its place: the words had not come."""
        return Release(commit=True, patience=max(0.0, self.until - at), replies=self.replies)


@dataclass(eq=False)
class HeldPiece:
    """Something that is held, over which utterance it was said, and when the STT gave it."""

    held: Held
    owner: Utterance
    known_at: float
    language: str = ""
    """That it was said in; empty where that is not known."""
    after_question: bool = False
    """Whether another utterance had asked something before that was not answered yet."""
    confidence: float | None = None
    """Of the STT, from 0 to 1; None where it does not say."""
    stt: str = ""
    """Names the STT."""
    committed: bool = True
    """Whether it is a turn, as far as that is the program's to say."""
    by_hand: bool = False
    """Whether that is the program's to say: then nothing of it is a backchannel."""
    replies: bool = True
    """Whether the program wants an answer to it."""
    turn: int = 0
    """The number of the program's end of its turn; 0 before that."""
    joined: bool = False
    """Whether several are held as one, none of which was a backchannel or an echo as they came."""
    _echo: tuple[tuple[object, ...], bool] | None = field(default=None, repr=False)

    @property
    def is_echo(self) -> bool:
        """Whether the piece is an echo of the agent's own sound."""
        if self.held.kind is not Kind.SPOKEN or self.joined:
            return False
        known = self.owner.known_sound
        if self._echo is None or self._echo[0] != known:  # looked at after every event, and changed by few
            self._echo = known, self.owner.is_echo(self.held.text, self.held.at, self.known_at)
        return self._echo[1]

    @property
    def is_idle(self) -> bool:
        """Whether the piece is kept from every agent."""
        return self.is_echo or (self.held.kind is Kind.SPOKEN and self._is_backchannel)

    @property
    def _is_backchannel(self) -> bool:
        """Whether the piece can mean nothing but "I am listening"; an answer to a question is never dropped."""
        if self.joined:
            return False
        idle = words.is_backchannel(self.held.text, words.language(self.language, self.owner.alignment.more_words))
        return idle and not self.by_hand and not self.after_question and not self.owner.has_asked(self.held.at)

    @property
    def alike(self) -> tuple[object, ...]:
        """All that decides what becomes of a piece; two that are alike in it may be one."""
        asked, at = self.owner.question_asked_at, self.held.at
        answers = asked is not None and at >= asked, self.owner.is_early(at), self.after_question
        return self.held.kind, id(self.owner), answers, self.by_hand, self.committed, self.replies, self.turn

    def go_on(self, piece: "HeldPiece") -> None:
        """Hold another piece, which came later, as a part of this one."""
        sign = "\n" if self.held.kind is Kind.TYPED else " "
        self.held = replace(self.held, text=f"{self.held.text}{sign}{piece.held.text}")
        self.joined, self.known_at = True, piece.known_at
        self.confidence = min((one for one in (self.confidence, piece.confidence) if one is not None), default=None)

    @property
    def marked(self) -> Held:
        """The words, with whether they came before the question."""
        return replace(self.held, early=self.owner.is_early(self.held.at))

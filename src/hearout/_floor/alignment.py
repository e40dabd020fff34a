"""The text of an utterance against its seconds, as far as known. Notes facts; `floor.py` decides."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .. import _text as words

QUESTION_MARGIN = 0.5
"""Seconds that a place in the audio, estimated from the text, may be off: speech is not even."""

SLOWEST = 8.0
"""Characters in a second of slow speech: how far at least it had come, while its length is not known."""


@dataclass
class Alignment:
    """The text of an utterance, and where its sentences begin.

    Args:
        text: as far as it is known.
        complete: whether that is all of it.
        placed: the sentences that the TTS placed, each with the second at which it begins, in order.
        language: of the text, as in BCP 47; empty where it is not known.
        more_words: those of the team, besides the language's.
    """

    text: str = field(default="", repr=False)
    complete: bool = False
    placed: list[tuple[float, str]] = field(default_factory=list, repr=False)
    language: str = ""
    more_words: Mapping[str, Collection[str]] = field(default_factory=dict, repr=False)

    def is_known(self, text: str, *, complete: bool = False) -> None:
        """So much of it is known; where all was known before, only what the TTS was given in all counts more."""
        if complete or not self.complete:
            self.text = text

    def back_to(self, seconds: float) -> None:
        """It is said again from there, so that what follows will be placed anew."""
        self.placed = [one for one in self.placed if one[0] < seconds]

    def sentence_at(self, played: float, length: float | None) -> tuple[float, int]:
        """The sentence that was being said: the second and the character at which it begins. Rather too early.

        Args:
            played: seconds of it.
            length: of all of it in seconds; None where that is not known.
        """
        whole = words.sentences(self.text, self._words)
        if placed := self._sentence_placed(played):
            seconds, sentence = placed
            squeezed = "".join(sentence.split())  # a TTS's words may come without the spaces between them
            same = (begin for begin, text in whole if "".join(text.split()).startswith(squeezed))
            if (begin := next(same, None)) is not None:
                return seconds, begin
        characters = max(1, len(self.text))
        length = length or max(played, characters / SLOWEST)
        reached = max(0.0, played - QUESTION_MARGIN) / length * characters
        begin = max((begin for begin, _ in whole if begin <= reached), default=0)
        return min(played, begin / characters * length), begin

    def _sentence_placed(self, played: float) -> tuple[float, str] | None:
        """The last sentence that was placed before, as far as it was: a TTS may end one after a short form."""
        sentence: tuple[float, str] | None = None
        for seconds, piece in self.placed:
            if seconds <= played:
                goes_on = sentence is not None and words.goes_on(sentence[1], piece, self._words)
                sentence = (sentence[0], f"{sentence[1]} {piece}") if sentence and goes_on else (seconds, piece)
        return sentence

    def question_at(self, length: float) -> float | None:
        """The second at which its last question begins, rather too late; None if it asks none."""
        share = words.question(self.text, self._words)
        if share is None:
            return None
        asked = (seconds for seconds, sentence in reversed(self.placed) if words.asks(sentence, self._words))
        return next(asked, share * length + QUESTION_MARGIN)

    def answerable_at(self, length: float) -> float | None:
        """The second at which the first sentence to answer begins, rather too early; None without one."""
        share = words.first_to_answer(self.text, self._words)
        if share is None:
            return None
        answerable = (seconds for seconds, one in self.placed if words.may_be_answered(one, self._words))
        return next(answerable, share * length) - QUESTION_MARGIN

    def question_ends_at(self) -> float | None:
        """The second at which the last question has been said, that is, the next sentence begins. None where no
        question is asked or only its end is known."""
        asks = [number for number, (_, one) in enumerate(self.placed) if words.asks(one, self._words)]
        return self.placed[asks[-1] + 1][0] if asks and asks[-1] + 1 < len(self.placed) else None

    @property
    def _words(self) -> words.Language:
        return words.language(self.language, self.more_words)

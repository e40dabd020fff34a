"""What the caller's words answer to a question: by rules, from the words of the language. It never guesses a yes.

A yes needs words that agree and no word that is not understood. A refusal anywhere wins. What asks for a moment is no
answer, what asks back neither. Everything else is unclear. The words are data (``_text/languages/``), the rules are
here; whoever changes what they decide raises `RULES`.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from .._text import MEANINGS, Clause, Language, Lexicon, Piece

RULES = "2"
"""The version of the rules and of their words: it stands on each receipt of an answer."""

NEAR = 3
"""A negation turns round a refusal that stands at most so many phrases away: "I do not really refuse"."""


class Meaning(Enum):
    """What words are to a question."""

    YES = "yes"
    NO = "no"
    CHOICE = "choice"
    HOLD_OFF = "hold-off"
    """The caller asks for a moment."""
    ASIDE = "aside"
    """The caller asks back."""
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Verdict:
    """What words are to a question, by which rule, and the choice or the digits in them; empty where there are none."""

    meaning: Meaning
    rule: str
    choice: str = ""


@dataclass(frozen=True)
class Expected:
    """What a question may be answered by.

    Args:
        yes_no: by a yes or a no.
        choices: by one of these names, each with the phrases that say it.
        digits: by so many digits, one after the other; 0: by none.
    """

    yes_no: bool = False
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    digits: int = 0


YES_NO = Expected(yes_no=True)


def judge(text: str, language: Language, expected: Expected = YES_NO) -> Verdict:
    read = _Reading(language)
    for clause in _lexicon(language, expected).clauses(text):
        read.clause(clause)
    return read.verdict(expected)


@lru_cache(maxsize=64)
def _lexicon(language: Language, expected: Expected) -> Lexicon:
    answers = {f"{_CHOICE}{name}": phrases for name, phrases in expected.choices}
    if expected.digits:
        answers |= {f"{_DIGIT}{digit}": words for digit, words in enumerate(language.digits)}
    return Lexicon({name: getattr(language, name) for name in MEANINGS}, answers) if answers else language.lexicon


_CHOICE, _DIGIT = "choice ", "digit "


class _Reading:
    """What was found in an answer so far, clause by clause."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._refused = self._doubted = ""
        self._waits = self._asks = self._agrees = self._unknown = False
        self._choices: list[str] = []
        self._digits = ""

    def clause(self, clause: Clause) -> None:
        said = self._said(clause)
        self._note_refusal(said, whole=len(said) == len(clause.pieces))
        for piece in said:
            self._note(piece)

    def _note(self, piece: Piece) -> None:
        self._waits |= "hold_offs" in piece.meanings
        self._agrees |= "yes" in piece.meanings
        self._choices += [one.removeprefix(_CHOICE) for one in piece.meanings if one.startswith(_CHOICE)]
        digits = next((one.removeprefix(_DIGIT) for one in piece.meanings if one.startswith(_DIGIT)), "")
        if not piece.meanings:
            digits = _digits_of(piece.text)
            self._unknown |= not digits
        self._digits += digits
        if "doubts" in piece.meanings:
            self._doubted = "words that are neither yes nor no"

    def _said(self, clause: Clause) -> Sequence[Piece]:
        """What of a clause is an answer: in front of a question back, or of a condition."""
        pieces = clause.pieces
        begins = next((n for n, piece in enumerate(pieces) if not _leads_in(piece)), len(pieces))
        ends = len(pieces)
        for number, piece in enumerate(pieces):
            at_its_place = number <= begins or ends < len(pieces) or self._language.questions_anywhere
            if "questions" in piece.meanings and at_its_place:
                self._asks = True
                return pieces[: min(number, begins)]
            is_cut_off = number + 1 == len(pieces) and not piece.meanings & {"yes", "fillers"}
            if "conditions" in piece.meanings and (number + 1 < len(pieces) or is_cut_off):
                self._doubted = "a condition"
                ends = number if number <= begins else ends
        if clause.asks:
            self._asks = True
            return pieces[: min(begins, ends)]
        return pieces[:ends]

    def _note_refusal(self, said: Sequence[Piece], *, whole: bool) -> None:
        masked = set(_doubly_negated(said, either_way=self._language.negation_follows))
        if masked:
            self._doubted = "a double negation"
        rest = [piece for number, piece in enumerate(said) if number not in masked]
        if any(piece.meanings & {"no", "refusals"} for piece in rest):
            self._refused = "a refusal"
            return
        negation = next((n for n, piece in enumerate(rest) if "negations" in piece.meanings), None)
        if negation is None or self._refused:
            return
        turned = rest if self._language.negation_follows else rest[negation:]
        if any("yes" in piece.meanings for piece in turned):
            self._refused = "a yes that is negated"
        elif whole and all(piece.meanings and "doubts" not in piece.meanings for piece in rest):
            self._refused = "a negation"
        else:
            self._unknown = True

    def verdict(self, expected: Expected) -> Verdict:
        chosen = sorted(set(self._choices))
        if self._refused and chosen:
            return Verdict(Meaning.UNCLEAR, "a refusal and a choice")
        if self._refused:
            return Verdict(Meaning.NO, self._refused)
        if self._waits:
            return Verdict(Meaning.HOLD_OFF, "asks for a moment")
        if self._asks:
            return Verdict(Meaning.ASIDE, "a question back")
        if self._doubted:
            return Verdict(Meaning.UNCLEAR, self._doubted)
        if len(chosen) > 1:
            return Verdict(Meaning.UNCLEAR, "more than one choice")
        if chosen:
            return Verdict(Meaning.CHOICE, "a choice", chosen[0])
        return self._without_a_choice(expected)

    def _without_a_choice(self, expected: Expected) -> Verdict:
        if self._unknown:
            return Verdict(Meaning.UNCLEAR, "words that are not understood")
        if expected.digits and self._digits:
            enough = len(self._digits) == expected.digits
            found = Verdict(Meaning.CHOICE, "digits", self._digits)
            return found if enough else Verdict(Meaning.UNCLEAR, f"not {expected.digits} digits")
        if expected.yes_no and self._agrees and not self._digits:
            return Verdict(Meaning.YES, "agreement, and nothing else")
        return Verdict(Meaning.UNCLEAR, "no answer in it")


_LEADS_IN = frozenset({"fillers", "agreement", "yes", "no", "backchannels", "hold_offs"})


def _leads_in(piece: Piece) -> bool:
    return bool(piece.meanings & _LEADS_IN) and "negations" not in piece.meanings


def _digits_of(text: str) -> str:
    """The digits of a number, in whichever script it is written; nothing, if it is no number."""
    signs = [sign for sign in text if sign not in ",.-"]
    return "".join(str(unicodedata.digit(sign)) for sign in signs) if all(map(str.isdigit, signs)) else ""


def _doubly_negated(said: Sequence[Piece], *, either_way: bool) -> Iterator[int]:
    """The numbers of negations and refusals that turn each other round."""
    negations = [n for n, piece in enumerate(said) if "negations" in piece.meanings]
    refusals = [n for n, piece in enumerate(said) if "refusals" in piece.meanings]
    for one in negations:
        for other in refusals:
            distance = abs(other - one) if either_way else other - one
            if 0 < distance <= NEAR:
                yield from (one, other)

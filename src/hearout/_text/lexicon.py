"""Phrases with their meanings, and where they stand in a text."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from .words import Token, atoms, is_unspaced, words_in

_BREAK = re.compile(r"[.,;:!?…،؛؟。、！？，；।—–\n\u037e]|\s-\s|\.\.")
_MARK = re.compile(r"[?？؟\u037e⁇⁈⁉]")


@dataclass(frozen=True)
class Piece:
    """A phrase that stands in a text, or a word of no meaning that is known.

    Args:
        meanings: the names of the lists that the phrase is in; none for an unknown word.
        text: the phrase as it is compared.
    """

    meanings: frozenset[str]
    text: str


@dataclass
class Clause:
    """What stands between two marks of punctuation.

    Args:
        pieces: its phrases and unknown words, in order.
        asks: whether a question mark ends it.
    """

    pieces: list[Piece] = field(default_factory=list)
    asks: bool = False


@dataclass(frozen=True)
class _Phrase:
    atoms: tuple[str, ...]
    is_open: bool
    """Whether its last word may go on."""
    is_whole: bool
    """Whether nothing else may stand in its clause."""

    def stands_in(self, said: list[Token], at: int) -> bool:
        last = at + len(self.atoms) - 1
        if self.is_whole and (at > 0 or len(self.atoms) != len(said)):
            return False
        if last >= len(said) or any(said[at + n].text != one for n, one in enumerate(self.atoms[:-1])):
            return False
        final = said[last].text
        return final.startswith(self.atoms[-1]) if self.is_open else final == self.atoms[-1]


class Lexicon:
    """Phrases, each with what it means. The longest phrase counts: "no problem" is no "no".

    Args:
        lists: phrases by their meaning; a phrase may stand in several lists.
        before: phrases that count before all others that are as long.
    """

    def __init__(self, lists: Mapping[str, Iterable[str]], before: Mapping[str, Iterable[str]] | None = None) -> None:
        self._meanings: dict[_Phrase, set[str]] = {}
        self._add(lists)
        extra = before or {}
        taken = {_phrase(text).atoms for texts in extra.values() for text in texts}
        self._meanings = {phrase: meanings for phrase, meanings in self._meanings.items() if phrase.atoms not in taken}
        self._add(extra)
        self._by_first: dict[str, list[_Phrase]] = {}
        """By their first atom, the longest first."""
        self._by_letter: dict[str, list[_Phrase]] = {}
        """Those that are one open word, by its first letter; they come after all others."""
        for phrase in sorted(self._meanings, key=lambda one: (len(one.atoms), not one.is_open), reverse=True):
            if phrase.is_open and len(phrase.atoms) == 1:
                self._by_letter.setdefault(phrase.atoms[0][0], []).append(phrase)
            else:
                self._by_first.setdefault(phrase.atoms[0], []).append(phrase)

    def _add(self, lists: Mapping[str, Iterable[str]]) -> None:
        for meaning, texts in lists.items():
            for text in texts:
                self._meanings.setdefault(_phrase(text), set()).add(meaning)

    def clauses(self, text: str) -> list[Clause]:
        """The clauses of a text with what their phrases mean."""
        found, clause, begin = list[Clause](), Clause(), 0
        run: list[Token] = []
        for word in [*words_in(text), None]:
            gap = text[begin : len(text) if word is None else word.begin]
            if run and (word is None or _BREAK.search(gap)):
                clause.pieces, clause.asks = list(self._pieces(run)), _MARK.search(gap) is not None
                found.append(clause)
                clause, run = Clause(), []
            if word is not None:
                run.append(word)
                begin = word.end
        return found

    def _pieces(self, run: list[Token]) -> Iterator[Piece]:
        said, at, after_phrase = atoms(run), 0, True
        while at < len(said):
            phrases = list(self._standing(said, at, after_phrase=after_phrase))
            after_phrase = bool(phrases)
            longest = phrases[0].atoms if phrases else (said[at].text,)
            same = [phrase for phrase in phrases if len(phrase.atoms) == len(longest)]
            yield Piece(frozenset().union(*(self._meanings[one] for one in same)), " ".join(longest))
            at += len(longest)

    def _standing(self, said: list[Token], at: int, *, after_phrase: bool) -> Iterator[_Phrase]:
        """The phrases that stand there, the longest first.

        In the middle of a Korean word none begins, unless one ends there: a syllable stands in many words.
        """
        begins_word = at == 0 or said[at - 1].begin != said[at].begin
        if not begins_word and not after_phrase and "\uac00" <= said[at].text <= "\ud7a3":
            return
        first = said[at].text
        for phrase in chain(self._by_first.get(first, ()), self._by_letter.get(first[0], ())):
            if phrase.stands_in(said, at):
                yield phrase


def _phrase(text: str) -> _Phrase:
    parts = tuple(atom.text for atom in atoms(words_in(text)))
    is_open = text.endswith("*") and not is_unspaced(parts[-1])
    return _Phrase(parts, is_open, is_whole=text.endswith("."))

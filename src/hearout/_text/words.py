"""The words of a text in any script, and how much of one text another text repeats."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

ECHO_WORDS = 3
"""An echo has at least so many words: two words of an announcement said again are a caller's question."""

ECHO_SHARE = 0.8
"""At least this share of an echo's words stand, in their order, in what the agent has just said. STTs hear an echo
worse than a voice; a caller who adds a word of four of their own stays below."""

TAIL = 400
"""Characters of an interim transcript that are looked at: what stood before them was looked at when it was new."""

SCATTERED = 2
"""Words between two repeated words; more than that, and the second one is repeated by chance."""

LONGEST = 200
"""Characters by which a word is known: a run of combining marks costs its square to normalise (CPython 3.11)."""

_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ`´＇‛′"), "'")
_IGNORED = re.compile("[\u0307\u0640\u093c\u064b-\u065f\u0670\u200b-\u200f\u2060\ufeff\u00ad]")
"""Signs that do not make another word: the dot that lower case leaves of "İ", Arabic vowels and stretching, the dot
under a Hindi letter, marks without width."""
_SAME_LETTER = str.maketrans({"ı": "i"} | dict(zip("أإآٱىیکةँ", "ااااييكهं", strict=True)))
"""Letters that STTs and people write one for the other."""

_ELISIONS = re.compile("[ldjncsmt]|(?:jus|lors|puis)?qu|un|all|dell|nell|dall|sull|quest|quell|dov|cos")
"""French and Italian words that end in an apostrophe and stand before another word."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]"
)
"""Letters of scripts that do not put spaces between words, and of Korean, where STTs put spaces as they like."""


@dataclass(frozen=True)
class Token:
    """One word.

    Args:
        text: as it is compared: lower case, one spelling.
        begin, end: the characters of the text that it stands at.
    """

    text: str
    begin: int
    end: int


def normal(text: str) -> str:
    """A text as it is compared: compatibility forms, case, apostrophes and unwritten vowels make no difference."""
    folded = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return unicodedata.normalize("NFC", _IGNORED.sub("", folded)).translate(_SAME_LETTER)


@lru_cache(maxsize=512)
def words_in(text: str) -> tuple[Token, ...]:
    """The words of a text, in order, each with its place: by ICU, which knows scripts without spaces.

    They are kept for a while: the floor looks at the same words after each of its events.
    """
    found: list[Token] = []
    for begin, end in _segments(text):
        whole = normal(text[begin : min(end, begin + LONGEST)])
        if not any(sign.isalnum() for sign in whole):
            continue
        before, apostrophe, after = whole.partition("'")
        if apostrophe and after and _ELISIONS.fullmatch(before):
            middle = begin + len(before)
            found += [Token(before, begin, middle + 1), Token(after.replace("'", ""), middle + 1, end)]
        else:
            found.append(Token(whole.replace("'", ""), begin, end))
    return tuple(found)


def _segments(text: str) -> Iterator[tuple[int, int]]:
    from icu4py.breakers import WordBreaker  # here, because `import hearout` needs no word of a text

    return WordBreaker(in_one_plane(text), "en").segments()


def in_one_plane(text: str) -> str:
    """The text with a stand-in for what is beyond U+FFFF: icu4py 1.2.0 counts such a sign as two characters.

    So has a lone surrogate, which JSON may hold and icu4py cannot take.
    """
    if not text or max(text) < "\ud800":
        return text
    return "".join(
        sign if sign < "\ud800" or "\udfff" < sign <= "\uffff" else "一" if sign.isalnum() else "\ufffc"
        for sign in text
    )


def split(text: str) -> list[str]:
    """The words of a text as they are compared, without punctuation."""
    return [word.text for word in words_in(text)]


@lru_cache(maxsize=16)
def words_of(text: str) -> tuple[str, ...]:
    """The words of an agent's own text, cached: each transcript is compared with the same text again and again."""
    return tuple(split(text))


def join(texts: Iterable[str]) -> str:
    """Several pieces of speech as one text."""
    return " ".join(stripped for text in texts if (stripped := text.strip()))


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script that does not put spaces between words."""
    return _UNSPACED.match(word) is not None


def atoms(found: Iterable[Token]) -> list[Token]:
    """The parts that phrases are compared by: words, and single letters in scripts without spaces.

    Where a segmenter ends a word depends on what stands beside it there ("我不|同意", "不|同意").
    """
    parts: list[Token] = []
    for word in found:
        if is_unspaced(word.text):
            parts += [Token(letter, word.begin, word.end) for letter in word.text]
        else:
            parts.append(word)
    return parts


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words of the phrase stand in the text, one after the other."""
    wanted = [atom.text for atom in atoms(words_in(phrase))]
    if len(wanted) == 1 and is_unspaced(wanted[0]):
        return wanted[0] in split(text)  # as a word: one letter stands in many words
    said = [atom.text for atom in atoms(words_in(text))]
    return any(said[index : index + len(wanted)] == wanted for index in range(len(said) - len(wanted) + 1))


def tail(text: str) -> str:
    """The last words of an interim transcript; all of it, where it is short."""
    return text if len(text) <= TAIL else text[-TAIL:].partition(" ")[2] or text[-TAIL:]


def is_echo(text: str, spoken: Sequence[str], *, at_least: int = ECHO_WORDS) -> bool:
    """Whether a text is the agent's own recent speech, come back through the caller's microphone.

    Args:
        spoken: the agent's words about that moment (:func:`about`).
        at_least: how many words it must have.
    """
    heard = split(text)
    if len(heard) < at_least or not spoken:
        return False
    return len(_repeated(heard, spoken)) >= ECHO_SHARE * len(heard)


def about(text: str, begin: float, end: float, length: float) -> Sequence[str]:
    """The words of an utterance that are said between two of its seconds, if it is said at an even speed.

    Args:
        begin, end: seconds of its audio.
        length: of its audio in seconds, or what is known of it.
    """
    if length <= 0:
        return ()
    said = words_of(text)
    first = max(0, int(len(said) * begin / length))
    last = int(len(said) * end / length) + 1
    return said[first:last]


def rest_of(text: str, said_before: str) -> str | None:
    """The words that a late final transcript adds to an interim one settled in its place; None for another text."""
    before, found = split(said_before), words_in(text)
    repeated = _repeated([word.text for word in found], before)
    if not before or len(repeated) < len(before) / 2:
        return None
    last = repeated[0]
    for index in repeated[1:]:
        if index - last - 1 > SCATTERED:
            break  # rather a word twice than a word lost
        last = index
    return text[found[last].end :].lstrip(" .,!?…。、，！？؟،।")


def _repeated(heard: Sequence[str], spoken: Sequence[str]) -> list[int]:
    """Which of the heard words, by number, make their longest common subsequence with the spoken ones longer.

    By bits (Hyyrö 2004): the work grows with the words heard, and hardly with those spoken.
    """
    places: dict[str, int] = {}
    for number, word in enumerate(spoken):
        places[word] = places.get(word, 0) | 1 << number
    everything = (1 << len(spoken)) - 1
    open_places, found = everything, []
    for number, word in enumerate(heard):
        met = open_places & places.get(word, 0)
        if met:
            after = ((open_places + met) | (open_places - met)) & everything
            if after.bit_count() < open_places.bit_count():
                found.append(number)
            open_places = after
    return found

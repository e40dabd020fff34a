"""The sentences of a text, and which of them ask for an answer."""

import re
from functools import lru_cache

from .language import UNKNOWN, Language, every_language
from .words import in_one_plane, split

_CLOSING = " \n\"'”’»)]*_」』）"
_STOPS = (".", "!", "?", "…", "。", "！", "？", "؟", "।", "॥", "۔", "｡", "．", "‼", "⁇", "⁈", "⁉", "\u037e")
_MARKS = re.compile(r"[?？؟\u037e⁇⁈⁉՞፧⸮]")
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
_GREEK_QUESTION = re.compile(r";[\s\"'”’»)\]]*\Z")
_GENERAL = frozenset({"st", "vs"})
"""Short forms of many languages."""
_NUMBER = frozenset({"no", "nr", "núm", "num", "art", "p", "s", "sig", "pág", "pag", "abs", "n", "op", "vol", "kap"})
"""Short forms that end no sentence where a number follows."""


def sentences(text: str, language: Language = UNKNOWN) -> tuple[tuple[int, str], ...]:
    """The sentences of a text, each with the character at which it begins. Rather too long than too short.

    Args:
        language: whose short forms count; those of all languages, where it is not known.
    """
    return _sentences(text, language)


@lru_cache(maxsize=16)
def _sentences(text: str, language: Language) -> tuple[tuple[int, str], ...]:
    found: list[tuple[int, str]] = []
    for begin, end in _segments(text, language):
        sentence = text[begin:end]
        if found and (goes_on(found[-1][1], sentence, language) or not sentence.strip()):
            first, before = found.pop()
            found.append((first, before + sentence))
        else:
            found.append((begin, sentence))
    return tuple(found)


def _segments(text: str, language: Language) -> list[tuple[int, int]]:
    """The segments that ICU takes for sentences, with the short forms that ICU knows ("ss": sentence suppressions)."""
    from icu4py.breakers import SentenceBreaker  # here, because `import hearout` needs no sentence of a text

    # a Greek semicolon asks; a line may end in the middle of a sentence
    locale = "el" if _GREEK.search(text) else language.code or "en"
    lines = in_one_plane(text).translate({10: " ", 13: " "})
    return list(SentenceBreaker(lines, f"{locale}@ss=standard").segments())


def goes_on(before: str, after: str, language: Language = UNKNOWN) -> bool:
    """Whether the full stop at the end of `before` ends no sentence, but is a short form's, seen what comes after."""
    if not before.rstrip(_CLOSING).endswith((".", "…", "．")):
        return False
    word = _last_word(before)
    if word.isdigit():
        return _is_ordinal(after, language)
    # an initial ("J. Smith"), or a short form; where it was the end after all, the sentence is too long
    initial = len(word) == 1 and word.isalpha() and not _is_letter_of_unspaced(word)
    short = initial or word in _abbreviations(language) or _is_dotted(word)
    return short or after.lstrip("\"'“”‘’«„([")[:1].islower() or (word in _NUMBER and after[:1].isdigit())


def _is_ordinal(after: str, language: Language) -> bool:
    """Whether a number and a full stop go on: "am 3. März", "3. madde"."""
    word = after.split(maxsplit=1)[:1]
    if language.is_known:
        return after[:1].islower() or (language.ordinal_stop and after[:1].isalpha())
    return after[:1].islower() or (bool(word) and word[0].strip(".,;:!?").casefold() in _months(language))


@lru_cache(maxsize=4)
def _months(language: Language) -> frozenset[str]:
    return frozenset(month.casefold() for one in _spoken(language) for month in one.months)


def _spoken(language: Language) -> tuple[Language, ...]:
    """The language; all that have a data file besides, where it is not known."""
    return (language,) if language.is_known else (language, *every_language())


def _is_dotted(word: str) -> bool:
    """Whether a word is letters with full stops between them: "z.B", "U.S"."""
    parts = word.split(".")
    return len(parts) > 1 and all(1 <= len(part) <= 2 and part.isalpha() for part in parts) and word not in _TIMES


_TIMES = frozenset({"a.m", "p.m"})
"""Stand at the end of sentences as often as not."""


def _is_letter_of_unspaced(word: str) -> bool:
    return word > "\u0e00" and not word.islower() and not word.isupper()


@lru_cache(maxsize=32)
def _abbreviations(language: Language) -> frozenset[str]:
    return _GENERAL | {short.casefold() for one in _spoken(language) for short in one.abbreviations}


def _last_word(text: str) -> str:
    words = text.rsplit(maxsplit=1)
    return words[-1].strip(".…．\"'“”’‘«»„()[]").casefold() if words else ""


def ends_a_sentence(text: str, language: Language = UNKNOWN) -> bool:
    """Whether a text ends where a sentence does, as far as is known without what comes after."""
    ended = text.rstrip(_CLOSING)
    if _asks_in_greek(text):
        return True
    return ended.endswith(_STOPS) and _last_word(ended) not in _abbreviations(language)


# What asks


def asks(sentence: str, language: Language = UNKNOWN) -> bool:
    """Whether a sentence asks for an answer: by its mark, its last word, or by saying so ("please say so now")."""
    return _asks(sentence, language)


def may_be_answered(sentence: str, language: Language = UNKNOWN) -> bool:
    """Whether a caller may answer a sentence: a question, or something about agreeing or not."""
    return _asks(sentence, language) or _has(sentence, language, "consents")


@lru_cache(maxsize=256)
def _asks(sentence: str, language: Language) -> bool:
    if _MARKS.search(sentence) or _asks_in_greek(sentence):
        return True
    last = "".join(split(sentence)[-3:])  # as one: a segmenter may part what ends a question
    if any(last.endswith("".join(split(end))) for one in _spoken(language) for end in one.question_ends):
        return True
    return _has(sentence, language, "requests")


@lru_cache(maxsize=256)
def _has(sentence: str, language: Language, meaning: str) -> bool:
    return any(
        meaning in piece.meanings
        for one in _spoken(language)
        for clause in one.asking.clauses(sentence)
        for piece in clause.pieces
    )


def _asks_in_greek(sentence: str) -> bool:
    return _GREEK_QUESTION.search(sentence) is not None and _GREEK.search(sentence) is not None


def question(text: str, language: Language = UNKNOWN) -> float | None:
    """Where a text's last question begins, as a share of its characters; None when it asks none.

    The last, because an answer given before it may be to another one: it errs on the side of "before".
    """
    whole = sentences(text, language)
    return next((begin / len(text) for begin, sentence in reversed(whole) if asks(sentence, language)), None)


def first_to_answer(text: str, language: Language = UNKNOWN) -> float | None:
    """Where the first sentence begins that somebody may answer, as a share of the characters; None without one."""
    whole = sentences(text, language)
    return next((begin / len(text) for begin, sentence in whole if may_be_answered(sentence, language)), None)

"""What words mean in a language: data files, one a language, and where to look a language up."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any

from .lexicon import Lexicon

CODES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pt", "tr", "zh")
"""The languages that have a data file."""


@dataclass(frozen=True)
class Language:
    """The words of a language, by what they mean.

    A ``*`` at a phrase's end stands for any end of its last word. A full stop says that the phrase means it only where
    it is all of its clause: "I do." is a yes, "I do like your hat" is none.

    Args:
        code: of the language, as in BCP 47; empty for one that is not known: then no word means anything.
        backchannels: can mean nothing but "I am listening", or "I look for words": "um".
        agreement: "I am listening" as long as nothing has been asked.
        yes: agree.
        no: refuse, wherever they stand.
        refusals: refuse, unless they are negated: "refuse", "disagree".
        negations: turn round what they belong to: "not".
        doubts: neither yes nor no, though words of them are: "no problem", "I do not know", "but".
        hold_offs: ask for a moment.
        questions: begin a question back, or are one.
        question_ends: end a question that has no question mark.
        conditions: what follows is a condition.
        fillers: change nothing about the words beside them.
        requests: make a sentence ask for an answer without a question mark: "please say".
        consents: what stands in a sentence that somebody may answer, though it does not ask: "agree".
        digits: the words for 0 to 9, each with all its forms.
        abbreviations: end with a full stop that ends no sentence, without that stop.
        months: by name, where a number with a full stop may stand before one.
        ordinal_stop: whether a number with a full stop is an ordinal number: "am 3. März".
        negation_follows: whether a negation may stand behind what it belongs to.
        questions_anywhere: whether a question word stands anywhere in a question, or at its beginning only.
        early_instructions: what the LLM is told of words that came before the question.
    """

    code: str = ""
    backchannels: tuple[str, ...] = ()
    agreement: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    negations: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    hold_offs: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    question_ends: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    fillers: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    consents: tuple[str, ...] = ()
    digits: tuple[tuple[str, ...], ...] = ()
    abbreviations: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    ordinal_stop: bool = False
    negation_follows: bool = False
    questions_anywhere: bool = False
    early_instructions: str = ""

    def __hash__(self) -> int:
        return hash(self.code)  # as often as a text is looked up; of all its words it would cost more than the text

    @property
    def is_known(self) -> bool:
        """Whether the language has a data file."""
        return bool(self.code)  # words that a team adds to an unknown language leave it unknown

    def with_words(self, **more: Iterable[str]) -> "Language":
        """The same language with more words: ``english.with_words(yes=["aye"], backchannels=["righto"])``.

        Raises:
            TypeError: there is no such list of words.
        """
        lists = {one.name for one in fields(self) if isinstance(getattr(self, one.name), tuple)} - {"digits"}
        if unknown := sorted(set(more) - lists):
            raise TypeError(f"a language has no words {', '.join(unknown)}; it has {', '.join(sorted(lists))}")
        longer: dict[str, Any] = {name: (*getattr(self, name), *words) for name, words in more.items()}
        return replace(self, **longer)

    @cached_property
    def lexicon(self) -> Lexicon:
        return Lexicon({name: getattr(self, name) for name in MEANINGS})

    @cached_property
    def asking(self) -> Lexicon:
        """What makes a sentence ask for an answer, and what somebody may answer."""
        return Lexicon({"requests": self.requests, "consents": self.consents})


MEANINGS = (
    *("backchannels", "agreement", "yes", "no", "refusals", "negations", "doubts", "hold_offs", "questions"),
    *("conditions", "fillers"),
)

UNKNOWN = Language()
"""A language that is not known."""


def language(code: str, more: Mapping[str, Iterable[str]] | None = None) -> Language:
    """The words of a language: of ``de`` for ``de-AT``; of none for a language without a data file.

    Args:
        code: as in BCP 47, or of three letters.
        more: words to be added, as for :meth:`Language.with_words`.
    """
    known = _read(code.replace("_", "-").partition("-")[0].lower())
    return _longer(known, tuple((name, tuple(phrases)) for name, phrases in more.items())) if more else known


def every_language() -> tuple[Language, ...]:
    return tuple(_read(code) for code in CODES)


_LONGER = {"ara": "ar", "deu": "de", "eng": "en", "spa": "es", "fra": "fr", "hin": "hi", "ita": "it", "jpn": "ja"} | {
    "kor": "ko", "nld": "nl", "por": "pt", "tur": "tr", "zho": "zh", "cmn": "zh", "yue": "zh"
}  # fmt: skip
"""Codes of three letters that STTs use beside those of two."""


@lru_cache(maxsize=64)
def _longer(known: Language, more: tuple[tuple[str, tuple[str, ...]], ...]) -> Language:
    return known.with_words(**dict(more))


@cache
def _read(code: str) -> Language:
    code = _LONGER.get(code, code)
    if code not in CODES:
        return UNKNOWN
    text = files(__package__).joinpath("languages", f"{code}.toml").read_text(encoding="utf-8")
    found = {name: _frozen(value) for name, value in tomllib.loads(text).items()}
    return Language(code=code, **found)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value

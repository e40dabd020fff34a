"""The tables of words, sentences and pace can fail: each hand-made mutant of a rule is seen by what the rule is for."""

import importlib
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.mutants import mutated
from hearout import _text
from hearout._pipeline import pace
from hearout._text import lexicon, listening, markup, words

sentences = importlib.import_module("hearout._text.sentences")  # its package has a function of that name

ANSWERS = tomllib.loads((Path(__file__).parent / "answers.toml").read_text())


def no_answer_is_dropped(module: Any) -> None:
    for code, phrases in ANSWERS.items():
        for phrase in phrases:
            assert not module.is_backchannel(phrase, _text.language(code)), phrase


def who_listens_is_not_answered(module: Any) -> None:
    for code, said in (("en", "mm-hm, okay"), ("de", "ach so"), ("zh", "明白了"), ("ja", "なるほど")):
        assert module.is_backchannel(said, _text.language(code)), said
    assert not module.is_backchannel("mm-hm " * 20, _text.language("en"))


def phrases_are_found(module: Any) -> None:
    language = _text.language("en")
    found = module.Lexicon({"no": ["no"], "doubts": ["no problem"], "yes": ["right."]})
    assert [[piece.meanings for piece in clause.pieces] for clause in found.clauses("No problem, no?")] == [
        [frozenset({"doubts"})],
        [frozenset({"no"})],
    ]
    assert [clause.asks for clause in found.clauses("No problem, no?")] == [False, True]
    assert found.clauses("right now")[0].pieces[0].meanings == frozenset()
    assert language.is_known


def sentences_and_questions(module: Any) -> None:
    german, english = _text.language("de"), _text.language("en")
    assert len(module.sentences("Das ist z.B. am 3. März so. Danke.", german)) == 2
    assert len(module.sentences("Ask for J. Smith. Thank you.", english)) == 2
    asked = ("Right？", "نعم؟", "Συμφωνείτε;", "よろしいでしょうか。", "Please say yes now.")
    assert all(module.asks(text) for text in asked)
    assert not module.asks("Thank you; good bye.")
    assert module.question("Yes? No? Thank you.") == pytest.approx(5 / 19)


def texts_are_compared(module: Any) -> None:
    assert module.split("İPTAL ｏｋ don’t") == ["iptal", "ok", "dont"]
    assert module.has_phrase("我不同意", "不同意")
    spoken = module.split("this call is recorded for training and quality")
    assert module.is_echo("recorded for training and quality", spoken)
    assert not module.is_echo("training quality", spoken)
    assert not module.is_echo("is it recorded for my own use", spoken)
    assert module.rest_of("what does it cost and how long", "what does it cost") == "and how long"
    assert module.rest_of("it is fine", "what does it cost") is None


def markup_is_no_text(module: Any) -> None:
    assert not module.has_words('<break time="2s"/> …')
    assert module.open_tags("<speak><p>one</p> <break> two <b/>") == "<speak>"
    assert module.unmarked("a<b>c").split() == ["a", "c"]


def no_pace_is_taken_for_a_break(module: Any) -> None:
    """Of a sampled TTS, whose syntheses differ by a quarter each, no sentence counts as cut."""
    text, dice = "This is a sentence like all of the others.", random.Random(3)
    for _ in range(300):
        known = module.Pace()
        for _ in range(dice.randint(2, 8)):
            known.said(text, module.letters(text) / 15 * dice.uniform(0.75, 1.25))
        assert not known.is_cut(text, module.letters(text) / 15 * 0.75)


def what_is_left_is_never_too_little(module: Any) -> None:
    """Whatever the pace of a TTS, it has said at least the letters that are counted as said."""
    text, dice = "This is a sentence like all of the others.", random.Random(4)
    for number in range(300):
        known, slow = module.Pace(), dice.uniform(1 / 14, 1 / 8)
        for _ in range(number % 2):
            known.said(text, module.letters(text) * slow * 0.75)
        assert known.letters_in(10.0) <= 10.0 / (slow * (1.25 if number % 2 else 1.0)) + 1e-6


def a_break_is_seen(module: Any) -> None:
    text = "This is a sentence like all of the others."
    known = module.Pace()
    for _ in range(6):
        known.said(text, module.letters(text) / 15)
    assert known.is_cut(text, module.letters(text) / 15 * 0.5)
    assert known.least(text) == pytest.approx(module.letters(text) / 15)
    assert known.least("See https://example.com/terms/and/conditions") < 0.5
    assert module.letters("2024") > module.letters("abcd")
    assert module.letters("你好") > module.letters("ab")


def what_asks_back_is_delivered(module: Any) -> None:
    assert not module.is_backchannel("okay?", _text.language("en"))


MUTANTS: dict[str, tuple[ModuleType, str, str, Callable[[Any], None]]] = {
    "a clause that asks may be dropped": (listening, "not clause.asks and ", "", what_asks_back_is_delivered),
    "a word of no meaning may be dropped": (listening, "piece.meanings & _LISTENING and ", "", no_answer_is_dropped),
    "however long, it only listens": (listening, "len(text) > LONGEST", "False", who_listens_is_not_answered),
    "nothing only listens": (listening, "return all(", "return not all(", who_listens_is_not_answered),
    "the shortest phrase counts": (lexicon, "reverse=True", "reverse=False", phrases_are_found),
    "a phrase reaches over a comma": (lexicon, "or _BREAK.search(gap)", "", phrases_are_found),
    "a whole phrase stands in any clause": (lexicon, "if self.is_whole and", "if False and", phrases_are_found),
    "no clause asks": (lexicon, "_MARK.search(gap) is not None", "False", phrases_are_found),
    "an initial ends a sentence": (
        sentences,
        "initial = len(word) == 1 and",
        "initial = False and",
        sentences_and_questions,
    ),
    "an ordinal ends a sentence": (sentences, "return _is_ordinal(after, language)", "pass", sentences_and_questions),
    "only one mark asks": (sentences, "[?？؟", "[?", sentences_and_questions),
    "no last word asks": (sentences, "in one.question_ends)", "in ())", sentences_and_questions),
    "a semicolon asks in English": (
        sentences,
        "is not None and _GREEK.search(sentence) is not None",
        "is not None or ';' in sentence",
        sentences_and_questions,
    ),
    "the first question counts": (
        sentences,
        "for begin, sentence in reversed(whole)",
        "for begin, sentence in whole",
        sentences_and_questions,
    ),
    "nothing is normalised": (words, '"NFKC"', '"NFC"', texts_are_compared),
    "an apostrophe makes another word": (words, 'whole.replace("\'", "")', "whole", texts_are_compared),
    "two words are an echo": (words, "ECHO_WORDS = 3", "ECHO_WORDS = 2", texts_are_compared),
    "a few words make an echo": (words, "ECHO_SHARE = 0.8", "ECHO_SHARE = 0.3", texts_are_compared),
    "any text is the rest of another": (words, "len(repeated) < len(before) / 2", "not repeated", texts_are_compared),
    "markup has words": (
        markup,
        "sign.isalnum() for sign in unmarked(text)",
        "sign.isalnum() for sign in text",
        markup_is_no_text,
    ),
    "a break is never closed": (markup, " and name not in _EMPTY", "", markup_is_no_text),
    "what is quick is cut": (pace, "CUT = 1 / (1 + UNSEEN)", "CUT = 0.9", no_pace_is_taken_for_a_break),
    "the second synthesis is as the first": (
        pace,
        "return UNSEEN * self._usual()",
        "return 0.0",
        what_is_left_is_never_too_little,
    ),
    "all that may have been said was": (
        pace,
        "seconds / max(self._usual(), min(",
        "seconds / min(self._usual() or 1, max(",
        what_is_left_is_never_too_little,
    ),
    "nothing is ever cut": (pace, "seconds < min(self.least(sentence), CUT * usual)", "False", a_break_is_seen),
    "a link is read letter by letter": (pace, '_LINK.sub(" ", unmarked(text))', "unmarked(text)", a_break_is_seen),
    "a digit is a letter": (pace, "return DIGIT", "return 1", a_break_is_seen),
    "a character is a letter": (pace, "DIGIT, WIDE = 4, 3", "DIGIT, WIDE = 4, 1", a_break_is_seen),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_text_is_seen(name: str) -> None:
    module, old, new, law = MUTANTS[name]
    law(module)

    with pytest.raises(AssertionError):
        law(mutated(module, old, new))

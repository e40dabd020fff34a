"""The data files of the languages: each is whole, and a language is found by its code."""

import dataclasses
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hearout import _text as words
from hearout._text.lexicon import Lexicon
from hearout._text.words import Token

EVERY = pytest.mark.parametrize("code", words.CODES)


@EVERY
def test_a_language_has_words_of_every_meaning(code: str) -> None:
    language = words.language(code)
    may_be_empty = {"question_ends", "abbreviations", "months"}
    for one in dataclasses.fields(language):
        value = getattr(language, one.name)
        if isinstance(value, tuple) and one.name not in may_be_empty:
            assert len(value) >= 3, one.name
    assert len(language.digits) == 10
    assert language.early_instructions.strip()
    assert language.is_known


@EVERY
def test_no_phrase_is_without_a_word(code: str) -> None:
    language = words.language(code)
    for name in (*words.MEANINGS, "requests", "consents", "question_ends"):
        assert all(words.split(phrase) for phrase in getattr(language, name)), name


class _EveryPhrase(Lexicon):
    """Tries each of its phrases at each word."""

    def _standing(self, said: list[Token], at: int, *, after_phrase: bool) -> Iterator[Any]:
        within = at > 0 and said[at - 1].begin == said[at].begin and "\uac00" <= said[at].text <= "\ud7a3"
        if after_phrase or not within:
            found = [phrase for phrase in self._meanings if phrase.stands_in(said, at)]
            yield from sorted(found, key=lambda one: (len(one.atoms), not one.is_open), reverse=True)


@EVERY
def test_phrases_are_found_as_if_each_was_tried_at_each_word(code: str) -> None:
    language, chance = words.language(code), random.Random(code)
    lists = {name: getattr(language, name) for name in words.MEANINGS}
    pieces = [phrase.rstrip("*.") for phrases in lists.values() for phrase in phrases]
    firsts = sorted({piece.split()[0] for piece in pieces if " " in piece})
    lists["open"] = [f"{first}*" for first in chance.sample(firsts, min(20, len(firsts)))]  # as teams may add them
    lexicon, every = Lexicon(lists), _EveryPhrase(lists)
    others = [*pieces, *(word for piece in pieces for word in piece.split()), "?", ",", "7"]
    gap = "" if code in ("zh", "ja") else " "
    for _ in range(60):
        said = gap.join(chance.choice(others) + chance.choice(("", "", "s")) for _ in range(6))
        assert lexicon.clauses(said) == every.clauses(said)


@EVERY
def test_what_says_i_listen_is_neither_a_yes_nor_a_no(code: str) -> None:
    language = words.language(code)
    for phrase in language.backchannels:
        (clause,) = language.lexicon.clauses(phrase)
        meanings = set().union(*(piece.meanings for piece in clause.pieces))
        assert not meanings & {"yes", "no", "refusals", "negations", "hold_offs", "questions"}, phrase


@EVERY
def test_what_a_caller_can_answer_is_no_backchannel(code: str) -> None:
    language = words.language(code)
    answers = tomllib.loads((Path(__file__).parent / "answers.toml").read_text())[code]
    assert [phrase for phrase in answers if words.is_backchannel(phrase, language)] == []
    assert len(answers) >= 40


@EVERY
def test_a_word_that_agrees_refuses_nothing(code: str) -> None:
    language = words.language(code)
    plain = {phrase.casefold() for phrase in language.yes}
    assert not plain & {phrase.casefold() for phrase in (*language.no, *language.refusals, *language.negations)}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        *(("de", "de"), ("de-AT", "de"), ("pt_BR", "pt"), ("ZH-Hant-TW", "zh"), ("eng", "en"), ("cmn-Hans", "zh")),
        *(("fi", ""), ("", ""), ("multi", "")),
    ],
)
def test_a_language_is_found_by_its_code(code: str, found: str) -> None:
    assert words.language(code).code == found


def test_a_language_is_read_once() -> None:
    assert words.language("de-AT") is words.language("de")


def test_a_team_may_add_words() -> None:
    english = words.language("en")
    more = english.with_words(backchannels=["righty-ho"], yes=["aye aye captain"])
    assert words.is_backchannel("Righty-ho.", more)
    assert not words.is_backchannel("Righty-ho.", english)
    assert more.yes[-1] == "aye aye captain"
    assert (more.no, hash(more)) == (english.no, hash(english))
    assert more != english


@pytest.mark.parametrize("name", ["yess", "digits", "code", "ordinal_stop"])
def test_words_of_no_list_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"has no words {name}"):
        words.language("en").with_words(**{name: ["a"]})


def test_a_code_with_more_words_is_one_language_each_time() -> None:
    more = {"yes": ["joo"], "no": ["ei"]}
    assert words.language("fi", more) is words.language("fi-FI", dict(more))
    assert not words.language("fi", more).is_known
    assert words.asks("Do you agree to that", words.language("fi", more)) is words.asks("Do you agree to that")


LISTENING = {
    "en": ("mm-hm", "uh-huh", "Okay.", "I see", "okay, right", "Um."),
    "de": ("mhm", "aha", "Okay.", "verstehe", "ach so", "Ähm …"),
    "fr": ("mm", "ah bon", "D’accord.", "je vois", "ok", "Euh."),
    "es": ("ajá", "mhm", "Vale.", "entiendo", "ya veo"),
    "it": ("mhm", "ah", "Va bene.", "capisco", "ok", "Ehm."),
    "pt": ("uhum", "ahã", "Tá bom.", "entendi", "ok", "Ehm."),
    "nl": ("hm", "aha", "Oké.", "begrepen", "mhm", "Uhm."),
    "tr": ("hmm", "hı", "Tamam.", "anladım", "peki", "Eee."),
    "ar": ("همم", "آها", "تمام.", "فهمت", "حسنًا"),
    "hi": ("हम्म", "अच्छा", "ठीक है।", "समझ गया", "okay"),
    "zh": ("哦", "这样啊", "明白了。", "知道了", "OK", "呃。"),
    "ja": ("なるほど", "へえ", "わかりました。", "ふーん", "了解です", "えーと。"),
    "ko": ("음", "아하", "알겠습니다.", "그렇군요", "오케이"),
}

ANSWERS = {
    "en": ("no", "yes", "No, thank you.", "oh no", "yeah", "stop", "wait", "okay, no", "Okay?", "huh", "sure", "uh-uh"),
    "de": ("nein", "ja", "Nein danke.", "oh nein", "nee", "stopp", "Moment", "okay, nein", "Okay?", "doch", "gern"),
    "fr": ("non", "oui", "Non merci.", "ah non", "ouais", "stop", "attendez", "d'accord, non", "pardon", "bien sûr"),
    "es": ("no", "sí", "No, gracias.", "ay no", "claro", "pare", "espere", "vale, no", "¿vale?", "por supuesto"),
    "it": ("no", "sì", "No, grazie.", "oh no", "certo", "basta", "aspetti", "va bene, no", "prego?", "volentieri"),
    "pt": ("não", "sim", "Não, obrigado.", "ah não", "claro", "pare", "espere", "tá bom, não", "pode", "com certeza"),
    "nl": ("nee", "ja", "Nee, dank u.", "oh nee", "zeker", "stop", "wacht", "oké, nee", "Oké?", "graag"),
    "tr": ("hayır", "evet", "Hayır, teşekkürler.", "yok", "olur", "durun", "bekleyin", "tamam, hayır", "olmaz"),
    "ar": ("لا", "نعم", "لا، شكرا.", "كلا", "موافق", "أوقف", "لحظة", "تمام، لا", "تمام؟", "آه"),
    "hi": ("नहीं", "हाँ", "नहीं, धन्यवाद।", "ना", "जी", "बंद करो", "रुकिए", "ठीक है, नहीं", "क्या", "बिल्कुल"),
    "zh": ("不", "是", "不用，谢谢。", "不要", "好", "停", "等一下", "明白了，不", "什么", "嗯"),
    "ja": ("いいえ", "はい", "いえ、結構です。", "いや", "うん", "やめて", "待って", "わかりました、いや", "え？"),
    "ko": ("아니요", "네", "아니요, 괜찮아요.", "싫어요", "응", "그만", "잠깐만요", "알겠습니다, 아니요", "왜요"),
}  # fmt: skip


@EVERY
def test_what_can_mean_nothing_but_i_listen_is_a_backchannel(code: str) -> None:
    heard = {text: words.is_backchannel(text, words.language(code)) for text in LISTENING[code]}
    assert all(heard.values()), heard


@EVERY
def test_what_can_be_an_answer_is_no_backchannel(code: str) -> None:
    heard = {text: words.is_backchannel(text, words.language(code)) for text in ANSWERS[code]}
    assert not any(heard.values()), heard


def test_in_a_language_without_words_nothing_is_a_backchannel() -> None:
    heard = [text for texts in LISTENING.values() for text in texts]
    assert not any(words.is_backchannel(text, words.UNKNOWN) for text in heard)


def test_a_long_text_is_no_backchannel() -> None:
    assert not words.is_backchannel("okay " * 20, words.language("en"))

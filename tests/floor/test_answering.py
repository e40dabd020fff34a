"""What an answer to a question is: a table of phrasings for each language, and the rules one by one.

The tables are in ``tests/floor/answers/``: the phrasings by what they are; ``strangers.toml`` has those that somebody
would try who wants to see a wrong yes.
"""

import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hearout import _text as words
from hearout._floor.answering import RULES, Expected, Meaning, Verdict, judge

FOLDER = Path(__file__).parent / "answers"
TABLES: dict[str, dict[str, list[str]]] = {
    code: tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8")) for code in words.CODES
}
STRANGERS: dict[str, dict[str, list[str]]] = tomllib.loads(FOLDER.with_name("strangers.toml").read_text("utf-8"))
ENGLISH = words.language("en")


def misjudged(code: str, table: dict[str, list[str]], named: Callable[[Meaning], str]) -> dict[str, str]:
    """The phrases of a language's table that are taken for another meaning: for which, and by which rule."""
    rows = [(phrase, meaning) for meaning, phrases in table.items() for phrase in phrases]
    verdicts = [(phrase, meaning, judge(phrase, words.language(code))) for phrase, meaning in rows]
    return {phrase: f"no {meaning}, but {told}" for phrase, meaning, told in verdicts if named(told.meaning) != meaning}


@pytest.mark.parametrize("code", TABLES)
def test_a_phrasing_means_what_the_table_says(code: str) -> None:
    assert misjudged(code, TABLES[code], lambda meaning: meaning.value) == {}


@pytest.mark.parametrize("code", STRANGERS)
def test_what_strangers_try_is_no_wrong_yes_and_no_wrong_no(code: str) -> None:
    def named(meaning: Meaning) -> str:
        return meaning.value if meaning in (Meaning.YES, Meaning.NO) else "neither"

    assert misjudged(code, STRANGERS[code], named) == {}


@pytest.mark.parametrize("code", words.CODES)
def test_a_yes_that_breaks_off_at_a_condition_is_none(code: str) -> None:
    language = words.language(code)
    conditions = [one for one in language.conditions if judge(one, language).meaning is not Meaning.YES]  # "si" is "sí"
    assert len(conditions) >= 3
    for condition in conditions:
        for more in (f"{language.yes[0]} {condition}", f"{language.yes[0]}, {condition}"):
            assert judge(more, language).meaning is not Meaning.YES, more


@pytest.mark.parametrize("code", words.CODES)
def test_a_table_has_sixty_phrasings_and_some_of_each_meaning(code: str) -> None:
    table = TABLES[code]
    every = [phrase for phrases in table.values() for phrase in phrases]
    assert len(set(every)) >= 60
    assert not [phrase for phrase, count in Counter(every).items() if count > 1]
    assert {name: len(phrases) >= 10 for name, phrases in table.items()} == {
        one.value: True for one in Meaning if one is not Meaning.CHOICE
    }


@pytest.mark.parametrize("code", words.CODES)
def test_an_answer_is_the_same_in_capitals_and_without_punctuation(code: str) -> None:
    language = words.language(code)
    for meaning in ("yes", "no", "hold-off"):
        for phrase in TABLES[code][meaning]:
            bare = " ".join(sign for sign in phrase.split()).strip(".!。！।")
            loud = bare if code == "tr" else bare.upper()
            assert judge(loud, language).meaning.value == meaning, loud


@pytest.mark.parametrize("code", words.CODES)
def test_a_yes_with_a_word_that_is_not_understood_is_no_yes(code: str) -> None:
    language = words.language(code)
    for phrase in TABLES[code]["yes"]:
        for more in (f"{phrase} xylofonq", f"xylofonq {phrase}"):
            assert judge(more, language).meaning is not Meaning.YES, more


@pytest.mark.parametrize("code", words.CODES)
def test_a_refusal_after_any_yes_wins(code: str) -> None:
    language = words.language(code)
    for phrase in TABLES[code]["yes"]:
        assert judge(f"{phrase}. {TABLES[code]['no'][0]}", language).meaning is Meaning.NO, phrase


@pytest.mark.parametrize("code", words.CODES)
def test_a_question_mark_makes_no_yes(code: str) -> None:
    for phrase in TABLES[code]["yes"]:
        asked = phrase.rstrip(".。।") + "?"
        assert judge(asked, words.language(code)).meaning is Meaning.ASIDE, asked


def test_in_an_unknown_language_nothing_is_an_answer() -> None:
    assert judge("yes", words.UNKNOWN) == Verdict(Meaning.UNCLEAR, "words that are not understood")
    assert judge("", ENGLISH) == Verdict(Meaning.UNCLEAR, "no answer in it")


@pytest.mark.parametrize(
    ("phrase", "verdict"),
    [
        ("yes", Verdict(Meaning.YES, "agreement, and nothing else")),
        ("no", Verdict(Meaning.NO, "a refusal")),
        ("not okay", Verdict(Meaning.NO, "a yes that is negated")),
        ("please don't record", Verdict(Meaning.NO, "a negation")),
        ("no. please don't", Verdict(Meaning.NO, "a refusal")),
        ("I'm not the owner", Verdict(Meaning.UNCLEAR, "words that are not understood")),
        ("wait", Verdict(Meaning.HOLD_OFF, "asks for a moment")),
        ("why", Verdict(Meaning.ASIDE, "a question back")),
        ("yes if you must", Verdict(Meaning.UNCLEAR, "a condition")),
        ("I agree on the condition that", Verdict(Meaning.UNCLEAR, "a condition")),
        ("I refuse and will not", Verdict(Meaning.NO, "a refusal")),
        ("I do not refuse", Verdict(Meaning.UNCLEAR, "a double negation")),
        ("maybe", Verdict(Meaning.UNCLEAR, "words that are neither yes nor no")),
        ("yes banana", Verdict(Meaning.UNCLEAR, "words that are not understood")),
        ("if", Verdict(Meaning.UNCLEAR, "a condition")),
        ("yes if", Verdict(Meaning.UNCLEAR, "a condition")),
        ("yes, if…", Verdict(Meaning.UNCLEAR, "a condition")),
        ("peter if you like no", Verdict(Meaning.NO, "a refusal")),
    ],
)
def test_a_verdict_names_its_rule(phrase: str, verdict: Verdict) -> None:
    assert judge(phrase, ENGLISH) == verdict


NO_ANSWERS = {
    "en": ["I am sorry", "I do have your data", "correct that please", "yes hello", "I'm fine thanks"],
    "de": ["mir geht es gut", "ich möchte mit jemandem sprechen", "ja hallo"],
    "fr": ["j'ai entendu", "oui allô", "ça va bien", "c'est bien vous"],
    "es": ["bueno", "estoy bien gracias", "si graban la llamada"],
    "it": ["si registra la chiamata", "sto bene grazie"],
    "pt": ["isso é gravado", "tá gravando"],
    "nl": ["nou ja", "mag u mij", "wel eens"],
    "tr": ["iyiyim teşekkürler", "birisiyle konuşmak istiyorum"],
    "ar": ["أنا حسن", "من أجل التسجيل", "نعم أسمعك"],
    "hi": ["मैं ठीक हूँ", "बात कर सकते हैं", "हाँ बोलिए"],
    "zh": ["这是录音", "你好", "对我说", "可以是可以", "这是电话录音"],
    "ja": ["そうですね", "説明してください", "はい、聞こえます", "電話お願いします"],
    "ko": ["네가 그렇게", "그래도", "전화해 주세요", "녹음됩니다"],
}
"""Their words agree elsewhere."""


@pytest.mark.parametrize("code", words.CODES)
def test_words_that_agree_elsewhere_make_no_yes(code: str) -> None:
    verdicts = {phrase: judge(phrase, words.language(code)).meaning for phrase in NO_ANSWERS[code]}
    assert Meaning.YES not in verdicts.values(), verdicts


CHOICES = Expected(choices=(("sales", ("sales", "the sales department")), ("cancel", ("cancel", "cancellation"))))


@pytest.mark.parametrize(
    ("phrase", "meaning", "choice"),
    [
        ("Sales, please.", Meaning.CHOICE, "sales"),
        ("I would like the sales department", Meaning.CHOICE, "sales"),
        ("cancel", Meaning.CHOICE, "cancel"),
        ("sales or cancel", Meaning.UNCLEAR, ""),
        ("sales and cancellation", Meaning.UNCLEAR, ""),
        ("not sales", Meaning.UNCLEAR, ""),
        ("no, sales", Meaning.UNCLEAR, ""),
        ("anything but sales", Meaning.UNCLEAR, ""),
        ("wait, sales", Meaning.HOLD_OFF, ""),
        ("what is sales", Meaning.ASIDE, ""),
        ("sales if it is free", Meaning.UNCLEAR, ""),
        ("yes", Meaning.UNCLEAR, ""),
        ("no", Meaning.NO, ""),
        ("marketing", Meaning.UNCLEAR, ""),
    ],
)
def test_a_choice_is_made_by_one_of_its_phrases(phrase: str, meaning: Meaning, choice: str) -> None:
    verdict = judge(phrase, ENGLISH, CHOICES)
    assert (verdict.meaning, verdict.choice) == (meaning, choice)


@pytest.mark.parametrize(
    ("code", "phrase", "digits"),
    [
        ("en", "one two three four", "1234"),
        ("en", "It's 1234.", "1234"),
        ("en", "1, 2, 3, 4", "1234"),
        ("en", "1,234", "1234"),
        ("en", "oh one two three please", "0123"),
        ("en", "one two three", ""),
        ("en", "one two three four five", ""),
        ("en", "one two three banana four", ""),
        ("en", "no one two three four", ""),
        ("de", "eins zwo drei vier", "1234"),
        ("fr", "un deux trois quatre", "1234"),
        ("ar", "١٢٣٤", "1234"),
        ("hi", "एक दो तीन चार", "1234"),
        ("hi", "१२३४", "1234"),
        ("zh", "一二三四", "1234"),
        ("ja", "１２３４です", "1234"),
        ("ko", "일 이 삼 사", "1234"),
    ],
)
def test_digits_are_read_in_words_and_in_every_script(code: str, phrase: str, digits: str) -> None:
    verdict = judge(phrase, words.language(code), Expected(digits=4))
    assert verdict.choice == digits, verdict
    assert (verdict.meaning is Meaning.CHOICE) is bool(digits)


def test_a_number_is_no_yes() -> None:
    assert judge("yes 4", ENGLISH).meaning is Meaning.UNCLEAR


def test_the_rules_have_a_version() -> None:
    assert RULES

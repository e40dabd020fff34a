"""Words in any script: where they end, when two are the same, and how much of one text another repeats."""

import time
from collections.abc import Sequence

import pytest

from hearout import _text as words
from hearout._text import words as module


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't stop it, mm-hm!", ["dont", "stop", "it", "mm", "hm"]),
        ("D’accord, l'appel qu'on", ["d", "accord", "l", "appel", "qu", "on"]),
        ("İptal ISRAR ısrar", ["iptal", "israr", "israr"]),
        ("ＯＫ ﾊｲ", ["ok", "ハイ"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("نَعَم نعم أوافق اوافق", ["نعم", "نعم", "اوافق", "اوافق"]),
        ("हाँ हां ज़रूर", ["हां", "हां", "जरूर"]),
        ("您同意吗", ["您", "同意", "吗"]),
        ("การโทรนี้จะถูกบันทึก", ["การ", "โทร", "นี้", "จะ", "ถูก", "บันทึก"]),
        ("録音されますか。", ["録音", "さ", "れ", "ます", "か"]),
        ("😀 yes 😀 no", ["yes", "no"]),
        ("𠮷野家 ok", ["𠮷", "野", "家", "ok"]),
        ("half \ud83d of a sign", ["half", "of", "a", "sign"]),
        (" … !", []),
        ("", []),
    ],
)
def test_a_text_has_these_words_however_it_is_written(text: str, found: list[str]) -> None:
    if "𠮷" in text:
        assert words.split(text)[-1] == "ok"
        assert "".join(words.split(text)) == "𠮷野家ok"
    else:
        assert words.split(text) == found


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("the operator please", "Operator"),
        ("I said OPERATOR.", "operator"),
        ("bağlantıyı İPTAL et", "iptal"),
        ("我要转人工服务", "转人工"),
        ("我不同意", "不同意"),
        ("オペレーターをお願いします", "オペレーター"),
        ("ขอคุยกับเจ้าหน้าที่ค่ะ", "เจ้าหน้าที่"),
        ("상담원 연결해 주세요", "상담원"),
        ("상담원이랑 통화할게요", "상담원"),
        ("passez-moi l’opérateur", "opérateur"),
        ("ＯＰＥＲＡＴＯＲ", "operator"),
        ("不 要", "不"),
    ],
)
def test_a_phrase_is_found_in_every_script(text: str, phrase: str) -> None:
    assert words.has_phrase(text, phrase)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [("operate it", "operator"), ("the op era tor", "operator"), ("同意", "不同意"), ("日本語", "本"), ("", "a")],
)
def test_what_is_no_phrase_is_not_found(text: str, phrase: str) -> None:
    assert not words.has_phrase(text, phrase)


SPOKEN = {
    "en": ("This call is recorded for training and quality.", "call is recorded for training", "what is recorded here"),
    "zh": ("本通话将被录音，您的数据将保存三十天。", "您的数据将保存三十天", "我想修改我的地址"),
    "ja": ("この通話は品質向上のため録音されます。", "品質向上のため録音されます", "住所を変更したいのですが"),
    "th": ("การโทรนี้จะถูกบันทึกเพื่อการฝึกอบรม", "จะถูกบันทึกเพื่อการฝึกอบรม", "ฉันต้องการเปลี่ยนที่อยู่ของฉัน"),
    "ar": ("هذه المكالمة مسجلة لأغراض التدريب والجودة.", "المكالمة مسجلة لأغراض التدريب", "أريد تغيير عنواني من فضلك"),
}  # fmt: skip


@pytest.mark.parametrize("code", SPOKEN)
def test_an_echo_is_known_in_every_script(code: str) -> None:
    text, echo, own = SPOKEN[code]
    spoken = words.about(text, 0.0, 10.0, 10.0)
    assert words.is_echo(echo, spoken)
    assert not words.is_echo(own, spoken)
    assert not words.is_echo(f"{echo} {own}", spoken)


def test_an_echo_has_three_words_and_something_that_was_spoken() -> None:
    assert not words.is_echo("call is", ["this", "call", "is"])
    assert words.is_echo("call is", ["this", "call", "is"], at_least=1)
    assert not words.is_echo("this call is", [])
    assert not words.is_echo("is call this", ["this", "call", "is"])
    assert words.about("one two three", 0.0, 1.0, 0.0) == ()


@pytest.mark.parametrize(
    ("text", "before", "rest"),
    [
        ("Please change my address now.", "please change my", "address now."),
        ("Please change my address.", "please change my address", ""),
        ("what does it cost", "please change my address", None),
        ("anything", "", None),
        ("please change my address to the new one", "please change the", "my address to the new one"),
        ("你好我想修改我的地址。", "你好我想修改", "我的地址。"),
        ("ฉันต้องการเปลี่ยนที่อยู่", "ฉันต้องการ", "เปลี่ยนที่อยู่"),
        ("住所を変更したいです", "住所を", "変更したいです"),
    ],
)
def test_a_late_final_adds_what_was_not_settled(text: str, before: str, rest: str | None) -> None:
    assert words.rest_of(text, before) == rest


def test_pieces_are_joined_without_the_empty_ones() -> None:
    assert words.join([" a ", "", "b"]) == "a b"


@pytest.mark.parametrize(
    ("text", "end"),
    [("short", "short"), ("a" * 500 + " end", "end"), ("字" * 500, "字" * 400)],
)
def test_of_a_long_interim_the_end_is_looked_at(text: str, end: str) -> None:
    assert words.tail(text) == end


REPEATED = (
    "a",
    ". ",
    "?",
    "' ",
    "-",
    "\u0e01",
    "\u0301",
    "\u0301\u0316",
    "字。",
    "e.g. ",
    "«»",
    "\u200b",
    "1. ",
    "no ",
)
FOREIGN = [text * (20_000 // len(text)) for text in REPEATED]


def seconds(text: str) -> float:
    begin = time.process_time()
    words.split(text)
    words.has_phrase(text, "operator please")
    words.has_words(text)
    words.ends_a_sentence(text)
    words.question(text, words.language("en"))
    words.first_to_answer(text, words.language("de"))
    words.is_echo(text, words.about("this call is recorded", 0.0, 1.0, 1.0))
    words.rest_of(text, text[: len(text) // 2])
    words.is_backchannel(text, words.language("en"))
    return time.process_time() - begin


@pytest.mark.parametrize("text", FOREIGN, ids=lambda text: repr(text[:6]))
def test_the_work_grows_with_the_text_and_not_with_its_square(text: str) -> None:
    long = min(seconds(text + " " * n) for n in range(1, 4))
    short = max(min(seconds(text[: len(text) // 8] + " " * n) for n in range(1, 3)), 0.005)
    assert long < 5 * 8 * short  # of a square it would be 64 times as much


def test_what_an_agent_says_is_segmented_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "It is segmented once and compared often."
    looked: list[str] = []
    segments = module._segments
    monkeypatch.setattr(module, "_segments", lambda one: (looked.append(one), segments(one))[1])

    found: list[Sequence[str]] = [words.about(text, at, at + 1.0, 10.0) for at in range(9)]

    assert looked == [text]
    assert found[0] == ("it",)

"""The same call in each language: a backchannel, a refusal before the end of the question, and an answer to it."""

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bench import languages, peers, scenarios, virtual
from harness.scenes import Announcing, assert_answered_at_once, call, fates, receipts
from hearout import Outcome, Policy
from hearout import _text as words
from hearout.testing import STT, TTS, Call, Say, first_sound, from_end


@dataclass(frozen=True)
class Talk:
    """What is said in a language.

    Args:
        notice: an announcement that asks nothing.
        question: asks for consent, with a question mark or without one.
        backchannel: says "I am listening".
        refusal: refuses.
        consent: agrees.
        aside: is about something else.
    """

    notice: str
    question: str
    backchannel: str
    refusal: str
    consent: str
    aside: str


TALKS = {
    "en": Talk(
        "This call is recorded for training and quality. Your data is kept for thirty days and is then erased.",
        "If you do not agree, please say so now.",
        "okay", "no thank you", "yes", "please change my address first",
    ),
    "de": Talk(
        "Dieses Gespräch wird zu Schulungszwecken aufgezeichnet. Die Daten werden am 3. März wieder gelöscht.",
        "Wenn Sie nicht einverstanden sind, sagen Sie es bitte jetzt.",
        "okay", "nein danke", "ja", "bitte ändern Sie zuerst meine Adresse",
    ),
    "fr": Talk(
        "Cet appel est enregistré à des fins de formation. Vos informations restent trente jours chez M. Dupont.",
        "Êtes-vous d'accord ?",
        "d'accord", "non merci", "oui", "changez d'abord mon adresse",
    ),
    "es": Talk(
        "Esta llamada se graba con fines de formación. El Sr. García guarda los datos durante treinta días.",
        "Si no está de acuerdo, dígalo ahora.",
        "vale", "no gracias", "sí", "cambie primero mi dirección",
    ),
    "it": Talk(
        "Questa chiamata viene registrata a fini di formazione. Il dott. Rossi conserva i dati per trenta giorni.",
        "Se non è d'accordo, lo dica ora.",
        "va bene", "no grazie", "sì", "prima cambi il mio indirizzo",
    ),
    "pt": Talk(
        "Esta chamada é gravada para fins de formação. Os dados são guardados durante trinta dias e depois apagados.",
        "Se não concorda, diga agora.",
        "tá bom", "não obrigado", "sim", "mude primeiro o meu endereço",
    ),
    "nl": Talk(
        "Dit gesprek wordt opgenomen voor trainingsdoeleinden. De gegevens worden na dertig dagen gewist.",
        "Als u niet akkoord gaat, zegt u het nu.",
        "oké", "nee dank u", "ja", "verander eerst mijn adres",
    ),
    "tr": Talk(
        "Bu görüşme eğitim amacıyla kaydedilmektedir. Bilgileriniz otuz gün boyunca saklanır ve sonra silinir.",
        "Kabul ediyor musunuz?",
        "tamam", "hayır istemiyorum", "evet", "önce adresimi değiştirin",
    ),
    "ar": Talk(
        "يتم تسجيل هذه المكالمة لأغراض التدريب والجودة. تحفظ بياناتكم لمدة ثلاثين يوما ثم تمحى بعد ذلك.",
        "هل توافق على ذلك؟",
        "تمام", "لا شكرا", "نعم", "غيروا عنواني أولا",
    ),
    "hi": Talk(
        "यह कॉल प्रशिक्षण के लिए रिकॉर्ड की जा रही है। आपका डेटा तीस दिन तक रखा जाता है और फिर मिटा दिया जाता है।",
        "क्या आप सहमत हैं?",
        "अच्छा", "जी नहीं", "हाँ", "पहले मेरा पता बदल दीजिए",
    ),
    "zh": Talk(
        "为了培训和提高服务质量，本次通话将会被全程录音。您的数据将会在我们的系统中保存三十天，然后会被删除。",
        "您同意吗",
        "明白了", "我 不同意", "同意", "先 改 我的 地址",
    ),
    "ja": Talk(
        "この通話は品質向上と研修のために録音されています。お客様の情報は三十日間保管され、その後は削除されます。",
        "よろしいでしょうか。",
        "なるほど", "いいえ 結構です", "はい", "先に 住所を 変えて ほしいです",
    ),
    "ko": Talk(
        "이 통화는 교육과 품질 향상을 위해 녹음되고 있습니다. 고객님의 정보는 삼십 일 동안 보관된 후에 삭제됩니다.",
        "동의하십니까?",
        "알겠습니다", "아니요 싫어요", "네", "먼저 제 주소를 바꿔 주세요",
    ),
}  # fmt: skip
"""Spaces between the words of Chinese and Japanese callers are the script's: the kit says one word after the other."""

EVERY = pytest.mark.parametrize("code", TALKS)


def spoken(code: str, *acts: Say, text: str | None = None, **more: Any) -> Any:
    """A call in a language, of which the STT says which one it is."""
    talk = TALKS[code]
    agent: Callable[[], Any] = lambda: Announcing(text or f"{talk.notice} {talk.question}")  # noqa: E731
    return call(*acts, agent=agent, stt=STT(language=code), tts=voice(code), **more)


def voice(code: str) -> TTS:
    """A voice with the pace of the language: a character of Chinese, Japanese or Korean is a syllable or more."""
    return TTS(rate=5.0 if code in ("zh", "ja", "ko") else 15.0)


def test_there_is_a_talk_in_every_language() -> None:
    assert sorted(TALKS) == sorted(words.CODES)


@EVERY
def test_a_backchannel_early_and_a_refusal_near_the_end(code: str) -> None:
    talk = TALKS[code]
    result = spoken(
        code,
        Say(first_sound(0.6), talk.backchannel, answered=False),
        Say(from_end(-2.2), talk.refusal),
    )
    assert fates(result) == [(talk.backchannel, "backchannel"), (talk.refusal, "delivered")]
    assert_answered_at_once(result, talk.refusal, gap=1.5)


@EVERY
def test_what_is_a_backchannel_before_is_an_answer_after_the_question(code: str) -> None:
    talk = TALKS[code]
    result = spoken(code, Say(from_end(-1.3), talk.backchannel))
    assert fates(result) == [(talk.backchannel, "delivered")]
    assert result.turns == [talk.backchannel]


@EVERY
def test_a_yes_before_the_question_is_early_and_the_llm_is_told(code: str) -> None:
    talk = TALKS[code]
    result = spoken(code, Say(first_sound(0.6), talk.consent))
    assert_answered_at_once(result, talk.consent, gap=0.04)
    assert receipts(result)[0].held[0][0].early
    told = [text for role, text in result.requests[0].context if role == "system"]
    assert told[-1] == words.language(code).early_instructions


@EVERY
def test_a_yes_after_the_question_is_an_answer(code: str) -> None:
    talk = TALKS[code]
    result = spoken(code, Say(from_end(0.3), talk.consent))
    assert result.turns == [talk.consent]
    told = [text for role, text in result.requests[0].context if role == "system"]
    assert words.language(code).early_instructions not in told


@EVERY
def test_a_request_over_a_notice_is_answered_when_it_ends(code: str) -> None:
    talk = TALKS[code]
    result = spoken(code, Say(first_sound(0.6), talk.aside), text=talk.notice)
    assert_answered_at_once(result, talk.aside, gap=0.04)
    assert not receipts(result)[0].held[0][0].early


@EVERY
def test_the_announcements_echo_is_no_turn(code: str) -> None:
    talk = TALKS[code]
    first = next(iter(words.sentences(talk.notice, words.language(code))))[1].strip(" .。।")
    result = spoken(
        code, Say(first_sound(0.2), first, duration=voice(code).seconds(first), answered=False), text=talk.notice
    )
    assert fates(result) == [(first, "echo")]
    assert result.turns == []


@EVERY
def test_a_refusal_as_a_phrase_cuts_in(code: str) -> None:
    talk = TALKS[code]
    policy = Policy(cut_in=cut_in(talk.refusal.replace(" ", "") if code == "zh" else talk.refusal))
    result = spoken(code, Say(first_sound(0.6), talk.refusal), policy=policy)
    assert receipts(result)[0].outcome is Outcome.CUT_IN


def cut_in(phrase: str) -> Any:
    from hearout import CutIn

    return CutIn(phrases=(phrase,))


@EVERY
def test_the_policys_language_is_used_where_the_stt_says_none(code: str) -> None:
    talk = TALKS[code]
    act = Say(first_sound(0.6), talk.backchannel, answered=False)
    text = f"{talk.notice} {talk.question}"
    quiet = call(
        act, agent=lambda: Announcing(text), stt=STT(language=""), tts=voice(code), policy=Policy(language=code)
    )
    assert fates(quiet) == [(talk.backchannel, "backchannel")]
    unknown = call(act, agent=lambda: Announcing(text), stt=STT(language=""), tts=voice(code))
    assert fates(unknown) == [(talk.backchannel, "delivered")]


# Every scenario with words of `bench/scenarios.py`: each in one language, by its name; in all of them by `make nightly`


def sampled() -> list[tuple[str, str]]:
    codes = languages.CODES
    if os.environ.get("HEAROUT_LANGUAGES") == "all":
        return [(name, code) for name in languages.WITH_WORDS for code in codes]
    return [(name, codes[zlib.crc32(name.encode()) % len(codes)]) for name in languages.WITH_WORDS]


def test_every_scenario_has_its_words_in_every_language() -> None:
    assert sorted(languages.CODES) == sorted(words.CODES)
    assert all(set(table) == {*languages.ENGLISH, "ten"} for table in languages.TABLE.values())
    assert len({code for _, code in sampled()}) >= 8
    assert len(languages.WITH_WORDS) >= 34


@pytest.mark.parametrize(("name", "code"), sampled())
def test_a_scenario_keeps_its_limits_in_every_language(name: str, code: str) -> None:
    scenario = scenarios.named(name)
    played = Call(session=peers.SESSIONS[peers.HEAROUT], typed=peers.typed, **languages.arguments(code, scenario, 0))
    result = played.play()

    came = virtual.came_of(scenario, peers.HEAROUT, 0, played, result)
    assert virtual.faults(scenario, [came]) == [], result.describe()

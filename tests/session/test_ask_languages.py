# ruff: noqa: RUF001 - the languages have such letters
"""`ask()` in each of the 13 languages: whole calls in virtual time."""

from dataclasses import dataclass

import pytest

from hearout import AskOutcome, Basis, CallerAnswer
from hearout.testing import TTS, Result, Say, first_sound
from tests.session.test_ask import asked

TABLE = """
en | May we record this call? | Please say yes or no. | yes please | no thank you | wait a moment
de | Dürfen wir dieses Gespräch aufzeichnen? | Bitte sagen Sie ja oder nein. | ja gerne | lieber nicht | einen Moment
fr | Pouvons-nous enregistrer cet appel ? | Dites oui ou non. | oui d'accord | non merci | un instant
es | ¿Podemos grabar esta llamada? | Diga sí o no. | sí claro | no gracias | un momento
it | Possiamo registrare questa chiamata? | Dica sì o no. | va bene | no grazie | un momento
pt | Podemos gravar esta chamada? | Diga sim ou não. | sim | não obrigado | um momento
nl | Mogen we dit gesprek opnemen? | Zeg ja of nee. | ja hoor | nee | een moment
tr | Bu görüşmeyi kaydedebilir miyiz? | Evet ya da hayır deyin. | evet | hayır | bir dakika
ar | هل يمكننا تسجيل هذه المكالمة؟ | قل نعم أو لا. | نعم | لا | لحظة
hi | क्या हम यह कॉल रिकॉर्ड कर सकते हैं? | हाँ या नहीं कहिए। | हाँ | नहीं | एक मिनट
zh | 我们可以录音吗？我们会用它来改进服务。 | 请说可以或者不可以。 | 可以 | 不可以 | 等一下
ja | この通話を録音してもよろしいでしょうか。 | はい、またはいいえでお答えください。 | はい | いいえ | ちょっと待って
ko | 이 통화를 녹음해도 될까요? | 예 또는 아니요라고 말해 주세요. | 네 | 아니요 | 잠깐만요
"""
ROWS = [tuple(cell.strip() for cell in line.split("|")) for line in TABLE.strip().splitlines()]
"""Language, question, the same in brief, yes, no, and a hold-off."""


@dataclass(frozen=True)
class Words:
    """What is asked and said in one language."""

    language: str
    question: str
    brief: str
    yes: str
    no: str
    hold: str

    def ask(self, *said: tuple[float, str]) -> tuple[CallerAnswer, Result]:
        """Ask, while the caller says this so many seconds after the question's end."""
        tts = TTS(rate=5.0 if self.language in ("zh", "ja", "ko") else 15.0)
        end = tts.seconds(self.question)
        caller = [Say(first_sound(end + after), words) for after, words in said]
        more = {"text": self.question, "repeat": self.brief, "language": self.language, "wait": 4.0, "attempts": 2}
        return asked(*caller, tts=tts, **more)


ALL = pytest.mark.parametrize("words", [Words(*row) for row in ROWS], ids=[row[0] for row in ROWS])


@ALL
def test_a_yes_is_given_in_every_language(words: Words) -> None:
    answer, result = words.ask((1.0, words.yes))

    assert (answer.choice, answer.outcome) == ("yes", AskOutcome.ANSWERED), answer.receipt.answers
    assert (answer.receipt.language, answer.receipt.basis) == (words.language, Basis.GIVEN)
    assert result.kept == 1.0


@ALL
def test_a_no_is_given_in_every_language(words: Words) -> None:
    answer, _ = words.ask((1.0, words.no))

    assert (answer.choice, answer.outcome) == ("no", AskOutcome.ANSWERED), answer.receipt.answers


@ALL
def test_an_early_yes_is_no_answer_in_any_language(words: Words) -> None:
    answer, result = words.ask((-0.8, words.yes))

    assert (answer.choice, answer.outcome) == ("", AskOutcome.SILENT), answer.receipt.answers
    assert [one.early for one in answer.receipt.answers] == [True]
    assert [one.said for one in result.utterances][:2] == [words.question, words.brief]


@ALL
def test_a_refusal_after_a_yes_wins_in_every_language(words: Words) -> None:
    answer, _ = words.ask((1.0, f"{words.yes} {words.hold} {words.no}"))

    assert answer.choice != "yes", answer.receipt.answers


@ALL
def test_a_hold_off_is_no_answer_and_waits_in_every_language(words: Words) -> None:
    answer, _ = words.ask((1.0, words.hold), (6.0, words.yes))

    assert answer.choice == "yes", answer.receipt.answers
    assert len(answer.receipt.attempts) == 1

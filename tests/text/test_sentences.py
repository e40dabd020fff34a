"""Where a sentence ends, and which one asks."""

import pytest

from hearout import _text as words
from hearout._floor.alignment import Alignment


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("It is late.", True),
        ('He said "it is late." ', True),
        ("Do you agree?", True),
        ("本通话将被录音。", True),
        ("Συμφωνείτε;", True),
        ("It is late;", False),
        ("क्या आप सहमत हैं।", True),
        ("It is", False),
        ("", False),
    ],
)
def test_the_end_of_a_sentence_is_known(text: str, whole: object) -> None:
    assert words.ends_a_sentence(text) is whole


def test_a_number_or_a_quotation_does_not_divide_a_sentence() -> None:
    text = 'It costs 3.5 euros. He said "why?" Then he left'
    assert [sentence for _, sentence in words.sentences(text)] == [
        "It costs 3.5 euros. ",
        'He said "why?" ',
        "Then he left",
    ]
    assert "".join(sentence for _, sentence in words.sentences(text)) == text


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("de", "Ihr Termin ist um 9 Uhr am 3. März. "),
        ("de", "Bringen Sie z.B. Ihren Ausweis mit. "),
        ("de", "Bringen Sie z. B. Ihren Ausweis und Nr. 5 mit. "),
        ("es", "Pregunte por el Sr. García y la Sra. López. "),
        ("en", "It is under U.S. law and you may ask Dr. Smith. "),
        ("fr", "Demandez M. Dupont ou Mme. Durand au n° 5. "),
        ("it", "Chieda del dott. Rossi o della sig.ra Bianchi. "),
        ("pt", "Fale com o Sr. Silva ou a Dra. Costa. "),
        ("nl", "Vraag naar dhr. Jansen of mevr. De Vries. "),
        ("tr", "Bu, 3. madde ve Dr. Yılmaz ile ilgilidir. "),
        ("ru", "Это запись. "),
        ("hi", "यह कॉल रिकॉर्ड हो रही है। "),
        ("ar", "هذه المكالمة مسجلة. "),
        ("ja", "この通話は録音されます。"),
        ("zh", "本通话将被录音。"),
        ("ko", "이 통화는 녹음됩니다. "),
    ],
)
def test_a_languages_short_forms_do_not_divide_a_sentence(code: str, sentence: str) -> None:
    text = f"{sentence}{sentence}"
    for language in (words.language(code), words.UNKNOWN):
        assert [one for _, one in words.sentences(text, language)] == [sentence, sentence]


def test_an_ordinal_number_divides_no_german_sentence_but_others() -> None:
    german = words.language("de")
    assert [one for _, one in words.sentences("Nehmen Sie den 2. Zug. Danke.", german)] == [
        "Nehmen Sie den 2. Zug. ",
        "Danke.",
    ]
    assert len(words.sentences("It is number 2. Thank you.", words.language("en"))) == 2
    assert len(words.sentences("It is number 2. Thank you.")) == 2


def test_a_line_may_end_in_the_middle_of_a_sentence() -> None:
    assert [one for _, one in words.sentences("This call is\nrecorded.\n\nThank you.")] == [
        "This call is\nrecorded.\n\n",
        "Thank you.",
    ]


def test_a_sign_beyond_the_first_plane_moves_no_sentence() -> None:
    text = "😀😀 Good day. 𠮷野家 is open."
    assert "".join(one for _, one in words.sentences(text)) == text
    assert words.sentences(text)[1][1].endswith("is open.")


QUESTIONS = [
    "Do you agree?",
    "您同意吗？",
    "您同意吗",
    "هل توافق؟",
    "Συμφωνείτε;",
    "Συμφωνείτε\u037e",
    "よろしいですか。",
    "동의하십니까.",
    "Kabul ediyor musunuz",
    "If you do not agree, please say so now.",
    "Please say yes now.",
    "Press one to go on.",
    "Wenn Sie nicht einverstanden sind, sagen Sie es bitte jetzt.",
    "Si vous n'êtes pas d'accord, dites-le maintenant.",
    "Si no está de acuerdo, dígalo ahora.",
    "Se non è d'accordo, lo dica ora.",
    "Se não concorda, diga agora.",
    "Als u niet akkoord gaat, zegt u het nu.",
    "Kabul etmiyorsanız lütfen şimdi söyleyin.",
    "إذا كنت لا توافق فقل ذلك الآن.",
    "अगर आप सहमत नहीं हैं, तो कृपया अभी बताएं।",
    "如果您不同意，请现在说。",
    "同意されない場合は、今おっしゃってください。",
    "동의하지 않으시면 지금 말씀해 주세요.",
]


@pytest.mark.parametrize("sentence", QUESTIONS)
def test_what_asks_for_an_answer_is_known_in_every_script(sentence: str) -> None:
    assert words.asks(sentence)
    assert words.may_be_answered(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "This call is recorded for training and quality.",
        "Please have your customer number ready now.",
        "Dieses Gespräch wird aufgezeichnet.",
        "Cet appel est enregistré.",
        "Open at nine; closed at five.",
        "本通话将被录音。",
        "この通話は録音されます。",
        "이 통화는 녹음됩니다.",
        "Bu görüşme kaydedilmektedir.",
        "هذه المكالمة مسجلة.",
        "यह कॉल रिकॉर्ड की जा रही है।",
    ],
)
def test_a_notice_asks_nothing(sentence: str) -> None:
    assert not words.asks(sentence)


def test_a_sentence_about_agreeing_may_be_answered_though_it_does_not_ask() -> None:
    sentence = "By staying on the line you agree to that."
    assert (words.asks(sentence), words.may_be_answered(sentence)) == (False, True)


def test_the_last_and_the_first_answerable_question_have_their_places() -> None:
    text = "Good day. You may refuse. Do you agree? Say so. Bye."
    assert words.question(text) == pytest.approx(text.index("Say so") / len(text))
    assert words.first_to_answer(text) == pytest.approx(text.index("You may") / len(text))
    assert (words.question("Good day."), words.first_to_answer("Good day.")) == (None, None)


@pytest.mark.parametrize(
    "sentence",
    [
        "Please ask for Dr. Smith at 3 p.m. on Monday. ",
        "Call Mr. Jones, Mrs. Jones or Prof. Jones. ",
        "J. R. Smith lives in St. Ives. ",
        "Bring it, e.g. on Monday. ",
        "It is Smith vs. Jones, i.e. the old case (see No. 5 and no. 6). ",
        "He said “stop.” and left. ",
        "Wait … and see. ",
        "Wait... and see. ",
    ],
)
def test_an_abbreviation_or_a_stop_in_small_letters_divides_nothing(sentence: str) -> None:
    text = f"Good day. {sentence}It is late."
    assert [one for _, one in words.sentences(text)] == ["Good day. ", sentence, "It is late."]
    assert [begin for begin, _ in words.sentences(text)] == [0, 10, 10 + len(sentence)]


@pytest.mark.parametrize(
    "divided",
    [
        ["We close at 5 p.m. ", "Please come early."],
        ["Did you agree? ", "No. ", "Then press one."],
        ["The answer is no. ", "Five people asked."],
        ["Really? ", "yes."],
        ["네. ", "알겠습니다."],
        ["1. ", "Press one."],
    ],
    ids="".join,
)
def test_a_stop_that_is_an_end_is_one(divided: list[str]) -> None:
    assert [sentence for _, sentence in words.sentences("".join(divided))] == divided


@pytest.mark.parametrize(("text", "whole"), [("Please ask for Dr.", False), ("It is at 3 p.m.", True), (" . ", True)])
def test_what_ends_with_a_title_is_no_whole_sentence(text: str, whole: object) -> None:
    assert words.ends_a_sentence(text) is whole


DOCTOR = "Good day. Please ask for Dr. Smith at 3 p.m. on Monday. Thank you."


def test_an_utterance_is_resumed_at_its_sentence_not_after_an_abbreviation() -> None:
    alignment = Alignment(DOCTOR, complete=True)
    seconds, begin = alignment.sentence_at(3.0, length=4.5)

    assert DOCTOR[begin:].startswith("Please ask")
    assert seconds == pytest.approx(10 / len(DOCTOR) * 4.5)


def test_a_sentence_placed_in_pieces_begins_with_the_first_of_them() -> None:
    pieces = [(0.0, "Good day."), (0.8, "Please ask for Dr."), (1.9, "Smith at 3 p.m."), (3.0, "on Monday.")]
    alignment = Alignment(DOCTOR, complete=True, placed=[*pieces, (4.0, "Thank you.")])

    assert alignment.sentence_at(3.5, length=None) == (0.8, 10)
    assert alignment.sentence_at(0.5, length=None) == (0.0, 0)
    assert alignment.sentence_at(4.2, length=None) == (4.0, DOCTOR.index("Thank"))

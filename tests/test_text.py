"""What is said, told apart."""

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
def test_a_short_form_or_a_stop_that_goes_on_in_small_letters_does_not_divide_a_sentence(sentence: str) -> None:
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


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("This call is recorded. Your data is kept for", True),
        ("this call is recorded. your data is kept for", True),
        ("This call is recorded. Ask for Dr. Smith.", False),
        ("Nobody knows", False),
    ],
)
def test_a_text_that_ends_in_mid_sentence_is_broken_off(text: str, broken: object) -> None:
    assert words.breaks_off(text) is broken


@pytest.mark.parametrize(("text", "whole"), [("Please ask for Dr.", False), ("It is at 3 p.m.", True), (" . ", True)])
def test_what_ends_with_a_title_is_no_whole_sentence(text: str, whole: object) -> None:
    assert words.ends_a_sentence(text) is whole


DOCTOR = "Good day. Please ask for Dr. Smith at 3 p.m. on Monday. Thank you."


def test_an_utterance_is_taken_up_at_its_sentence_and_not_after_a_short_form_in_it() -> None:
    alignment = Alignment(DOCTOR, complete=True)
    seconds, begin = alignment.sentence_at(3.0, length=4.5)

    assert DOCTOR[begin:].startswith("Please ask")
    assert seconds == pytest.approx(10 / len(DOCTOR) * 4.5)


def test_a_sentence_that_the_voice_places_in_pieces_begins_with_the_first_of_them() -> None:
    pieces = [(0.0, "Good day."), (0.8, "Please ask for Dr."), (1.9, "Smith at 3 p.m."), (3.0, "on Monday.")]
    alignment = Alignment(DOCTOR, complete=True, placed=[*pieces, (4.0, "Thank you.")])

    assert alignment.sentence_at(3.5, length=None) == (0.8, 10)
    assert alignment.sentence_at(0.5, length=None) == (0.0, 0)
    assert alignment.sentence_at(4.2, length=None) == (4.0, DOCTOR.index("Thank"))

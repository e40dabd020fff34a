"""What is said, told apart."""

import pytest

from hearout import words


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ask for Dr. Smith. He is in.", ["Ask for Dr. Smith. ", "He is in."]),
        ("Come at 3 p.m. on Monday. Bring it.", ["Come at 3 p.m. on Monday. ", "Bring it."]),
        ("Come at 3 p.m. Bring it.", ["Come at 3 p.m. ", "Bring it."]),
        ("It is flat No. 5, Mr. Jones.", ["It is flat No. 5, Mr. Jones."]),
        ("The answer is no. Your data is kept.", ["The answer is no. ", "Your data is kept."]),
        ("Take plan B. Then call.", ["Take plan B. ", "Then call."]),
        ("Really? yes.", ["Really? ", "yes."]),
        ('He said "see Dr." Then he left.', ['He said "see Dr." Then he left.']),
    ],
)
def test_a_short_form_before_a_name_or_small_letters_after_a_full_stop_end_no_sentence(
    text: str, said: list[str]
) -> None:
    assert [sentence for _, sentence in words.sentences(text)] == said
    assert "".join(said) == text
    assert [text[begin:].startswith(sentence) for begin, sentence in words.sentences(text)] == [True] * len(said)


def test_a_number_or_a_quotation_does_not_divide_a_sentence() -> None:
    text = 'It costs 3.5 euros. He said "why?" Then he left'
    assert [sentence for _, sentence in words.sentences(text)] == [
        "It costs 3.5 euros. ",
        'He said "why?" ',
        "Then he left",
    ]
    assert "".join(sentence for _, sentence in words.sentences(text)) == text

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


def test_a_number_or_a_quotation_does_not_divide_a_sentence() -> None:
    text = 'It costs 3.5 euros. He said "why?" Then he left'
    assert [sentence for _, sentence in words.sentences(text)] == [
        "It costs 3.5 euros. ",
        'He said "why?" ',
        "Then he left",
    ]
    assert "".join(sentence for _, sentence in words.sentences(text)) == text

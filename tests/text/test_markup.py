"""The markup (SSML) of a text: what is outside of it, and which tags are open."""

import time

import pytest

from hearout._text import has_words, open_tags, outside, unmarked


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("<speak>Hello <prosody rate='slow'>my", "<speak><prosody rate='slow'>"),
        ("<speak>Hello <prosody>my</prosody> friend", "<speak>"),
        ('One. <break time="1s"/> Two. <break time="1s">', ""),
        ("If x < 5 and y > 3 then", ""),
        ("<b>one</i> two", "<b>"),
        ("<b><i>one</b> two", ""),
    ],
)
def test_the_tags_that_a_text_leaves_open(text: str, tags: str) -> None:
    assert open_tags(text) == tags


def test_words_stand_where_they_stood_when_the_markup_is_gone() -> None:
    text = 'If x < 5: <b>one</b> <break time="1s"/>two'
    assert unmarked(text) == "If x < 5:    one" + " " * len('</b> <break time="1s"/>') + "two"
    assert "".join(sign for _, sign in outside(text)) == "If x < 5: one two"
    assert all(text[at] == sign for at, sign in outside(text))


@pytest.mark.parametrize(("text", "has"), [("<b>", False), ("<b>1</b>", True), ("1 < 2", True), ("...", False)])
def test_a_tag_is_no_word(text: str, *, has: bool) -> None:
    assert has_words(text) is has


def seconds(text: str) -> float:
    begin = time.thread_time()
    open_tags(text)
    return time.thread_time() - begin


@pytest.mark.parametrize(("begin", "again"), [("<", "a"), ("", "<a"), ("<a>" * 20_000, "</b>"), ("", "<a></a>")])
def test_the_work_grows_with_the_markup_and_not_with_its_square(begin: str, again: str) -> None:
    long = min(seconds(begin + again * 20_000) for _ in range(3))
    short = max(seconds(begin[: len(begin) // 8] + again * 2_500), 0.001)
    assert long < 3 * 8 * short

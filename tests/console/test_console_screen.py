"""The terminal of a call fits its width, and is read on black and on white."""

import pytest
from rich.style import Style

from hearout._console import screen

SAID = "it is a short piece of wire"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        (SAID, 27, SAID),
        (SAID, 26, "… is a short piece of wire"),
        (SAID, 15, "… piece of wire"),
        (SAID, 14, "… of wire"),
        ("a\n  b", 20, "a b"),
        ("无" * 40, 20, "… " + "无" * 18),
        (SAID, 6, ""),
        (SAID, -3, ""),
    ],
)
def test_the_last_words_of_a_caption_fit_and_are_whole(text: str, width: int, shown: str) -> None:
    assert screen.tail(text, width) == shown


def test_the_help_fits_into_80_columns() -> None:
    assert max(map(len, screen.HELP.splitlines())) <= 80


def test_no_colour_is_lost_on_a_light_or_a_dark_background() -> None:
    styles = [Style.parse(style) for _, style in screen._NAMES.values()]
    assert {style.color.name for style in styles if style.color} <= {"red", "magenta"}

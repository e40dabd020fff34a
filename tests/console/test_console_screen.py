"""The terminal of a call fits its width, and is read on black and on white."""

import os
import sys

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


def test_without_a_terminal_lines_are_read_and_nothing_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`make run | tee log` drew the bottom line into the log, ten times a second, and over the terminal."""
    reads, writes = os.pipe()
    typed: list[str] = []

    def on_line(line: str) -> None:
        typed.append(line)
        if len(typed) == 2:
            os.write(writes, "and wh\xe4t".encode())
            os.close(writes)

    with os.fdopen(reads) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        os.write(writes, b"hello\n/keys 1\n")
        screen.Screen(plain=True).prompt(on_line, lambda: False)

    assert typed == ["hello", "/keys 1"]
    assert capfd.readouterr().out == ""


def test_reading_lines_ends_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    monkeypatch.setattr(screen, "GLANCE", 0.0)
    looked: list[bool] = []

    def over() -> bool:
        looked.append(len(looked) > 3)
        return looked[-1]

    with os.fdopen(reads) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        screen.Screen(plain=True).prompt(lambda _: None, over)
    os.close(writes)

    assert looked[-1]

"""The picture of a call: no text beyond its card, at any width, in any script."""

import itertools
import xml.etree.ElementTree as ET

import pytest

from hearout.receipts._picture import COLOURS, EDGE, PAD, Flag, Mark, Picture, clock, picture, svg, width, wrapped

LANES = ("agent", "caller")
TEXTS = (
    "This call is recorded, and the recording is kept for thirty days. " * 3,
    "本通话将被录音、录音保存三十天。您可以随时提出异议。",
    "هذه المكالمة مسجلة ويتم الاحتفاظ بالتسجيل لمدة ثلاثين يوما.",
    "an-identifier-without-a-space-" * 8,
    "สวัสดีครับผมต้องการเปลี่ยนที่อยู่ก่อนได้ไหม",
    "",
    "👩‍👩‍👧 <b>&amp;</b> \u202e\x00",
)


def drawn(seconds: float, *, wide: float = 800, every: float = 2.0) -> Picture:
    """A call of that length in which both talk all the time, in many scripts."""
    texts = itertools.cycle(TEXTS)
    count = max(1, int(seconds / every))
    kinds = itertools.cycle(["protected", "question", "agent"])
    marks = [Mark("agent", at * every, (at + 2) * every, next(texts), next(kinds), "finished") for at in range(count)]
    marks += [Mark("caller", at * every, at * every + 0.5, next(texts), "held", "→ delivered") for at in range(count)]
    flags = [Flag(at * every, "answered after 20 ms", ("gap", "cut")[at % 2]) for at in range(count)]
    return picture(LANES, marks, flags, title="outcome: finished", wide=wide)


@pytest.mark.parametrize("wide", [10, 320, 800, 1280])
@pytest.mark.parametrize("seconds", [2.0, 40.0, 300.0])
def test_no_text_is_beyond_its_cards_edge(wide: float, seconds: float) -> None:
    shown = drawn(seconds, wide=wide)
    assert sum(label.box is not None for label in shown.labels) > 2
    for label in shown.labels:
        if (box := label.box) is None:
            assert label.x + width(label.text, label.size) <= shown.width - EDGE / 2 + 16 or label.kind == "tick"
            continue
        start = label.x - width(label.text) if label.rtl else label.x
        assert box.x <= start
        assert start + width(label.text) <= box.x + box.width - PAD / 2
        assert box.y < label.y <= box.y + box.height


@pytest.mark.parametrize("wide", [320, 800])
def test_no_card_lies_over_another_or_beyond_the_picture(wide: float) -> None:
    shown = drawn(60.0, wide=wide)
    cards = [box for box in shown.boxes if box.kind in ("protected", "question", "agent", "held")]
    for one, other in itertools.combinations(cards, 2):
        beside = one.x + one.width <= other.x + 0.1 or other.x + other.width <= one.x + 0.1
        assert beside or one.y + one.height <= other.y + 0.1 or other.y + other.height <= one.y + 0.1
    assert all(box.x >= 0 and box.x + box.width <= shown.width for box in cards)
    assert all(box.y + box.height <= shown.height for box in shown.boxes)


def test_time_in_which_nobody_speaks_takes_no_room() -> None:
    marks = [Mark("agent", 1.0, 3.0, "Hello.", "agent"), Mark("agent", 3_000.0, 3_001.0, "Bye.", "agent")]
    assert picture(LANES, marks, []).height < 250
    assert [one.text for one in picture(LANES, marks, []).labels if one.kind == "tick"][-1].startswith("50:")


def test_an_empty_call_is_a_title() -> None:
    assert [one.kind for one in picture(LANES, [], [], title="hung up").labels] == ["title"]


def test_a_long_text_ends_with_an_ellipsis() -> None:
    lines = wrapped("one two three four five six seven", 60, 2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(width(line) <= 60 for line in lines)
    assert wrapped("  ", 60, 2) == []


def test_ideographs_break_anywhere_and_words_at_spaces() -> None:
    assert wrapped("本通话将被录音", 37, 9) == ["本通话", "将被录", "音"]
    assert wrapped("a bb", width("a b"), 9) == ["a", "bb"]


def test_what_moves_a_cursor_or_turns_the_words_is_replaced() -> None:
    assert wrapped("a\x1b[2J\u202eb\u200d", 900, 1) == ["a\ufffd[2J\ufffdb\u200d"]


def test_an_arabic_line_begins_at_the_right() -> None:
    shown = picture(LANES, [Mark("caller", 0, 1, TEXTS[2], "caller")], [])
    assert {one.rtl for one in shown.labels if one.box} == {True}
    assert 'direction="rtl"' in svg(shown, title="x")


def test_the_svg_is_one_document_in_which_words_are_text() -> None:
    root = ET.fromstring(svg(drawn(300.0), title='<"&\x00'))
    tags = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert tags == {"svg", "style", "rect", "text"}
    assert root.attrib["aria-label"] == '<"&\ufffd'


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("ground", [0, 1])
@pytest.mark.parametrize("card", ["agent", "protected", "question", "caller", "held", "paper"])
@pytest.mark.parametrize("text", ["text", "note"])
def test_text_can_be_read_on_each_card(text: str, card: str, ground: int) -> None:
    one, other = sorted((luminance(COLOURS[text][ground]), luminance(COLOURS[card][ground])))
    assert (other + 0.05) / (one + 0.05) >= 4.5


def test_a_moment_is_minutes_and_seconds() -> None:
    assert clock(61.9) == "1:01"

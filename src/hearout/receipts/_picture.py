"""The picture of a call: lanes over time, laid out once; painted as SVG here, and as PNG by the console.

Time runs in rows, as music does, so that a call of any length can be read at any width. Each thing that was said is a
card. The bar on the card's upper edge is as long as the speech was; the card is as wide as its text needs.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from .._text import shown

FONT, SMALL, LINE, PAD = 12.0, 11.0, 15.0, 6.0
"""Pixels: of the cards' type, of the small type, from one line to the next, and between a card's edge and its text."""
BAR, BETWEEN = 4.0, 5.0
"""Pixels: the height of a bar, and the space between two cards."""
NAMES, EDGE, HEAD = 62.0, 10.0, 22.0
"""Pixels: for the names of the lanes, beside the last second, and for the title."""
SECOND = 24.0
"""Pixels that a second has at least: a word is spoken in 0.3 s."""
STEPS = (1, 2, 5, 10, 15, 20, 30, 60)
"""Seconds that may be between two ticks."""
ROWS = (2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 35, 40, 50, 60)
"""Seconds that a row may have."""
NARROWEST, WIDEST = 280, 2400
"""Pixels of a picture."""
CARD, LINES = 190.0, 5
"""Pixels that a card may be wider than its bar for its text's sake, and the lines of a text at most."""

_ADVANCES = """
318 401 460 838 636 950 780 275 390 390 500 838 318 361 318 337 636 636 636 636 636 636 636 636 636 636 337 337 838 838
838 531 1000 684 686 698 770 632 575 775 752 295 295 656 557 863 748 787 603 787 695 635 611 732 684 989 685 611 685
390 337 390 838 500 500 613 635 550 635 615 352 635 634 278 278 579 278 974 634 612 635 635 411 521 392 634 592 818 592
592 525 636 337 636 838
"""
"""The widths of ASCII's signs in DejaVu Sans, in thousandths of the type's size. Few fonts of a screen are wider."""

WIDTHS = {chr(code): int(advance) / 1000 for code, advance in enumerate(_ADVANCES.split(), 32)}


def width(text: str, size: float = FONT) -> float:
    """Pixels that a line of text takes at most, at that size of type."""
    return size * sum(map(_advance, text))


def _advance(sign: str) -> float:
    if (known := WIDTHS.get(sign)) is not None:
        return known
    kind = unicodedata.category(sign)
    if kind in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(sign) in "WF":
        return 1.25 if kind == "So" else 1.0  # a coloured emoji is wider than an ideograph
    return 0.8 if kind == "Lu" else 1.0 if kind.startswith("S") else 0.66


def wrapped(text: str, room: float, most: int) -> list[str]:
    """A text as lines of at most `room` pixels, and at most so many; what is left out is an ellipsis.

    Lines break at spaces, beside an ideograph, and within a word that has no room on a line of its own.
    """
    lines, line = [], ""
    for piece in _pieces(" ".join(shown(text).split()), room):
        if width((line + piece).rstrip()) <= room or not line:
            line += piece
        else:
            lines.append(line.rstrip())
            line = piece.lstrip()
    lines += [line.rstrip()] if line.strip() else []
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and width(last + "…") > room:
        last = last[:-1].rstrip()
    return [*lines[: most - 1], last + "…"]


def _pieces(text: str, room: float) -> Iterator[str]:
    """What must stay on one line: words with the space after them, and single ideographs."""
    piece = ""
    for sign in text:
        wide = unicodedata.east_asian_width(sign) in "WF" and unicodedata.category(sign)[0] == "L"
        full = unicodedata.category(sign) not in ("Mn", "Me", "Cf") and width(piece + sign) > room
        if piece and (wide or full or (piece.endswith(" ") and sign != " ")):
            yield piece
            piece = ""
        piece += sign
        if wide:
            yield piece
            piece = ""
    if piece:
        yield piece


def _is_rtl(line: str) -> bool:
    """Whether a line is read from the right: by its first letter, as Unicode's bidirectional algorithm does."""
    strong = (unicodedata.bidirectional(sign) for sign in line)
    return next((one for one in strong if one in ("L", "R", "AL")), "L") != "L"


@dataclass(frozen=True)
class Mark:
    """Something that was said.

    Args:
        lane: whose lane it is in.
        start, end: seconds of the call.
        text: the words; empty where they are not known.
        kind: how it is coloured: ``"agent"``, ``"protected"``, ``"question"``, ``"caller"`` or ``"held"``.
        note: what became of it; written below the words.
    """

    lane: str
    start: float
    end: float
    text: str = field(repr=False)
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Flag:
    """A moment: a line through all lanes with a short text at its head; `kind` is ``"gap"`` or ``"cut"``."""

    at: float
    text: str
    kind: str = "gap"


@dataclass(frozen=True)
class Box:
    """A filled rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True)
class Label:
    """A line of text whose base line begins at `x`, `y`; ends there where it is read from the right."""

    x: float
    y: float
    text: str
    kind: str
    size: float = FONT
    rtl: bool = False
    box: Box | None = None
    """The card that it is on."""


@dataclass(frozen=True)
class Picture:
    """Shapes, in the order in which they are painted, in pixels from the upper left corner."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    labels: tuple[Label, ...]


class _Row:
    """One row of the picture: from one second of the call to another.

    Args:
        start, seconds: which seconds of the call.
        top: pixels from the picture's upper edge.
        room: pixels for the row's seconds.
    """

    def __init__(self, start: float, seconds: float, top: float, room: float) -> None:
        self.start, self.end = start, start + seconds
        self._per_second, self._right = room / seconds, NAMES + room
        self.top = self.bottom = top
        self.boxes: list[Box] = []
        self.labels: list[Label] = []
        self._flags: list[Box] = []

    def x(self, at: float) -> float:
        return NAMES + (min(max(at, self.start), self.end) - self.start) * self._per_second

    def label(self, x: float, y: float, text: str, kind: str, size: float = SMALL) -> None:
        self.labels.append(Label(x, y, text, kind, size))

    def flags(self, flags: Iterable[Flag]) -> None:
        """The moments of this row: their texts beside each other, or below where they have no room."""
        free: list[float] = []
        for flag in flags:
            size = width(flag.text, SMALL)
            x = min(self.x(flag.at) + 3, self._right - size)
            line = next((number for number, right in enumerate(free) if right <= x), len(free))
            free[line : line + 1] = [x + size + BETWEEN]
            self.label(x, self.bottom + SMALL + line * LINE, flag.text, flag.kind)
            self._flags.append(Box(self.x(flag.at) - 0.5, self.bottom, 1.0, 0.0, flag.kind))
        self.bottom += len(free) * LINE + (BETWEEN if free else 0.0)

    def lane(self, name: str, marks: Sequence[Mark]) -> None:
        """The cards of one lane, below each other where they would touch."""
        self.label(EDGE, self.bottom + BAR + FONT, name, "name")
        free: list[float] = []
        tops: list[list[tuple[Mark, Box, list[tuple[str, str]]]]] = []
        for mark in sorted(marks, key=lambda one: one.start):
            card, lines = self._card(mark)
            line = next((number for number, right in enumerate(free) if right <= card.x), len(free))
            free[line : line + 1] = [card.x + card.width + BETWEEN]
            tops[line:] = tops[line:] or [[]]
            tops[line].append((mark, card, lines))
        for cards in tops:
            for mark, card, lines in cards:
                self._paint(mark, card, lines)
            self.bottom += max(card.height for _, card, _ in cards) + BETWEEN

    def _card(self, mark: Mark) -> tuple[Box, list[tuple[str, str]]]:
        left, right = self.x(mark.start), max(self.x(mark.end), self.x(mark.start) + 3)
        starts_here = mark.start >= self.start
        needs = max(width(shown(mark.text)), width(shown(mark.note))) + 2 * PAD
        wide = max(right - left, min(needs, CARD)) if starts_here else right - left
        x = max(NAMES, min(left, self._right - wide))
        wide = min(wide, self._right - x)
        texts = (("text", mark.text, LINES), ("note", mark.note, 2)) if starts_here else ()
        lines = [(kind, line) for kind, text, most in texts for line in wrapped(text, wide - 2 * PAD, most)]
        return Box(x, 0.0, wide, BAR + len(lines) * LINE + (PAD if lines else 4.0), mark.kind), lines

    def _paint(self, mark: Mark, card: Box, lines: Sequence[tuple[str, str]]) -> None:
        box = Box(card.x, self.bottom, card.width, card.height, mark.kind)
        self.boxes += [box, Box(self.x(mark.start), box.y, self._length(mark), BAR, f"{mark.kind} bar")]
        for number, (kind, line) in enumerate(lines, 1):
            rtl = _is_rtl(line)
            x = box.x + box.width - PAD if rtl else box.x + PAD
            y = box.y + BAR + number * LINE - 2
            self.labels.append(Label(x, y, line, kind, rtl=rtl, box=box))

    def _length(self, mark: Mark) -> float:
        return max(min(self.x(mark.end) - self.x(mark.start), self._right - self.x(mark.start)), 3.0)

    def ticks(self) -> Iterator[Box]:
        """The row's time axis, and then what stands behind the cards."""
        step = next(one for one in (*STEPS, math.inf) if one * self._per_second >= 48 or one >= self.end - self.start)
        at = self.start
        while at < self.end:
            self.label(self.x(at) + 3, self.bottom + SMALL, clock(at), "tick")
            yield Box(self.x(at), self.top, 1.0, self.bottom - self.top + SMALL, "tick")
            at += step
        for flag in self._flags:
            yield Box(flag.x, flag.y, flag.width, self.bottom - flag.y, flag.kind)
        self.bottom += SMALL + 8


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def picture(
    lanes: Sequence[str], marks: Sequence[Mark], flags: Sequence[Flag], *, title: str = "", wide: float = 800
) -> Picture:
    """The picture of a call. Rows of time in which nothing was said are left out.

    Args:
        lanes: their names, from above.
        marks: what was said, in any order.
        flags: moments that matter.
        wide: pixels, from `NARROWEST` to `WIDEST`.
    """
    wide = min(max(wide, NARROWEST), WIDEST)
    room = wide - NAMES - EDGE
    ends = [*(mark.end for mark in marks), *(flag.at for flag in flags), 1.0]
    fits = [row for row in ROWS if row * SECOND <= room]
    seconds = next((row for row in fits if row >= max(ends)), fits[-1])
    titles = wrapped(title, wide - 2 * EDGE, 2)
    labels = [Label(EDGE, LINE * number, line, "title") for number, line in enumerate(titles, 1)]
    boxes: list[Box] = []
    bottom = HEAD + LINE * max(0, len(titles) - 1)
    for start in range(0, math.ceil(max(ends) / seconds) * seconds, seconds):
        within = [one for one in marks if one.start < start + seconds and (one.end > start or one.start >= start)]
        moments = sorted((one for one in flags if start <= one.at < start + seconds), key=lambda one: one.at)
        if not within and not moments:
            continue
        row = _Row(start, seconds, bottom, room)
        row.flags(moments)
        for name in lanes:
            if said := [one for one in within if one.lane == name]:
                row.lane(name, said)
        boxes += [*row.ticks(), *row.boxes]
        labels += row.labels
        bottom = row.bottom + 6
    return Picture(wide, bottom + 4, tuple(boxes), tuple(labels))


COLOURS = {
    "paper": ("#ffffff", "#1d2328"),
    "text": ("#1d2329", "#e8e6e1"),
    "title": ("#1d2329", "#e8e6e1"),
    "name": ("#4d5862", "#b4bdc4"),
    "note": ("#4d5862", "#b4bdc4"),
    "tick": ("#5b6670", "#a3adb5"),
    "gap": ("#a5281b", "#ff9d8f"),
    "cut": ("#a5281b", "#ff9d8f"),
    "agent": ("#e2edf8", "#23374b"),
    "agent bar": ("#4a84bd", "#77aee6"),
    "protected": ("#fbead0", "#46361c"),
    "protected bar": ("#c07d10", "#e3b05a"),
    "question": ("#f9e0e6", "#4b2833"),
    "question bar": ("#b5446a", "#ee8fae"),
    "caller": ("#dcf1e3", "#1d3d2b"),
    "caller bar": ("#1c8a4c", "#6fcf97"),
    "held": ("#eee3f6", "#38274a"),
    "held bar": ("#8148a3", "#cf9be6"),
}
"""The colour of each kind, on a light ground and on a dark one. Text has a contrast of 4.5 at least on each card."""


def _style() -> str:
    """The colours as CSS: those for a dark ground where the reader's screen is dark."""
    light, dark = (
        "".join(f".{kind.replace(' ', '-')}{{fill:{colours[ground]}}}" for kind, colours in COLOURS.items())
        for ground in (0, 1)
    )
    lines = "rect.tick{opacity:.25}rect.gap,rect.cut{opacity:.7}.title{font-weight:600}"
    return (
        f"svg{{color-scheme:light dark}}text{{font-family:system-ui,sans-serif}}{light}{lines}"
        f"@media(prefers-color-scheme:dark){{{dark}}}"
    )


def svg(drawn: Picture, *, title: str) -> str:
    """A picture as an SVG file; names and words are text in it, and never markup."""
    body = [f'<rect class="paper" width="{drawn.width:g}" height="{drawn.height:g}"/>']
    for box in drawn.boxes:
        edge = "" if box.kind in ("tick", "gap", "cut") else ' rx="3"' if " " not in box.kind else ' rx="2"'
        at = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        body.append(f'<rect class="{box.kind.replace(" ", "-")}" {at}{edge}/>')
    for label in drawn.labels:
        way = ' direction="rtl"' if label.rtl else ""
        card = label.box or Box(0, 0, drawn.width, drawn.height, "")
        at = f'x="{label.x - card.x:.1f}" y="{label.y - card.y:.1f}" font-size="{label.size:g}"'
        line = f'<text class="{label.kind}" {at}{way}>{escape(label.text)}</text>'
        # of a font that is wider than any that was thought of, what is beyond the card's edge is left out
        within = f'<svg x="{card.x:.1f}" y="{card.y:.1f}" width="{card.width:.1f}" height="{card.height:.1f}">'
        body.append(line if label.box is None else f"{within}{line}</svg>")
    size = f'width="{drawn.width:g}" height="{drawn.height:.0f}" viewBox="0 0 {drawn.width:g} {drawn.height:.0f}"'
    name = f'role="img" aria-label={quoteattr(shown(title))}'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {name}><style>{_style()}</style>{"".join(body)}</svg>\n'

"""Tables in plain text, at most 100 columns wide, with a verdict beside each figure that has a limit."""

import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH = 100

OK, FAIL = "ok", "FAIL"


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells, and "ok", "FAIL" or nothing."""

    cells: tuple[str, ...]
    verdict: str = ""


@dataclass
class Table:
    """A table.

    Args:
        title: the line above it.
        heads: the names of the columns.
        notes: what the figures mean, and the limits; below the title, wrapped.
        end: what follows from the figures; lines below them.
    """

    title: str
    heads: tuple[str, ...]
    notes: str = ""
    rows: list[Row] = field(default_factory=list)
    end: str = ""

    @property
    def failed(self) -> list[Row]:
        """The rows that do not keep their limit."""
        return [row for row in self.rows if row.verdict == FAIL]

    def __str__(self) -> str:
        lines = [(*self.heads, ""), *((*row.cells, row.verdict) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.heads) + 1)]
        left = {
            column
            for column, name in enumerate(self.heads)
            if name in ("scenario", "peer", "where", "what", "until", "limit")
        }
        text = [self.title, "=" * len(self.title), *textwrap.wrap(self.notes, WIDTH), ""]
        for line in lines:
            cells = [
                cell.ljust(width) if column in left or column == len(self.heads) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        if self.end:
            text += ["", *(piece for line in self.end.splitlines() for piece in textwrap.wrap(line, WIDTH))]
        return "\n".join(text)


def check(kept: bool) -> str:  # noqa: FBT001 - reads as what it is
    """The verdict on a limit."""
    return OK if kept else FAIL


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The value below which so many per cent of them are, interpolated; None where there are none."""
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def milliseconds(seconds: float | None) -> str:
    """Seconds, in ms."""
    return "–" if seconds is None else f"{round(seconds * 1000)}"


def thousandths(share: float) -> str:
    """A share of one; 1.000 only where nothing is missing."""
    text = f"{share:.3f}"
    return "0.999" if text == "1.000" and share < 1.0 else text


def hundredths(value: float) -> str:
    """A mean."""
    return f"{value:.2f}"

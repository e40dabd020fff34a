"""How far the judge errs: announcements damaged in known ways, in two voices, through telephone and WebRTC codecs.

``python bench/judge.py`` judges 1,260 recordings and prints the errors per condition (minutes); ``--quick`` judges one
in eleven. Every recording also has a clock that is off by up to 300 ppm, a level of -6 to +3 dB, and noise at 20 dB.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from damage import CODECS, DAMAGES, NOTICES, OTHER, VOICES, Case, case, complete

from hearout.measure import RATE, Measured, measure

LIMIT = 0.02
"""The most by which the fraction may be wrong."""

WRONG = "wrong announcement"

BEYOND = ("late, caught up", "shreds")
"""Harder than the limit is for; the other conditions are `asked`."""


@dataclass(frozen=True)
class Recipe:
    """One recording of the sweep; its number is the seed of everything random in it."""

    number: int
    condition: str
    voice: str
    text: int
    codec: str
    warp: bool

    @property
    def title(self) -> str:
        return self.condition + (", warped" if self.warp else "")

    @property
    def asked(self) -> bool:
        return self.condition not in BEYOND


@dataclass(frozen=True)
class Row:
    """A judged recording, without its sound. `cost`: processor time for each second of it, or of the announcement."""

    recipe: Recipe
    case: Case
    measured: Measured
    cost: float

    @property
    def error(self) -> float:
        return self.measured.fraction - self.case.kept

    @property
    def edges(self) -> tuple[float, float, float]:
        """By how many ms the front clip, the tail clip and the longest gap are wrong."""
        if not self.case.kept:
            return 0.0, 0.0, 0.0
        found, true = self.measured, self.case
        return (
            abs(found.front_ms - true.front),
            abs(found.tail_ms - true.tail),
            abs(found.longest_gap_ms - true.longest),
        )

    def __str__(self) -> str:
        found, true, recipe = self.measured, self.case, self.recipe
        return (
            f"{self.error:+.4f} of {true.kept:.3f}  no. {recipe.number}: {recipe.title}, {recipe.voice}, "
            f"{recipe.codec}, text {recipe.text}: front {found.front_ms:.0f} ({true.front:.0f}), tail "
            f"{found.tail_ms:.0f} ({true.tail:.0f}), gap {found.longest_gap_ms:.0f} ({true.longest:.0f})"
        )


def recipes() -> Iterator[Recipe]:
    """The whole sweep."""
    number = 0
    for voice in VOICES:
        for text in range(len(NOTICES)):
            for codec in CODECS:
                for condition in DAMAGES:
                    for warp in (False,) if condition in BEYOND else (False, True):
                        number += 1
                        yield Recipe(number, condition, voice, text, codec, warp)
                number += 1
                yield Recipe(number, WRONG, voice, text, codec, warp=False)


def made(recipe: Recipe) -> Case:
    """The recording of a recipe."""
    say, rng = VOICES[recipe.voice], np.random.default_rng(recipe.number)
    other = say(OTHER[recipe.number % 2])
    if recipe.condition == WRONG:
        wrong = NOTICES[(recipe.text + 1 + recipe.number % 4) % len(NOTICES)]
        return replace(case(say(wrong), other, complete, recipe.codec, rng), kept=0.0)
    return case(say(NOTICES[recipe.text]), other, DAMAGES[recipe.condition], recipe.codec, rng, warp=recipe.warp)


def judged(recipe: Recipe) -> Row:
    """The recording made and judged."""
    one, notice = made(recipe), VOICES[recipe.voice](NOTICES[recipe.text])
    begun = time.process_time()
    measured = measure(one.recording, notice)
    cost = (time.process_time() - begun) / (max(len(one.recording), len(notice)) / RATE)
    return Row(recipe, replace(one, recording=one.recording[:0]), measured, cost)


def table(rows: list[Row]) -> None:
    """Print the errors of each condition, voice, and codec."""
    print(f"{'':28}{'n':>5}{'mean':>9}{'worst':>9}{'>0.02':>7}{'front':>8}{'tail':>7}{'gap':>7}")
    keys: list[tuple[str, Callable[[Row], bool]]] = [
        (title, lambda row, title=title: row.recipe.title == title)  # type: ignore[misc]
        for title in dict.fromkeys(row.recipe.title for row in rows)
    ]
    keys += [(voice, lambda row, voice=voice: row.recipe.voice == voice) for voice in VOICES]  # type: ignore[misc]
    keys += [(codec, lambda row, codec=codec: row.recipe.codec == codec) for codec in CODECS]  # type: ignore[misc]
    for title, belongs in (
        *keys,
        ("asked, announcements of 4 s", lambda row: row.recipe.asked and len(NOTICES[row.recipe.text]) < 100),
        ("asked, those of 16-26 s", lambda row: row.recipe.asked and len(NOTICES[row.recipe.text]) >= 100),
        ("all", lambda _: True),
    ):
        chosen = [row for row in rows if belongs(row)]
        if not chosen:
            continue
        errors = np.array([row.error for row in chosen])
        worst, over = errors[np.argmax(np.abs(errors))], int((np.abs(errors) > LIMIT).sum())
        front, tail, gap = np.percentile([row.edges for row in chosen], 95, axis=0)
        print(f"{title:28}{len(chosen):5}{errors.mean():+9.4f}{worst:+9.4f}{over:7}{front:8.0f}{tail:7.0f}{gap:7.0f}")
    print("mean, worst: error of the fraction; front, tail, gap: 95th percentile of the error in ms")
    whole = [row for row in rows if row.case.kept == 1 and row.recipe.asked]
    damaged = [row for row in rows if row.case.kept < 0.95]
    print(f"\n'in full' said of {sum(row.measured.in_full for row in whole)} of {len(whole)} asked that were in full")
    print(f"'in full' said of {sum(row.measured.in_full for row in damaged)} of {len(damaged)} that miss 5 %")
    cost = [row.cost for row in rows]
    print(f"cost: {np.mean(cost):.4f} of real time on one core, worst {max(cost):.4f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one recording in eleven")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="show the N worst of them too")
    options = parser.parse_args()
    chosen = list(recipes())[:: 11 if options.quick else 1]
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # the cost is that of one core
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(judged, chosen, chunksize=4))
    table(rows)
    by_error = sorted(rows, key=lambda row: -abs(row.error))
    by_edge = sorted(rows, key=lambda row: -max(row.edges))
    for row in (*by_error[: options.worst], *by_edge[: options.worst]):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())

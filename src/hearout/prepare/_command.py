"""`hearout prepare FILE…` in a terminal."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from .._text import shown
from .._text.progress import Progress, Told, silent
from ..announcement import FOLDER, Announcement, default_folder
from ..errors import AnnouncementError, LocalVoiceMissingError, MisspokenError
from ._make import prepare
from ._models import TextToSpeech, Transcribe, opened
from ._orders import Options, Order, read


@dataclass(frozen=True)
class Prepared:
    """The result of an order: ``made``, ``kept``, ``refused`` (the audio does not say the text) or ``failed``."""

    order: Order
    what: str
    announcement: Announcement | None = None
    error: str = ""


def main(argv: Sequence[str], progress: Progress = silent) -> int:
    """Make the announcements; the exit status.

    0: all are there; 1: the audio of at least one does not say its text; 2: at least one could not be made, or the
    call is wrong. Standard error says which and why; the others are made all the same.
    """
    options = parser().parse_args(argv)
    names = ("tts", "voice", "stt", "lufs", "wer_limit", "whole")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    try:
        orders = read(options.files, given)
        with progress("making announcements") as told:
            outcomes = asyncio.run(_all(orders, options.out, force=options.force, told=told))
    except (AnnouncementError, LocalVoiceMissingError) as error:
        print(shown(f"error: {error}"), file=sys.stderr)  # noqa: T201
        return 2
    for outcome in outcomes:
        if outcome.error:
            print(shown(f"{outcome.what}: {outcome.error}"), file=sys.stderr)  # noqa: T201
    print(shown(json.dumps([_told(one) for one in outcomes], indent=1) if options.json else _table(outcomes)))  # noqa: T201
    whats = {outcome.what for outcome in outcomes}
    return 2 if "failed" in whats else 1 if "refused" in whats else 0


def parser() -> argparse.ArgumentParser:
    defaults = Options()
    made = argparse.ArgumentParser(
        prog="hearout prepare",
        description="Make ready-made announcements: speak each text once, even out its silence and loudness, check by "
        "transcribing that the audio says the text, and store both. What is there already is left alone. The exit "
        "status is 0 if all are there, 1 if the audio of one does not say its text, 2 if one could not be made.",
    )
    made.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="text, its name is the id; or TOML with ids and texts"
    )
    where = f"where they are stored ($HEAROUT_ANNOUNCEMENTS, or {FOLDER})"
    made.add_argument("--out", type=Path, metavar="DIR", default=default_folder(), help=where)
    made.add_argument("--tts", metavar="MODEL", help="who speaks: local, provider/model, or module:factory (local)")
    made.add_argument("--voice", metavar="NAME", help="which voice of a provider/model (its own choice)")
    made.add_argument("--stt", metavar="MODEL", help="who checks, likewise (local; understands English)")
    made.add_argument("--lufs", type=float, metavar="N", help=f"how loud, in LUFS ({defaults.lufs:g})")
    made.add_argument(
        "--wer-limit", type=float, metavar="N", help=f"share of words that may be heard wrongly ({defaults.wer_limit})"
    )
    made.add_argument(
        "--whole", action="store_true", default=None, help="speak each text in one go, not sentence by sentence"
    )
    made.add_argument("--force", action="store_true", help="make them anew, whatever is there")
    made.add_argument("--json", action="store_true", help="one JSON array, for a program to read")
    return made


async def _all(orders: Sequence[Order], out: Path, *, force: bool, told: Told) -> list[Prepared]:
    outcomes: list[Prepared] = []
    for models, some in groupby(orders, key=lambda one: (one.choices.tts, one.choices.voice, one.choices.stt)):
        alike = list(some)
        try:
            async with opened(*models) as (voice, transcribe):
                for order in alike:
                    told(len(outcomes), len(orders))
                    outcomes.append(await _prepared(order, voice, transcribe, out, force=force))
        except AnnouncementError as error:  # of the models: those of the other announcements may be there
            outcomes += [Prepared(order, "failed", error=f"{order.id}: {error}") for order in alike]
    return outcomes


async def _prepared(order: Order, voice: TextToSpeech, transcribe: Transcribe, out: Path, *, force: bool) -> Prepared:
    try:
        what, announcement = await prepare(order, voice, transcribe, out, force=force)
    except MisspokenError as error:
        return Prepared(order, "refused", error=str(error))
    except AnnouncementError as error:
        return Prepared(order, "failed", error=str(error))
    return Prepared(order, what.value, announcement)


def _table(outcomes: Sequence[Prepared]) -> str:
    width = max(len(outcome.order.id) for outcome in outcomes)
    lines = []
    for outcome in outcomes:
        line = f"{outcome.what:8} {outcome.order.id:{width}}"
        if (made := outcome.announcement) is not None:
            line += f"  {made.seconds:6.1f} s  {made.lufs:6.1f} LUFS  peak {made.true_peak:5.1f} dB"
            line += f"  word errors {made.wer:5.1%}  {made.wav}"
        lines.append(line)
    return "\n".join(lines)


def _told(outcome: Prepared) -> dict[str, Any]:
    told: dict[str, Any] = {"id": outcome.order.id, "what": outcome.what}
    if (made := outcome.announcement) is not None:
        told |= {"wav": str(made.wav), "seconds": round(made.seconds, 3), "lufs": made.lufs, "wer": made.wer}
        told |= {"true_peak_dbtp": made.true_peak, "voice": made.voice, "model": made.model}
    return told | ({"error": outcome.error} if outcome.error else {})

"""`hearout measure RECORDING ANNOUNCEMENT`: the judge's verdict in a terminal."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .._text import shown
from .._text.progress import Progress, silent
from ._audio import MeasureError, read
from ._judge import GAP_MS, IN_FULL, Measured, measure


def main(argv: Sequence[str], progress: Progress = silent) -> int:
    """Print how much of an announcement is in a recording; the exit status.

    0: it was delivered in full; 1: it was not; 2: it could not be measured, standard error says why.
    """
    options = parser().parse_args(argv)
    try:
        with progress("looking for the announcement"):
            recording, announcement = read(options.recording, options.channel), read(options.announcement)
            measured = measure(recording, announcement)
        if options.picture:
            from ._picture import draw  # matplotlib is an extra

            draw(recording, announcement, measured, options.picture)
    except MeasureError as error:
        print(shown(f"error: {error}"), file=sys.stderr)  # noqa: T201
        return 2
    print(shown(measured.to_json() if options.json else told(measured)))  # noqa: T201
    return 0 if measured.in_full else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="hearout measure",
        description="How much of an announcement is in a recording of the call. The exit status is 0 if it was "
        "delivered in full, 1 if not, 2 if that cannot be told.",
    )
    made.add_argument("recording", metavar="RECORDING", type=Path, help="what was heard: wav, ogg, mp4, webm ...")
    made.add_argument("announcement", metavar="ANNOUNCEMENT", type=Path, help="the announcement as it was made")
    made.add_argument("--channel", type=int, metavar="N", help="which channel of the recording, the first is 0 (all)")
    made.add_argument("--json", action="store_true", help="one JSON object, for a program to read")
    made.add_argument("--picture", type=Path, metavar="FILE", help="draw both waveforms, what is missing marked")
    return made


def told(measured: Measured) -> str:
    lines = [
        f"{'delivered in full' if measured.in_full else 'not delivered in full'}: "
        f"{measured.fraction:.1%} of {measured.speech_s:.1f} s of speech",
        f"front clip   {measured.front_ms:5.0f} ms",
        f"tail clip    {measured.tail_ms:5.0f} ms",
        f"longest gap  {measured.longest_gap_ms:5.0f} ms",
        f"told to {GAP_MS:.0f} ms; in full allows {IN_FULL['front_ms']:.0f} ms less at the front, "
        f"{IN_FULL['tail_ms']:.0f} ms at the end, gaps below {IN_FULL['gap_ms']:.0f} ms",
    ]
    for name, stretches in (("gap", measured.gaps), ("repeat", measured.repeats)):
        lines += [f"{name:12} {s.length_ms:5.0f} ms  at {s.start_ms / 1000:.2f} s" for s in stretches]
    if measured.lag_s is not None:
        drift = "" if measured.drift_ppm is None else f", drift {measured.drift_ppm:+.0f} ppm"
        lines.append(f"it begins at {measured.lag_s:.2f} s of the recording{drift}")
    return "\n".join(lines)

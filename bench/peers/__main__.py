"""The comparison in real time: ``python -m bench.peers``, about 15 minutes a round; ``--quick`` about 3 minutes.

The same caller's sound is given to hearout, to LiveKit twice and to Pipecat three times, with the local models. Needs
``make peers`` for Pipecat and voicebench; what is not there is left out, and said.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import document
from bench.rooms import NoServerError
from bench.table import Table

from . import report, rooms
from .callers import QUICK, SCENES, Studio
from .play import CONTEST, TOOLS, Contest, Held, NotInstalledError, python_of
from .results import Court, Judged, ruler

NOISES = Path(__file__).with_name("noises")


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the calls, print the tables; the exit status."""
    asked = _asked(arguments)
    logging.disable(logging.WARNING)
    tables, about = play(asked)
    for made in tables.values():
        print(f"\n{made}", flush=True)
    if asked.doc is not None:
        document.write(asked.doc, "peers", "python -m bench.peers", report.section(tables, about))
    failed = sum(len(made.failed) for made in tables.values())
    return 1 if failed and asked.strict else 0


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="calls of each scene and peer (5)")
    parser.add_argument("--quick", action="store_true", help="one round of four scenes")
    parser.add_argument("--scene", action="append", choices=[one.name for one in SCENES], help="these scenes only")
    parser.add_argument("--peer", action="append", choices=CONTEST, help="these peers only")
    parser.add_argument("--noises", type=Path, default=NOISES, help="the folder of the noises")
    parser.add_argument("--at-once", type=int, default=2, help="calls at the same time, with different peers (2)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recordings there")
    parser.add_argument("--again", type=Path, metavar="FOLDER", help="judge kept recordings again; no call is held")
    parser.add_argument("--rooms", action="store_true", help="with --again: hold voicebench's own calls all the same")
    parser.add_argument("--doc", type=Path, metavar="FILE", help="write our section of this document")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a limit is not kept")
    return parser.parse_args(arguments)


def play(asked: argparse.Namespace) -> tuple[dict[str, Table], str]:
    """Hold the calls that are asked for, or take the kept ones, and judge them; the tables, and what was measured."""
    studio = Studio(asked.noises)
    with tempfile.TemporaryDirectory(prefix="hearout-peers-") as name:
        folder = asked.again or asked.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if asked.again is None:
            _hold(asked, studio, folder)
        facts = json.loads((folder / "held.json").read_text())
        if asked.again is None or asked.rooms:
            turns = max((one["turn"] for one in facts["calls"]), default=0) + 1
            (folder / "rooms.json").write_text(json.dumps(_in_rooms(asked, studio, folder, turns)))
        in_rooms = json.loads((folder / "rooms.json").read_text())
        held = [_held(one, folder) for one in facts["calls"]]
        _said("all calls are over; they are judged")
        court = Court(studio)
        judged = [court.judge(one) for one in held]
        return _tables(judged, facts["about"], in_rooms), facts["about"]


def _hold(asked: argparse.Namespace, studio: Studio, folder: Path) -> None:
    """Hold the calls, and write what is known of them."""
    names = asked.scene or (QUICK if asked.quick else [one.name for one in SCENES])
    scenes = [one for one in studio.scenes() if one.name in names]
    if missing := [name for name in names if name not in [one.name for one in scenes]]:
        _said(f"left out, for their noises are not in {asked.noises}: {', '.join(missing)}")
    contest = Contest(studio, scenes, _present(asked.peer or CONTEST), folder, asked.at_once, _said)
    held = contest.play(1 if asked.quick else asked.rounds)
    loads = sorted(one.load for one in held)
    turns = max((one.turn for one in held), default=0) + 1
    versions = {contest.versions[peer]: peer.split()[0] for peer in contest.peers}
    shown = ", ".join(f"{'Pipecat' if who == 'pipecat' else 'LiveKit Agents'} {what}" for what, who in versions.items())
    about = (
        f"n = {turns} calls a scene and peer, {len(held)} in all, {asked.at_once} at once, on "
        f"{datetime.now(UTC):%Y-%m-%d}; {document.machine()}; Python {sys.version.split()[0]}, {shown}; other load: "
        f"{loads[0]:.1f} to {loads[-1]:.1f} processes, median {loads[len(loads) // 2]:.1f}."
    )
    (folder / "held.json").write_text(json.dumps({"about": about, "calls": [_as_json(one) for one in held]}))


def _in_rooms(asked: argparse.Namespace, studio: Studio, folder: Path, turns: int) -> Mapping[str, Any]:
    if asked.scene or not (TOOLS / "voicebench" / "bin" / "voicebench").exists():
        return {}
    where = folder / "rooms"
    shutil.rmtree(where, ignore_errors=True)  # the calls of a time before
    where.mkdir()
    try:
        return rooms.measure(studio, turns, where, _said)
    except (NoServerError, RuntimeError, TimeoutError) as error:
        _said(f"voicebench in rooms is left out: {error}")
        return {}


def _present(peers: Sequence[str]) -> list[str]:
    present = []
    for peer in peers:
        try:
            python_of(peer)
            present.append(peer)
        except NotInstalledError as error:
            _said(f"{peer} is left out: {error}")
    return present


def _as_json(held: Held) -> dict[str, object]:
    return {
        "scene": held.scene.name,
        "peer": held.peer,
        "turn": held.turn,
        "folder": held.folder.name,
        "lines": list(held.lines),
        "asked": held.asked,
        "load": held.load,
    }


def _held(one: dict[str, object], folder: Path) -> Held:
    scene = next(each for each in SCENES if each.name == one["scene"])
    return Held(**{**one, "scene": scene, "folder": folder / str(one["folder"])})  # type: ignore[arg-type]


def _tables(judged: Sequence[Judged], about: str, in_rooms: Mapping[str, Any]) -> dict[str, Table]:
    recorded = {peer: ruler(calls) for peer, calls in report.by_peer(judged).items()}
    return {
        "summary": report.summary(judged, about),
        "gaps": report.gaps(judged),
        "scenes": report.scenes(judged),
        "better": report.better(judged),
        "proof": report.proof(judged),
        "tau": report.tau(judged),
        "outside": report.outside("its own numbers for the same recordings", report.RECORDED, recorded),
        "rooms": report.outside("its own calls in real rooms", report.ROOMS, in_rooms),
    }


def _said(what: str) -> None:
    print(f"call: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

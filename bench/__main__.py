"""Prints the tables: ``python -m bench``, about 45 minutes; ``--quick`` under a minute, in virtual time only.

``--strict`` ends with exit status 1 if a figure does not keep its limit.
"""

import argparse
import logging
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from . import cost, document, ledger, ledger_load, load, local_voice, rescue, scenarios, soak, start, virtual, zoo
from .rooms import NoServerError
from .table import WIDTH, Table


def main(arguments: list[str] | None = None) -> int:
    """Print the tables that were asked for; the exit status."""
    asked = _asked(arguments)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what fails in the scenarios is meant to
    try:
        return _print(asked)
    finally:
        logging.disable(before)


def _print(asked: argparse.Namespace) -> int:
    print(_head(), flush=True)
    failed = 0
    for part in ("virtual",) if asked.quick else asked.only or PARTS:
        title, measured = PARTS[part]
        busy, tables = f"{cost.load()} in the minute before", measured(asked)
        for table in tables:
            print(f"\n{table}", flush=True)
            failed += len(table.failed)
        if asked.doc is not None:
            text = document.section(title, document.run(busy), tables)
            document.write(asked.doc, part, f"python -m bench --only {part}", text)
    print(f"\n{failed or 'No'} limit{'' if failed == 1 else 's'} not kept." if failed else "\nEvery limit is kept.")
    return 1 if failed and asked.strict else 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="these tables only; may be given again")
    parser.add_argument("--quick", action="store_true", help="a few scenarios in virtual time, under a minute")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a limit is not kept")
    parser.add_argument("--doc", type=Path, metavar="FILE", help="write each part's section of this document")
    parser.add_argument("--seeds", type=int, default=10, help="calls of each scenario in virtual time")
    parser.add_argument("--rounds", type=int, default=3, help="of the calls in real time")
    parser.add_argument("--kills", type=int, default=10, help="agents killed of each case of `rescue`")
    parser.add_argument(
        "--calls", type=int, nargs="+", metavar="N", default=load.CALLS, help="calls at once of `load`, in its rounds"
    )
    parser.add_argument("--passes", type=int, default=1, help="how often `load` does all of its rounds")
    parser.add_argument("--soak", type=int, default=soak.CALLS, metavar="N", help="calls of `soak`")
    parser.add_argument("--postgres", metavar="URL", help="measure the ledger in this empty database, too")
    return parser.parse_args(arguments)


def _head() -> str:
    peers = (
        "Peers: “stock” is LiveKit's AgentSession with allow_interruptions=False; “strongest” is the same with "
        "discard_audio_if_uninterruptible=False, turns by hand while protected speech is owed, and one commit after "
        "it; “hearout” is hearout's. The same calls are given to one after the other."
    )
    return "\n".join([*textwrap.wrap(peers, WIDTH), f"Python {sys.version.split()[0]}, {cost.load()}."])


def _virtual(asked: argparse.Namespace) -> list[Table]:
    if asked.quick:
        played = virtual.play(scenarios.QUICK, 3)
    else:
        played = virtual.play([one.name for one in scenarios.ALL], asked.seeds)
    return [virtual.kept_table(played), virtual.gap_table(played)]


def _zoo(asked: argparse.Namespace) -> list[Table]:
    met = zoo.play([one.name for one in scenarios.ALL], max(1, asked.seeds // 10))
    return zoo.tables(met)


def _cost(asked: argparse.Namespace) -> list[Table]:
    costs = cost.measure(asked.rounds)
    return [cost.table(costs, f"{cost.load()}, {cost.empty_loop()}")]


def _ledger(asked: argparse.Namespace) -> list[Table]:
    return ledger.tables(ledger.everywhere(asked.postgres), cost.load())


def _books(_: argparse.Namespace) -> list[Table]:
    busy = cost.load()
    return [ledger_load.table(ledger_load.measure(ledger_load.CALLS, _said), busy)]


def _soak(asked: argparse.Namespace) -> list[Table]:
    return [soak.table(soak.measure(asked.soak, _said))]


def _start(_: argparse.Namespace) -> list[Table]:
    busy = cost.load()
    return [start.table(start.measure(start.STARTS, _said), busy)]


def _voice(asked: argparse.Namespace) -> list[Table]:
    return [local_voice.table(local_voice.play(asked.rounds, _said), cost.load())]


def _rescue(asked: argparse.Namespace) -> list[Table]:
    busy = cost.load()
    try:
        return [rescue.table(rescue.measure(asked.kills, _said), busy)]
    except NoServerError as error:
        return [Table("A call survives its agent", ("what",), f"Not measured: {error}.")]


def _load(asked: argparse.Namespace, *, with_models: bool = False) -> list[Table]:
    busy, calls = cost.load(), load.WITH_MODELS if with_models else asked.calls
    try:
        rounds = load.hold(calls, _said, passes=asked.passes, with_models=with_models)
        return load.tables(rounds, busy, with_models=with_models)
    except NoServerError as error:
        return [Table("Calls at once", ("what",), f"Not measured: {error}.")]


def _said(what: str) -> None:
    print(f"call: {what}", file=sys.stderr, flush=True)


PARTS: Mapping[str, tuple[str, Callable[[argparse.Namespace], list[Table]]]] = {
    "virtual": ("Beside LiveKit, in virtual time", _virtual),
    "zoo": ("With each TTS and STT of the zoo", _zoo),
    "cost": ("What a session costs", _cost),
    "ledger": ("The ledger", _ledger),
    "books": ("The ledger under load", _books),
    "soak": ("One call after the other", _soak),
    "start": ("The first sound", _start),
    "voice": ("With the local models, in real time", _voice),
    "rescue": ("After a kill", _rescue),
    "load": ("Calls at once", _load),
    "models": ("Calls at once with the local models", lambda asked: _load(asked, with_models=True)),
}
"""Of each part, its title in the document, and what measures it."""


if __name__ == "__main__":
    sys.exit(main())

"""Each scenario with each TTS and STT of the zoo, in virtual time: what is delivered, kept, answered and receipted."""

import itertools
import logging
import math
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from harness.scenes import NOTICE
from hearout import Outcome
from hearout.testing import STT, TTS, Call, CallError, Result, Say, first_sound, zoo
from hearout.testing._script import Moment
from hearout.testing._tts import spoken

from . import peers, scenarios, virtual
from .table import Row, Table, check, milliseconds, percentile

MEMBERS: Mapping[str, Mapping[str, TTS | STT]] = {
    "TTS": {**zoo.TTS_KINDS, **zoo.BREAKING},
    "STT": zoo.STT_KINDS,
}

LONGER = 120.0
"""Seconds by which a call lasts longer than with a quick TTS and STT."""

LOSING = ("final transcript never", "STT reconnects")
"""Scenarios in which the STT loses a final. One that gave no interim of it leaves nothing that could be kept."""

OFF = 0.75
"""Seconds that a receipt may be off: the longest word of a slow TTS."""


@dataclass(frozen=True)
class Met:
    """One scenario with one member of the zoo.

    Args:
        what: "TTS" or "STT".
        member: its name in the zoo.
        played: the figures of the call.
        more, less: receipts that say more than was heard, and less; hearout's only.
    """

    what: str
    member: str
    played: virtual.Played
    more: int = 0
    less: int = 0


def play(names: Sequence[str], seeds: int, members: Iterable[tuple[str, str]] | None = None) -> list[Met]:
    """Play these scenarios with every member and every peer, on every core.

    Args:
        names: of the scenarios.
        seeds: how many calls of each in which something breaks, and half of those of the others.
        members: "TTS" or "STT", and a name; None for all.
    """
    jobs = drawn(names, seeds, members)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        return [one for met in pool.map(_round, jobs, chunksize=8) for one in met]


def drawn(
    names: Sequence[str], seeds: int, members: Iterable[tuple[str, str]] | None = None
) -> list[tuple[tuple[str, str], str, int]]:
    """The calls that each peer plays: the member of the zoo, the scenario and the seed."""
    every = [(what, name) for what, kinds in MEMBERS.items() for name in kinds]
    twice = {one.name for one in scenarios.SAID}
    return [
        (one, name, seed)
        for one in members or every
        for name in names
        if name not in LOSING or getattr(MEMBERS[one[0]][one[1]], "interim", True) is not None
        for seed in range(seeds * (2 if name in twice else 1))
    ]


def _round(job: tuple[tuple[str, str], str, int]) -> list[Met]:
    (what, member), name, seed = job
    scenario = scenarios.named(name)
    logging.disable(logging.CRITICAL)  # what fails here is meant to
    return [meet(what, member, scenario, peer, seed) for peer in peers.PEERS]


def meet(what: str, member: str, scenario: scenarios.Scenario, peer: str, seed: int) -> Met:
    """Play one call."""
    drawn = arguments(what, member, scenario, seed)
    call = Call(session=peers.SESSIONS[peer], typed=peers.typed, **drawn)
    try:
        result = call.play()
    except CallError as error:
        return Met(what, member, virtual.Played(scenario.name, peer, seed, error=str(error)))
    played = virtual.came_of(scenario, peer, seed, call, result)
    more, less = false_receipts(result) if peer == peers.HEAROUT else (0, 0)
    return Met(what, member, played, more, less)


def arguments(what: str, member: str, scenario: scenarios.Scenario, seed: int) -> dict[str, Any]:
    """The call of one seed, with the member of the zoo in the place of the usual TTS or STT; faults stay."""
    drawn = scenarios.arguments(scenario, seed)
    kind = MEMBERS[what][member]
    if isinstance(kind, TTS):
        tts = drawn["tts"]
        drawn["tts"] = replace(kind, faults=tts.faults or kind.faults, dead=tts.dead)
        later = max(0.0, kind.first_audio - tts.first_audio)  # the caller waits for the first sound; a fault does not
        outages = tuple(replace(one, at=one.at + later) for one in drawn["stt"].outages)
        drawn["stt"] = replace(drawn["stt"], outages=outages)
    else:
        stt = drawn["stt"]
        drawn["stt"] = replace(kind, finals=stt.finals, outages=stt.outages)
    drawn["caller"] = [_at_a_known_time(act) for act in drawn["caller"]]
    return drawn | {"ends_after": drawn["ends_after"] + LONGER, "seed": seed}


def _at_a_known_time(act: Any) -> Any:
    """The act; before the end of an utterance as the usual TTS says it: of a slow one, the end is known too late."""
    if isinstance(act, Say) and isinstance(act.at, Moment) and act.at.after.startswith("end") and act.at.seconds < 0:
        return replace(act, at=first_sound(max(0.3, TTS().seconds(NOTICE) + act.at.seconds)))
    return act


def false_receipts(result: Result) -> tuple[int, int]:
    """How many receipts say more than was heard, and how many less."""
    turns: list[list[Any]] = []
    for one in result.protected:
        if one.request is not None and one.request.to_tool and turns:
            turns[-1].append(one)
        else:
            turns.append([one])
    more = less = 0
    receipts = sorted(result.session.receipts, key=lambda one: math.inf if one.started_at is None else one.started_at)
    for turn, receipt in itertools.zip_longest(turns, receipts):
        whole = turn is not None and all(one.delivered == 1.0 for one in turn)
        heard = sum(one.end - one.start for one in turn or ())
        says_all = receipt is not None and receipt.outcome is Outcome.FINISHED
        said_all = whole or (says_all and _is_in(receipt.text, " ".join(one.said for one in turn or ())))
        more += receipt is not None and ((says_all and not said_all) or receipt.played > heard + OFF)
        less += whole and not says_all
    return more, less


def _is_in(text: str, said: str) -> bool:
    """Whether the words of a text were heard in their order, some of them perhaps twice."""
    rest = iter(said.split())
    return all(word in rest for word in spoken(text).split())


def tables(met: Sequence[Met]) -> list[Table]:
    """A table of the TTSs and one of the STTs, a line for each member."""
    made = []
    for what, of_kind in itertools.groupby(met, key=lambda one: one.what):
        members = {name: list(calls) for name, calls in itertools.groupby(of_kind, key=lambda one: one.member)}
        number = max(len(calls) for calls in members.values()) // len(peers.PEERS)
        table = Table(
            f"Each {what} of the zoo, in virtual time: n = {number} calls a line and peer",
            ("where", "lost", "st.", "h.", "kept", "st.", "h.", "once", "h.", "false", "gap", "h."),
            NOTES,
        )
        table.rows += [_row(name, calls) for name, calls in members.items()]
        table.end = "\n".join(f"{name}: {fault}" for name, calls in members.items() for fault in faults(calls))
        made.append(table)
    return made


NOTES = (
    "The scenarios of bench/scenarios.py with each member of hearout.testing.zoo in the place of the usual TTS or "
    "STT. Faults of a scenario stay; where it brings its own fault of the TTS, that counts. Left out: scenarios in "
    "which the STT loses a final, with an STT that gave no interim of it. A TTS without times may say the sentence "
    "that broke off twice. Three columns: stock, strongest (st.) and hearout (h.); two: strongest and hearout. Lost: "
    "calls in which a protected utterance was not heard whole, though it can be. Kept: per cent of the words that are "
    "due an answer. Once: per cent of the questions with exactly one answer. False: receipts that say more than was "
    "heard, and less. Gap: the median in ms from the last sound to the answer. Limits, for hearout: 0, 100, 100, 0/0; "
    "and where stock delivers whole, hearout does. What does not keep one is named below."
)


def _row(name: str, met: Sequence[Met]) -> Row:
    of = {peer: [one for one in met if one.played.peer == peer] for peer in peers.PEERS}
    pair = (peers.STRONGEST, peers.HEAROUT)
    ours = of[peers.HEAROUT]
    cells = (
        name,
        *(str(len(_lost(of[peer]))) for peer in peers.PEERS),
        *(_percent([one.played.kept for one in of[peer] if one.played.answers]) for peer in peers.PEERS),
        *(_percent([float(count == 1) for count in _answers(of[peer])]) for peer in pair),
        f"{sum(one.more for one in ours)}/{sum(one.less for one in ours)}",
        *(
            milliseconds(percentile([one.played.gap for one in of[peer] if one.played.gap is not None], 50))
            for peer in pair
        ),
    )
    return Row(cells, check(not faults(met)))


def _lost(met: Sequence[Met]) -> list[Met]:
    return [one for one in met if scenarios.named(one.played.scenario).whole and one.played.delivered < 1.0]


def _answers(met: Sequence[Met]) -> list[int]:
    return [count for one in met if scenarios.named(one.played.scenario).answered for count in one.played.answers]


def _percent(shares: Sequence[float]) -> str:
    """Their mean in per cent, rounded down: 100 only where nothing is missing."""
    return str(int(100 * sum(shares) / len(shares) + 1e-9)) if shares else "–"


def faults(met: Sequence[Met]) -> list[str]:
    """What of the limits hearout's calls do not keep, each with its scenario."""
    found = []
    stock = {
        (one.played.scenario, one.played.seed): one.played.delivered for one in met if one.played.peer == peers.STOCK
    }
    for one in (one for one in met if one.played.peer == peers.HEAROUT):
        scenario, call = scenarios.named(one.played.scenario), one.played
        wrong = {
            f"could not be played: {call.error}": call.error is not None,
            "not whole": scenario.whole and call.delivered < 1.0,
            "stock delivers more": stock.get((call.scenario, call.seed), 0.0) == 1.0 > call.delivered,
            "words lost": bool(call.answers) and call.kept < 1.0,
            "not one answer": scenario.answered and any(count != 1 for count in call.answers),
            "an answer to nothing": call.false > 0,
            "a receipt says more": one.more > 0,
            "a receipt says less": one.less > 0,
        }
        found += [f"{call.scenario}, {call.seed}: {what}" for what, is_so in wrong.items() if is_so]
    return found

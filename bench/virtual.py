"""The scenarios in virtual time: what is delivered, kept and answered, by whom, and how soon."""

import itertools
import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from hearout.testing import Call, CallError, Result, Say, Type
from hearout.testing._result import words

from . import peers, scenarios
from .table import Row, Table, check, hundredths, milliseconds, percentile, thousandths

SILENCE = 0.55
"""Seconds of silence after which the scripted voice activity detector, as silero, takes the caller for silent."""


@dataclass(frozen=True)
class Played:
    """What came of one call.

    Args:
        scenario, peer, seed: which call.
        delivered: the least share of a protected utterance that was heard.
        twice: seconds of them that were heard again.
        kept: share of the caller's words that are in the turns.
        answers: for each thing said that is due one: how many utterances answer it.
        false: replies to nothing.
        ordered: whether the words are in the turns in the order in which they were said, and no reply came before the
            end of what is protected; None where no word was kept.
        gap: seconds from the last sample before the first reply to its first one; None without a reply.
        in_time: whether the caller was done early enough for an answer without a gap.
        error: why the call could not be played.
    """

    scenario: str
    peer: str
    seed: int
    delivered: float = 0.0
    twice: float = 0.0
    kept: float = 0.0
    answers: tuple[int, ...] = ()
    false: int = 0
    ordered: bool | None = None
    gap: float | None = None
    in_time: bool = False
    error: str | None = None


def play(names: Sequence[str], seeds: int, *, processes: int = 0) -> list[Played]:
    """Play these scenarios with every peer, interleaved: for each seed, the same call with one after the other.

    Args:
        names: of the scenarios.
        seeds: how many calls of each.
        processes: how many processes share the work; 0: as many as there are cores. Virtual time does not mind.
    """
    jobs = [(name, seed) for name in names for seed in range(seeds)]
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        return [one for job in jobs for one in _round(job)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [one for played in pool.map(_round, jobs, chunksize=4) for one in played]


def _round(job: tuple[str, int]) -> list[Played]:
    name, seed = job
    scenario = scenarios.named(name)
    return [_play(scenario, peer, seed) for peer in peers.PEERS]


def _play(scenario: scenarios.Scenario, peer: str, seed: int) -> Played:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what fails here is meant to
    try:
        return _played(scenario, peer, seed)
    finally:
        logging.disable(before)


def _played(scenario: scenarios.Scenario, peer: str, seed: int) -> Played:
    call = Call(session=peers.SESSIONS[peer], typed=peers.typed, **scenarios.arguments(scenario, seed))
    try:
        result = call.play()
    except CallError as error:
        return Played(scenario.name, peer, seed, error=str(error))
    return came_of(scenario, peer, seed, call, result)


def came_of(scenario: scenarios.Scenario, peer: str, seed: int, call: Call, result: Result) -> Played:
    """The figures of a call that was played."""
    protected = result.protected[: scenario.protected]
    short = len(protected) < scenario.protected
    heard = {id(word.act) for word in result.said}  # who waits for a first sound that never comes says nothing
    due = [one for one in result.answered if isinstance(one.act, Type) or (one.act.answered and id(one.act) in heard)]
    words_due = sum(len(one.act.words.split()) for one in due)
    first = min(result.replies, key=lambda one: one.start, default=None)
    return Played(
        scenario=scenario.name,
        peer=peer,
        seed=seed,
        delivered=0.0 if short else min(one.delivered for one in protected),
        twice=sum(one.repeated for one in protected),
        kept=sum(one.kept * len(one.act.words.split()) for one in due) / words_due if words_due else 1.0,
        answers=tuple(len(one.replies) for one in due),
        false=len(result.false_replies),
        ordered=_ordered(result, [one.act for one in due], scenario.protected),
        gap=None if first is None else result.gap(first),
        in_time=scenario.prepares and _in_time(call, result, scenario.protected),
    )


def _ordered(result: Result, due: Sequence[Say | Type], protected: int) -> bool | None:
    said = [word for act in due for word in words(act.words)]
    left, kept = Counter(said), []
    for word in (word for turn in result.turns for word in words(turn)):
        if left[word]:
            left[word] -= 1
            kept.append(word)
    if not kept:
        return None
    rest = iter(said)
    ends = [one.end for one in result.protected[:protected]]
    soonest = min((one.start for one in result.replies), default=max(ends, default=0.0))
    return all(word in rest for word in kept) and soonest >= max(ends, default=0.0) - 1e-6


def _in_time(call: Call, result: Result, protected: int) -> bool:
    """Whether the caller's last word came so early that hearing, thinking and speaking fit before the end."""
    asked = [word for word in result.said if isinstance(word.act, Say) and word.act.answered]
    if not asked or len(result.protected) < protected or not protected:
        return False
    answer = 2 + len(asked)  # "You said" and the caller's words
    chain = max(SILENCE, call.stt.final) + call.llm.first_token + answer / call.llm.rate + call.tts.first_audio + 0.05
    return max(word.end for word in asked) + chain <= result.protected[protected - 1].end


def by_scenario(played: Iterable[Played]) -> Iterator[tuple[scenarios.Scenario, dict[str, list[Played]]]]:
    """The calls of each scenario, by peer."""
    for name, calls in itertools.groupby(played, key=lambda one: one.scenario):
        found: dict[str, list[Played]] = {peer: [] for peer in peers.PEERS}
        for one in calls:
            found[one.peer].append(one)
        yield scenarios.named(name), found


def kept_table(played: Sequence[Played]) -> Table:
    """The table of what is delivered, kept and answered."""
    seeds = max((one.seed for one in played), default=0) + 1
    table = Table(
        f"What is delivered, kept and answered, in virtual time: n = {seeds} calls a line",
        ("scenario", "peer", "deliv.", "kept", "least", "answ.", "false", "order", "p50", "p95"),
        "Delivered: the worst of the calls (“+”: a part was said twice). Kept: share of the words, mean and least. "
        "Answers per question: mean. False: replies to nothing, in all calls. Order: calls in which it is right. "
        "p50, p95: the reply gap in ms. Limits, for hearout: delivered 1 and kept 1 in each call, answers exactly 1, "
        "false 0, order right; a sentence is said again only where the TTS broke off in it.",
    )
    for scenario, calls in by_scenario(played):
        for peer in peers.PEERS:
            table.rows.append(_row(scenario, peer, calls[peer]))
    return table


def _row(scenario: scenarios.Scenario, peer: str, calls: Sequence[Played]) -> Row:
    answers = [count for one in calls for count in one.answers]
    ordered = [one.ordered for one in calls if one.ordered is not None]
    gaps = [one.gap for one in calls if one.gap is not None]
    delivered, twice = min(one.delivered for one in calls), any(one.twice > 0 for one in calls)
    asked = bool(answers)
    cells = (
        scenario.name if peer == peers.PEERS[0] else "",
        peer,
        thousandths(delivered) + ("+" if twice else ""),
        thousandths(sum(one.kept for one in calls) / len(calls)) if asked else "–",
        thousandths(min(one.kept for one in calls)) if asked else "–",
        hundredths(sum(answers) / len(answers)) if asked else "–",
        str(sum(one.false for one in calls)),
        f"{sum(ordered)}/{len(ordered)}" if ordered else "–",
        milliseconds(percentile(gaps, 50)),
        milliseconds(percentile(gaps, 95)),
    )
    return Row(cells, check(not faults(scenario, calls)) if peer == peers.HEAROUT else "")


def faults(scenario: scenarios.Scenario, calls: Sequence[Played]) -> list[str]:
    """What of the limits these calls do not keep, a few words each."""
    found = [f"could not be played: {one.error}" for one in calls if one.error]
    if scenario.whole and any(one.delivered < 1.0 or (one.twice and not scenario.resumes) for one in calls):
        found.append("not delivered once and whole")
    if any(one.answers and one.kept < 1.0 for one in calls):
        found.append("words lost")
    if scenario.answered and any(count != 1 for one in calls for count in one.answers):
        found.append("not exactly one answer")
    if any(one.false for one in calls):
        found.append("answers to nothing")
    if any(one.ordered is False for one in calls):
        found.append("out of order")
    return found


P50, P95, STRADDLING = 0.040, 0.100, 0.050
"""Limits of the reply gap, in seconds: half of the answers, 95 % of them, and how much later than LiveKit's strongest
form an answer to what was said across the end may come."""


def gap_table(played: Sequence[Played]) -> Table:
    """The table of how soon answers come."""
    table = Table(
        "Reply gap in virtual time, in ms: from the last sample before the answer to its first",
        ("where", "peer", "n", "least", "p50", "p95", "most", "of strongest", "limit"),
        "In time: the caller was done so early that hearing, thinking and speaking fit before the end; calls "
        "in which STT, LLM or TTS fail, or another agent takes over, are left out. "
        "Later, pairwise: how much later than the strongest peer hearout answers the same call.",
    )
    in_time = [one for one in played if one.in_time]
    across = {one.name for one in scenarios.ALL if one.across}
    groups = {"in time": in_time, "across the end": [one for one in played if one.scenario in across]}
    for where, calls in groups.items():
        gaps = {peer: [one.gap for one in calls if one.peer == peer and one.gap is not None] for peer in peers.PEERS}
        for peer in peers.PEERS:
            table.rows.append(_gap_row(where, peer, gaps))
    table.rows.append(_later(groups["across the end"]))
    return table


def _gap_row(where: str, peer: str, gaps: dict[str, list[float]]) -> Row:
    own, base = gaps[peer], percentile(gaps[peers.STRONGEST], 50)
    p50, p95 = percentile(own, 50), percentile(own, 95)
    limited = peer == peers.HEAROUT and where == "in time"
    return Row(
        (
            where if peer == peers.PEERS[0] else "",
            peer,
            str(len(own)),
            milliseconds(min(own, default=None)),
            milliseconds(p50),
            milliseconds(p95),
            milliseconds(max(own, default=None)),
            f"× {p50 / base:.2f}" if p50 is not None and base else "–",
            f"{P50 * 1000:.0f}, {P95 * 1000:.0f}" if limited else "",
        ),
        check(p50 is not None and p95 is not None and p50 <= P50 and p95 <= P95) if limited else "",
    )


def _later(calls: Sequence[Played]) -> Row:
    """How much later hearout answers what was said across the end than the strongest peer, call for call."""
    gaps = {(one.scenario, one.seed, one.peer): one.gap for one in calls if one.gap is not None}
    pairs = [
        gap - gaps[name, seed, peers.STRONGEST]
        for (name, seed, peer), gap in gaps.items()
        if peer == peers.HEAROUT and (name, seed, peers.STRONGEST) in gaps
    ]
    return Row(
        (
            "later, pairwise",
            "hearout",
            str(len(pairs)),
            milliseconds(min(pairs, default=None)),
            milliseconds(percentile(pairs, 50)),
            milliseconds(percentile(pairs, 95)),
            milliseconds(max(pairs, default=None)),
            "",
            f"most {STRADDLING * 1000:.0f}",
        ),
        check(bool(pairs) and max(pairs) <= STRADDLING),
    )

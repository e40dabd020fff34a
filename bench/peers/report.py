"""The tables of the comparison, and the section of `docs/benchmarks.md` that has them."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.table import Row, Table, check, milliseconds, thousandths

from . import HEAROUT, ticks
from .results import Figures, Judged, figures, middle

TEXT = Path(__file__).with_name("benchmarks.md")
"""What the document says around the tables; `{name}` is where one goes."""

NOTABLE = {"gap": 0.05, "kept": 0.02, "delivered": 0.02}
"""By how much a peer's median must be better than hearout's to be told: seconds, and shares of one."""

IN_TIME = (
    "question inside",
    "two questions",
    "impatient",
    "correcting",
    "changing the topic",
    "filler",
    "pushing back",
)
"""Scenes in which the caller is done so early that an answer can be ready at the end."""


def by_peer(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The calls of each peer, in the order in which they are."""
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.held.peer, []).append(one)
    return dict(sorted(found.items(), key=lambda pair: pair[0] != HEAROUT))


def by_scene(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    """The calls of each scene."""
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.held.scene.name, []).append(one)
    return found


def summary(judged: Sequence[Judged], about: str) -> Table:
    """One line a peer."""
    made = Table(
        "Side by side, all calls",
        ("peer", "calls", "in full", "least", "kept", "once", "never", "2+", "order", "false", "early", "asked"),
        "In full: calls in which the judge found the announcement whole; least: the least share of it. Kept: the mean "
        "share of the caller's words that reached the model. Once, never, 2+: lines that were answered once, not at "
        "all, more often. Order: calls with their answers in order. False: replies to noise, signs of listening, or "
        "nothing. Early: a “yes” before the question taken for consent. Asked: requests to the model, a call. Limits, "
        f"for hearout: whole in each call, no line unanswered or answered twice, early 0. {about}",
    )
    for peer, calls in by_peer(judged).items():
        made.rows.append(_summary_row(peer, figures(calls)))
    return made


def _summary_row(peer: str, one: Figures) -> Row:
    kept = sum(one.kept) / len(one.kept) if one.kept else None
    lines = len(one.answers)
    good = one.whole == one.calls and not one.never and not one.twice and not one.early[1]
    cells = (
        peer,
        str(one.calls),
        str(one.whole),
        thousandths(one.least),
        "–" if kept is None else thousandths(kept),
        f"{lines - one.never - one.twice}/{lines}",
        str(one.never),
        str(one.twice),
        f"{one.in_order}/{one.ordered}",
        str(one.false),
        f"{one.early[1]}/{one.early[0]}",
        f"{one.requests / one.calls:.1f}" if one.requests is not None else "–",
    )
    return Row(cells, check(good) if peer == HEAROUT else "")


def gaps(judged: Sequence[Judged]) -> Table:
    """How soon answers come, from sound to sound."""
    made = Table(
        "Perceived gap in ms: from the last sound of either side to the answer's first",
        ("where", "peer", "calls", "n", "least", "p50", "most", "of hearout"),
        "In time: the caller is done well before the end. n: calls with an answer. Of hearout: the ratio of the "
        "medians; a peer that answers nothing has none.",
    )
    rest = [name for name in by_scene(judged) if name not in IN_TIME]
    groups = [("in time", IN_TIME), *((name, (name,)) for name in rest)]
    for where, names in groups:
        calls = [one for one in judged if one.held.scene.name in names]
        if any(one.score.gap is not None for one in calls):
            made.rows += _gap_rows(where, calls)
    return made


def _gap_rows(where: str, calls: Sequence[Judged]) -> Iterator[Row]:
    own = {peer: figures(of_peer) for peer, of_peer in by_peer(calls).items()}
    base = middle(own[HEAROUT].gaps) if HEAROUT in own else None
    for number, (peer, one) in enumerate(own.items()):
        p50 = middle(one.gaps)
        yield Row(
            (
                where if number == 0 else "",
                peer,
                str(one.calls),
                str(len(one.gaps)),
                milliseconds(min(one.gaps, default=None)),
                milliseconds(p50),
                milliseconds(max(one.gaps, default=None)),
                f"× {p50 / base:.2f}" if p50 is not None and base else "–",
            )
        )


def scenes(judged: Sequence[Judged]) -> Table:
    """One line a scene and peer."""
    made = Table(
        "Scene by scene",
        ("scenario", "peer", "deliv.", "kept", "spread", "answers", "false", "gap", "spread"),
        "Deliv.: the least share of the announcement. Kept: the median share of the words that reached the model. "
        "Answers: of each line, the mean (0, 1, 2 …). False: replies to nothing, all calls. Gap: the median in ms. "
        "Spread: least and most.",
    )
    for scene, calls in by_scene(judged).items():
        for number, (peer, of_peer) in enumerate(by_peer(calls).items()):
            one = figures(of_peer)
            answers = sum(one.answers) / len(one.answers) if one.answers else None
            made.rows.append(
                Row(
                    (
                        scene if number == 0 else "",
                        peer,
                        thousandths(one.least),
                        *_spread(one.kept, lambda value: f"{value:.2f}"),
                        "–" if answers is None else f"{answers:.2f}",
                        str(one.false),
                        *_spread(one.gaps, milliseconds),
                    )
                )
            )
    return made


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> tuple[str, str]:
    if not values:
        return "–", ""
    return shown(statistics.median(values)), f"{shown(min(values))}–{shown(max(values))}"


def tau(judged: Sequence[Judged]) -> Table:
    """τ-voice's panel."""
    made = Table(
        "τ-voice's measures, on the same recordings",
        ("peer", "R_Y", "n", "L_R s", "n", "S_BC", "n", "S_VT", "n", "S_ND", "n"),
        "R_Y: interruptions to which the agent yields within 2 s. An agent that finishes what it must say has 0, on "
        "purpose; τ-voice counts more as better. L_R: seconds from the end of a turn that ended in the agent's silence "
        "to the answer: answers that follow the announcement at once are no part of it. S_BC, S_VT, S_ND: signs of "
        "listening, “um”, and others' talk that did not make the agent stop within 1 s. In ticks of 0.2 s.",
    )
    for peer, calls in by_peer(judged).items():
        found = ticks.panel(event for one in calls for event in one.events)
        cells = [peer]
        for value, count in (found.r_y, found.l_r, found.s_bc, found.s_vt, found.s_nd):
            cells += ["–" if value is None else f"{value:.2f}", str(count)]
        made.rows.append(Row(tuple(cells)))
    return made


RECORDED = (
    "As they come. Its detector closes a segment after 250 ms of quiet, and the first onset after the caller's is “the "
    "response”: the announcement's own next sentence counts, for every peer. Where an answer follows the announcement "
    "after less than that, it sees neither gap nor response."
)
ROOMS = (
    "As they come, from its LiveKit adapter as the caller in a room on this machine: a question and an “okay” over the "
    "announcement, and a question after it. Passed: turns that went as its scenario expects."
)


def outside(title: str, notes: str, summaries: Mapping[str, Mapping[str, Any] | None]) -> Table:
    """voicebench's own numbers."""
    made = Table(
        f"voicebench 0.2.0, {title}",
        ("peer", "calls", "passed", "turns", "missed", "p50 ms", "p90 ms", "talked over", "false stops", "spurious"),
        notes,
    )
    for peer, one in summaries.items():
        if one is None:
            made.rows.append(Row((peer, *["–"] * 9)))
            continue
        latency = one["response_latency_ms"]
        shown = [
            one["sessions"],
            one["turns_passed"],
            one["turns"],
            one["missed_responses"],
            latency["p50"],
            latency["p90"],
        ]
        shown += [one["talk_overs"], one["false_barge_ins"], one["spurious_responses"]]
        made.rows.append(Row((peer, *("–" if value is None else str(value) for value in shown))))
    return made


def better(judged: Sequence[Judged]) -> Table:
    """In which scenes a peer's figures are better than hearout's."""
    made = Table(
        "Where a peer is better than hearout",
        ("scenario", "peer", "what", "theirs", "ours"),
        "Medians that are better by more than 50 ms, or 0.02 of the words or the announcement; means of the answers "
        "nearer to one; fewer false replies.",
    )
    for scene, calls in by_scene(judged).items():
        peers = {peer: figures(of_peer) for peer, of_peer in by_peer(calls).items()}
        if HEAROUT not in peers:
            continue
        ours = peers.pop(HEAROUT)
        for peer, theirs in peers.items():
            made.rows += [Row((scene, peer, *cells)) for cells in _better(theirs, ours)]
    made.rows += _fewer_requests(judged)
    return made


def _better(theirs: Figures, ours: Figures) -> Iterator[tuple[str, str, str]]:
    gap, own = middle(theirs.gaps), middle(ours.gaps)
    if gap is not None and own is not None and own - gap > NOTABLE["gap"]:
        yield "gap, ms", milliseconds(gap), milliseconds(own)
    kept, own = middle(theirs.kept), middle(ours.kept)
    if kept is not None and own is not None and kept - own > NOTABLE["kept"]:
        yield "words kept", f"{kept:.2f}", f"{own:.2f}"
    if theirs.least - ours.least > NOTABLE["delivered"]:
        yield "delivered", thousandths(theirs.least), thousandths(ours.least)
    if (theirs.once or 0.0) > (ours.once or 0.0):
        yield "answered once", f"{theirs.once:.2f}", f"{ours.once:.2f}"
    if theirs.false < ours.false:
        yield "false replies", str(theirs.false), str(ours.false)


def _fewer_requests(judged: Sequence[Judged]) -> Iterator[Row]:
    """A peer that answers as many lines with fewer requests to the model costs less."""
    peers = {peer: figures(calls) for peer, calls in by_peer(judged).items()}
    ours = peers.pop(HEAROUT, None)
    for peer, theirs in peers.items():
        if ours is None or theirs.requests is None or ours.requests is None or theirs.never > ours.never:
            continue
        if theirs.requests / theirs.calls < ours.requests / ours.calls:
            cells = (f"{theirs.requests / theirs.calls:.1f}", f"{ours.requests / ours.calls:.1f}")
            yield Row(("all calls", peer, "requests a call", *cells))


def proof(judged: Sequence[Judged]) -> Table:
    """What remains of the calls, counted."""
    made = Table(
        "What is left of the calls to show somebody",
        ("peer", "calls", "receipts", "lines before the announcement"),
        "Receipts: of which each names the seconds played, who listened, and what became of the caller's words. Lines "
        "before the announcement: what the conversation's history puts before it, though the announcement had begun.",
    )
    for peer, calls in by_peer(judged).items():
        cells = (peer, str(len(calls)), str(sum(one.receipts for one in calls)))
        made.rows.append(Row((*cells, str(sum(one.placed_before for one in calls)))))
    return made


def section(tables: dict[str, Table], about: str) -> str:
    """Our section of the document."""
    shown = {name: f"```\n{made}\n```" for name, made in tables.items()}
    return TEXT.read_text().format(about=about, **shown)

"""What hearout costs over LiveKit's own session: processor, memory, and the event loop's time for others."""

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import mean, median

from harness.scenes import QUESTION, Announcing
from hearout.testing import LLM, STT, TTS, AudioReceiver, run
from hearout.testing._line import Loudspeaker, Microphone
from hearout.testing._llm import ScriptedLLM
from hearout.testing._sound import SpokenWords
from hearout.testing._stt import ScriptedSTT, ScriptedVAD
from hearout.testing._tts import ScriptedTTS

from . import peers
from .table import Row, Table, check, percentile

SECONDS = 13.0
"""Of one call: 8.5 s of notice, a question at 2 s, and the answer."""

SESSIONS = 20
"""At once, in one event loop; each begins 0.1 s after the one before."""

CORE, MEGABYTE, LAG = 0.01, 1.0, 0.005
"""Limits: share of a core and MB over LiveKit's own, a session; seconds that the loop is late, 99 times of 100."""

PROBE = 0.005
"""Seconds between two looks at the loop's lateness."""


@dataclass
class Cost:
    """What one peer took in one round or in several.

    Attributes:
        core: share of a core that a session took, one figure a round.
        memory: MB that a session held at most, one figure a round.
        lags: seconds by which the loop was late, all of them.
        lag99: their 99th percentile in each round.
        answers: sessions that answered the question.
    """

    core: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    lag99: list[float] = field(default_factory=list)
    answers: int = 0


async def _call(peer: str, delay: float) -> bool:
    """Hold one call; whether the question was answered."""
    await asyncio.sleep(delay)
    loop = asyncio.get_running_loop()
    began = loop.time()

    def now() -> float:
        return loop.time() - began

    lexicon, microphone = SpokenWords(), Microphone(now)
    ear, model, voice = ScriptedSTT(STT(), lexicon, now), ScriptedLLM(LLM(), now), ScriptedTTS(TTS(), now)
    loudspeaker = Loudspeaker(now, AudioReceiver(), captured=lambda _: None, flushed=lambda _: None)
    session = peers.SESSIONS[peer](stt=ear, llm=model, tts=voice, vad=ScriptedVAD(lexicon))
    session.input.audio, session.output.audio = microphone, loudspeaker
    await session.start(agent=Announcing())
    for word in lexicon.say(QUESTION, 2.0, 1.8, None):
        microphone.speak(word.start, word.end, word.number)
    await asyncio.sleep(SECONDS - now())
    await session.aclose()
    loudspeaker.close()
    return len(voice.syntheses) == 2


async def watch_the_loop(lags: list[float]) -> None:
    """Note the seconds by which the loop is late, until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PROBE
        await asyncio.sleep(PROBE)
        lags.append(loop.time() - due)


async def _watch_the_memory(held: list[int]) -> None:
    while True:
        held.append(tracemalloc.get_traced_memory()[0])
        await asyncio.sleep(0.5)


async def _all(peer: str, watcher: asyncio.Task[None]) -> int:
    answered = await asyncio.gather(*(_call(peer, 0.1 * number) for number in range(SESSIONS)))
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    return sum(answered)


def real_time(peer: str, cost: Cost) -> None:
    """One round in real time: the sessions at once, their processor time and the loop's lateness."""

    async def main() -> None:
        lags: list[float] = []
        used, began = time.process_time(), time.monotonic()
        cost.answers += await _all(peer, asyncio.create_task(watch_the_loop(lags)))
        seconds = (time.monotonic() - began) - 0.1 * (SESSIONS - 1)
        cost.core.append((time.process_time() - used) / seconds / SESSIONS)
        cost.lags += lags
        cost.lag99.append(percentile(lags, 99) or 0.0)

    gc.collect()
    asyncio.run(main())


def memory(peer: str, cost: Cost) -> None:
    """One round in virtual time: the most that the sessions held at once, by Python's own count."""

    async def main() -> None:
        gc.collect()
        before, held = tracemalloc.get_traced_memory()[0], [0]
        await _all(peer, asyncio.create_task(_watch_the_memory(held)))
        cost.memory.append((max(held) - before) / SESSIONS / 2**20)

    tracemalloc.start()
    try:
        run(main)
    finally:
        tracemalloc.stop()


def measure(rounds: int) -> dict[str, Cost]:
    """What each peer took, in so many interleaved rounds; a first one that does not count warms them up."""
    costs = {peer: Cost() for peer in peers.PEERS}
    for peer in peers.PEERS:
        memory(peer, Cost())
    for turn in range(rounds):
        # not always the same first
        for peer in (*peers.PEERS[turn % 3 :], *peers.PEERS[: turn % 3]):
            real_time(peer, costs[peer])
            memory(peer, costs[peer])
    return costs


def table(costs: dict[str, Cost], load: str) -> Table:
    """The table of it."""
    rounds = len(costs[peers.HEAROUT].core)
    made = Table(
        f"Cost of a session, {SESSIONS} at once in one loop",
        ("what", "peer", "n", "least", "median", "most", "over it", "of it", "limit"),
        f"Real time; STT, LLM and TTS are scripted; {rounds} rounds, interleaved; {load}. "
        "Over it, of it: hearout's median less that peer's, and as a multiple of it. Memory: the most that was "
        f"held, by tracemalloc, in virtual time. {answered(costs)}.",
    )
    made.rows += _compared("% of a core", 100, {peer: cost.core for peer, cost in costs.items()}, CORE)
    made.rows += _compared("memory, MB", 1, {peer: cost.memory for peer, cost in costs.items()}, MEGABYTE)
    made.rows += _lags(costs)
    return made


def _compared(what: str, scale: int, figures: dict[str, list[float]], limit: float) -> Iterator[Row]:
    ours = median(figures[peers.HEAROUT])
    for peer, values in figures.items():
        base = median(values)
        own = peer == peers.HEAROUT
        yield Row(
            (
                what if peer == peers.PEERS[0] else "",
                peer,
                str(len(values)),
                *(f"{value * scale:.2f}" for value in (min(values), base, max(values))),
                "" if own else f"{(ours - base) * scale:+.2f}",
                "" if own else f"× {ours / base:.2f}",
                "" if own else f"over it < {limit * scale:g}",
            ),
            "" if own else check(ours - base < limit),
        )


def _lags(costs: dict[str, Cost]) -> Iterator[Row]:
    for percent in (50, 99):
        ours = percentile(costs[peers.HEAROUT].lags, percent) or 0.0
        for peer, cost in costs.items():
            value = percentile(cost.lags, percent) or 0.0
            limited = percent == 99 and peer == peers.HEAROUT
            rounds = cost.lag99 if percent == 99 else [value]
            yield Row(
                (
                    f"loop late, ms, p{percent}" if peer == peers.PEERS[0] else "",
                    peer,
                    str(len(cost.lags)),
                    *(f"{late * 1000:.2f}" for late in (min(rounds), value, max(rounds))),
                    "" if peer == peers.HEAROUT else f"{(ours - value) * 1000:+.2f}",
                    "" if peer == peers.HEAROUT else f"× {ours / value:.2f}",
                    f"< {LAG * 1000:g}" if limited else "",
                ),
                check(value < LAG) if limited else "",
            )


def load() -> str:
    """How busy the machine is, for beside the figures."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def empty_loop(seconds: float = 5.0) -> str:
    """How late a loop is in which nothing else runs: what the machine itself adds to the figures."""

    async def main() -> list[float]:
        lags: list[float] = []
        watcher = asyncio.create_task(watch_the_loop(lags))
        await asyncio.sleep(seconds)
        watcher.cancel()
        return lags

    late = percentile(asyncio.run(main()), 99) or 0.0
    return f"an empty loop is late by {late * 1000:.2f} ms at p99"


def answered(costs: dict[str, Cost]) -> str:
    """The number of calls that were answered: proof that each compared session did its work."""
    calls = SESSIONS * mean(len(cost.core) for cost in costs.values())
    return "Answered: " + ", ".join(f"{peer} {cost.answers} of {calls:.0f}" for peer, cost in costs.items())

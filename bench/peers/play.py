"""Holds the calls: the same caller for one peer after the other, in real time, with the local models."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jwt

from bench.course import write
from hearout._local.gateway import Gateway
from hearout._local.upstream import Upstream

from . import HEAROUT, STOCK, STRONGEST
from .callers import Scene, Studio
from .model import Model

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOOLS = ROOT / ".tools" / "peers"
"""Where `make peers` puts the environments of the others: out of the way of what reads every file of `bench/`."""

PIPECAT = ("pipecat mute", "pipecat steady", "pipecat marked")
CONTEST = (HEAROUT, STOCK, STRONGEST, *PIPECAT)
"""Who is compared, in the order of the tables."""

LONGEST = 90.0
"""Seconds within which a call must be over, or its program is taken for stuck."""


class NotInstalledError(Exception):
    """A peer's environment is not there; the message says how to make it."""


@dataclass(frozen=True)
class Held:
    """One call that was held.

    Attributes:
        scene: which.
        peer: with whom.
        turn: the round.
        folder: has `said.wav`, `caller.wav`, `agent.wav` and `facts.json`.
        lines: seconds of the caller's sound at which each line begins and ends.
        asked: the user words of each request that the model got; None where they were not noted: then those of the
            conversation's history count.
        load: processes that wanted a core when the call began, by the minute's average.
    """

    scene: Scene
    peer: str
    turn: int
    folder: Path
    lines: Sequence[tuple[float, float]]
    asked: Sequence[Sequence[str]] | None = ()
    load: float = 0.0


@dataclass
class _Program:
    """One peer's process, which holds one call after the other."""

    peer: str
    process: asyncio.subprocess.Process
    version: str
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def hold(self, call: Mapping[str, str]) -> None:
        """Hold one call.

        Raises:
            RuntimeError: the program has ended, or the call would not.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({**call, "peer": self.peer}).encode() + b"\n")
        try:
            answer = await asyncio.wait_for(self.process.stdout.readline(), LONGEST)
        except TimeoutError as error:
            raise RuntimeError(f"{self.peer}: {call['call']} was not over after {LONGEST:.0f} s") from error
        if not answer:
            raise RuntimeError(f"{self.peer}: its program ended in {call['call']}; see its log")

    async def end(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment.

    Raises:
        NotInstalledError: there is none.
    """
    if peer not in PIPECAT:
        return Path(sys.executable)
    found = TOOLS / "pipecat" / "bin" / "python"
    if not found.exists():
        raise NotInstalledError("Pipecat's environment is missing; make it with: make peers")
    return found


async def _begin(peer: str, gateway: Gateway, log: Path) -> _Program:
    environment = gateway.environment()
    claims = {"iss": environment["LIVEKIT_INFERENCE_API_KEY"], "exp": int(time.time()) + 86_400}
    claims["inference"] = {"perform": True}  # type: ignore[assignment]
    token = jwt.encode(claims, environment["LIVEKIT_INFERENCE_API_SECRET"], algorithm="HS256")
    own = {"BENCH_GATEWAY": gateway.url, "BENCH_TOKEN": token, "HEAROUT_LEDGER": "off", "PYTHONPATH": str(ROOT)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
    program = [str(HERE / "pipecat" / "agent.py")] if peer in PIPECAT else ["-m", "bench.peers.on_livekit", peer]
    pipe = subprocess.PIPE
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            python_of(peer), *program, cwd=ROOT, env=clean | environment | own, stdin=pipe, stdout=pipe, stderr=errors
        )
    assert process.stdout is not None
    ready = await asyncio.wait_for(process.stdout.readline(), 60)
    if not ready:
        raise RuntimeError(f"{peer}: its program does not begin; see {log}")
    return _Program(peer, process, json.loads(ready)["ready"])


@dataclass
class Contest:
    """All the calls.

    Args:
        studio: makes the callers.
        scenes: which calls.
        peers: with whom.
        folder: where the recordings go.
        at_once: calls that are held at the same time, each with another peer.
        said: told of each call as it begins.
    """

    studio: Studio
    scenes: Sequence[Scene]
    peers: Sequence[str]
    folder: Path
    at_once: int
    said: Callable[[str], None]
    versions: dict[str, str] = field(default_factory=dict)

    def play(self, turns: int) -> list[Held]:
        """Hold `turns` rounds; the peers take turns at being first."""
        return asyncio.run(self._play(turns))

    async def _play(self, turns: int) -> list[Held]:
        model = Model()
        await model.start()
        gateway = await asyncio.to_thread(Gateway.start, upstream=Upstream(model.url))
        programs = {}
        try:
            await asyncio.to_thread(gateway.loaded)
            for peer in self.peers:
                log = self.folder / f"{peer.replace(' ', '-')}.log"
                programs[peer] = await _begin(peer, gateway, log)
                self.versions[peer] = programs[peer].version
            gate = asyncio.Semaphore(self.at_once)
            calls = [self._hold(gate, programs[peer], model, scene, turn) for scene, peer, turn in self._order(turns)]
            return [held for held in await asyncio.gather(*calls) if held is not None]
        finally:
            await asyncio.gather(*(program.end() for program in programs.values()))
            await asyncio.to_thread(gateway.close)
            await model.close()

    def _order(self, turns: int) -> Iterator[tuple[Scene, str, int]]:
        for turn in range(turns):
            for scene in self.scenes:
                peers = list(self.peers)
                random.Random(f"{scene.name} {turn}").shuffle(peers)
                for peer in peers:
                    yield scene, peer, turn

    async def _hold(
        self, gate: asyncio.Semaphore, program: _Program, model: Model, scene: Scene, turn: int
    ) -> Held | None:
        async with gate, program.busy:
            name = f"{turn}-{self.scenes.index(scene)}-{self.peers.index(program.peer)}"
            folder = self.folder / name
            folder.mkdir()
            sound, lines = self.studio.caller(scene, turn)
            write(folder / "said.wav", sound)
            self.said(f"{scene.name}, {program.peer}, round {turn + 1}")
            load = os.getloadavg()[0]
            try:
                await program.hold({"folder": str(folder), "notice": scene.notice, "call": name})
            except RuntimeError as error:
                self.said(f"not held: {error}")
                return None
            return Held(scene, program.peer, turn, folder, lines, model.asked.get(name, ()), load)

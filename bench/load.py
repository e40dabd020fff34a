"""How many calls at once a machine carries: in real rooms, an announcement in all of them at the same moment."""

import contextlib
import io
import itertools
import json
import os
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import psutil

from harness import ROOT
from hearout import Announcement
from hearout import __main__ as commands
from hearout.measure import Measured, measure
from hearout.receipts import Level, Outcome
from hearout.receipts import _codec as record

from . import models, packets, peers, processor, rooms
from .table import Row, Table, check, milliseconds, percentile, thousandths

if TYPE_CHECKING:
    from harness.rooms.server import Server, Worker

HERE = Path(__file__).parent

CALLS = (1, 5, 10, 20, 40)
"""Calls at once, one number after the other; each round goes on with the calls of the one before."""

WITH_MODELS = (1, 2, 3, 4, 5)
"""The same with the local models on this machine: of each is one, for all calls."""

PEERS = (peers.STOCK, peers.HEAROUT)

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "You may object to this at any time. Please have your number ready."
)
"""About 9 s."""

QUESTION_AT = 2.0
"""Seconds of the announcement at which every caller asks."""

JOINED, OVER = 30.0, 20.0
"""Seconds within which an agent must be in the room, and, after the announcement's length, have written what became of
it."""

SETTLE = 2.0
"""Seconds of silence before a round, and after it before the recordings end."""

GROUPS = ("jobs", "worker", "models", "server", "callers")
"""Whose share of the machine is told: the calls' processes, the worker's main one, the local models' (if any), and what
stands for elsewhere."""

SOUND, WORTH = 300, 0.02
"""The sample value from which the agent is heard, and the seconds that are looked at at once."""


@dataclass(frozen=True)
class Said:
    """One call in one round.

    Attributes:
        found: how much of the announcement is in the caller's recording; None where nothing at all was heard.
        is_receipted: whether the agent's receipt says finished and present; None where there are none (stock).
        is_answered: whether the question was answered, once.
        gap: seconds from the announcement's last sound to the answer's first, at the caller; None without an answer.
        late: seconds by which the job's event loop was late, 99 times of 100; None without a report.
        agents: tracks that the caller heard: more than one agent spoke, or one had to join again.
    """

    found: Measured | None
    is_receipted: bool | None
    is_answered: bool
    gap: float | None = None
    late: float | None = None
    agents: int = 1

    @property
    def in_full(self) -> bool:
        """Whether the caller heard the whole announcement, by the judge's own limits, and from one agent."""
        return self.found is not None and self.found.in_full and self.agents == 1


@dataclass(frozen=True)
class Round:
    """So many calls of one peer at once.

    Attributes:
        peer: whose sessions.
        calls: what became of each.
        cores: cores taken while the announcement was said, by group, and of the whole machine ("all").
        memory: MB of a job, in the mean: its own, and its part of what it shares (PSS); 0 where there is none.
    """

    peer: str
    calls: Sequence[Said]
    cores: Mapping[str, float] = field(default_factory=dict)
    memory: float = 0.0

    @property
    def faults(self) -> list[str]:
        """The faults of a round, in words; empty where there were none."""
        all_of_them = len(self.calls)
        counts = {"delivered in full": sum(call.in_full for call in self.calls)}
        if self.peer == peers.HEAROUT:
            counts["with a receipt that says so"] = sum(bool(call.is_receipted) for call in self.calls)
            counts["answered"] = sum(call.is_answered for call in self.calls)
        return [f"{count} of {all_of_them} {what}" for what, count in counts.items() if count < all_of_them]


def first_that_fails(rounds: Sequence[Round], peer: str) -> str:
    """The sentence on one peer: its smallest number of calls that fails, how, and who had the machine; or that none."""
    own = sorted((one for one in rounds if one.peer == peer), key=lambda one: len(one.calls))
    failed = next((one for one in own if one.faults), None)
    if failed is None:
        return f"{peer}: none failed"
    most = max(GROUPS, key=lambda name: failed.cores.get(name, 0.0))
    had = f"{most} took {failed.cores.get(most, 0.0):.2f} of {failed.cores.get('all', 0.0):.2f} cores"
    return f"{peer}: the first number that fails is {len(failed.calls)}: {', '.join(failed.faults)}; {had}"


class Callers:
    """The one process in which all callers are; what it complains of goes to a file."""

    def __init__(self, log: Path) -> None:
        program, pipe = [str(_built())], subprocess.PIPE
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=out, text=True)

    def order(self, **order: Any) -> None:
        """Give an order (bench/callers/main.go); back when it is done.

        Raises:
            RuntimeError: the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            said = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the callers' process has ended with {self.process.wait()}; the last it said:\n{said}")

    def hang_up(self) -> None:
        """Let all of them leave, and end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def _built() -> Path:
    """The callers' program.

    Raises:
        NoServerError: Go is missing, or cannot build it.
    """
    built = ROOT / ".tools" / "callers"
    try:
        subprocess.run(
            ["go", "build", "-o", str(built), "."],
            cwd=HERE / "callers",
            env={**os.environ, "GOTOOLCHAIN": "local"},
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise rooms.NoServerError("the callers are a program in Go, and Go is not here") from None
    except subprocess.CalledProcessError as error:
        raise rooms.NoServerError(f"Go cannot build the callers: {error.stderr.strip().splitlines()[-1]}") from None
    return built


@dataclass
class Held:
    """The calls that are held with one peer."""

    peer: str
    server: "Server"
    worker: "Worker"
    server_process: psutil.Process
    callers: Callers
    notice: Announcement
    question: Path
    folder: Path
    models: Sequence[psutil.Process] = ()
    _rooms: list[str] = field(default_factory=list)

    def begin(self, calls: int) -> None:
        """Let callers join, one after the other, until there are so many, or no process is ready for another."""
        while self._is_warm() and len(self._rooms) < calls:
            room = self.server.new_room()
            self.callers.order(join=room, url=self.server.url, token=self.server.token(room, "caller"))
            self._rooms.append(room)
            with contextlib.suppress(TimeoutError):  # a call without an agent is one that was not delivered
                rooms.wait(self._written(room, "here").exists, JOINED, "no agent came")

    def _is_warm(self) -> bool:
        """Whether a process is ready for the next call, which would otherwise wait for the process."""
        try:
            rooms.wait_until_warm(self.worker)
        except TimeoutError:
            if self.worker.process.poll() is not None:
                raise
            return False  # a machine that has no time for it holds all the calls that it can
        return True

    def announce(self, number: str) -> tuple[Path, dict[str, float], float]:
        """Have it announced in all of them at once.

        Returns:
            Where the recordings and reports are (``ROOM.packets`` and ``ROOM.json``); the cores that it took; a job's
            memory in MB.
        """
        time.sleep(SETTLE)
        self.callers.order(record=True)
        groups = self._groups()
        began, before = time.monotonic(), processor.Used.now(groups)
        _write(self.folder / "round", number)
        time.sleep(QUESTION_AT)
        self.callers.order(say=str(self.question))
        time.sleep(max(0.0, began + self.notice.seconds - time.monotonic()))
        cores = processor.Used.now(groups).since(before, time.monotonic() - began)
        memory = mean(processor.megabytes(self._jobs()) or [0.0])
        with contextlib.suppress(TimeoutError):
            rooms.wait(lambda: all(self._written(room, number).exists() for room in self._rooms), OVER, "not over")
        time.sleep(SETTLE)
        done = self.folder / f"done-{number}"
        done.mkdir()
        self.callers.order(save=str(done))
        for room in self._rooms:
            if (report := self._written(room, number)).exists():
                report.rename(done / f"{room}.json")
        return done, cores, memory

    def _written(self, room: str, what: str) -> Path:
        return self.folder / f"{room}-{what}.json"

    def _jobs(self) -> list[psutil.Process]:
        """The processes that hold calls: the newest waits for the next one."""
        begun = list(psutil.Process(self.worker.process.pid).children(recursive=True))
        return sorted(begun, key=lambda each: each.create_time())[-len(self._rooms) - 1 :][: len(self._rooms)]

    def _groups(self) -> dict[str, list[psutil.Process]]:
        main = psutil.Process(self.worker.process.pid)
        jobs, callers = main.children(recursive=True), [self._callers_process()]
        processes = (jobs, [main], self.models, [self.server_process], callers)
        return dict(zip(GROUPS, processes, strict=True))

    def _callers_process(self) -> psutil.Process:
        return psutil.Process(self.callers.process.pid)


def hold(
    calls: Sequence[int], said: Callable[[str], None], *, passes: int = 1, with_models: bool = False
) -> list[Round]:
    """Hold so many calls at once, one number after the other, with one peer after the other.

    Args:
        calls: the numbers.
        said: told of each round before it begins.
        passes: how often all of it is done; each begins with the other peer.
        with_models: whether the local STT and TTS serve the calls, on this machine.

    Raises:
        NoServerError: there is no livekit-server.
    """
    found: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="hearout-bench-") as name, contextlib.ExitStack() as served:
        folder = Path(name)
        serving, found_there = (), dict[str, str]()
        if with_models:
            process, found_there = served.enter_context(models.serving(folder / "models.log"))
            serving = (psutil.Process(process.pid),)
        before = set(psutil.Process().children())
        with rooms.serving(folder) as server:
            (server_process,) = set(psutil.Process().children()) - before
            notice, question = ready(folder)
            done: list[tuple[str, int, Path, dict[str, float], float]] = []
            for turn, peer in itertools.product(range(passes), PEERS):
                peer = peer if turn % 2 == 0 else PEERS[1 - PEERS.index(peer)]
                own = folder / f"{peer}-{turn}"
                with _held(peer, server, server_process, notice, question, own, found_there) as held:
                    held.models = serving
                    for number in sorted(set(calls)):
                        said(f"{number} at once, {peer}")
                        held.begin(number)
                        done.append((peer, number, *held.announce(str(number))))
        said("all are over; the recordings are judged")
        found += [judged(*one, notice) for one in done]
    return sorted(found, key=lambda one: (PEERS.index(one.peer), len(one.calls)))


@contextlib.contextmanager
def _held(
    peer: str,
    server: "Server",
    process: psutil.Process,
    notice: Announcement,
    question: Path,
    folder: Path,
    served: Mapping[str, str],
) -> Iterator[Held]:
    folder.mkdir()
    _write(folder / "round", "none")
    environment = {
        "BENCH_PEER": peer,
        "BENCH_NOTICE": str(notice.wav.with_name(f"{notice.id}.json")),
        "BENCH_ROUNDS": str(folder),
        "HEAROUT_LEDGER": f"sqlite:///{folder / 'receipts.db'}",
        "BENCH_MODELS": json.dumps(served),
    }
    callers = Callers(folder / "callers.log")
    try:
        with rooms.working(server, folder / "worker", HERE / "announcer.py", **environment) as worker:
            try:
                yield Held(peer, server, worker, process, callers, notice, question, folder)
            finally:
                callers.hang_up()  # before the worker, which else waits for them
    finally:
        callers.hang_up()


def ready(folder: Path) -> tuple[Announcement, Path]:
    """The announcement, made as `hearout prepare` makes it, and the callers' question, as a file of packets."""
    from harness.rooms.caller import spoken

    from .announcer import QUESTION

    text, question = folder / "notice.txt", folder / "question.packets"
    text.write_text(NOTICE)
    with contextlib.redirect_stdout(io.StringIO()):
        status = commands.main(["prepare", str(text), "--out", str(folder)])
    if status:
        raise RuntimeError(f"the announcement could not be made: hearout prepare ended with {status}")
    packets.encode(np.repeat(spoken(QUESTION), packets.RATE // 24_000), question)
    return Announcement.load("notice", folder), question


def judged(
    peer: str, calls: int, folder: Path, cores: Mapping[str, float], memory: float, notice: Announcement
) -> Round:
    """What became of the calls of one round, whose recordings and reports are in `folder`.

    Those that could not begin, for the machine had no time for another process, were delivered to nobody.
    """
    wanted, rate = _sound(notice.wav)
    assert packets.RATE % rate == 0
    said = [_judged(path, wanted, rate) for path in sorted(folder.glob("*.packets"))]
    missing = [Said(None, is_receipted=None, is_answered=False)] * (calls - len(said))
    return Round(peer, said + missing, cores, memory)


def _judged(recording: Path, wanted: npt.NDArray[np.int16], rate: int) -> Said:
    tracks = packets.heard(recording)
    played, _ = packets.play(tracks[0] if tracks else ())
    samples = played[:: packets.RATE // rate]
    found = measure(samples, wanted, rate) if len(samples) else None
    report = recording.with_suffix(".json")
    facts = json.loads(report.read_text()) if report.exists() else {"receipt": None, "answers": 0, "late": None}
    receipt = record.from_json(facts["receipt"]) if facts["receipt"] else None
    fine = receipt is not None and receipt.outcome is Outcome.FINISHED and receipt.level >= Level.PRESENT
    gap = reply_gap(samples, rate, found) if found is not None and facts["answers"] else None
    return Said(found, fine, facts["answers"] == 1, gap, facts["late"], agents=max(1, len(tracks)))


def reply_gap(samples: npt.NDArray[np.int16], rate: int, found: Measured) -> float | None:
    """Seconds of silence behind the announcement, up to the next sound; None if there is none, or no announcement."""
    if found.lag_s is None:
        return None
    ended = found.lag_s + found.speech_to_ms / 1000
    piece = round(rate * WORTH)
    after = samples[round(ended * rate) + piece :]
    loud = np.abs(after[: len(after) // piece * piece].reshape(-1, piece).astype(np.int32)).max(axis=1) >= SOUND
    return float(np.argmax(loud) + 1) * WORTH if loud.any() else None


def _sound(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


def _write(path: Path, text: str) -> None:
    """In one step: a reader never sees half of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def tables(rounds: Sequence[Round], load: str, *, with_models: bool = False) -> list[Table]:
    """The tables: what came of the calls, and who took the processor meanwhile."""
    return [_delivered(rounds, load, with_models=with_models), _shares(rounds)]


def _delivered(rounds: Sequence[Round], load: str, *, with_models: bool) -> Table:
    theirs = (
        "The local models (moonshine, a script, hibari) are in one process on this machine, and serve all calls. "
        if with_models
        else "STT, LLM and the answer's TTS are scripted: in a call they are somebody else's machine. "
    )
    made = Table(
        f"Calls at once, in real rooms, with{'' if with_models else 'out'} the local models",
        ("peer", "calls", "in full", "least", "still", "gap p95", "late p99", "receipts", "answered", ""),
        "One worker in `dev`, a livekit-server and all callers on this machine. In each room an agent says the same "
        "ready-made announcement at the same moment, and each caller asks something over it. silero, the room and the "
        f"sound are real. {theirs}"
        "The callers are one process that neither encodes nor decodes; what they got is played afterwards as a "
        f"receiver plays it, with {packets.BUFFER * 1000:.0f} ms of buffer. Callers join one after the other, and "
        "stay; one for which no process is ready within 60 s counts as not delivered. In full: by `hearout measure` "
        "on the caller's recording (0.98 of the speech, no gap of 200 ms). Least, still: of all calls the least share "
        "of it, and the longest gap, in ms. Gap: ms from the announcement's last sound to the answer's first, at the "
        "caller. Late: by how many ms the job's event loop is late, 99 times of 100, in the worst job. Receipts: that "
        f"say finished, and present. Answered: the question was, once (stock hears nothing meanwhile). {load}.",
    )
    made.rows += [_delivered_row(one) for one in rounds]
    tried = [peer for peer in PEERS if any(one.peer == peer for one in rounds)]
    made.end = "\n".join(f"{first_that_fails(rounds, peer)}." for peer in tried)
    return made


def _delivered_row(one: Round) -> Row:
    found = [call.found for call in one.calls if call.found is not None]
    complete = len(found) == len(one.calls)
    limited = one.peer == peers.HEAROUT and len(one.calls) == 1
    ours = one.peer == peers.HEAROUT
    return Row(
        (
            one.peer,
            f"{len(one.calls)}",
            f"{sum(call.in_full for call in one.calls)}",
            thousandths(min(each.fraction for each in found)) if complete else "0",
            f"{max((each.longest_gap_ms for each in found), default=0.0):.0f}" if complete else "all",
            milliseconds(percentile([call.gap for call in one.calls if call.gap is not None], 95)),
            milliseconds(max((call.late for call in one.calls if call.late is not None), default=None)),
            f"{sum(bool(call.is_receipted) for call in one.calls)}" if ours else "–",
            f"{sum(call.is_answered for call in one.calls)}",
            "one call does" if limited else "",
        ),
        check(not one.faults) if limited else "",
    )


def _shares(rounds: Sequence[Round]) -> Table:
    shown = [name for name in GROUPS if any(one.cores.get(name) for one in rounds)]  # "models": where there are any
    made = Table(
        "Calls at once: who takes the processor",
        ("peer", "calls", "% of a core a call", "MB a call", *shown, "others", "all"),
        "While the announcement is said. A call: its share of the jobs' processes, and what its process holds (PSS). "
        f"The rest in cores, of {os.cpu_count()}: jobs, the worker's main process, the local models, the LiveKit "
        "server, the callers (all in one process), others on this machine (this program among them), and all together. "
        "With server and callers on machines of their own, a worker has that many cores more.",
    )
    for one in rounds:
        others = one.cores["all"] - sum(one.cores[name] for name in shown)
        cores = {**one.cores, "others": max(0.0, others)}
        a_call = 100 * one.cores["jobs"] / len(one.calls)
        figures = (f"{cores[name]:.2f}" for name in (*shown, "others", "all"))
        made.rows.append(Row((one.peer, f"{len(one.calls)}", f"{a_call:.1f}", f"{one.memory:.0f}", *figures)))
    return made

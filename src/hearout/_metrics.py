"""Counts for Prometheus: receipts, held words, the gap to the answer, what is owed. Never words, calls or identities.

Every call has a process of its own (LiveKit 1.8.9), and one process serves the numbers of all: they meet in files, in
the folder ``PROMETHEUS_MULTIPROC_DIR``. The variable is prometheus_client's own; :func:`serving` sets it for the jobs,
or LiveKit does where ``AgentServer(prometheus_multiproc_dir=…)`` is given. A job process without it counts nothing, for
nobody could read it.
"""

import contextlib
import fcntl
import functools
import itertools
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    multiprocess,
    start_http_server,
    values,
)
from prometheus_client.registry import Collector

from .errors import MetricsError
from .receipts import Fate, Level, Outcome, Receipt

logger = logging.getLogger("hearout")

P = ParamSpec("P")

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

GAPS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""Bounds of the histogram, in seconds: a prepared answer begins within 0.1, one asked for at the end after some 1."""


def _counting(count: Callable[Concatenate["_Meters", P], None]) -> Callable[P, None]:
    """Count where there are meters; a folder that is full or gone costs numbers, and never an announcement."""

    @functools.wraps(count)
    def counted(*given: P.args, **named: P.kwargs) -> None:
        try:
            if (meters := _meters()) is not None:
                count(meters, *given, **named)
        except OSError as error:
            logger.error("metrics could not be counted in %s: %s", os.environ.get(FOLDER), error)

    return counted


@_counting
def owes(meters: "_Meters", change: int) -> None:
    """So many more protected utterances are asked for and not over; below 0 for fewer."""
    meters.owed.inc(change)


@_counting
def settled(meters: "_Meters", receipt: Receipt) -> None:
    meters.receipts.labels(outcome=receipt.outcome.value, level=str(receipt.level)).inc()
    for _, fate in receipt.held:
        meters.held.labels(fate=fate.value).inc()


@_counting
def answered(meters: "_Meters", gap: float) -> None:
    """The answer to what was said over an utterance began so many seconds after its end."""
    meters.gap.observe(gap)


@contextlib.contextmanager
def serving(host: str, port: str) -> Iterator[str]:
    """Serve the numbers of this process and of its jobs, LiveKit's own among them, while the block runs; gives the URL.

    Args:
        port: where, as the environment has it; 0 for a free one.

    Raises:
        MetricsError: the port is none, or cannot be had.
    """
    if not port.isdecimal() or int(port) > 65535:
        raise MetricsError(f"HEAROUT_METRICS_PORT is {port!r}; give a number from 0 to 65535, or leave it out")
    with contextlib.ExitStack() as held:
        if FOLDER not in os.environ:
            os.environ[FOLDER] = held.enter_context(tempfile.TemporaryDirectory(prefix="hearout-metrics-"))
            held.callback(os.environ.pop, FOLDER, None)
        Path(os.environ[FOLDER]).mkdir(parents=True, exist_ok=True)
        if values.ValueClass is values.MutexValue:
            # prometheus_client chose at its import, before the variable was there, so what LiveKit counts in this
            # process would be missing. All its metrics have labels; so none of them has a value yet.
            held.callback(setattr, values, "ValueClass", values.MutexValue)
            values.ValueClass = values.MultiProcessValue()
        registry = CollectorRegistry()
        registry.register(_Shared())
        try:
            server, thread = start_http_server(int(port), addr=host, registry=registry)
        except OSError as error:
            raise MetricsError(f"metrics cannot be served on {host}:{port}: {error.strerror}; give another") from error
        held.callback(thread.join)
        held.callback(server.server_close)
        held.callback(server.shutdown)
        yield f"http://{host}:{server.server_port}/metrics"


@dataclass(frozen=True)
class _Meters:
    receipts: Counter
    held: Counter
    gap: Histogram
    owed: Gauge


@functools.cache
def _meters() -> _Meters | None:
    """Made when the first is needed: the fork server and the worker's main process have no use for them."""
    if FOLDER not in os.environ:
        return None if multiprocessing.parent_process() is not None else _made(REGISTRY)
    before, values.ValueClass = values.ValueClass, values.MultiProcessValue(lambda: _slot(os.getpid()))
    try:
        return _made(None)
    finally:
        values.ValueClass = before  # the user's own metrics stay as they are


def _made(registry: CollectorRegistry | None) -> _Meters:
    meters = _Meters(
        Counter(
            "hearout_receipts",
            "Receipts of protected utterances, by how they ended and what they rest on",
            ["outcome", "level"],
            registry=registry,
        ),
        Counter(
            "hearout_held_words",
            "What callers said over protected speech, by what became of it",
            ["fate"],
            registry=registry,
        ),
        Histogram(
            "hearout_reply_gap_seconds",
            "From the end of protected speech to the begin of the answer to what was said over it",
            buckets=GAPS,
            registry=registry,
        ),
        Gauge(
            "hearout_owed",
            "Protected utterances that are asked for and not over",
            multiprocess_mode="livesum",
            registry=registry,
        ),
    )
    meters.owed.set(0)  # whatever a process that died left in this slot
    for outcome, level in itertools.product(Outcome, Level):  # a rate needs a series that is there before its first
        meters.receipts.labels(outcome=outcome.value, level=str(level))
    for fate in Fate:
        meters.held.labels(fate=fate.value)
    return meters


# A call's process ends with the call, and prometheus_client keeps the files of every process that ever was, by its
# number, and reads all of them at each scrape. So ours go by a slot, which the next process takes over with its counts.

_locks: list[int] = []
"""Open until the process ends, however it ends: the kernel then lets them go, and that is how a free slot is known."""


@functools.cache
def _slot(_process: int) -> str:
    """The first slot that no living process has. Its name is no number: in a container the worker is process 1."""
    folder = Path(os.environ[FOLDER])
    for number in itertools.count():
        if (lock := _locked(folder / f"slot{number}.lock")) is not None:
            _locks.append(lock)
            return f"slot{number}"
    raise AssertionError("numbers do not end")


def _locked(path: Path) -> int | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


class _Shared(Collector):
    """What all processes count, less what those that are dead had under way."""

    def collect(self) -> Iterable[Metric]:
        folder = Path(os.environ[FOLDER])  # looked up here: AgentServer(prometheus_multiproc_dir=…) sets it later
        for path in folder.glob("slot*.lock"):
            if (lock := _locked(path)) is not None:
                multiprocess.mark_process_dead(path.stem, folder)
                os.close(lock)
        found: Iterable[Metric] = multiprocess.MultiProcessCollector(None, folder).collect()
        return found

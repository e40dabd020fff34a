"""Virtual time: an event loop that jumps to its next timer, and a clock that the whole process follows meanwhile."""

import asyncio
import functools
import inspect
import random
import selectors
import sys
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from ..errors import CallError

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""What `time.time()` says when a run begins, in seconds: a fixed date, so that two runs are the same."""

MONOTONIC_START = 1000.0
"""What `time.monotonic()`, `time.perf_counter()` and the loop say then. Not 0: LiveKit takes 0 for "not started"."""

STANDS = 5.0
"""Real seconds for which virtual time stands still at most, until another thread has done what the loop awaits of it; a
row takes a ledger some milliseconds. After that the ledger counts as one that hangs."""

TICK = 0.002
"""Real seconds from one look at that thread to the next: it may be done just before it says so, or just after."""

BUSY_LIMIT = 200_000
"""Rounds of the loop without time passing after which it is taken for stuck."""

_real_time = time.time


class _Jump(selectors.SelectSelector):
    """A selector that does not wait: where the loop would sleep, virtual time passes instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = MONOTONIC_START
        self.elsewhere: set[Future[Any]] = set()
        """What other threads do for the loop: no time passes until that is done, or the result would depend on the
        machine."""
        self._busy = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            self._busy += 1
            if self._busy > BUSY_LIMIT:
                self._busy = 0  # what is cancelled after the error may still run
                raise CallError(f"{BUSY_LIMIT} rounds of the event loop without time passing; tasks: {_tasks()}")
            return []
        self._busy = 0
        if ready := self._ready():
            return ready
        if timeout is None:
            raise CallError(f"nothing is scheduled any more, and these tasks wait for each other: {_tasks()}")
        self.now += timeout
        return []

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        stood = 0.0
        while self.elsewhere and stood < STANDS:
            if ready := super().select(TICK):
                return ready
            stood += TICK
        self.elsewhere.clear()
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time: waiting costs nothing, and what is due is run in its order.

    Work for an executor is done at once, in the loop's own thread: a pool of threads would finish in another order
    each time, and in real time.
    """

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self.made: list[weakref.ref[asyncio.Task[Any]]] = []
        self.set_task_factory(self._make)

    def _make(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **more)
        self.made.append(weakref.ref(task))
        return task

    def time(self) -> float:
        return self._jump.now

    def await_thread(self, work: "Future[Any]") -> None:
        """Let no time pass until another thread has done this. It wakes the loop before it is taken off the list."""
        self._jump.elsewhere.add(work)
        work.add_done_callback(self._jump.elsewhere.discard)

    def stand_still(self, seconds: float) -> None:
        """As if the caller blocked the loop for so long: time passes, and nothing else happens."""
        self._jump.now += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` now, in this thread; `executor` is not used."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever the work raises belongs to whoever awaits it
            done.set_exception(error)
        return done


class _Clock:
    """The functions that stand in for those of `time` during a run.

    Each reading is a little later than the one before, as in reality: LiveKit 1.8.9 sorts its queue of speeches by
    `perf_counter_ns` and cannot compare two that are equal (``agent_activity.py``, "collisions should be rare").
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._last_time = 0.0
        self._last_ns = 0

    def time(self) -> float:
        # 1 us: the least that a float of today's size can tell apart is 0.24 us
        self._last_time = max(EPOCH - MONOTONIC_START + self._loop.time(), self._last_time + 1e-6)
        return self._last_time

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        return self._loop.time()

    def perf_counter_ns(self) -> int:
        self._last_ns = max(int(self._loop.time() * 1e9), self._last_ns + 1)
        return self._last_ns

    def monotonic_ns(self) -> int:
        return int(self._loop.time() * 1e9)


@contextmanager
def virtual_time(loop: VirtualLoop) -> Iterator[None]:
    """Let `time.time()` and its siblings follow `loop`, for the whole process, until the block ends.

    LiveKit 1.8.9 takes its decisions (endpointing, speech durations, the order of the chat context) from
    `time.time()`, so the loop's own clock alone would not do.
    """
    clock = _Clock(loop)
    stand_ins: dict[str, Callable[[], float]] = {
        "time": clock.time,
        "time_ns": clock.time_ns,
        "monotonic": clock.monotonic,
        "monotonic_ns": clock.monotonic_ns,
        "perf_counter": clock.monotonic,
        "perf_counter_ns": clock.perf_counter_ns,
    }
    originals = {name: getattr(time, name) for name in stand_ins}
    stamped = _stamped_models(len(sys.modules))
    for name, stand_in in stand_ins.items():
        setattr(time, name, stand_in)
    for model, fields in stamped.items():
        _stamp(model, fields)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(time, name, original)
        for model in stamped:
            del model.__init__


@functools.lru_cache(maxsize=1)
def _stamped_models(modules: int) -> dict[type[BaseModel], list[str]]:
    """LiveKit's models that keep a reference to the real `time.time` as a field's default, and so would miss ours.

    Args:
        modules: that are loaded: they are looked for again where there are more.
    """
    found: dict[type[BaseModel], list[str]] = {}
    upcoming = list(BaseModel.__subclasses__())
    seen: set[type[BaseModel]] = set()
    while upcoming:
        model = upcoming.pop()
        if model in seen:
            continue
        seen.add(model)
        upcoming += model.__subclasses__()
        if model.__module__.startswith("livekit.") and "__init__" not in vars(model):
            fields = [name for name, field in model.model_fields.items() if field.default_factory is _real_time]
            if fields:
                found[model] = fields
    return found


def _stamp(model: type[BaseModel], fields: list[str]) -> None:
    original = model.__init__

    def stamped(self: BaseModel, **values: Any) -> None:
        for field in fields:
            values.setdefault(field, time.time())
        original(self, **values)

    model.__init__ = stamped  # type: ignore[method-assign,assignment]


def run(main: Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0) -> T:
    """Run `main()` in virtual time, on a loop of its own.

    Args:
        main: makes the coroutine to run.
        seed: of the `random` module meanwhile; its state is put back afterwards.

    Raises:
        CallError: a loop runs here already, the tasks wait for each other and nothing can happen any more, a task spins
            without time passing, or `main` left tasks behind; the message names them.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise CallError("a call is played in a loop of its own: play it from a function that is not async")
    state = random.getstate()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            with virtual_time(loop):
                return runner.run(_and_nothing_left(main))
    finally:
        random.setstate(state)


async def _and_nothing_left(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    result = await main()
    await asyncio.sleep(0.1)  # what was just cancelled may finish
    report_lost_errors()
    if left := _tasks():
        raise CallError(f"tasks were left running: {left}")
    return result


def report_lost_errors() -> None:
    """Log the exceptions of finished tasks that nobody has looked at.

    asyncio does so when the garbage collector comes by: in another test, or in the middle of a parse, which CPython
    3.11 does not survive (gh-106905), since it parses the source to print the traceback.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    for made in loop.made:
        task = made()
        if task is not None and task.done() and getattr(task, "_log_traceback", False):
            what = {"message": "Task exception was never retrieved", "exception": task.exception(), "task": task}
            loop.call_exception_handler(what)


def _tasks() -> str:
    """The loop's tasks, the current one excepted: name, coroutine, and where each of them is."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return "; ".join(sorted(_described(task) for task in tasks if task))


def _described(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    where = ""
    awaited: Any = coroutine
    while inspect.iscoroutine(awaited):
        frame = awaited.cr_frame
        if frame is not None and not frame.f_globals["__name__"].startswith("asyncio"):
            where = f" in {awaited.__qualname__}, {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaited = awaited.cr_await
    return f"{task.get_name()} ({getattr(coroutine, '__qualname__', coroutine)}{where})"

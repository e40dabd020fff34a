"""Seconds in which this event loop ran: what a wait may count against somebody else.

While a blocking call, the garbage collector or a debugger keeps the loop from running, or the process is stopped, every
timer runs out at once. Whoever waits for others asks here how long they have really had.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

BEAT = 0.25
"""Seconds between two looks at the clock, while somebody waits."""

LATE = 0.5
"""Seconds by which a look must be late for a standstill. LiveKit's work holds a loop up for tenths; the shortest of the
waits (`Timeouts.words`, 1 s) allows for those."""

ROUNDING = 1e-6
"""Seconds that a timer may ring early, by the clock's rounding."""

KEPT = 100
"""Standstills that are remembered at most: those of the last minute, at the worst."""


class Awake:
    """Watches the running event loop, as long as somebody waits."""

    def __init__(self) -> None:
        self.on_standstill: Callable[[float], None] = lambda _: None
        """Called with the seconds of a standstill that has just ended."""
        self._loop = asyncio.get_running_loop()
        self._stood: deque[tuple[float, float]] = deque(maxlen=KEPT)
        """When each standstill ended, by the loop's clock, and its seconds; of those that somebody waits over."""
        self._watching = 0
        self._due = 0.0
        self._beat: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Notice a standstill that has just ended, before anything is concluded from the clock."""
        now = self._loop.time()
        lost, self._due = now - self._due, max(self._due, now)
        if self._watching and lost > LATE:
            self._stood.append((now, lost))
            self.on_standstill(lost)

    def watch(self) -> None:
        """Somebody waits from now on, until `rest` is called as often as this."""
        self.look()
        self._watching += 1
        if self._beat is None:
            self._ring()

    def rest(self) -> None:
        self._watching -= 1
        if not self._watching and self._beat is not None:
            self._beat.cancel()
            self._beat = None
            self._stood.clear()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        self.watch()
        try:
            yield
        finally:
            self.rest()

    def _ring(self) -> None:
        self.look()
        self._due = self._loop.time() + BEAT
        self._beat = self._loop.call_at(self._due, self._ring)

    def stood_still(self, since: float) -> float:
        """Seconds for which the loop stood still since then, by its clock."""
        self.look()
        return sum(lost for ended, lost in self._stood if ended > since)

    def since(self, at: float) -> float:
        """Seconds since then, by the loop's clock, in which it ran."""
        return self._loop.time() - at - self.stood_still(at)

    def later(self, seconds: float, callback: Callable[[], None]) -> "Later":
        return Later(self, seconds, callback)

    async def wait(self, upcoming: Iterable[asyncio.Future[Any]], seconds: float) -> bool:
        """Wait for the first of these for so many seconds in which the loop runs; whether one is done."""
        futures, began = list(upcoming), self._loop.time()
        with self.watching():
            while (left := seconds - self.since(began)) > ROUNDING:
                done, _ = await asyncio.wait(futures, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    return True
        return any(one.done() for one in futures)


class Later:
    """A callback that comes after so many seconds in which the loop runs, unless it is cancelled before."""

    def __init__(self, awake: Awake, seconds: float, callback: Callable[[], None]) -> None:
        self._awake = awake
        self._seconds = seconds
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        awake.watch()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        if (left := self._seconds - self._awake.since(self._began)) > ROUNDING:
            self._timer = self._loop.call_later(left, self._ring)
        else:
            self.cancel()
            self._callback()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._awake.rest()

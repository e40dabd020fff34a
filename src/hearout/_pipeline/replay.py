"""Items that arrive one by one, kept so that a reader can begin at the first one at any time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ReplayBuffer(Generic[T]):
    """Items in their order. Readers are independent: cancelling one does not affect the next.

    Attributes:
        whole: set once all of it is there.
        error: what ended it before that.
        whole_at: when all of it was there, by the loop's clock.
    """

    def __init__(self) -> None:
        self.items: list[T] = []
        self.whole = asyncio.Event()
        self.error: BaseException | None = None
        self.whole_at: float | None = None
        self._news = asyncio.Event()

    def add(self, item: T) -> None:
        self.items.append(item)
        self._wake()

    def close(self, error: BaseException | None = None) -> None:
        """No more comes, for that was all of it, or for an error."""
        self.error = error
        if error is None:
            self.whole.set()
            self.whole_at = asyncio.get_running_loop().time()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def read(self) -> AsyncIterator[T]:
        """The items from the first one on, as they come. An error that ended them is raised at the end."""
        position = 0
        while True:
            while position < len(self.items):
                yield self.items[position]
                position += 1
            if self.error is not None:
                raise self.error
            if self.whole.is_set():
                return
            await self._news.wait()


async def record(
    start: Callable[[], Any], recording: ReplayBuffer[Any], note: Callable[[Any], None] = lambda _: None
) -> None:
    """Fill a recording with what a node gives or raises; to be run by one task, which may be cancelled."""
    try:
        async for item in iterated(start()):
            recording.add(item)
            note(item)
    except Exception as error:  # noqa: BLE001 - whatever a user's node raises: it is its reader's
        recording.close(error)
    except asyncio.CancelledError:
        recording.close(RuntimeError("it was dropped before its end"))
        raise
    else:
        recording.close()


async def iterated(made: Any) -> AsyncGenerator[Any, None]:
    """What a node gave, in whichever of LiveKit's forms: an iterable, one to be awaited, one value, or nothing."""
    if asyncio.iscoroutine(made):
        made = await made
    if isinstance(made, AsyncIterable):
        try:
            async for item in made:
                yield item
        finally:
            if isinstance(made, AsyncGenerator):  # now, and not when it is collected: it may have tasks
                await made.aclose()
    elif made is not None:
        yield made

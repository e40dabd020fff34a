"""What comes once and is needed more than once: kept as it comes, to be read from its beginning while more comes."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Recording(Generic[T]):
    """Items as they came. Whoever reads them may stop, and read again: that stops nobody else, nor what comes."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.complete = False
        self.error: BaseException | None = None
        """What ended it; raised to whoever has read the items before."""
        self._news = asyncio.Event()

    def add(self, item: T) -> None:
        """One more came."""
        self.items.append(item)
        self._wake()

    def close(self, error: BaseException | None = None) -> None:
        """No more come."""
        self.complete, self.error = True, error
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def completed(self) -> None:
        """Wait until no more come."""
        while not self.complete:
            await self._news.wait()

    async def read(self) -> AsyncIterator[T]:
        """From the first item on, to the last that comes."""
        position = 0
        while True:
            while position < len(self.items):
                yield self.items[position]
                position += 1
            if self.complete:
                if self.error is not None:
                    raise self.error
                return
            await self._news.wait()


async def iterated(made: Any) -> AsyncIterator[Any]:
    """What a node gave, in whichever of LiveKit's forms: an iterable, one to be awaited, one value, or nothing."""
    if asyncio.iscoroutine(made):
        made = await made
    if isinstance(made, AsyncIterable):
        async for item in made:
            yield item
    elif made is not None:
        yield made


async def record(
    start: Callable[[], Any], recording: Recording[Any], note: Callable[[Any], None] = lambda _: None
) -> None:
    """Keep what comes, to its end; what ends it before is kept, and not raised, but for a cancellation.

    Args:
        start: gives it, in whichever of LiveKit's forms.
        recording: where it is kept.
        note: told each item.
    """
    try:
        async for item in iterated(start()):
            recording.add(item)
            note(item)
    except Exception as error:  # noqa: BLE001 - whatever a user's node raises: it is for those who read
        recording.close(error)
    except asyncio.CancelledError:
        recording.close(RuntimeError("nobody waits for the rest any more"))
        raise
    else:
        recording.close()

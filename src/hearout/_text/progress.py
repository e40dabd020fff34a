"""How far long work is: the work tells it, and the terminal that a command was typed in shows it (`__main__.py`)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias, TypeVar

Told: TypeAlias = Callable[[int, int], object]
"""Called with how much is done, and of how much."""

Progress: TypeAlias = Callable[[str], AbstractContextManager[Told]]
"""Shows, while its block runs, that work goes on; it is named in a few words."""

OFTEN = 1000
"""Things that are counted between two calls."""

Thing = TypeVar("Thing")


@contextmanager
def silent(_what: str) -> Iterator[Told]:
    yield lambda _done, _of: None


def counted(things: Iterable[Thing], of: int, told: Told) -> Iterator[Thing]:
    """Pass things on, and tell how many of them are done.

    Args:
        told: is called at the first thing, and at each thousandth.
    """
    for done, thing in enumerate(things):
        if done % OFTEN == 0:
            told(done, of)
        yield thing

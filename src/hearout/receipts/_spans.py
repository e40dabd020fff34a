"""Stretches of time as pairs of seconds: joined, cut and measured."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[float, float]
"""From, to, in seconds. What has no length is nothing."""


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time as spans in order that do not touch."""
    done: list[Span] = []
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if done and begin <= done[-1][1]:
            done[-1] = (done[-1][0], max(done[-1][1], end))
        else:
            done.append((begin, end))
    return tuple(done)


def shared(one: Iterable[Span], other: Iterable[Span]) -> tuple[Span, ...]:
    """The time that is in both."""
    others = joined(other)
    return joined((max(a, c), min(b, d)) for a, b in joined(one) for c, d in others)


def without(spans: Iterable[Span], holes: Iterable[Span]) -> tuple[Span, ...]:
    """The time that is in the spans and in no hole."""
    left = list(joined(spans))
    for begin, end in joined(holes):
        left = [part for a, b in left for part in ((a, min(b, begin)), (max(a, end), b)) if part[1] > part[0]]
    return tuple(left)


def total(spans: Iterable[Span]) -> float:
    """How many seconds they are, each counted once."""
    return sum(end - begin for begin, end in joined(spans))


def part(spans: Sequence[Span], begin: float, end: float) -> tuple[Span, ...]:
    """The spans from the `begin`-th to the `end`-th second when all are laid end to end, in order."""
    parts, before = [], 0.0
    for a, b in spans:
        parts.append((a + max(0.0, begin - before), min(b, a + end - before)))
        before += b - a
    return joined(parts)

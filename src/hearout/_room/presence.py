"""Who was there, and until when that is known: from signs of life to the spans of seconds that a receipt may claim."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..receipts import Listener, Receipt, Span
from ..receipts._spans import joined, shared, without

SILENT = 2.5
"""Seconds without a sign of life that was due, from which on they count as missed. Two heartbeats: one is late on a
busy machine now and then."""

DUE = 1.5
"""Seconds within which somebody who is there gives a sign of life of one kind or another."""

SILENCED = 0.3
"""Seconds that the server's own packets in place of somebody who went take, with a margin: it sends 6 of 20 ms."""


REMEMBERED = 1_000
"""Listeners who have gone that are remembered beside the caller, and spans of each: anybody may come and go for hours.
Of the others nothing is claimed any more."""


@dataclass
class Stay:
    """One listener's coming and going.

    Args:
        sign: their last sign of life, in seconds from the call's start.
        since: when they began to be there for what is claimed next; None while they are not there.
        spans: when they were certainly there, before that.
        owes_a_sign: whether one was due and did not come.
        perhaps: when one came after that, which may not have been theirs.
        by_signs: whether only their signs of life show that they are there, and neither the room's list nor the moment
            at which they leave it: a bridge stays in the room for 15 to 47 s after its telephone died.
    """

    sign: float
    since: float | None = None
    spans: list[Span] = field(default_factory=list)
    owes_a_sign: bool = False
    perhaps: float | None = None
    by_signs: bool = False
    deaf: list[Span] = field(default_factory=list)
    """When they heard nothing of the room."""

    def until_now(self) -> tuple[Span, ...]:
        return joined([*self.spans, *([] if self.since is None else [(self.since, self.sign)])])


class Presence:
    """Who is in the room and subscribed to the agent's track, and was when.

    What is claimed ends with the last sign of life and grows when the next one comes. It shrinks only where the agent's
    own line proves to have been down. All times are seconds from the call's start.

    Args:
        vanish: seconds after which somebody who is still listed was certainly there.
    """

    def __init__(self, vanish: float) -> None:
        self._vanish = vanish
        self._stays: dict[str, Stay] = {}
        self._down: list[Span] = []
        self._down_since: float | None = None

    def here(self, identity: str) -> bool:
        return identity in self._stays and self._stays[identity].since is not None

    def came(self, identity: str, at: float, *, by_signs: bool = False) -> None:
        """They are in the room and subscribed from now on.

        Args:
            by_signs: whether only their signs of life count from now on; that they came is the first.
        """
        stay = self._stays.setdefault(identity, Stay(at))
        stay.by_signs = by_signs
        if stay.since is None:
            stay.since, stay.sign, stay.owes_a_sign, stay.perhaps = at, at, False, None

    def alive(self, identity: str, at: float, *, theirs: bool = False) -> None:
        """Note a sign of life; `theirs` when nobody else can have given it, as with a pressed key.

        The first after one that was due counts when the next one comes: when a caller is put out, LiveKit's server
        (1.13.5) sends a few packets of silence in their place. After more than `SILENT` seconds they were away.
        """
        stay = self._stays.get(identity)
        if stay is None or stay.since is None or at <= stay.sign:
            return
        if stay.owes_a_sign:
            if theirs:
                stay.perhaps = at if stay.perhaps is None else stay.perhaps
            elif stay.perhaps is None or at < stay.perhaps + SILENCED:
                stay.perhaps = at if stay.perhaps is None else stay.perhaps
                return
            if stay.perhaps > stay.sign + SILENT:
                stay.spans.append((stay.since, stay.sign))
                stay.since = stay.perhaps
        stay.sign, stay.owes_a_sign, stay.perhaps = at, False, None

    def silent(self, identity: str, at: float) -> None:
        """A sign of life was due and did not come; that of another kind will do, if it is not older than `DUE`."""
        stay = self._stays.get(identity)
        if stay is not None and at > max(stay.sign, stay.perhaps or 0.0) + DUE:
            stay.owes_a_sign, stay.perhaps = True, None

    def listed(self, at: float) -> None:
        """Note that the room lists everybody: a missing participant would have been noticed by now."""
        for stay in self._stays.values():
            if stay.since is not None and not stay.by_signs:
                stay.sign = max(stay.sign, at - self._vanish)

    def left(self, identity: str, at: float, *, certain: bool) -> float:
        """They are gone.

        Args:
            at: when that became known.
            certain: whether that is when they went, as when they say so; else they may have gone before.

        Returns:
            When they were last known to be there.
        """
        stay = self._stays.get(identity)
        if stay is None or stay.since is None:
            return at if stay is None else stay.sign
        if certain and not stay.owes_a_sign and not stay.by_signs:
            stay.sign = at
        elif not stay.by_signs:
            stay.sign = max(stay.sign, at - self._vanish)
        stay.spans.append((stay.since, stay.sign))
        del stay.spans[:-REMEMBERED]
        stay.since = None
        return stay.sign

    def forget_beside(self, caller: str) -> None:
        """Of those who have gone, remember the caller and the newest `REMEMBERED`."""
        gone = [name for name, stay in self._stays.items() if stay.since is None and name != caller]
        for name in gone[:-REMEMBERED]:
            del self._stays[name]

    def line_down(self, at: float) -> None:
        self._down_since = at if self._down_since is None else self._down_since

    def line_up(self, at: float) -> None:
        if self._down_since is not None:
            self.unheard(self._down_since, at)
            self._down_since = None

    def unheard(self, since: float, until: float) -> None:
        """The agent's own line was down: nobody heard it, whoever was there."""
        self._down.append((since, until))

    def deaf(self, identity: str, since: float) -> None:
        """Note that a participant hears nothing of the room from now on: a bridge plays its own tone to the
        telephone."""
        self._stays.setdefault(identity, Stay(since)).deaf.append((since, math.inf))

    def hears(self, identity: str, at: float) -> None:
        if (stay := self._stays.get(identity)) is not None:
            stay.deaf = [(since, min(until, at)) for since, until in stay.deaf if since < at]

    def known_until(self, identity: str) -> float | None:
        """Their last sign of life; None for somebody who never was there."""
        return self._stays[identity].sign if identity in self._stays else None

    def listeners(self, playouts: Iterable[Span]) -> tuple[Listener, ...]:
        """Who was there while something was played, and when, as far as is known."""
        down = self._down if self._down_since is None else [*self._down, (self._down_since, math.inf)]
        heard = [
            Listener(identity, spans)
            for identity, stay in self._stays.items()
            if (spans := shared(without(stay.until_now(), [*down, *stay.deaf]), playouts))
        ]
        return tuple(heard)


def playouts(receipt: Receipt) -> tuple[Span, ...]:
    if receipt.attempts:
        return joined((one.began_at, one.ended_at) for one in receipt.attempts)
    return () if receipt.started_at is None else joined([(receipt.started_at, receipt.ended_at)])

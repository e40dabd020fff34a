"""What ends a call: the caller's leaving, and a shutdown. It notes; `floor.py` decides."""

from dataclasses import dataclass


@dataclass
class Closing:
    """What has begun to end a call. Times in seconds from the call's start; None where it has not happened.

    Args:
        return_grace: seconds that a caller has for returning.
        shutdown_grace: seconds that protected speech has in a shutdown.
    """

    return_grace: float
    shutdown_grace: float
    gone_at: float | None = None
    known_until: float | None = None
    """When the caller who is gone was last known to be there; None also where they said so as they left."""
    shutdown_at: float | None = None
    cuts_at: float | None = None
    """When a shutdown ends what is still being said."""

    @property
    def begun(self) -> bool:
        """Whether the call is ending, as far as is known now."""
        return self.gone_at is not None or self.shutdown_at is not None

    @property
    def refuses(self) -> bool:
        """Whether nothing new may be said: a shutdown only lets what is owed be finished."""
        return self.cuts_at is not None

    @property
    def gone_for_good_at(self) -> float | None:
        """When a caller who is gone counts as not returning."""
        return None if self.gone_at is None else self.gone_at + self.return_grace

    def left(self, at: float, known_until: float | None) -> None:
        """The caller is gone; what is told again of the same leaving counts once."""
        if self.gone_at is None:
            self.gone_at, self.known_until = at, known_until

    def returned(self) -> None:
        """The caller is back."""
        self.gone_at = None

    def asked(self, at: float, *, drain: bool) -> None:
        """A shutdown was asked for; only one that does not drain cuts anything, after its grace."""
        self.shutdown_at = at if self.shutdown_at is None else self.shutdown_at
        if not drain and self.cuts_at is None:
            self.cuts_at = at + self.shutdown_grace

    def is_gone_for_good(self, at: float) -> bool:
        """Whether the caller did not return in time."""
        return self.gone_for_good_at is not None and at >= self.gone_for_good_at

    def cuts(self, at: float) -> bool:
        """Whether the grace of a shutdown is over."""
        return self.cuts_at is not None and at >= self.cuts_at

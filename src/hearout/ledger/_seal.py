"""The MACs of what makes an agent or a worker act: leases and rows, calls and beats.

An agent that takes a call over tells its LLM the words there, and a worker puts an agent out of a room, and sends
another. The MAC of a lease covers the promise (what is to be said, and under which choices), how far it is, and what
was said over it. Whoever writes to the database without LiveKit's API secret can delete a lease or a row, or put an
older one back.
"""

import hashlib
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ._chain import canonical, row_hash
from ._tables import LEASES, ROWS

logger = logging.getLogger("hearout.ledger")

PROMISED = sa.and_(ROWS.c.book == LEASES.c.book, ROWS.c.seq == LEASES.c.of)


@dataclass(frozen=True)
class Seal:
    """The MACs of one book, by what all workers share and the database does not have.

    Args:
        secret: LiveKit's API secret.
    """

    book: str
    secret: str

    def values(self, of: int, promise: str, played: float, held: Sequence[Any] | str) -> dict[str, Any]:
        """The columns of a lease.

        Args:
            of: the number of the promise's row.
            promise: the content of that row.
        """
        text = held if isinstance(held, str) else canonical(list(held))
        return {"played": float(played), "held": text, "mac": self._mac(of, promise, float(played), text)}

    def fits(self, of: int, promise: str, lease: Any) -> bool:
        """Whether a process that has the secret wrote this lease (`played`, `held`, `mac`) of this promise."""
        return is_mac(lease.mac, self._mac(of, promise, lease.played, lease.held))

    def ours(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
        """The leases of the book that fit, each with the `content` of its promise, the newest first."""
        query = sa.select(LEASES, ROWS.c.content).join(ROWS, PROMISED).where(LEASES.c.book == self.book, *which)
        found = connection.execute(query.order_by(LEASES.c.of.desc())).all()
        return [one for one in found if self.knows(one.of, one)]

    def knows(self, of: int, lease: Any) -> bool:
        """As :meth:`fits`, of a row with the promise's `content`; one that does not is logged."""
        if self.fits(of, lease.content, lease):
            return True
        log_foreign(f"the lease of row {of}")
        return False

    def row(self, hashed: str) -> str:
        """The MAC of a row with this hash."""
        return self.signed("row", hashed)

    def our_rows(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> dict[str, int]:
        """The numbers of the rows of the book that a process wrote that has the secret, by their entries."""
        found = connection.execute(sa.select(ROWS).where(ROWS.c.book == self.book, *which)).all()
        macs = [self.row(row_hash(self.book, one.seq, one.before, one.content)) for one in found]
        return {one.entry: one.seq for one, mac in zip(found, macs, strict=True) if is_mac(one.seal, mac)}

    def _mac(self, of: int, promise: str, played: Any, held: Any) -> str:
        return self.signed("lease", of, str(promise), repr(played), str(held))

    def signed(self, kind: str, *what: Any) -> str:
        """The MAC of something of this kind."""
        key = hashlib.sha256(b"hearout\0" + self.secret.encode()).digest()
        return hmac.new(key, canonical([self.book, kind, *what]).encode(), hashlib.sha256).hexdigest()


def is_mac(there: object, mac: str) -> bool:
    """Whether a column has this MAC, compared in constant time."""
    return hmac.compare_digest(str(there).encode(), mac.encode())


def log_foreign(what: str) -> None:
    """Log that something has no MAC that fits."""
    logger.error(
        "%s was written by none of these workers, and is passed over; do all have the same LIVEKIT_API_SECRET?", what
    )

"""The MACs of leases and rows: an agent that takes a call over acts on both, and tells its LLM the words there.

That of a lease covers the promise (what is to be said, and under which choices), how far it is, and what was said over
it. Whoever writes to the database without LiveKit's API secret can delete a lease or a row, or put an older lease of
the same promise back.
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
class LeaseSeal:
    """The MACs of one book's leases and rows, by what all workers share and the database does not have.

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
        mac = self._mac(of, promise, lease.played, lease.held)
        return hmac.compare_digest(str(lease.mac).encode(), mac.encode())

    def ours(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
        """The leases of the book that fit, each with the `content` of its promise, the newest first."""
        query = sa.select(LEASES, ROWS.c.content).join(ROWS, PROMISED).where(LEASES.c.book == self.book, *which)
        found = connection.execute(query.order_by(LEASES.c.of.desc())).all()
        return [one for one in found if self.knows(one.of, one)]

    def knows(self, of: int, lease: Any) -> bool:
        """As :meth:`fits`, of a row with the promise's `content`; one that does not is logged."""
        if self.fits(of, lease.content, lease):
            return True
        logger.error(
            "the lease of row %s was written by none of these workers, and is passed over; do all have the same "
            "LIVEKIT_API_SECRET?",
            of,
        )
        return False

    def row(self, hashed: str) -> str:
        """The MAC of a row with this hash."""
        return self._signed("row", hashed)

    def our_rows(self, connection: sa.Connection, *which: sa.ColumnElement[bool]) -> dict[str, int]:
        """The numbers of the rows of the book that a process wrote that has the secret, by their entries."""
        found = connection.execute(sa.select(ROWS).where(ROWS.c.book == self.book, *which)).all()
        macs = [self.row(row_hash(self.book, one.seq, one.before, one.content)) for one in found]
        return {
            one.entry: one.seq
            for one, mac in zip(found, macs, strict=True)
            if hmac.compare_digest(str(one.seal).encode(), mac.encode())
        }

    def _mac(self, of: int, promise: str, played: Any, held: Any) -> str:
        return self._signed("lease", of, str(promise), repr(played), str(held))

    def _signed(self, *what: Any) -> str:
        key = hashlib.sha256(b"hearout leases\0" + self.secret.encode()).digest()
        return hmac.new(key, canonical([self.book, *what]).encode(), hashlib.sha256).hexdigest()

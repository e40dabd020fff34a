"""What lets a visitor into a room: for a short time, into one room, to speak and to listen."""

import datetime
import secrets
from collections import deque

from livekit import api

from ..policy import Policy
from .rooms import Rooms

LIVES = datetime.timedelta(minutes=5)
"""How long a token lets somebody in. Who is in stays in: the server renews the token of whoever is connected."""

RETURNS = round(Policy().timeouts.caller_return) + 2
"""Seconds for which a room waits for its visitor's return: what its agent waits, where its policy says nothing else.

An agent is sent into a room when that begins, so whoever returned into one that its agent has left would sit there
alone; into one that is closed, they begin a new call. The two seconds are for LiveKit (1.13.5), which counts whole
ones: the agent is to end the call, not the room under it. Under a shorter `Timeouts.caller_return` the page, which
finds nobody in the room, begins a new call by itself; a longer one ends here, as in LiveKit's rooms (20).
"""


def token(rooms: Rooms) -> str:
    """A token for one new visitor, into a room of their own.

    It may join, publish a microphone and subscribe. It may also send data, for without that LiveKit (1.13.5) drops its
    answers to calls, and the page could not report what it rendered; what the agent takes from it is what is typed
    (LiveKit's ``lk.chat``), and hearout's calls.
    """
    room = f"hearout-{secrets.token_hex(8)}"
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_subscribe=True,
        can_publish=True,
        can_publish_sources=["microphone"],
        can_publish_data=True,
        can_update_own_metadata=False,
    )
    made = api.AccessToken(rooms.key, rooms.secret).with_identity(f"caller-{secrets.token_hex(4)}").with_grants(grants)
    stays = api.RoomConfiguration(empty_timeout=RETURNS, departure_timeout=RETURNS)
    return made.with_ttl(LIVES).with_room_config(stays).to_jwt()


class Allowance:
    """How many tokens may be given out in a minute: to one address (`each`), and to all `together`."""

    def __init__(self, *, each: int = 6, together: int = 60) -> None:
        self._each, self._together = each, together
        self._given: deque[tuple[float, str | None]] = deque()

    def take(self, address: str | None, at: float) -> bool:
        """Count one more token for this address at this second, if the limit allows it; whether it does.

        Args:
            address: None where it does not tell one visitor from another.
        """
        while self._given and self._given[0][0] <= at - 60.0:
            self._given.popleft()
        theirs = sum(1 for _, who in self._given if who == address)
        if (address is not None and theirs >= self._each) or len(self._given) >= self._together:
            return False
        self._given.append((at, address))
        return True

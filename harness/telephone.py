"""A telephone in a fake room: a participant of kind SIP, driven as LiveKit's SIP bridge drives it.

What the bridge does is data here, each with its source in livekit/sip (be5d3f5, August 2026) or the measurement of
issue 17 on that bridge (livekit-server 1.13.5, loopback, a scripted phone).
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from livekit import rtc

from harness.fake_room import SIP, Person, Scene

MEDIA_TIMEOUT = 15.0
"""Seconds after a telephone's last packet at which the bridge takes it for dead (media_port.go)."""

MEDIA_TIMEOUT_INITIAL = 30.0
"""The same where none ever came (media_port.go, defaultMediaTimeoutInitial)."""


@dataclass(frozen=True)
class Departure:
    """How the bridge takes a telephone out of the room.

    Args:
        status: the value of ``sip.callStatus`` that it sets before; empty where it sets none.
        reason: with which the participant leaves.
        after: seconds from the one to the other.
    """

    status: str
    reason: Any
    after: float = 0.1


BYE = Departure("hangup", rtc.DisconnectReason.CLIENT_INITIATED)
"""participant.go: CallHangup and callHangupMedia have the attribute "hangup" and the reason CLIENT_INITIATED."""

DEAD = BYE
"""Its own media time-out looks the same (inbound.go, mediaTimeout)."""

TRANSFERRED = BYE
"""REFER succeeds, the telephone says BYE; the bridge does after 1 s where it does not (inbound.go, transferCall)."""

BUSY = Departure("", rtc.DisconnectReason.USER_REJECTED)
"""486, 603 and the like (errors.go, callRejected): no attribute, and the status stays "ringing"."""

NO_ANSWER = Departure("", rtc.DisconnectReason.USER_UNAVAILABLE)
"""408, 480 or the ringing time-out (errors.go, callUnavailable)."""

TRUNK_FAILED = Departure("", rtc.DisconnectReason.UNKNOWN_REASON)
"""callDropped has no reason of its own (participant.go, DisconnectReason)."""

CANCELLED = Departure("hangup", rtc.DisconnectReason.CLIENT_INITIATED)
"""An inbound caller who gives up while it rings (participant.go, CallCancelled)."""


class Telephone:
    """One telephone's call.

    Args:
        scene: where.
        identity: of its participant.
        packets: whether it ever sends any.
    """

    def __init__(self, scene: Scene, identity: str = "phone", *, packets: bool = True) -> None:
        self._scene = scene
        self.person = Person(identity, kind=SIP, packets=packets)

    def rings(self, status: str = "ringing") -> None:
        """It is in the room, and nobody has picked it up: "dialing" or "ringing"."""
        self.person.attributes["sip.callStatus"] = status
        self.person.publication.muted = True  # nothing comes from it, and nothing is due
        self._scene.join(self.person)

    async def is_answered(self) -> None:
        """Somebody picked it up. The bridge has asked for the agent's track before (inbound.go, waitSubscribe)."""
        self.person.publication.muted = False
        self._set("active")
        await asyncio.sleep(0.05)
        self._scene.subscribe()

    async def leaves(self, how: Departure) -> None:
        """The bridge takes it out of the room."""
        self.person.vanished_at = min(self.person.vanished_at, asyncio.get_running_loop().time())
        if how.status:
            self._set(how.status)
        await asyncio.sleep(how.after)
        self._scene.leave(self.person, how.reason)

    async def dies(self) -> None:
        """Its line is dead; the bridge finds out by its media time-out, this coroutine ends then."""
        self.person.vanished_at = asyncio.get_running_loop().time()
        await asyncio.sleep(MEDIA_TIMEOUT if self.person.packets else MEDIA_TIMEOUT_INITIAL)
        await self.leaves(DEAD)

    def presses(self, digit: str) -> None:
        """Somebody presses a key."""
        self._scene.room.emit("sip_dtmf_received", rtc.SipDTMF(0, digit, self.person))  # type: ignore[arg-type]

    def _set(self, status: str) -> None:
        self.person.attributes["sip.callStatus"] = status
        self._scene.room.emit("participant_attributes_changed", dict(self.person.attributes), self.person)

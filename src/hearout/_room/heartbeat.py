"""Signs of life: of the others in the room, and of the agent's own way to the server.

LiveKit says nothing when either's network is gone for seconds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc

from .presence import Presence
from .telephone import is_telephone

REPORTED = 1.0
"""Seconds from one report of the server to the next; what it reports may be as old."""

GONE = 5
"""Packets (of 20 ms) lost between two reports, from which on they are a stretch and no noise: 0.1 s."""


ALIVE = "hearout.alive"
"""The RPC method that a caller's page answers, with an empty string, as long as it plays the agent's track."""

BEAT, ROUND_TRIP = 1.0, 1.0
"""Seconds from one heartbeat to the next, and those after which an answer is late."""

ANSWERED = 1.5
"""Seconds until a page that took a heartbeat must have answered it; more than `ROUND_TRIP`, as LiveKit asks for."""

UNANSWERED = 3
"""Heartbeats that a program may refuse before it is not asked again: a page may offer the method after it joined."""

COUNTED = 0.5
"""Seconds from one look at a microphone's packets to the next; a look takes 1-2 ms."""

QUIET = 1.0
"""Seconds without a packet after which an open microphone is silent: one that transmits discontinuously sends one in
0.4 s."""


class SignsOfLife:
    """Looks for signs of life of participants, and tells presence.

    Args:
        now: seconds from the call's start.
        wall: the clock of LiveKit's statistics: seconds since 1970.
    """

    def __init__(
        self,
        room: rtc.Room,
        presence: Presence,
        *,
        now: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._room = room
        self._presence = presence
        self._now = now
        self._wall = wall

    def watch(self, person: rtc.RemoteParticipant) -> list[asyncio.Task[None]]:
        """Look again and again, until these are cancelled or there is nothing to see."""
        return [
            asyncio.create_task(self._every(COUNTED, self._count, person)),
            asyncio.create_task(self._every(BEAT, self._beat, person)),
        ]

    async def look(self, person: rtc.RemoteParticipant) -> None:
        await asyncio.gather(self._count(person), self._beat(person))

    async def _every(
        self,
        seconds: float,
        look: Callable[[rtc.RemoteParticipant], Awaitable[bool]],
        person: rtc.RemoteParticipant,
    ) -> None:
        """Look again and again, as long as there is something to see."""
        refused = 0
        while refused < UNANSWERED:
            await asyncio.sleep(seconds)
            refused = 0 if await look(person) else refused + 1

    async def _count(self, person: rtc.RemoteParticipant) -> bool:
        """The packets of the microphone: the last one is a sign of life."""
        for publication in list(person.track_publications.values()):
            track = publication.track
            if track is None or publication.kind != rtc.TrackKind.KIND_AUDIO:
                continue
            seen = [one.inbound_rtp.inbound for one in await statistics(track) if one.HasField("inbound_rtp")]
            if arrived := max((one.last_packet_received_timestamp / 1000 for one in seen), default=0.0):
                age = max(0.0, self._wall() - arrived)
                self._presence.alive(person.identity, self._now() - age)
                if age > QUIET and not publication.muted:
                    self._presence.silent(person.identity, self._now())
            elif not publication.muted and not is_telephone(person):
                self._presence.silent(person.identity, self._now())  # open, and never a packet: no sign of life
        return True

    async def _beat(self, person: rtc.RemoteParticipant) -> bool:
        """A heartbeat; False when their program does not know it."""
        asked_at = self._now()
        try:
            await self._room.local_participant.perform_rpc(
                destination_identity=person.identity,
                method=ALIVE,
                payload="",
                response_timeout=ANSWERED,
                max_round_trip_latency=ROUND_TRIP,
            )
        except rtc.RpcError as error:
            if error.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD:
                return False
            self._presence.silent(person.identity, self._now())
            return True
        self._presence.alive(person.identity, asked_at)
        return True


class UplinkMonitor:
    """The losses of the agent's tracks that the server reports. Measured with rtc 1.1.21: only this shows an outage of
    12 s."""

    def __init__(self, room: rtc.Room, presence: Presence) -> None:
        self._room = room
        self._presence = presence
        self._last: dict[str, tuple[float, int, int, int]] = {}

    async def look(self, now: float) -> None:
        """Compare the server's last report with the one before, at this second of the call."""
        for publication in list(self._room.local_participant.track_publications.values()):
            if publication.track is not None:
                self._compare(publication.sid, now, await statistics(publication.track))

    def _compare(self, sid: str, now: float, stats: list[Any]) -> None:
        reports = [one.remote_inbound_rtp for one in stats if one.HasField("remote_inbound_rtp")]
        sent = sum(one.outbound_rtp.sent.packets_sent for one in stats if one.HasField("outbound_rtp"))
        if not reports:
            return
        number = sum(one.remote_inbound.round_trip_time_measurements for one in reports)
        lost = sum(one.received.packets_lost for one in reports)
        at, last_number, last_lost, last_sent = self._last.get(sid, (now, -1, lost, sent))
        if number == last_number:
            return  # no report came
        missing = lost - last_lost
        if missing >= GONE and 2 * missing >= sent - last_sent:  # less is what receivers conceal
            self._presence.unheard(at - REPORTED, now)
        self._last[sid] = (now, number, lost, sent)


async def statistics(track: Any) -> list[Any]:
    """LiveKit's statistics of a track; none for one that has just gone."""
    try:
        return list(await track.get_stats())
    except Exception:  # noqa: BLE001 - what LiveKit raises (rtc 1.1.21) when the track has just gone
        return []

"""Whether the agent's own packets arrive at the server: LiveKit says nothing when its network is gone for seconds."""

from typing import Any

from livekit import rtc

from .presence import Presence

REPORTED = 1.0
"""Seconds from one report of the server to the next; what it reports may be as old."""

GONE = 5
"""Packets (of 20 ms) lost between two reports, from which on they are a stretch and no noise: 0.1 s."""


class UplinkMonitor:
    """What the server says it lost of the agent's tracks. Measured with rtc 1.1.21: an outage of 12 s shows here only.

    Args:
        room: LiveKit's.
        presence: is told when nobody can have heard.
    """

    def __init__(self, room: rtc.Room, presence: Presence) -> None:
        self._room = room
        self._presence = presence
        self._last: dict[str, tuple[float, int, int, int]] = {}

    async def look(self, now: float) -> None:
        """Compare the server's last report with the one before.

        Args:
            now: in seconds from the call's start.
        """
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

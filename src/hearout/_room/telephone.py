"""A telephone in the room: a participant of kind SIP, whom LiveKit's SIP bridge plays.

What the bridge does was read in its source (livekit/sip be5d3f5, August 2026: ``pkg/sip/inbound.go``, ``outbound.go``,
``participant.go``, ``media_port.go``) and measured with livekit-server 1.13.5:

- ``sip.callStatus`` is ``dialing``, ``ringing``, ``automation``, ``active`` or ``hangup``. The bridge sets ``hangup``
  for a BYE, for a CANCEL, and when its own media time-out is over: 15 s after the telephone's last packet, 30 s without
  one.
- A telephone that was never answered leaves with USER_REJECTED (busy, declined), USER_UNAVAILABLE (no answer, no such
  number), or with no reason (a trunk that fails); its status stays as it was.
- REFER succeeds: the telephone hangs up, with CLIENT_INITIATED, as a caller does. With ``play_dialtone`` the bridge
  plays its own tone to the telephone meanwhile, and nothing of the room; nobody is told.
"""

from livekit import rtc

from ..receipts import Cause

_REASONS = {
    rtc.DisconnectReason.PARTICIPANT_REMOVED: Cause.REMOVED,
    rtc.DisconnectReason.ROOM_DELETED: Cause.ROOM_DELETED,
}
_AGENTS = {
    rtc.DisconnectReason.DUPLICATE_IDENTITY: Cause.AGENT_REPLACED,
    rtc.DisconnectReason.PARTICIPANT_REMOVED: Cause.AGENT_REMOVED,
    rtc.DisconnectReason.ROOM_DELETED: Cause.ROOM_DELETED,
}


def is_telephone(person: rtc.Participant) -> bool:
    """Whether the bridge plays this participant; attributes called ``sip.…`` are anybody's to set."""
    return person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def status(person: rtc.Participant) -> str:
    """What the bridge says of the telephone's call; "active" of whoever is no telephone."""
    return person.attributes.get("sip.callStatus", "active") if is_telephone(person) else "active"


def left_because(person: rtc.RemoteParticipant, *, answered: bool, transferred: bool) -> Cause | None:
    """Why somebody is not in the call; None for a caller who left by themselves, or whose connection died.

    Args:
        answered: whether the telephone, if it is one, was ever answered.
        transferred: whether the agent sent their call elsewhere.
    """
    if not answered:
        rejected = person.disconnect_reason == rtc.DisconnectReason.USER_REJECTED
        return Cause.REJECTED if rejected else Cause.NOT_ANSWERED
    if transferred:
        return Cause.TRANSFERRED
    if not person.disconnect_reason:  # as livekit-server 1.13.5 tells of whoever a second of that identity puts out
        return None if is_telephone(person) else Cause.REPLACED
    return _REASONS.get(person.disconnect_reason)


def agent_left_because(reason: rtc.DisconnectReason.ValueType) -> Cause | None:
    """Why the agent is not in the room any more; None where its connection died."""
    return _AGENTS.get(reason)

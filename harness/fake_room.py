"""A scripted room in virtual time, and hearout's view of that room."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.rtc._proto import stats_pb2
from livekit.rtc.event_emitter import EventEmitter

from hearout._floor import events as e
from hearout._room.heartbeat import ALIVE
from hearout._room.participants import Participants
from hearout.policy import Policy
from hearout.receipts import Attempt, Outcome, Receipt
from hearout.testing._clock import run

STANDARD, SIP = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, rtc.ParticipantKind.PARTICIPANT_KIND_SIP


@dataclass
class Track:
    """A track with statistics that the test sets."""

    packet_at: Callable[[], float] | None = None
    reports: tuple[int, int, int] = (0, 0, 0)
    kind: Any = rtc.TrackKind.KIND_AUDIO

    async def get_stats(self) -> list[Any]:
        if self.packet_at is None:
            number, lost, sent = self.reports
            there, here = stats_pb2.RtcStats(), stats_pb2.RtcStats()
            there.remote_inbound_rtp.received.packets_lost = lost
            there.remote_inbound_rtp.remote_inbound.round_trip_time_measurements = number
            here.outbound_rtp.sent.packets_sent = sent
            return [there, here]
        seen = stats_pb2.RtcStats()
        seen.inbound_rtp.inbound.last_packet_received_timestamp = 1000 * self.packet_at()
        return [seen]


@dataclass
class Publication:
    """A published track."""

    track: Track
    sid: str = "TR_1"
    muted: bool = False
    kind: Any = rtc.TrackKind.KIND_AUDIO


@dataclass
class Person:
    """A participant: by default a caller with an open microphone, which sends until `vanished_at`."""

    identity: str
    kind: Any = STANDARD
    attributes: dict[str, str] = field(default_factory=dict)
    state: Any = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
    disconnect_reason: Any = None
    answers: bool = False
    hangs: bool = False
    """Takes what is asked, and answers nothing."""
    vanished_at: float = float("inf")
    microphone: bool = True
    packets: bool = True
    """Whether the microphone ever gives any."""

    def __post_init__(self) -> None:
        track = Track(lambda: min(asyncio.get_running_loop().time(), self.vanished_at) if self.packets else 0.0)
        self.publication = Publication(track)
        self.track_publications = {"TR_1": self.publication} if self.microphone else {}


class FakeRoom(EventEmitter[str]):
    """What `Participants` uses of LiveKit's."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "room"
        self.remote_participants: dict[str, Person] = {}
        self.track_publications: dict[str, Publication] = {}
        self.permissions: list[Any] = []
        self.beats: list[str] = []
        self.local_participant = self
        self.text_handlers: dict[str, Callable[[Any, str], None]] = {}
        self.byte_handlers: dict[str, Callable[[Any, str], None]] = {}

    def register_text_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        self.text_handlers[topic] = handler

    def register_byte_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        self.byte_handlers[topic] = handler

    def isconnected(self) -> bool:
        return False

    def set_track_subscription_permissions(
        self, *, allow_all_participants: bool, participant_permissions: Any = ()
    ) -> None:
        only = [one.participant_identity for one in participant_permissions]
        self.permissions.append("everybody" if allow_all_participants else only)

    async def perform_rpc(self, *, destination_identity: str, method: str, payload: str, **_: float) -> str:
        assert (method, payload) == (ALIVE, "")
        self.beats.append(destination_identity)
        person = self.remote_participants[destination_identity]
        if person.hangs:
            await asyncio.sleep(60.0)
        if not person.answers:
            raise rtc.RpcError(rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD, "unknown")
        if asyncio.get_running_loop().time() >= person.vanished_at:
            await asyncio.sleep(1.0)
            raise rtc.RpcError(rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT, "late")
        return ""


class Kept(list[Receipt]):
    """A call's receipts."""

    @property
    def all(self) -> list[Receipt]:
        return self

    follows: Participants

    def look_again(self, since: float) -> None:
        for number, receipt in enumerate(self):
            if receipt.ended_at >= since:
                self[number] = self.follows.witnessed(receipt)


class Scene:
    """One call in a fake room: the script, and the floor's events."""

    def __init__(self, policy: Policy) -> None:
        self.room = FakeRoom()
        self.told: list[tuple[float, e.Event]] = []
        self.receipts = Kept()
        self.queued = ["notice"]
        self._began = asyncio.get_running_loop().time()
        self.linked: Person | None = None
        self._identity = ""
        self.room_io = self
        self.on_close: list[Callable[[Any], None]] = []
        self.follows = Participants(
            self.room,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            policy,
            now=lambda: self.now,
            feed=self.feed,
            queued=lambda: self.queued,
            look_again=self.receipts.look_again,
            wall=asyncio.get_running_loop().time,
        )
        self.receipts.follows = self.follows

    # what the session and the shell are to `Participants`

    @property
    def linked_participant(self) -> Person | None:
        return self.linked

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def feed(self, event: e.Event) -> None:
        self.told.append((round(self.now, 2), event))

    def once(self, name: str, callback: Callable[[Any], None]) -> None:
        assert name == "close"
        self.on_close.append(callback)

    # what happens

    def at(self, second: float) -> float:
        """The loop's time at this second of the call."""
        return self._began + second

    async def until(self, second: float) -> None:
        await asyncio.sleep(self.at(second) - asyncio.get_running_loop().time())

    def connect(self) -> None:
        self.follows.follow()
        self.room.emit("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)

    def join(self, person: Person) -> None:
        self.room.remote_participants[person.identity] = person
        if self.linked is None and self._identity in ("", person.identity):  # as LiveKit's RoomIO
            self.linked, self._identity = person, person.identity
        self.room.emit("participant_connected", person)

    def leave(self, person: Person, reason: Any) -> None:
        del self.room.remote_participants[person.identity]
        person.disconnect_reason = reason
        if self.linked is person:
            self.linked = None
        self.room.emit("participant_disconnected", person)

    def subscribe(self) -> None:
        self.room.emit("local_track_subscribed", Track())

    def receipt(self, began: float, ended: float) -> Receipt:
        """The receipt of an utterance that played from one second to another, as it stands on record now."""
        played = ended - began
        attempts = (Attempt(began, ended, played),)
        known = Receipt(
            "notice", Outcome.FINISHED, "", began, began, ended, played, played, "Words.", (), attempts=attempts
        )
        self.receipts.append(self.follows.witnessed(known))
        return self.receipts[-1]


def scene(play: Callable[[Scene], Coroutine[Any, Any, None]], policy: Policy | None = None) -> Scene:
    """Play a scene to its end."""

    async def main() -> Scene:
        made = Scene(policy or Policy())
        made.connect()
        try:
            await play(made)
        finally:
            made.follows.close()
        return made

    return run(main)

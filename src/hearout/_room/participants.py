"""What a room's events say about who is there.

LiveKit (server 1.13.5) tells nobody who is subscribed: ``local_track_subscribed`` comes once for a track, for its first
subscriber, whoever that is. So at first nobody may subscribe but the caller, and then everybody. A caller whose line
died is missed after 14 to 21 s: until then the signs of life are the packets of their microphone, and the answers of
their page to :data:`hearout._room.heartbeat.ALIVE`. Of a telephone they are the only ones: see `telephone`.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from livekit import api, rtc
from livekit.agents import get_job_context
from livekit.agents.voice import AgentSession

from .._floor import events as e
from ..errors import SettingsError
from ..policy import KEYS, Policy
from ..receipts import Cause, Receipt
from .heartbeat import BEAT, SignsOfLife, UplinkMonitor
from .noted import Noted
from .presence import Presence, playouts
from .telephone import agent_left_because, is_telephone, left_because, status

logger = logging.getLogger("hearout")

WHY = 0.1
"""Seconds after the agent's connection ended within which LiveKit says why: it tells the two one after the other."""

GLANCE = 0.05
"""Seconds from one look at whether the caller is still there to the next, while something waits for that."""

CONFIRMED = 1.5
"""Seconds that a receipt waits, at most, for a sign that the caller was there at its end."""

_SAID_SO = frozenset(
    (
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.USER_REJECTED,
        rtc.DisconnectReason.USER_UNAVAILABLE,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
    )
)
"""Reasons with which LiveKit says when somebody went; with the others it only found out."""

_NO_EARS = frozenset(
    (
        rtc.ParticipantKind.PARTICIPANT_KIND_AGENT,
        rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS,
        rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS,
    )
)


@dataclass(eq=False)
class _Person:
    """What the room has said of one participant.

    Args:
        looks: the tasks that look for signs of life; none of somebody who cannot listen.
        answered: whether the telephone was ever answered; whoever is none has.
        transferred: whether the agent sent the call elsewhere.
        lost: whether LiveKit reports that the connection is lost.
    """

    looks: list[asyncio.Task[None]] = field(default_factory=list)
    answered: bool = False
    transferred: bool = False
    lost: bool = False


class Participants:
    """The people in the room of one session: tells the floor about each, and puts each on the receipts.

    Args:
        room: LiveKit's, connected or not yet.
        session: whose linked participant is the caller.
        now: the second of the call.
        feed: tells the floor.
        queued: the keys of the utterances that are said, or wait to be.
        look_again: called when more has become known of who heard what ended since a second of the call.
        wall: the clock of LiveKit's statistics: seconds since 1970.
    """

    def __init__(
        self,
        room: rtc.Room,
        session: AgentSession[Any],
        policy: Policy,
        *,
        now: Callable[[], float],
        feed: Callable[[e.Event], None],
        queued: Callable[[], Iterable[str]],
        look_again: Callable[[float], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.caller = ""
        self._room = room
        self._session = session
        self._policy = policy
        self._now, self._feed, self._queued, self._look_again = now, feed, queued, look_again
        self._job = get_job_context(required=False)
        self._presence = Presence(policy.timeouts.vanish)
        self._signs = SignsOfLife(room, self._presence, now=now, wall=wall)
        self._uplink = UplinkMonitor(room, self._presence)
        self._granted = ""
        self._deaf = ""
        """Who did not subscribe in time: that they listen is not known from then on, until they have left."""
        self._open = False
        self._gone = False
        self._known: dict[str, _Person] = {}
        """Who is in the room, by identity."""
        self._put_out_by: Cause | None = None
        """Why the agent itself is not in the room any more, where somebody put it out."""
        self._rang = self._not_subscribed = 0.0
        """Seconds for which the caller's telephone rang, and for which the caller might have subscribed. Ticks are
        counted, so that a loop that stands still makes neither longer."""
        self._needs_lead_in = True
        self._noted = Noted()
        self._clock: asyncio.Task[None] | None = None
        self._handlers = self._what_is_heard()

    def follow(self) -> None:
        """Listen to the room from now on; before LiveKit's session does, which publishes the agent's track."""
        for name, handler in self._handlers.items():
            self._room.on(name, handler)  # type: ignore[arg-type]
        if self._room.isconnected():
            self._connected()

    def close(self) -> None:
        for name, handler in self._handlers.items():
            self._room.off(name, handler)  # type: ignore[arg-type]
        looks = [task for known in self._known.values() for task in known.looks]
        for task in [*looks, *filter(None, [self._clock])]:
            task.cancel()
        self._known.clear()

    def end(self, reason: str = "the caller left and did not return") -> None:
        """The call is over: the job ends when the session has closed."""
        if (job := self._job) is not None:
            self._session.once("close", lambda _: job.shutdown(reason=reason))

    async def hang_up(self) -> None:
        """Take the caller out of the room, which ends a telephone's call; the job ends with the session.

        Raises:
            SettingsError: the session is in no job.
            TwirpError: LiveKit's server refused it.
        """
        gone = api.RoomParticipantIdentity(room=self._room.name, identity=self.caller)
        try:
            await self._server("hang_up()").room.remove_participant(gone)
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:  # the caller was faster
                raise
        self.end("the agent hung up")

    async def transfer(self, to: str, *, play_dialtone: bool) -> None:
        """Send the caller's telephone elsewhere.

        Raises:
            SettingsError: the caller is at no telephone, or the session is in no job.
            TwirpError: it failed.
        """
        if not self._is_telephone():
            raise SettingsError("transfer() needs a caller at a telephone (a participant of kind SIP); there is none")
        asked = api.TransferSIPParticipantRequest(
            room_name=self._room.name, participant_identity=self.caller, transfer_to=to, play_dialtone=play_dialtone
        )
        with self.transferring(silent=play_dialtone):
            await self._server("transfer()").sip.transfer_sip_participant(asked)

    def _server(self, what: str) -> api.LiveKitAPI:
        if self._job is None:
            raise SettingsError(f"{what} asks LiveKit's server, which only a job of LiveKit's can; run it with cli")
        return self._job.api

    # For the rest of hearout

    def witnessed(self, receipt: Receipt) -> Receipt:
        """The receipt with who was there meanwhile, as far as is known now."""
        said = {one.identity: one for one in receipt.listeners}
        listeners = tuple(
            dataclasses.replace(said.get(one.identity, one), present=one.present)
            for one in self._presence.listeners(playouts(receipt))
        )
        # another participant may be the caller by now: who it was when it was said stays on the receipt
        return dataclasses.replace(receipt, caller=receipt.caller or self.caller, listeners=listeners)

    async def confirm(self, receipt: Receipt) -> None:
        """Wait for a sign that the caller was there at its end, where one can still come, and until its tail is out."""
        if not (said := playouts(receipt)):
            return
        ended_at, until = said[-1][1], self._now() + CONFIRMED
        callers = [one for one in self._people() if one.identity == self.caller]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRMED):
                await asyncio.gather(*(self._signs.look(one) for one in callers))
        await self._wait(
            until,
            lambda: not self._is_open() or (self._presence.known_until(self.caller) or 0.0) >= ended_at - 0.01,
        )
        await self._wait(ended_at + self.tail(), lambda: False)

    async def _wait(self, until: float, known: Callable[[], bool]) -> None:
        """Until something is known, the caller has gone, or it is that second of the call."""
        while self._presence.here(self.caller) and (left := until - self._now()) > 0:
            if known():
                return
            await asyncio.sleep(min(left, GLANCE))

    def _is_open(self) -> bool:
        return self._clock is not None and not self._clock.done()

    def lead_in(self) -> float:
        """Seconds of silence that the next speech needs before it, at a caller who has just subscribed."""
        needed, self._needs_lead_in = self._needs_lead_in, False
        return self._policy.lead_in if needed and not self._is_telephone() else 0.0

    def tail(self) -> float:
        """Seconds that the last sample needs on its way to the caller."""
        timeouts = self._policy.timeouts
        return timeouts.telephone_tail if self._is_telephone() else timeouts.tail

    @contextlib.contextmanager
    def transferring(self, *, silent: bool) -> Iterator[None]:
        """The agent sends the caller's telephone elsewhere in this block; leaving it by an error means that it failed.

        Args:
            silent: whether the bridge plays a tone of its own to the telephone meanwhile, and nothing of the room.
        """
        identity, known = self.caller, self._of(self.caller)
        known.transferred = True
        if silent:
            self._presence.deaf(identity, self._now())
        try:
            yield
        except BaseException:
            known.transferred = False
            if silent:
                self._presence.hears(identity, self._now())
            raise

    def answered_by(self, *, machine: bool) -> None:
        """A machine has listened from the beginning: nobody was present; or a person listens from now on."""
        self._presence.hears(self.caller, self._now())
        if machine:
            self._presence.deaf(self.caller, 0.0)
        self._amend()

    def caller_now(self) -> str:
        """The identity of the caller; empty while there is none."""
        self._look()
        return self.caller

    def nobody_hears(self) -> None:
        """The agent itself is cut off: everybody was there as long as they gave signs of life, and is gone."""
        for person in self._people():
            if self._presence.here(person.identity) or person.identity == self.caller:
                self._went(person.identity, certain=False, cause=self._put_out_by)

    # What the room says

    def _what_is_heard(self) -> dict[str, Callable[..., None]]:
        return {
            "connection_state_changed": self._connection_changed,
            "participant_connected": self._joined,
            "participant_active": self._joined,
            "participant_disconnected": self._left,
            "disconnected": self._put_out,
            "participant_attributes_changed": self._attributes_changed,
            "connection_quality_changed": self._quality_changed,
            "local_track_subscribed": self._subscribed,
            "sip_dtmf_received": self._pressed,
            "reconnecting": lambda: self._presence.line_down(self._now()),
            "reconnected": lambda: self._presence.line_up(self._now()),
        }

    def _connection_changed(self, state: rtc.ConnectionState.ValueType) -> None:
        if state == rtc.ConnectionState.CONN_CONNECTED:
            self._connected()
        elif state == rtc.ConnectionState.CONN_DISCONNECTED:
            asyncio.get_running_loop().call_later(WHY, self._lost_the_room)

    def _lost_the_room(self) -> None:
        if self._is_open():
            self.nobody_hears()

    def _put_out(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._put_out_by = agent_left_because(reason)
        self.nobody_hears()

    def _connected(self) -> None:
        if self._clock is not None:
            return
        self._room.local_participant.set_track_subscription_permissions(allow_all_participants=False)
        self._clock = asyncio.create_task(self._tick())
        for person in self._people():
            self._joined(person)

    def _joined(self, person: rtc.RemoteParticipant) -> None:
        if person.kind in _NO_EARS:
            return
        self._note_answered(person)
        known = self._of(person.identity)
        known.looks = known.looks or self._signs.watch(person)
        self._look_soon()

    def _left(self, person: rtc.RemoteParticipant) -> None:
        cause = self._why(person)
        for task in self._known.pop(person.identity, _Person()).looks:
            task.cancel()
        self._deaf = "" if self._deaf == person.identity else self._deaf
        self._went(person.identity, certain=person.disconnect_reason in _SAID_SO, cause=cause)
        self._presence.forget_beside(self.caller)

    def _why(self, person: rtc.RemoteParticipant) -> Cause | None:
        known = self._of(person.identity)
        return left_because(person, answered=known.answered, transferred=known.transferred)

    def _of(self, identity: str) -> _Person:
        return self._known.setdefault(identity, _Person())

    def _attributes_changed(self, _changed: dict[str, str], person: rtc.RemoteParticipant) -> None:
        self._note_answered(person)
        if status(person) == "hangup":  # the bridge may have found that out by itself, long after
            self._went(person.identity, certain=False, cause=self._why(person))
        self._look_soon()

    def _note_answered(self, person: rtc.RemoteParticipant) -> None:
        if status(person) in ("active", "automation"):
            self._of(person.identity).answered = True

    def _is_telephone(self) -> bool:
        person = self._room.remote_participants.get(self.caller)
        return person is not None and is_telephone(person)

    def _quality_changed(self, person: rtc.Participant | None, quality: rtc.ConnectionQuality) -> None:
        if person is None or not (known := self._of(person.identity)).looks:
            return
        was_lost, known.lost = known.lost, quality == rtc.ConnectionQuality.QUALITY_LOST
        if known.lost:
            self._went(person.identity, certain=False)
        elif was_lost:
            self._look_soon()

    def _subscribed(self, track: rtc.Track) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and not self._open:
            self._open_to_everybody()
        elif track.kind == rtc.TrackKind.KIND_AUDIO and [one.identity for one in self._people()] == [self._deaf]:
            self._deaf = ""  # nobody else is there who could have
            self._look_soon()

    def _pressed(self, pressed: rtc.SipDTMF) -> None:
        self._look()
        who = "" if pressed.participant is None else pressed.participant.identity
        if len(pressed.digit) != 1 or pressed.digit not in KEYS:
            self._noted.note("what is no key of a telephone was ignored")
            return
        self._presence.alive(who, self._now(), theirs=True)
        if who and (who == self.caller or who in self._policy.may_press):
            self._feed(e.KeysPressed(pressed.digit))
        else:
            self._noted.note("a key of a participant who is not the caller was ignored; Policy(may_press=…) lets them")

    # Who is the caller, and who may listen

    def _look_soon(self) -> None:
        """LiveKit's session hears of it in the same step, before or after: look when it has."""
        asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        try:
            linked = self._session.room_io.linked_participant
        except RuntimeError:  # LiveKit's session has not started
            return
        if linked is not None and linked.identity != self.caller:
            self.caller = linked.identity
        if self._open:
            for person in self._people():
                if self._is_here(person) and person.identity != self._deaf:
                    self._presence.came(person.identity, self._now(), by_signs=is_telephone(person))
        if linked is None or not self._is_here(linked):
            return
        self._rang = 0.0
        if self._granted != linked.identity and not self._open:
            self._grant(linked.identity)
        if self._gone:
            self._gone, self._needs_lead_in = False, True
            self._presence.hears(linked.identity, self._now())  # not a machine's call, nor transferred, any more
            self._feed(e.CallerReturned())

    def _is_here(self, person: rtc.RemoteParticipant) -> bool:
        """Whether a participant can be spoken to: connected, and if a telephone, answered."""
        active = person.state == rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        return status(person) == "active" and active and not self._of(person.identity).lost

    def _grant(self, identity: str) -> None:
        """Let the caller subscribe, and nobody else: then the first subscriber is the caller."""
        self._granted = identity
        only = rtc.ParticipantTrackPermission(participant_identity=identity, allow_all=True)
        self._room.local_participant.set_track_subscription_permissions(
            allow_all_participants=False, participant_permissions=[only]
        )
        self._not_subscribed = 0.0

    def _open_anyway(self) -> None:
        """The caller does not subscribe, whom the others wait for."""
        self._not_subscribed += BEAT
        if self._granted and not self._open and self._not_subscribed > self._policy.timeouts.listener:
            logger.warning("the caller has not subscribed to the agent's track; others may now")
            self._open, self._deaf = True, self._granted
            self._room.local_participant.set_track_subscription_permissions(allow_all_participants=True)

    def _open_to_everybody(self) -> None:
        self._open = True
        first = self._room.remote_participants.get(self._granted)
        self._presence.came(self._granted, self._now(), by_signs=first is not None and is_telephone(first))
        self._room.local_participant.set_track_subscription_permissions(allow_all_participants=True)
        self._look_soon()

    def _went(self, identity: str, *, certain: bool, cause: Cause | None = None) -> None:
        now = self._now()
        known_until = self._presence.left(identity, now, certain=certain)
        if identity == self.caller and not self._gone:
            self._gone = True
            logger.info("the caller is gone (%s), last known to be there at %.1f s", cause and cause.value, known_until)
            # whoever says that they leave may have been missed before: what is known counts, not what is said
            self._feed(e.CallerLeft(known_until if known_until < now else None, cause))
        self._amend()

    # Signs of life

    def _people(self) -> list[rtc.RemoteParticipant]:
        return [one for one in self._room.remote_participants.values() if one.kind not in _NO_EARS]

    async def _tick(self) -> None:
        """What time alone shows."""
        while True:
            await asyncio.sleep(BEAT)
            self._look()
            self._presence.listed(self._now())
            await self._uplink.look(self._now())
            self._open_anyway()
            self._ring()
            self._amend()

    def _ring(self) -> None:
        """A telephone that rings keeps what is to be said waiting: that is a sign of life of it, for a time."""
        ringing = [one for one in self._people() if one.identity == self.caller and not self._is_here(one)]
        if self._open or self._granted or not ringing:
            return
        self._rang += BEAT
        if self._rang <= self._policy.timeouts.ring:
            for key in self._queued():
                self._feed(e.SpeechQueued(key))
        elif not self._gone:
            self._went(self.caller, certain=True, cause=Cause.NOT_ANSWERED)

    def _amend(self) -> None:
        """What has become known since a receipt was written: presence at its end."""
        self._look_again(self._now() - 2 * self._policy.timeouts.vanish)

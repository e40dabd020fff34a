"""A telephone in the room: signs of life, leaving, and receipts."""

import asyncio
import contextlib
from typing import Any

import pytest
from livekit import api, rtc

from harness.fake_room import Person, Scene, scene
from harness.telephone import BUSY, BYE, CANCELLED, NO_ANSWER, TRANSFERRED, TRUNK_FAILED, Departure, Telephone
from hearout import Cause, Level, Policy, SettingsError
from hearout._floor.events import CallerLeft, CallerReturned, KeysPressed
from hearout.policy import Timeouts


async def picked_up(call: Scene, *, packets: bool = True) -> Telephone:
    """A telephone that is answered at second 1."""
    phone = Telephone(call, packets=packets)
    call.queued.clear()
    phone.rings()
    await call.until(1.0)
    await phone.is_answered()
    return phone


def seconds(call: Scene) -> tuple[tuple[float, float], ...]:
    (listener,) = call.receipts[0].listeners
    return tuple((round(begin, 1), round(end, 1)) for begin, end in listener.present)


def left(call: Scene) -> CallerLeft:
    """The one time that the floor was told that the caller is gone."""
    (told,) = [event for _, event in call.told if isinstance(event, CallerLeft)]
    return told


def test_a_telephone_that_sends_nothing_is_not_present() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call, packets=False)
        dies = asyncio.ensure_future(phone.dies())
        await call.until(24.0)
        call.receipt(2.0, 23.0)
        await dies
        await call.until(60.0)

    played = scene(play)
    assert played.receipts[0].listeners == ()
    assert played.receipts[0].level is Level.PLAYED
    assert left(played).known_until == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("known_after", [False, True])
def test_an_answering_machine_is_nobody_present(known_after: bool) -> None:  # noqa: FBT001 - by pytest
    async def play(call: Scene) -> None:
        call.follows.answered_by(machine=False)  # nobody is there yet: it says nothing of anybody
        phone = await picked_up(call)
        await call.until(4.0)
        if not known_after:
            call.follows.answered_by(machine=True)
        await call.until(8.0)
        call.receipt(2.0, 7.0)
        call.follows.answered_by(machine=True)
        await call.until(9.0)
        call.follows.answered_by(machine=False)
        await call.until(14.0)
        call.receipt(10.0, 13.0)
        await phone.leaves(BYE)

    machine, person = scene(play).receipts
    assert (machine.listeners, machine.level) == ((), Level.PLAYED)
    assert person.level is Level.PRESENT


def test_a_telephone_is_present_from_pick_up_to_its_last_packet() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        await call.until(5.0)
        dies = asyncio.ensure_future(phone.dies())
        call.receipt(1.1, 12.0)
        await dies

    played = scene(play)
    assert seconds(played) == ((1.1, 5.0),)
    assert left(played) == CallerLeft(pytest.approx(5.0, abs=0.05))


def test_a_telephone_that_hangs_up_was_there_until_its_last_packet() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        await call.until(5.3)
        call.receipt(2.0, 8.0)
        await phone.leaves(BYE)

    played = scene(play)
    ((begin, end),) = seconds(played)
    assert begin == 2.0
    assert 4.7 <= end <= 5.3
    assert left(played).known_until == pytest.approx(end, abs=0.06)


def test_what_a_departure_says_is_not_believed_against_the_signs() -> None:
    async def play(call: Scene) -> None:
        caller = Person("caller")
        call.join(caller)
        await call.until(1.0)
        call.subscribe()
        await call.until(5.0)
        caller.vanished_at = call.at(5.0)
        await call.until(30.0)
        call.leave(caller, rtc.DisconnectReason.CLIENT_INITIATED)

    assert left(scene(play)).known_until == pytest.approx(9.0, abs=0.1)  # 21 s before it was listed no more


def test_a_key_is_a_sign_of_life_of_a_silent_telephone() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call, packets=False)
        await call.until(8.0)
        call.receipt(2.0, 8.0)
        await call.until(8.5)
        phone.presses("1")
        await call.until(12.0)

    played = scene(play)
    assert played.receipts[0].level is Level.PRESENT
    assert KeysPressed("1") in [event for _, event in played.told]


def test_a_key_after_an_outage_does_not_bridge_it() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        await call.until(4.0)
        phone.person.vanished_at = call.at(4.0)
        await call.until(9.0)
        phone.presses("1")
        await call.until(9.2)
        phone.presses("2")
        call.receipt(2.0, 9.2)

    assert seconds(scene(play)) == ((2.0, 4.0), (9.0, 9.2))


@pytest.mark.parametrize("digit", ["", "12", "x", "1" * 5000])
def test_only_keys_of_a_telephone_are_keys(digit: str) -> None:
    async def play(call: Scene) -> None:
        (await picked_up(call)).presses(digit)

    assert scene(play).told == []


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (BUSY, Cause.REJECTED),
        (NO_ANSWER, Cause.NOT_ANSWERED),
        (TRUNK_FAILED, Cause.NOT_ANSWERED),
        (CANCELLED, Cause.NOT_ANSWERED),
    ],
)
def test_a_telephone_that_is_never_answered_is_told_at_once(how: Departure, cause: Cause) -> None:
    async def play(call: Scene) -> None:
        phone = Telephone(call)
        call.queued.clear()
        phone.rings("dialing")
        await call.until(7.0)
        await phone.leaves(how)

    played = scene(play)
    assert left(played).cause is cause
    assert played.told[0][0] <= 7.2


def test_a_telephone_that_rings_too_long_was_not_answered() -> None:
    async def play(call: Scene) -> None:
        phone = Telephone(call)
        phone.rings()
        await call.until(40.0)
        await phone.is_answered()
        await call.until(45.0)

    played = scene(play, Policy(timeouts=Timeouts(ring=30.0)))
    told = [(round(at), event) for at, event in played.told if isinstance(event, CallerLeft | CallerReturned)]
    assert told == [(31, CallerLeft(cause=Cause.NOT_ANSWERED)), (40, CallerReturned())]


def test_the_track_is_withheld_until_the_telephone_is_answered() -> None:
    async def play(call: Scene) -> None:
        phone = Telephone(call)
        phone.rings()
        await call.until(9.0)
        assert call.room.permissions == [[]]
        await phone.is_answered()
        await call.until(9.2)

    assert scene(play).room.permissions == [[], ["phone"], "everybody"]


def test_a_telephone_needs_no_lead_in_and_a_longer_tail() -> None:
    async def play(call: Scene) -> None:
        await picked_up(call)
        assert call.follows.lead_in() == 0.0
        assert call.follows.tail() == Policy().timeouts.telephone_tail

    scene(play)


@pytest.mark.parametrize(("telephone", "tail"), [(True, 0.5), (False, 0.2)])
def test_a_receipt_is_done_a_tail_after_the_last_sample(telephone: Any, tail: float) -> None:
    async def play(call: Scene) -> None:
        if telephone:
            await picked_up(call)
        else:
            call.join(Person("caller", answers=True))
            call.subscribe()
        await call.until(6.0)
        await call.follows.confirm(call.receipt(2.0, 6.0))
        assert call.now == pytest.approx(6.0 + tail, abs=0.01)

    scene(play)


def test_no_tail_is_waited_for_when_the_telephone_is_gone() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        await call.until(6.0)
        receipt = call.receipt(2.0, 6.0)
        await phone.leaves(BYE)
        before = call.now
        await call.follows.confirm(receipt)
        assert call.now == before

    scene(play)


def test_a_transfer_is_a_cause_of_its_own() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        await call.until(5.0)
        with call.follows.transferring(silent=False):
            await call.until(6.0)
        await phone.leaves(TRANSFERRED)

    assert left(scene(play)).cause is Cause.TRANSFERRED


def test_nothing_is_claimed_while_the_bridge_plays_its_own_tone() -> None:
    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        await call.until(5.0)
        with contextlib.suppress(RuntimeError), call.follows.transferring(silent=True):
            await call.until(7.6)
            raise RuntimeError("the other side declined")
        await call.until(12.0)
        call.receipt(2.0, 11.0)
        await phone.leaves(BYE)

    played = scene(play)
    assert seconds(played) == ((2.0, 5.0), (7.6, 11.0))
    assert left(played).cause is None


def test_a_transfer_that_succeeds_leaves_the_telephone_deaf() -> None:
    async def play(call: Scene) -> None:
        await picked_up(call)
        await call.until(5.0)
        with call.follows.transferring(silent=True):
            await call.until(7.0)
        await call.until(9.0)
        call.receipt(2.0, 8.0)

    assert seconds(scene(play)) == ((2.0, 5.0),)


def test_call_status_is_believed_of_telephones_only() -> None:
    async def play(call: Scene) -> None:
        caller = Person("caller", attributes={"sip.callStatus": "ringing"})
        call.join(caller)
        await call.until(1.0)
        call.subscribe()
        await call.until(2.0)
        caller.attributes["sip.callStatus"] = "hangup"
        call.room.emit("participant_attributes_changed", dict(caller.attributes), caller)
        await call.until(3.0)

    assert scene(play).told == []


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (rtc.DisconnectReason.PARTICIPANT_REMOVED, Cause.AGENT_REMOVED),
        (rtc.DisconnectReason.DUPLICATE_IDENTITY, Cause.AGENT_REPLACED),
        (rtc.DisconnectReason.ROOM_DELETED, Cause.ROOM_DELETED),
        (rtc.DisconnectReason.SIGNAL_CLOSE, None),
    ],
)
def test_an_agent_that_is_put_out_of_the_room_says_why(reason: Any, cause: Cause | None) -> None:
    async def play(call: Scene) -> None:
        await picked_up(call)
        await call.until(5.0)
        call.room.emit("connection_state_changed", rtc.ConnectionState.CONN_DISCONNECTED)
        await asyncio.sleep(0.001)  # as measured with rtc 1.1.21
        call.room.emit("disconnected", reason)
        await call.until(8.0)

    assert left(scene(play)).cause is cause


def test_an_agent_that_lost_its_room_unsaid_speaks_to_nobody() -> None:
    async def play(call: Scene) -> None:
        await picked_up(call)
        await call.until(5.0)
        call.room.emit("connection_state_changed", rtc.ConnectionState.CONN_DISCONNECTED)
        await call.until(8.0)

    assert left(scene(play)).cause is None


class Job:
    """A job of LiveKit's, and what it asked of the server."""

    def __init__(self, error: api.TwirpError | None = None) -> None:
        self.asked: list[Any] = []
        self.reasons: list[str] = []
        self.api = self.room = self.sip = self
        self._error = error

    async def remove_participant(self, asked: api.RoomParticipantIdentity) -> None:
        self.asked.append((asked.room, asked.identity))
        if self._error is not None:
            raise self._error

    async def transfer_sip_participant(self, asked: api.TransferSIPParticipantRequest) -> None:
        self.asked.append((asked.participant_identity, asked.transfer_to, asked.play_dialtone))
        if self._error is not None:
            raise self._error

    def shutdown(self, *, reason: str) -> None:
        self.reasons.append(reason)


def failing(code: str) -> api.TwirpError:
    return api.TwirpError(code, "no", status=500)


def in_job(monkeypatch: pytest.MonkeyPatch, job: Job | None) -> None:
    monkeypatch.setattr("hearout._room.participants.get_job_context", lambda required: job)


@pytest.mark.parametrize("error", [None, api.TwirpErrorCode.NOT_FOUND])
def test_hanging_up_takes_the_caller_out_and_ends_the_job(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_job(monkeypatch, job := Job(error and failing(error)))

    async def play(call: Scene) -> None:
        await picked_up(call)
        await call.follows.hang_up()
        for closed in call.on_close:
            closed(None)

    scene(play)
    assert (job.asked, job.reasons) == ([("room", "phone")], ["the agent hung up"])


def test_a_hang_up_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    in_job(monkeypatch, job := Job(failing(api.TwirpErrorCode.PERMISSION_DENIED)))

    async def play(call: Scene) -> None:
        await picked_up(call)
        with pytest.raises(api.TwirpError):
            await call.follows.hang_up()

    assert scene(play).on_close == []
    assert job.reasons == []


def test_hanging_up_needs_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    in_job(monkeypatch, None)

    async def play(call: Scene) -> None:
        await picked_up(call)
        with pytest.raises(SettingsError, match="job"):
            await call.follows.hang_up()

    scene(play)


@pytest.mark.parametrize("code", [None, api.TwirpErrorCode.UNAVAILABLE])
def test_a_transfer_counts_only_when_it_succeeds(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_job(monkeypatch, job := Job(code and failing(code)))

    async def play(call: Scene) -> None:
        phone = await picked_up(call)
        with contextlib.suppress(api.TwirpError):
            await call.follows.transfer("tel:+4930123456", play_dialtone=False)
        await phone.leaves(TRANSFERRED)

    assert left(scene(play)).cause is (Cause.TRANSFERRED if code is None else None)
    assert job.asked == [("phone", "tel:+4930123456", False)]


def test_a_caller_without_a_telephone_is_not_transferred(monkeypatch: pytest.MonkeyPatch) -> None:
    in_job(monkeypatch, job := Job())

    async def play(call: Scene) -> None:
        call.join(Person("caller"))
        await call.until(1.0)
        with pytest.raises(SettingsError, match="telephone"):
            await call.follows.transfer("tel:+4930123456", play_dialtone=False)

    scene(play)
    assert job.asked == []

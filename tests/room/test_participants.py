"""Participants as a room's events tell of them: the floor's events, and presence on receipts."""

import types
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from livekit import rtc

from harness.fake_room import SIP, Person, Publication, Scene, Track, scene
from hearout import Cause, Level, Outcome, Policy
from hearout._floor.events import CallerLeft, CallerReturned, KeysPressed, SpeechQueued
from hearout._room import presence
from hearout._room.presence import Presence, playouts
from hearout.policy import Timeouts
from hearout.receipts import Receipt

HANGS_UP, TIMED_OUT = rtc.DisconnectReason.CLIENT_INITIATED, rtc.DisconnectReason.CONNECTION_TIMEOUT


async def here(play: Scene, **facts: Any) -> Person:
    """A caller joins at second 0 and has subscribed at second 1."""
    caller = Person("caller", **facts)
    play.join(caller)
    await play.until(1.0)
    play.subscribe()
    await play.until(1.5)
    return caller


def listeners(play: Scene, number: int = 0) -> dict[str, Any]:
    return {
        one.identity: tuple(tuple(round(at, 1) for at in span) for span in one.present)
        for one in play.receipts[number].listeners
    }


def test_only_the_caller_may_subscribe_first_and_then_everybody() -> None:
    async def play(call: Scene) -> None:
        await here(call)

    assert scene(play).room.permissions == [[], ["caller"], "everybody"]


def test_a_caller_who_never_subscribes_blocks_others_for_a_bounded_time() -> None:
    async def play(call: Scene) -> None:
        call.join(Person("caller"))
        await call.until(14.0)
        assert call.room.permissions == [[], ["caller"]]
        await call.until(16.0)
        stranger = Person("stranger")
        call.join(stranger)
        call.subscribe()  # the stranger, as it may be
        await call.until(22.0)
        call.receipt(16.0, 20.0)

    played = scene(play, Policy(timeouts=Timeouts(listener=15.0)))
    assert played.room.permissions[-1] == "everybody"
    assert played.receipts[0].level is Level.PLAYED


def test_a_hang_up_is_told_at_once_and_without_doubt() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        await call.until(5.3)
        call.leave(caller, HANGS_UP)
        call.receipt(2.0, 8.0)

    played = scene(play)
    assert played.told == [(5.3, CallerLeft(None))]
    assert listeners(played) == {"caller": ((2.0, 5.3),)}


@pytest.mark.parametrize("sign", ["heartbeat", "packets"])
def test_a_caller_who_vanished_was_there_until_the_last_sign_of_life(sign: str) -> None:
    async def play(call: Scene) -> None:
        caller = await here(call, answers=sign == "heartbeat", microphone=sign == "packets")
        caller.vanished_at = call.at(5.3)
        await call.until(26.3)
        call.leave(caller, TIMED_OUT)
        call.receipt(2.0, 20.0)

    ((at, left),) = scene(play).told
    assert at == 26.3
    assert isinstance(left, CallerLeft)
    assert left.known_until is not None
    assert 5.3 - (1.0 if sign == "heartbeat" else 0.01) <= left.known_until <= 5.31


def test_a_caller_without_signs_of_life_was_there_until_missed() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call, microphone=False)
        await call.until(40.5)
        call.leave(caller, TIMED_OUT)

    assert scene(play).told == [(40.5, CallerLeft(pytest.approx(19.5, abs=0.01)))]


def test_the_servers_own_packets_for_a_removed_caller_are_no_sign_of_life() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        caller.vanished_at = call.at(5.0)
        await call.until(8.9)
        caller.vanished_at = call.at(8.9)  # silence that the server sends, 0.1 s before it says that they are gone
        await call.until(9.05)
        call.leave(caller, None)

    ((_, left),) = scene(play).told
    assert left == CallerLeft(pytest.approx(5.0, abs=0.01), Cause.REPLACED)


def test_a_lost_connection_stops_what_is_said_and_its_return_takes_it_up() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        caller.vanished_at = call.at(6.0)
        await call.until(20.0)
        call.room.emit("connection_quality_changed", caller, rtc.ConnectionQuality.QUALITY_LOST)
        await call.until(25.0)
        caller.vanished_at = float("inf")
        call.room.emit("connection_quality_changed", caller, rtc.ConnectionQuality.QUALITY_GOOD)
        await call.until(30.0)
        call.receipt(2.0, 29.0)

    played = scene(play)
    assert played.told == [(20.0, CallerLeft(pytest.approx(6.0, abs=0.01))), (25.0, CallerReturned())]
    assert listeners(played) == {"caller": ((2.0, 6.0), (25.0, 29.0))}


def test_a_caller_who_is_back_is_told_and_gets_a_lead_in_again() -> None:
    async def play(call: Scene) -> None:
        assert call.follows.lead_in() == Policy().lead_in
        caller = await here(call)
        assert call.follows.lead_in() == 0.0
        call.leave(caller, HANGS_UP)
        await call.until(4.0)
        call.join(Person("somebody else"))
        await call.until(5.0)
        call.join(Person("caller"))
        await call.until(6.0)
        assert call.follows.lead_in() == Policy().lead_in

    assert scene(play).told == [(1.5, CallerLeft(None)), (5.0, CallerReturned())]


def test_a_second_listener_has_spans_of_their_own_and_a_level_of_their_own() -> None:
    async def play(call: Scene) -> None:
        await here(call)
        second = Person("second")
        await call.until(4.0)
        call.join(second)
        await call.until(7.0)
        call.leave(second, HANGS_UP)
        await call.until(11.0)
        call.receipt(2.0, 10.0)

    played = scene(play)
    assert listeners(played) == {"caller": ((2.0, 10.0),), "second": ((4.0, 7.0),)}
    (receipt,) = played.receipts
    assert (receipt.level, receipt.level_of("second")) == (Level.PRESENT, Level.PLAYED)
    assert played.told == []


def test_a_receipts_claims_grow_with_later_signs_of_life() -> None:
    async def play(call: Scene) -> None:
        await here(call, microphone=False, answers=True)
        await call.until(5.4)
        assert call.receipt(2.0, 5.4).level is Level.PLAYED
        await call.follows.confirm(call.receipts[0])
        assert call.follows.witnessed(call.receipts[0]).level is Level.PRESENT
        assert call.now <= 5.4 + Policy().timeouts.tail + 0.01
        await call.until(8.0)
        assert call.receipts[0].level is Level.PRESENT

    scene(play)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_receipt_does_not_wait_long_for_a_sign_that_does_not_come(hangs: Any) -> None:
    async def play(call: Scene) -> None:
        caller = await here(call, answers=True, hangs=hangs)
        caller.vanished_at = call.at(4.0)
        await call.until(6.0)
        call.receipt(2.0, 6.0)
        await call.follows.confirm(call.receipts[0])
        assert call.now < 8.6
        assert call.follows.witnessed(call.receipts[0]).level is Level.PLAYED

    scene(play)


def test_an_outage_that_livekit_does_not_notice_is_not_claimed() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call, answers=True)
        caller.vanished_at = call.at(5.0)
        await call.until(9.0)
        caller.vanished_at = float("inf")
        await call.until(13.0)
        call.receipt(2.0, 12.0)

    played = scene(play)
    ((first, again),) = listeners(played).values()
    assert first == (2.0, pytest.approx(5.0, abs=0.2))
    assert again == (pytest.approx(9.5, abs=0.6), 12.0)


def test_a_muted_microphone_is_no_outage() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        caller.publication.muted, caller.vanished_at = True, call.at(3.0)
        await call.until(10.0)
        caller.publication.muted, caller.vanished_at = False, float("inf")
        await call.until(13.0)
        call.receipt(2.0, 12.0)

    assert listeners(scene(play)) == {"caller": ((2.0, 12.0),)}


def test_a_program_that_knows_no_heartbeat_is_asked_three_times() -> None:
    async def play(call: Scene) -> None:
        await here(call)
        await call.until(20.0)

    assert scene(play).room.beats == ["caller"] * 3


def test_while_the_agents_connection_is_down_nobody_counts_as_present() -> None:
    async def play(call: Scene) -> None:
        await here(call)
        await call.until(4.0)
        call.room.emit("reconnecting")
        await call.until(6.0)
        call.room.emit("reconnected")
        await call.until(9.0)
        call.receipt(2.0, 8.0)

    played = scene(play)
    assert listeners(played) == {"caller": ((2.0, 4.0), (6.0, 8.0))}
    assert played.told == []


def test_packets_that_the_server_did_not_get_were_played_to_nobody() -> None:
    async def play(call: Scene) -> None:
        own = Track(reports=(1, 0, 100))
        call.room.track_publications["TR_2"] = Publication(own, "TR_2")
        await here(call)
        await call.until(5.2)
        own.reports = (2, 1, 300)
        await call.until(11.2)
        own.reports = (3, 251, 600)
        await call.until(16.0)
        call.receipt(2.0, 15.0)

    ((first, again),) = listeners(scene(play)).values()
    assert first == (2.0, pytest.approx(5.0, abs=0.5))
    assert again == (pytest.approx(12.0, abs=0.5), 15.0)


def test_a_ringing_telephone_delays_speech_and_gets_none() -> None:
    async def play(call: Scene) -> None:
        call.join(Person("phone", kind=SIP, attributes={"sip.callStatus": "ringing"}))
        await call.until(60.0)
        assert call.room.permissions == [[]]

    waits = [
        at for at, event in scene(play, Policy(timeouts=Timeouts(ring=30.0))).told if event == SpeechQueued("notice")
    ]
    assert waits[0] <= 1.0
    assert 29.0 <= waits[-1] <= 31.5
    assert max(after - before for before, after in pairwise(waits)) <= 1.1


def test_a_telephone_is_spoken_to_when_answered_and_gone_when_it_hangs_up() -> None:
    async def play(call: Scene) -> None:
        phone = Person("phone", kind=SIP, attributes={"sip.callStatus": "ringing"})
        call.queued.clear()
        call.join(phone)
        await call.until(5.0)
        for at, status in ((5.0, "active"), (9.0, "hangup")):
            await call.until(at)
            phone.attributes["sip.callStatus"] = status
            call.room.emit("participant_attributes_changed", dict(phone.attributes), phone)
            await call.until(at + 1.0)
        assert call.room.permissions == [[], ["phone"]]

    assert scene(play).told == [(9.0, CallerLeft(None))]


def test_keys_count_from_the_caller_and_from_whom_the_policy_names() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        for person, digit in ((caller, "1"), (Person("stranger"), "2"), (Person("supervisor"), "3"), (None, "4")):
            call.room.emit("sip_dtmf_received", rtc.SipDTMF(int(digit), digit, person))  # type: ignore[arg-type]

    played = scene(play, Policy(may_press=frozenset({"supervisor"})))
    assert played.told == [(1.5, KeysPressed("1")), (1.5, KeysPressed("3"))]


def test_nobody_but_the_caller_may_type() -> None:
    async def play(call: Scene) -> None:
        assert call.follows.caller_now() != "caller"
        await here(call)
        assert call.follows.caller_now() == "caller"
        assert call.follows.caller_now() != "stranger"

    scene(play)


def test_an_agent_or_a_recorder_in_the_room_is_no_listener() -> None:
    async def play(call: Scene) -> None:
        await here(call)
        call.join(Person("other agent", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT))
        call.join(Person("recorder", kind=rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS))
        await call.until(40.0)
        call.receipt(2.0, 5.0)

    played = scene(play)
    assert listeners(played) == {"caller": ((2.0, 5.0),)}
    assert set(played.room.beats) == {"caller"}


def test_a_pause_of_two_seconds_in_the_signs_of_life_is_no_absence() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        caller.vanished_at = call.at(4.8)
        await call.until(6.6)
        caller.vanished_at = float("inf")
        await call.until(13.0)
        call.receipt(2.0, 12.0)

    assert listeners(scene(play)) == {"caller": ((2.0, 12.0),)}


def test_who_answers_heartbeats_is_there_though_the_microphone_is_dead() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call, answers=True)
        dead = call.at(3.0)
        caller.publication.track.packet_at = lambda: dead
        await call.until(13.0)
        call.receipt(2.0, 12.0)

    assert listeners(scene(play)) == {"caller": ((2.0, 12.0),)}


def test_of_strangers_who_come_and_go_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "REMEMBERED", 20)

    async def play(call: Scene) -> None:
        call.leave(await here(call), HANGS_UP)
        for number in range(100):
            stranger = Person(f"stranger {number}" if number % 2 else "again")
            call.join(stranger)
            await call.until(2.0 + number)
            call.leave(stranger, HANGS_UP)
        call.receipt(0.0, 102.0)

    (receipt,) = scene(play).receipts
    spans = {one.identity: len(one.present) for one in receipt.listeners}
    assert {"caller", "stranger 99"} <= set(spans)
    assert len(spans) == 21
    assert max(spans.values()) <= 20


def test_somebody_who_never_came_has_no_spans() -> None:
    presence = Presence(21.0)
    assert presence.left("nobody", 3.0, certain=True) == 3.0
    assert presence.listeners([(0.0, 9.0)]) == ()
    assert presence.known_until("somebody") is None


def test_who_has_gone_is_not_known_to_have_been_there_later() -> None:
    presence = Presence(21.0)
    presence.came("caller", 1.0)
    presence.alive("caller", 4.0)
    assert presence.left("caller", 9.0, certain=False) == 4.0
    assert presence.left("caller", 12.0, certain=True) == 4.0


def test_the_job_ends_when_the_session_of_an_absent_caller_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []
    job = types.SimpleNamespace(shutdown=lambda reason: reasons.append(reason))
    monkeypatch.setattr("hearout._room.participants.get_job_context", lambda required: job)

    async def play(call: Scene) -> None:
        call.follows.end()
        assert reasons == []
        for closed in call.on_close:
            closed(None)

    scene(play)
    assert reasons == ["the caller left and did not return"]


def test_a_line_that_goes_down_or_comes_up_twice_is_down_once() -> None:
    presence = Presence(21.0)
    presence.came("caller", 1.0)
    presence.line_up(2.0)
    presence.line_down(3.0)
    presence.line_down(4.0)
    presence.alive("caller", 9.0)
    assert [one.present for one in presence.listeners([(0.0, 9.0)])] == [((1.0, 3.0),)]
    presence.line_up(5.0)
    presence.line_up(6.0)
    assert [one.present for one in presence.listeners([(0.0, 9.0)])] == [((1.0, 3.0), (5.0, 9.0))]


def test_a_receipt_without_attempts_played_from_its_beginning_to_its_end() -> None:
    known = Receipt("notice", Outcome.FINISHED, "", 0.0, 1.0, 3.0, 2.0, 2.0, "Words.", ())
    assert playouts(known) == ((1.0, 3.0),)
    assert playouts(replace(known, started_at=None)) == ()


def test_a_voice_of_their_own_is_not_looked_for_in_what_is_no_sound() -> None:
    async def play(call: Scene) -> None:
        caller = await here(call)
        caller.publication.kind = rtc.TrackKind.KIND_VIDEO
        await call.until(40.5)
        call.leave(caller, TIMED_OUT)

    ((_, left),) = scene(play).told
    assert left == CallerLeft(pytest.approx(19.5, abs=0.01))

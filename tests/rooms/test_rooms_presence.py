"""Presence in real rooms: callers that hang up, vanish, return or ring, and strangers."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from livekit.protocol.agent_pb import agent_session as agent_pb

from harness import ROOT, alike, leaks
from harness.rooms.caller import Caller, assert_resumed, reached, spoken
from harness.rooms.notes import Notes
from harness.rooms.notice import NOTICE, POLICY
from hearout._local.tts import SAMPLE_RATE
from hearout.measure import Measured, measure
from hearout.receipts import Cause, Level, Outcome, Receipt

if TYPE_CHECKING:
    from harness.rooms.server import Server, Worker

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ANSWERED, ANNOUNCED = 30.0, 60.0
"""Seconds within which the agent must be heard (1-8 s), and its announcement (8 s) be over."""

QUESTION = "How much does it cost?"


@pytest.fixture(scope="module")
def noting(room_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Worker"]:
    """A worker whose agent announces and leaves notes."""
    from harness.rooms.server import working  # pytest wants to import a plugin itself, first

    folder = tmp_path_factory.mktemp("noting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOM_NOTES", str(folder))
        patch.setenv("HEAROUT_LEDGER", f"sqlite:///{folder / 'receipts.db'}")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        agent = ROOT / "harness" / "rooms" / "noting.py"
        with leaks.checked(folder), working(room_server, folder, agent=agent) as worker:
            yield worker


def notes_of(worker: "Worker", room: str) -> Notes:
    return Notes(worker.log.with_name(f"{room}.json"))


def judged(caller: Caller, notes: Notes | None = None) -> Measured:
    """What the caller heard of the notice; with the agent's notes, but for what late processes explain."""
    found = measure(caller.heard.samples, spoken(NOTICE), caller.heard.sample_rate)
    return caller.lateness(notes).explains(found) if notes else found


def test_the_first_word_reaches_ten_callers_of_ten(noting: "Worker", tmp_path: Path) -> None:
    calls = []
    for _ in range(10):
        room = noting.server.new_room()
        with Caller.join(noting.server, room, tmp_path) as caller:
            began = caller.wait_for("sound", ANSWERED)["at"]
            for lasting in (1.5, 5.0):  # more of it where a busy machine's first second tells the judge nothing
                caller.wait_until(began + lasting)
                if (found := judged(caller)).fraction:
                    break
        calls.append((found, late := caller.lateness(notes_of(noting, room))))
        print(f"front {found.front_ms:.0f} ms; {late}")
    missing = sorted(late.explains(found).front_ms for found, late in calls)
    assert (missing[4] <= 60, missing[-1] <= 180) == (True, True), str(calls)


def test_a_caller_who_hangs_up_at_half_is_not_spoken_to_and_the_call_ends(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    with Caller.join(noting.server, room, tmp_path) as caller:
        began = caller.wait_for("sound", ANSWERED)["at"]
        caller.wait_until(began + 4.0)
        leaves = time.monotonic()
    left = time.monotonic()
    notes.wait(lambda n: n.told("CallerLeft"), 5, "leaving")
    (at, facts), *more = notes.told("CallerLeft")
    assert (facts["known_until"], more) == (None, [])
    assert leaves - 0.1 <= notes.zero + at <= left + 0.5
    stopped = notes.told("StopUtterance")[0][0]
    assert stopped - at < 0.3
    notes.wait(lambda n: n.read()["closed"], POLICY.timeouts.caller_return + 10, "end of the call")
    (receipt,) = notes.receipts
    assert (receipt.outcome, receipt.caller) == (Outcome.CALLER_GONE, "caller")
    assert receipt.played == pytest.approx(reached(judged(caller)), abs=0.5)
    present = receipt.listeners[0].present
    assert leaves - 0.5 <= notes.zero + present[-1][1] <= left + 0.5
    assert began < leaves


def test_a_caller_who_listens_to_the_end_was_present_for_all_of_it(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    with Caller.join(noting.server, room, tmp_path, alive=True) as caller:
        caller.wait_for_quiet(1.5, ANSWERED + ANNOUNCED)
        (receipt,) = notes.wait(lambda n: n.receipts, 10, "receipt")
        notes.wait(lambda n: n.receipts[0].level is Level.PRESENT, 3, "presence")
    arrived = judged(caller, notes)
    assert arrived.fraction >= 0.98, arrived
    assert arrived.front_ms <= 180, arrived
    assert receipt.outcome is Outcome.FINISHED


def test_a_caller_who_drops_for_three_seconds_hears_the_rest_and_is_heard(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    first = Caller.join(noting.server, room, tmp_path)
    try:
        first.wait_until(first.wait_for("sound", ANSWERED)["at"] + 3.5)  # in the second sentence
    finally:
        first.kill()
    gone = time.monotonic()
    time.sleep(3.0)
    with Caller.join(noting.server, room, tmp_path) as back:
        back.say(QUESTION, after=1.0)
        back.wait_for_words("You said", ANSWERED + ANNOUNCED)
    *early, receipt = notes.receipts  # on a slow machine the notice was over before they were missed: owed once more
    known = notes.told("CallerLeft")[0][1]["known_until"]
    assert gone - 1.0 <= notes.zero + known <= gone + 0.1
    before, after = judged(first, notes), judged(back)
    assert before.front_ms <= 180
    assert after.front_ms > 0  # what was said while nobody was there is not said again
    assert after.tail_ms <= 100
    assert_resumed(NOTICE, judged(first), after)
    assert alike(back.said("caller"), QUESTION) >= 0.8
    assert receipt.outcome is Outcome.FINISHED
    assert len(receipt.attempts) == 2
    assert early or receipt.attempts[0].ended_at <= known + 0.01


def test_what_ended_after_the_caller_had_vanished_is_said_again_on_return(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    first = Caller.join(noting.server, room, tmp_path)
    try:
        began = first.wait_for("sound", ANSWERED)["at"]
        first.wait_until(began + len(spoken(NOTICE)) / SAMPLE_RATE - 4.0)
    finally:
        first.kill()
    (played,) = notes.wait(lambda n: n.receipts, 20, "receipt")
    assert (played.outcome, played.level) == (Outcome.FINISHED, Level.PLAYED)
    # the last packet of their microphone to 0.4 s; the recording's last words to a pause
    assert played.levels("caller")[Level.PRESENT] == pytest.approx(reached(judged(first)), abs=0.8)
    with Caller.join(noting.server, room, tmp_path) as back:
        _, again = notes.wait(lambda n: len(n.receipts) == 2 and n.receipts, ANNOUNCED, "second receipt")
        notes.wait(lambda n: n.receipts[1].level is Level.PRESENT, 3, "presence")
    assert judged(back).tail_ms <= 100
    assert_resumed(NOTICE, judged(first), judged(back))
    assert notes.receipts[0] == played
    assert (again.id, again.outcome) == ("notice", Outcome.FINISHED)


def test_a_stranger_cannot_cut_mute_type_or_press(noting: "Worker", tmp_path: Path) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    run = agent_pb.SessionRequest(run_input=agent_pb.SessionRequest.RunInput(text="Stop that."))
    mute = agent_pb.SessionRequest(update_io=agent_pb.SessionRequest.UpdateIO())
    mute.update_io.output.audio_enabled = False
    with Caller.join(noting.server, room, tmp_path) as caller:
        caller.wait_until(caller.wait_for("sound", ANSWERED)["at"] + 1.0)
        comes = time.monotonic()
        with Caller.join(noting.server, room, tmp_path, identity="stranger") as stranger:
            came = time.monotonic()
            for order in (run, mute):
                stranger.attack(agent_pb.AgentSessionMessage(request=order).SerializeToString())
            stranger.write("Stop that now.")
            stranger.wait_until(came + 1.0)  # LiveKit drops a key of somebody of whom the agent has not heard yet
            stranger.press("0")
            stranger.wait_until(came + 2.5)
            leaves = time.monotonic()
        left = time.monotonic()
        caller.wait_for_quiet(1.5, ANNOUNCED)
        (receipt,) = notes.wait(lambda n: n.receipts, 10, "receipt")
        notes.wait(lambda n: n.receipts[0].level is Level.PRESENT, 3, "presence")
    assert judged(caller, notes).fraction >= 0.98
    assert (receipt.outcome, receipt.held, receipt.caller) == (Outcome.FINISHED, (), "caller")
    assert not notes.told("KeysPressed") + notes.told("TextTyped")
    assert "a key of a participant who is not the caller was ignored" in noting.log.read_text()
    (span,) = next(one.present for one in receipt.listeners if one.identity == "stranger")
    assert comes <= notes.zero + span[0] <= came + 0.5
    assert leaves - 0.5 <= notes.zero + span[1] <= left + 0.5
    assert receipt.level_of("stranger") is Level.PLAYED


@pytest.mark.parametrize("speaker", ["caller", "stranger"])
def test_what_a_microphone_took_before_counts_from_its_owner(noting: "Worker", tmp_path: Path, speaker: str) -> None:
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    spoken(QUESTION)  # made before the call: such audio is waited for 9 s
    with Caller.join(noting.server, room, tmp_path, pre_connect=True) as caller:
        caller.wait_for("here", ANSWERED)  # of two who are there before it LiveKit lists either first
        with Caller.join(noting.server, room, tmp_path, identity="stranger") as stranger:
            (caller if speaker == "caller" else stranger).speak_as("caller", QUESTION)
            caller.wait_for("sound", ANSWERED)
            notes.wait(lambda n: n.receipts, ANNOUNCED, "receipt")
            caller.wait_for_quiet(3.0, ANNOUNCED)
    heard = bool(caller.said("caller")) or bool(notes.told("WordsHeard"))
    assert heard is (speaker == "caller")
    closed = "pre-connect audio of a participant who is not the caller was closed unread"
    assert (closed in noting.log.read_text()) is (speaker == "stranger")


@pytest.fixture(scope="module")
def waited(noting: "Worker", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Calls in which the agent waits for its caller; they are played beside each other."""
    with ThreadPoolExecutor() as pool:
        calls = {one.__name__: pool.submit(one, noting, tmp_path_factory.mktemp("waited")) for one in WAITED}
        yield lambda name: calls[name].result()


def ringing(noting: "Worker", folder: Path) -> tuple[Receipt, Measured]:
    """A telephone that is answered late, and whose key ends the notice; what was heard of that."""
    room = noting.server.new_room()
    notes = notes_of(noting, room)
    rings = {"sip.callStatus": "ringing"}
    token = noting.server.token(room, "phone", kind="sip", attributes=rings, can_update_own_metadata=True)
    with Caller.join(noting.server, room, folder, identity="phone", token=token) as caller:
        time.sleep(POLICY.timeouts.listener + 4.0)
        assert not caller.happened("sound")
        answered = time.monotonic()
        caller.set_attributes(sip__callStatus="active")
        assert caller.wait_for("sound", 5)["at"] > answered
        caller.wait_until(answered + 3.0)
        caller.press("0")
        (receipt,) = notes.wait(lambda n: n.receipts, 10, "receipt")
    return receipt, judged(caller, notes)


def deaf(noting: "Worker", folder: Path) -> Receipt:
    """A caller who may not subscribe."""
    room = noting.server.new_room()
    token = noting.server.token(room, "caller", can_subscribe=False)
    with Caller.join(noting.server, room, folder, token=token) as caller:
        (receipt,) = notes_of(noting, room).wait(lambda n: n.receipts, POLICY.timeouts.listener + 20, "receipt")
        assert not caller.happened("sound")
    return receipt


WAITED = ringing, deaf


def test_a_telephone_hears_nothing_before_answering_and_its_key_cuts_in(waited: Callable[[str], Any]) -> None:
    receipt, heard = waited("ringing")
    assert (receipt.outcome, receipt.cause) == (Outcome.CUT_IN, Cause.KEY)
    assert [held.text for held, _ in receipt.held] == ["0"]
    assert heard.front_ms <= 180


def test_a_caller_who_may_not_subscribe_is_waited_for_on_the_receipt(waited: Callable[[str], Any]) -> None:
    receipt = waited("deaf")
    assert (receipt.outcome, receipt.cause) == (Outcome.FAILED, Cause.NOBODY_LISTENING)
    assert (receipt.played, receipt.level) == (0.0, Level.NOTHING)

"""A question asked of a participant of kind SIP in a real room: keys answer it, and the agent ends the call."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from livekit import api

from harness import ROOT
from harness.rooms.caller import Caller, spoken
from harness.rooms.notes import Notes
from hearout.ledger import Ledger
from hearout.ledger._questions import questions
from hearout.ledger._read import entries
from hearout.measure import measure
from hearout.receipts import Cause, Kind, Outcome, QuestionReceipt

if TYPE_CHECKING:
    from harness.rooms.server import Server, Worker

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

SPEAKS, ENDS = 40.0, 40.0
"""Seconds within which the agent must be heard, and within which the call must be over."""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'receipts.db'}")


@pytest.fixture(scope="module")
def asking(room_server: "Server", book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Worker"]:
    from harness.rooms.server import working  # pytest wants to import a plugin itself, first

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEAROUT_LEDGER", book.url)
        patch.setenv("PYTHONPATH", str(ROOT))
        agent = ROOT / "harness" / "rooms" / "asking_agent.py"
        with working(room_server, tmp_path_factory.mktemp("worker"), agent=agent) as worker:
            yield worker


def telephone(server: "Server", room: str, folder: Path) -> Caller:
    """A telephone that has been picked up, as LiveKit's bridge brings it into a room."""
    attributes = {"sip.callStatus": "active", "sip.phoneNumber": "+4930123456"}
    token = server.token(room, "phone", kind="sip", attributes=attributes, can_update_own_metadata=True)
    return Caller.join(server, room, folder, identity="phone", token=token)


def asked(book: Ledger, room: str) -> QuestionReceipt:
    """The question of the call in this room, once it is written."""
    until = time.monotonic() + ENDS
    while time.monotonic() < until:
        for _, receipt in questions(book):
            if room in receipt.call:
                return receipt
        time.sleep(0.2)
    raise AssertionError("no question was written")


@pytest.mark.one_of_each
def test_a_telephone_answers_by_key_and_the_agent_hangs_up_after_that(
    asking: "Worker", book: Ledger, tmp_path: Path
) -> None:
    room = asking.server.new_room()
    with telephone(asking.server, room, tmp_path) as caller:
        caller.wait_for("sound", SPEAKS)
        caller.press("2")  # too early
        caller.wait_for("quiet", ENDS)
        caller.wait_for("quiet", ENDS, count=2)  # it was asked again, in brief
        caller.press("1")
        ended = caller.wait_for("ended", ENDS)
    receipt = asked(book, room)
    assert (receipt.choice, receipt.answers[-1].kind) == ("yes", Kind.PRESSED)
    assert [(one.text, one.early) for one in receipt.answers] == [("2", True), ("1", False)]
    assert ended["reason"] == "PARTICIPANT_REMOVED"
    from harness.rooms.asking_agent import GOODBYE

    arrived = measure(caller.heard.samples, spoken(GOODBYE), caller.heard.sample_rate)
    assert arrived.fraction >= 0.95, arrived
    assert arrived.tail_ms <= 100, arrived


def test_a_caller_whom_an_administrator_removes_gave_no_answer(asking: "Worker", book: Ledger, tmp_path: Path) -> None:
    room, server = asking.server.new_room(), asking.server

    async def remove() -> None:
        async with api.LiveKitAPI(server.url.replace("ws", "http"), server.key, server.secret) as administrator:
            await administrator.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="phone"))

    with telephone(server, room, tmp_path) as caller:
        caller.wait_until(caller.wait_for("sound", SPEAKS)["at"] + 0.7)
        asyncio.run(remove())
        caller.wait_for("ended", ENDS)
    receipt = asked(book, room)
    assert (receipt.choice, receipt.answers) == ("", ())
    (said,) = [one.receipt for one in entries(book, now=time.time()) if room in one.call and one.receipt]
    assert (said.outcome, said.cause) == (Outcome.CALLER_GONE, Cause.REMOVED)
    assert said.played < 1.5


def test_a_telephone_hears_the_whole_goodbye_of_livekits_end_call_tool(asking: "Worker", tmp_path: Path) -> None:
    from harness.rooms.asking_agent import ENDING, GOODBYE

    with telephone(asking.server, f"{ENDING}{asking.server.new_room()}", tmp_path) as caller:
        ended = caller.wait_for("ended", SPEAKS + ENDS)
    assert ended["reason"] == "ROOM_DELETED"
    arrived = measure(caller.heard.samples, spoken(GOODBYE), caller.heard.sample_rate)
    arrived = caller.lateness(Notes(tmp_path / "none")).explains(arrived)
    assert arrived.fraction >= 0.95, arrived
    assert (arrived.front_ms <= 180, arrived.tail_ms <= 100) == (True, True), arrived

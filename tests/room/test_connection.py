"""An agent that reaches its room no more leaves its call to another, and one that comes back in time does not."""

import asyncio
from typing import Any

import pytest
from livekit import rtc

from hearout._pipeline.awake import Awake
from hearout._room import connection
from hearout._room.connection import CUT_OFF, ConnectionLoss, is_cut_off
from hearout.testing._clock import run

LOST, TAKEN_OUT = rtc.DisconnectReason.SIGNAL_CLOSE, rtc.DisconnectReason.PARTICIPANT_REMOVED


class Played:
    """One agent's room, in virtual time, and what became of its call."""

    def __init__(self) -> None:
        self.room: Any = rtc.EventEmitter()
        self.done: list[str] = []
        note = self.done.append
        ConnectionLoss(
            self.room,
            unheard=lambda: note("unheard"),
            abandon=lambda: note("abandoned"),
            later=Awake().later,
            written=WRITTEN,
        )

    def shutdown(self, *, reason: str) -> None:
        self.done.append("job ended")


def played(monkeypatch: pytest.MonkeyPatch, *happens: Any) -> list[str]:
    """What is done when these events come: each with its arguments, or seconds that pass."""

    async def main() -> list[str]:
        call: Any = Played.__new__(Played)
        monkeypatch.setattr(connection, "get_job_context", lambda **_: call)
        call.__init__()
        for one in happens:
            if isinstance(one, float):
                await asyncio.sleep(one)
            elif callable(one):
                one()
            else:
                call.room.emit(*one)
        done: list[str] = call.done
        return done

    return run(main)


WRITTEN = 2.0
LEFT = ["unheard", "abandoned", "job ended"]


def test_an_agent_that_does_not_come_back_leaves_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(monkeypatch, 2.0, ("reconnecting",), CUT_OFF - 0.5) == []
    assert played(monkeypatch, 2.0, ("reconnecting",), CUT_OFF + WRITTEN + 0.1) == LEFT


def test_an_agent_that_comes_back_keeps_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(monkeypatch, ("reconnecting",), 3.0, ("reconnected",), 60.0) == []


def test_of_several_tries_in_one_outage_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    again: Any = [step for _ in range(4) for step in (("reconnecting",), 2.0)]
    assert played(monkeypatch, *again) == LEFT


def test_a_lost_room_is_left_at_once_unless_the_agent_was_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert played(monkeypatch, ("reconnecting",), 1.0, ("disconnected", LOST), 60.0) == ["abandoned"]
    assert played(monkeypatch, ("disconnected", TAKEN_OUT), 60.0) == []


@pytest.mark.parametrize(
    ("reason", "cut_off"),
    [
        (rtc.DisconnectReason.UNKNOWN_REASON, True),
        (rtc.DisconnectReason.SERVER_SHUTDOWN, True),
        (rtc.DisconnectReason.SIGNAL_CLOSE, True),
        (rtc.DisconnectReason.CLIENT_INITIATED, False),
        (rtc.DisconnectReason.PARTICIPANT_REMOVED, False),
        (rtc.DisconnectReason.ROOM_DELETED, False),
    ],
)
def test_only_who_was_taken_out_of_the_room_by_nobody_is_cut_off(reason: Any, cut_off: bool) -> None:  # noqa: FBT001
    assert is_cut_off(reason) is cut_off


def test_an_agent_whose_loop_stands_still_meanwhile_keeps_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_still() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.stand_still(30.0)

    assert played(monkeypatch, 2.0, ("reconnecting",), 1.0, stand_still, 0.5, ("reconnected",), 60.0) == []

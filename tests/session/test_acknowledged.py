"""For an acknowledgement is waited only where somebody was asked for one, and can give it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from harness.scenes import NOTICE, call, reading, said
from harness.witnessing import Room, Wire, honest, receipt
from hearout import AgentSession, AnnouncementError, Outcome
from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._room.page import CallersPage
from hearout.testing import Press, first_sound, from_end

Happens = Callable[[Room], None]


def over(room: Room, outcome: Outcome = Outcome.FINISHED) -> None:
    room.witness.hear(11.0, a.WriteReceipt(receipt(outcome=outcome)))


@pytest.mark.parametrize(
    ("page", "label", "keys", "happens", "waits"),
    [
        (True, "Press OK", "", over, True),
        (True, "Press OK", "", lambda room: over(room, Outcome.CUT_IN), False),
        (True, "Press OK", "", lambda room: over(room, Outcome.FAILED), False),
        (False, "Press OK", "", over, False),
        (False, "Press OK", "1", over, True),
        (True, "", "1", over, True),
        (True, "Press OK", "", lambda room: (over(room), room.witness.hear(12.0, e.CallerLeft())), False),
        (False, "", "1", lambda room: (over(room), room.witness.hear(12.0, e.CallerLeft())), False),
    ],
)
def test_for_an_acknowledgement_is_waited_where_it_can_be_given(
    page: Any, label: str, keys: str, happens: Happens, waits: Any
) -> None:
    async def played() -> bool:
        room = Room()
        if page:
            await room.hello()
        room.witness.ask("notice", label, keys=keys)
        assert not room.witness.waits_for_acknowledgement("notice")  # it has not been said
        happens(room)
        waited = room.witness.waits_for_acknowledgement("notice")
        await room.witness.close()
        return waited

    assert asyncio.run(played()) is waits


def test_whoever_waits_for_the_page_hears_that_the_caller_is_gone() -> None:
    async def played() -> list[str]:
        room, gone = Room(), []
        room.witness.told.on_gone.append(lambda: gone.append("gone"))
        await room.hello()
        room.witness.hear(5.0, e.CallerLeft())
        return gone

    assert asyncio.run(played()) == ["gone"]


def test_a_telephone_is_shown_no_button() -> None:
    async def played() -> Room:
        room = Room()
        await room.hello()
        room.witness.ask("notice", "", keys="1")
        over(room)
        await room.witness.close()
        return room

    assert ("caller", "hearout.acknowledge") not in asyncio.run(played()).wire.called


def test_keys_that_no_telephone_has_are_refused() -> None:
    async def read(session: AgentSession[Any]) -> None:
        with pytest.raises(AnnouncementError, match="no keys of a telephone"):
            session.announce(NOTICE, acknowledge_keys="x")

    assert said(call(agent=reading(read))) == []


def test_a_telephone_caller_acknowledges_by_the_key_once_all_was_said() -> None:
    pages: list[CallersPage] = []
    closing: list[Any] = []

    async def read(session: AgentSession[Any]) -> None:
        bridge = session._bridge
        assert bridge is not None
        page = CallersPage(Wire(honest), now=lambda: bridge.now, caller=lambda: "caller", receipt=bridge.receipts.of)
        bridge.page = page
        session.on_floor(page.hear)
        pages.append(page)
        session.on("close", lambda _: closing.append(asyncio.ensure_future(page.close())))
        await session.announce(NOTICE, id="notice", acknowledge_keys="1")

    result = call(
        Press(first_sound(1.0), "1"), Press(from_end(1.0), "5"), Press(from_end(2.0), "1"), agent=reading(read)
    )

    pressed = pages[0].witness.acknowledged_at("notice")
    assert pressed == pytest.approx(result.protected[0].end + 2.0, abs=0.1)

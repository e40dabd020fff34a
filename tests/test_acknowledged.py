"""For an acknowledgement is waited only where somebody was asked for one, and can give it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hearout import Outcome
from hearout import actions as a
from hearout import events as e
from witnessing import Room, receipt

Happens = Callable[[Room], None]


def over(room: Room, outcome: Outcome = Outcome.FINISHED) -> None:
    room.witness.hear(11.0, a.WriteReceipt(receipt(outcome=outcome)))


@pytest.mark.parametrize(
    ("page", "keys", "happens", "waits"),
    [
        (True, "", over, True),
        (True, "", lambda room: over(room, Outcome.CUT_IN), False),
        (True, "", lambda room: over(room, Outcome.FAILED), False),
        (False, "", over, False),
        (False, "1", over, True),
        (True, "", lambda room: (over(room), room.witness.hear(12.0, e.CallerLeft())), False),
    ],
)
def test_for_an_acknowledgement_is_waited_where_it_can_be_given(
    page: Any, keys: str, happens: Happens, waits: Any
) -> None:
    async def played() -> bool:
        room = Room()
        if page:
            await room.hello()
        room.witness.ask("notice", "Press OK", keys=keys)
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

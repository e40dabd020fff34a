"""For an acknowledgement is waited only where somebody was asked for one, and can give it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.fake_page import Room, Wire, honest
from harness.scenes import NOTICE, call, reading, said
from hearout import AgentSession, AnnouncementError, CallerAnswer
from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._room.channel import Refused
from hearout._room.page import CallersPage
from hearout.receipts import Kind
from hearout.testing import Press, first_sound, from_end

Happens = Callable[[Room], None]


OK = (("acknowledged", "Press OK"),)


def offered(choices: tuple[tuple[str, str], ...] = (), keys: str = "") -> Happens:
    return lambda room: room.reports.hear(11.0, a.OfferChoices("notice", choices, keys))


def gone(room: Room) -> None:
    room.reports.hear(12.0, e.CallerLeft())


@pytest.mark.parametrize(
    ("page", "happens", "waits"),
    [
        (True, [offered(OK)], True),
        (True, [], False),
        (False, [offered(OK)], False),
        (False, [offered(OK, "1")], True),
        (True, [offered(keys="1")], True),
        (True, [offered(OK), gone], False),
        (False, [offered(keys="1"), gone], False),
        (True, [lambda room: room.reports.hear(9.0, a.OfferChoices("notice", OK, text="May we?"))], False),
        (True, [offered(OK), lambda room: room.reports.hear(12.0, a.NoteAcknowledgement("notice"))], False),
    ],
)
def test_for_an_acknowledgement_is_waited_where_it_can_be_given(
    page: Any, happens: Sequence[Happens], waits: Any
) -> None:
    async def played() -> bool:
        room = Room()
        if page:
            await room.hello()
        for happen in happens:
            happen(room)
        waited = room.reports.waits_for_acknowledgement("notice")
        await room.reports.close()
        return waited

    assert asyncio.run(played()) is waits


def test_whoever_waits_for_the_page_hears_that_the_caller_is_gone() -> None:
    async def played() -> list[str]:
        room, gone = Room(), []
        room.reports.on_gone.append(lambda: gone.append("gone"))
        await room.hello()
        room.reports.hear(5.0, e.CallerLeft())
        return gone

    assert asyncio.run(played()) == ["gone"]


def test_keys_that_no_telephone_has_are_refused() -> None:
    async def read(session: AgentSession[Any]) -> None:
        with pytest.raises(AnnouncementError, match="no keys of a telephone"):
            session.announce(NOTICE, acknowledge_keys="x")

    assert said(call(agent=reading(read))) == []


def paged(pages: list[CallersPage], read: Callable[[AgentSession[Any]], Any]) -> Callable[[AgentSession[Any]], Any]:
    """Give the session a caller's page before it reads."""

    async def reads(session: AgentSession[Any]) -> None:
        bridge, closing = session._bridge, list[Any]()
        assert bridge is not None
        page = CallersPage(
            Wire(honest),
            now=lambda: bridge.now,
            caller=lambda: "caller",
            receipt=bridge.receipts.of,
            feed=bridge.feed,
        )
        session.on_floor(page.hear)
        pages.append(page)
        session.on("close", lambda _: closing.append(asyncio.ensure_future(page.close())))
        await read(session)

    return reads


def test_a_telephone_caller_acknowledges_by_the_key_once_all_was_said() -> None:
    pages: list[CallersPage] = []

    async def read(session: AgentSession[Any]) -> None:
        await session.announce(NOTICE, id="notice", acknowledge_keys="1")

    keys = Press(first_sound(1.0), "1"), Press(from_end(1.0), "5"), Press(from_end(2.0), "1")
    result = call(*keys, agent=reading(paged(pages, read)))

    pressed = pages[0].reports.acknowledged_at("notice")
    assert pressed == pytest.approx(result.protected[0].end + 2.0, abs=0.1)


def test_a_button_of_the_page_answers_a_question() -> None:
    pages: list[CallersPage] = []
    answers: list[CallerAnswer] = []

    async def read(session: AgentSession[Any]) -> None:
        asking = session.ask("May we record this call?", id="consent", wait=8.0)
        await asyncio.sleep(1.0)
        wire = pages[0]._channel
        assert isinstance(wire, Wire)
        chooses = wire.methods["hearout.choose"]
        with pytest.raises(Refused):  # no button is there yet
            await chooses("caller", '{"id": "consent", "choice": "yes"}')
        await asyncio.sleep(5.0)
        for identity, choice in (("stranger", "yes"), ("caller", "perhaps")):
            with pytest.raises(Refused):
                await chooses(identity, json.dumps({"id": "consent", "choice": choice}))
        await chooses("caller", '{"id": "consent", "choice": "no"}')
        answers.append(await asking)

    call(agent=reading(paged(pages, read)))

    (answer,) = answers
    assert (answer.choice, answer.kind, answer.words) == ("no", Kind.BUTTON, "no")
    assert [one.rule for one in answer.receipt.answers] == ["a button"]
    assert pages[0].reports.refused["choice"] == 3

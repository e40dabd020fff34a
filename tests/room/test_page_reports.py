"""Reports of a caller's page on protected speech, and which of them count."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness.fake_page import Page, Room, honest, receipt, report, soon
from hearout import Level
from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._room.channel import Refused
from hearout._room.page_reports import witnessed
from hearout.receipts import Listener


def after(call: Callable[[Room], Awaitable[None]], page: Page = honest) -> Room:
    """The room when the call is over."""
    room = Room(page)
    asyncio.run(call(room))
    return room


def test_a_page_that_is_there_reports_and_never_more_than_was_sent() -> None:
    async def call(room: Room) -> None:
        await room.hello()
        await room.say(seconds=9.9)

    room = after(call)
    assert room.reports.reported("notice") == 9.9
    assert [method for _, method in room.wire.called] == ["hearout.begin", "hearout.end"]
    assert not room.reports.refused


def test_a_mark_that_is_sent_late_says_how_late() -> None:
    asked: list[dict[str, Any]] = []

    async def page(_: str, fields: dict[str, Any]) -> str:
        asked.append(fields)
        return report()

    async def call() -> None:
        room = Room(page)
        await room.hello()
        room.reports.hear(0.0, e.SpeechRequested("notice"))
        room.reports.hear(1.0, e.PlayoutStarted("notice"))
        room.now = 1.6
        await soon()
        room.now = 11.2
        room.reports.hear(11.0, e.PlayoutFinished("notice", 10.0))
        await soon()

    asyncio.run(call())
    assert asked == [{"id": "notice", "ago": 0.6}, {"id": "notice", "ago": 0.2}]


def test_a_caller_without_a_page_is_asked_nothing_and_nothing_is_reported() -> None:
    async def call(room: Room) -> None:
        await room.say()

    room = after(call)
    assert (room.reports.reported("notice"), room.wire.called) == (None, [])


def test_only_the_callers_page_is_a_witness() -> None:
    async def call(room: Room) -> None:
        with pytest.raises(Refused):
            await room.hello("stranger")
        await room.say()

    room = after(call)
    assert (room.reports.page, room.wire.called, room.reports.refused["hello"]) == (None, [], 1)


def test_whoever_comes_before_the_caller_is_linked_is_no_witness() -> None:
    async def call() -> None:
        with pytest.raises(Refused):
            await Room(caller=None).hello("stranger")

    asyncio.run(call())


@pytest.mark.parametrize("said", [report(received=10**9), report(muted=True), "a" * 1_000_000])
def test_an_absurd_report_changes_nothing_and_is_noted_without_its_text(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def page(method: str, _: dict[str, Any]) -> str:
        return said if method == "hearout.end" else ""

    async def call(room: Room) -> None:
        await room.hello()
        await room.say()

    with caplog.at_level(logging.INFO, logger="hearout"):
        room = after(call, page)
    assert (room.reports.reported("notice"), room.reports.refused["report"]) == (None, 1)
    assert "not counted" in caplog.text
    assert said not in caplog.text


def test_a_report_that_comes_late_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout._room.page_reports.ANSWERS", 0.01)

    async def page(method: str, _: dict[str, Any]) -> str:
        if method == "hearout.end":
            await asyncio.sleep(0.05)
        return report()

    async def call(room: Room) -> None:
        await room.hello()
        await room.say()
        await asyncio.sleep(0.1)

    room = after(call, page)
    assert (room.reports.reported("notice"), room.reports.refused["late"]) == (None, 1)


def test_what_is_said_in_two_stretches_is_reported_in_two() -> None:
    heard: list[float | None] = []

    async def call(room: Room) -> None:
        room.reports.on_news.append(lambda name: heard.append(room.reports.reported(name)))
        await room.hello()
        await room.say(ended=False)
        room.reports.hear(12.0, e.PlayoutStarted("notice"))
        await soon()
        room.reports.hear(22.5, e.PlayoutFinished("notice", 20.5))
        await soon()

    assert after(call).reports.reported("notice") == 20.0
    assert heard == [10.0, 20.0]


def test_of_what_is_taken_up_again_only_the_rest_can_be_reported() -> None:
    async def call(room: Room) -> None:
        await room.hello()
        room.reports.hear(0.0, e.SpeechRequested("notice"))
        room.reports.hear(1.0, a.Resume("notice", 15.0, "", ""))
        room.reports.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        room.reports.hear(6.0, e.PlayoutFinished("notice", 20.0))
        await soon()

    room = after(call)
    # 10 s are reported of a stretch of 5 s.
    assert (room.reports.reported("notice"), room.reports.refused["report"]) == (None, 1)


def test_a_page_that_comes_in_the_middle_reports_from_then_on() -> None:
    async def call(room: Room) -> None:
        room.reports.hear(0.0, e.SpeechRequested("notice"))
        room.reports.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        room.now = 3.0
        await room.hello()
        await soon()
        room.reports.hear(13.0, e.PlayoutFinished("notice", 12.0))
        await soon()

    assert after(call).reports.reported("notice") == 10.0


def test_speech_that_is_stopped_is_reported_as_far_as_it_came() -> None:
    async def call(room: Room) -> None:
        await room.hello()
        room.reports.hear(0.0, e.SpeechRequested("notice"))
        room.reports.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        room.reports.hear(11.0, e.SpeechEnded("notice", interrupted=True))
        await soon()

    assert after(call).reports.reported("notice") == 10.0


def test_a_page_that_went_with_its_caller_is_asked_nothing_more() -> None:
    async def call(room: Room) -> None:
        await room.hello()
        room.reports.hear(0.5, e.CallerLeft())
        await room.say()

    assert after(call).wire.called == []


def test_an_acknowledgement_that_the_floor_notes_is_told() -> None:
    heard: list[tuple[str, float | None]] = []

    async def call(room: Room) -> None:
        room.reports.on_news.append(lambda name: heard.append((name, room.reports.acknowledged_at(name))))
        await room.say()
        room.reports.hear(14.5, a.NoteAcknowledgement("notice"))

    assert after(call).reports.acknowledged_at("notice") == 14.5
    assert heard == [("notice", 14.5)]


def test_a_closed_witness_waits_for_no_page() -> None:
    async def page(method: str, _: dict[str, Any]) -> str:
        await asyncio.sleep(60)
        return report()

    async def call(room: Room) -> None:
        await room.hello()
        await room.say()
        await asyncio.wait_for(room.reports.close(), 1.0)
        with pytest.raises(Refused):
            await room.hello()

    assert after(call, page).reports.reported("notice") is None


def test_what_was_reported_raises_the_level_of_a_caller_who_was_there() -> None:
    there = receipt(caller="caller", listeners=(Listener("caller", ((0.0, 20.0),)),))
    assert there.level is Level.PRESENT
    assert witnessed(there, "caller", reported=9.9, acknowledged_at=None).level is Level.REPORTED
    assert witnessed(there, "caller", reported=9.9, acknowledged_at=14.0).level is Level.ACKNOWLEDGED
    assert witnessed(there, "caller", reported=5.0, acknowledged_at=None).level is Level.PRESENT
    assert witnessed(there, "caller", reported=None, acknowledged_at=None) is there

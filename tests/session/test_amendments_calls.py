"""Whole calls, in virtual time, with a caller's page that is late: what becomes known later reaches the ledger."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc

from harness.fake_room import FakeRoom
from harness.kept_in_loop import InTheLoop
from harness.ledger_workers import Opened, kinds
from harness.scenes import NOTICE, call, reading
from hearout import AgentSession, Level, Policy, Receipt
from hearout._room.page import CHOOSE
from hearout._room.page_reports import END, HELLO
from hearout._session.call_ledger import CallLedger
from hearout.ledger._entries import Entry
from hearout.ledger._read import entries, verify
from hearout.policy import Timeouts
from hearout.testing import TTS, Do, from_end


class PagesRoom(FakeRoom):
    """A room with the caller's page in it, which renders all, and reports that so many seconds after it was asked."""

    def __init__(self, reports_after: float) -> None:
        super().__init__()
        self.reports_after = reports_after
        self.methods: dict[str, Any] = {}

    def isconnected(self) -> bool:
        return True

    def register_rpc_method(self, method: str, answering: Any) -> None:
        self.methods[method] = answering

    async def says(self, method: str, **fields: str) -> None:
        await self.methods[method](rtc.RpcInvocationData("1", "ann", json.dumps(fields), 5.0))

    async def perform_rpc(self, *, destination_identity: str, method: str, payload: str, **_: float) -> str:
        assert destination_identity == "ann"
        if method == END:
            await asyncio.sleep(self.reports_after)
            samples = round(TTS().seconds(NOTICE) * 48_000)
            heard = {"allowed": True, "muted": False, "paused": False, "hidden": False}
            return json.dumps({"received": samples, "concealed": 0} | heard)
        return ""

    async def publish_data(self, *_: Any, **__: Any) -> None:
        pass


def call_with_a_page(ledger: Opened, *acts: Do, reports_after: float = 0.1, ends_after: float = 60.0) -> Any:
    """A call whose caller has a page and stays to the end; LiveKit would miss the caller after 21 s."""
    page: list[PagesRoom] = []

    async def read(session: AgentSession[Any]) -> None:
        shell, room = session._bridge, PagesRoom(reports_after)
        assert shell is not None
        page.append(room)
        await shell.keep(InTheLoop(ledger, "a"), "room/1")  # type: ignore[arg-type]
        shell.follow(room)  # type: ignore[arg-type]
        assert shell.room is not None
        assert shell.page is not None
        shell.room.caller = "ann"
        shell.room._presence.came("ann", shell.now)
        await page[0].says(HELLO)
        session.announce(NOTICE, id="notice", acknowledge="I have understood")

    acts = tuple(Do(one.at, lambda session, one=one: one.what((session, page[0]))) for one in acts)
    return call(*acts, agent=reading(read), policy=Policy(timeouts=Timeouts(acknowledge=0.0)), ends_after=ends_after)


async def press(session_and_page: tuple[Any, PagesRoom]) -> None:
    await session_and_page[1].says(CHOOSE, id="notice", choice="acknowledged")


@pytest.fixture
def ledger(tmp_path: Path) -> Opened:
    return Opened(f"sqlite:///{tmp_path}/receipts.db")


def in_the_book(ledger: Opened) -> Entry:
    (entry,) = entries(ledger, now=1e12, call="room/1")
    return entry


def test_late_reports_acknowledgements_and_presence_reach_the_ledger(
    ledger: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearout._room.evidence.REPORTED", 0.1)
    seen: list[tuple[list[str], Level]] = []

    def look(_: Any) -> None:
        found = in_the_book(ledger).receipt
        assert found is not None
        seen.append((kinds(ledger), found.level))

    result = call_with_a_page(
        ledger,
        Do(from_end(2.0), look),  # the receipt waits 1.6 s
        Do(from_end(2.7), press),  # the report has come after 2.4 s
        Do(from_end(3.0), look),
        Do(from_end(6.0), look),
        Do(from_end(30.0), look),
        reports_after=2.4,
    )

    settled = ["owed", "settled"]
    assert seen == [
        (settled, Level.PLAYED),
        (settled, Level.PLAYED),  # one amendment for both
        ([*settled, "amended"], Level.PLAYED),  # nothing counts before it is known that she was there
        ([*settled, "amended", "amended"], Level.ACKNOWLEDGED),
    ]
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert entry.receipt.listeners == result.session.receipts[0].listeners
    assert entry.receipt.listeners[0].reported == pytest.approx(TTS().seconds(NOTICE), abs=0.1)
    assert len(kinds(ledger)) == 4
    assert verify(ledger).fault is None


def test_a_late_report_alone_is_an_amendment(ledger: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout._room.evidence.REPORTED", 0.1)
    seen: list[tuple[list[str], float | None]] = []

    def look(session_and_page: tuple[Any, PagesRoom]) -> None:
        found = in_the_book(ledger).receipt
        assert found is not None
        assert [found.listeners] == [one.listeners for one in session_and_page[0].receipts]
        seen.append((kinds(ledger), found.listeners[0].reported))

    call_with_a_page(ledger, Do(from_end(5.0), look), reports_after=2.4, ends_after=16.0)

    assert seen == [(["owed", "settled", "amended"], pytest.approx(TTS().seconds(NOTICE), abs=0.1))]


def test_a_button_pressed_after_a_minute_is_added_while_the_call_goes_on(ledger: Opened) -> None:
    seen: list[Level] = []

    def look(_: Any) -> None:
        found = in_the_book(ledger).receipt
        assert found is not None
        seen.append(found.level)

    call_with_a_page(ledger, Do(from_end(60.0), press), Do(from_end(65.0), look), ends_after=90.0)

    assert seen == [Level.ACKNOWLEDGED]


def test_what_becomes_known_just_before_the_end_of_the_call_is_added(ledger: Opened) -> None:
    async def press_and_go(session_and_page: tuple[Any, PagesRoom]) -> None:
        await press(session_and_page)
        await session_and_page[0].aclose()

    call_with_a_page(ledger, Do(from_end(60.0), press_and_go), ends_after=90.0)

    assert kinds(ledger) == ["owed", "settled", "amended", "amended"]
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert entry.receipt.level is Level.ACKNOWLEDGED


def test_evidence_that_comes_before_the_answer_is_in_the_row(ledger: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    settle, waiting = CallLedger.settle, []

    def waits(self: CallLedger, key: str, one: Receipt, *, answer: bool) -> None:
        settle(self, key, one, answer=True)

    async def later(session_and_page: tuple[Any, PagesRoom]) -> None:
        waiting.extend(kinds(ledger))
        await press(session_and_page)

    monkeypatch.setattr(CallLedger, "settle", waits)
    call_with_a_page(ledger, Do(from_end(3.0), later), ends_after=17.0)

    assert waiting == ["owed"]
    assert kinds(ledger) == ["owed", "settled"]
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert entry.receipt.listeners[0].acknowledged_at is not None


def test_a_caller_who_takes_anothers_place_changes_nothing_on_the_receipt(ledger: Opened) -> None:
    def another(session_and_page: tuple[Any, PagesRoom]) -> None:
        session_and_page[0]._bridge.room.caller = "ben"
        session_and_page[0]._bridge.room._presence.came("ben", session_and_page[0]._bridge.now)

    result = call_with_a_page(ledger, Do(from_end(5.0), another))

    (one,) = result.session.receipts
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert (one.caller, entry.receipt.caller) == ("ann", "ann")
    assert [listener.identity for listener in one.listeners] == ["ann"]
    assert one.level is entry.receipt.level is Level.REPORTED

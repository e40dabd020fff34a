"""What becomes known of who heard an utterance after its row was settled is added, and nothing else is changed.

On SQLite and PostgreSQL alike; and whole calls, in virtual time, with a caller's page that is late.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc

from fake_room import FakeRoom
from hearout import AgentSession, Level, Outcome, Policy, Receipt
from hearout.bookkeeping import Bookkeeper
from hearout.debts import Standing
from hearout.ledger import Entry, Kind, Ledger, Record, Scribe, Written, tables
from hearout.ledger.amendments import amended, amendment
from hearout.ledger.read import entries, rows, verify
from hearout.receipt import Listener
from hearout.speeches import Asked
from hearout.testing import Do, Voice, from_end
from hearout.testing import run as virtually
from hearout.witness import ACKNOWLEDGED, END, HELLO
from ledger_workers import MINE, NOW, Opened, cut_in, receipt
from scenes import NOTICE, call
from test_announce import reading
from test_bookkeeping import InTheLoop
from test_ledger_scribe import locked, until

ANN = Listener("ann", ((0.0, 5.0),))
STAYED = Listener("ann", ((0.0, 20.0),))
REPORTED = replace(STAYED, reported=7.0)
ACKNOWLEDGED_IT = replace(REPORTED, acknowledged_at=30.0)


def heard_by(*listeners: Listener, **fields: Any) -> Receipt:
    return receipt(caller="ann", listeners=listeners, call="room", **fields)


def settled(url: str, before: Receipt) -> tuple[Opened, Record]:
    ledger = Opened(url)
    ledger.owe("room", "notice", before.text, by="a", now=NOW)
    return ledger, ledger.settle(before, call="room", by="a", now=NOW + 8)


def amend(ledger: Ledger, row: Record, before: Receipt, *then: Receipt) -> None:
    for number, after in enumerate(then):
        ledger.amend(before, after, call="room", by="a", now=NOW + 20 + number, settled=row.entry)
        before = after


def only(ledger: Ledger) -> Entry:
    (entry,) = entries(ledger, now=NOW + 100)
    return entry


def known(ledger: Ledger) -> Receipt:
    found = only(ledger).receipt
    assert found is not None
    return found


def kinds(ledger: Ledger) -> list[str]:
    with ledger.transaction() as connection:
        return list(connection.execute(sa.select(tables.ROWS.c.kind).order_by(tables.ROWS.c.seq)).scalars())


def test_what_becomes_known_later_raises_the_level_and_the_first_row_stays_as_it_was(url: str) -> None:
    before = heard_by(ANN)
    ledger, row = settled(url, before)
    first = next(one for one in rows(ledger) if one["seq"] == 2)
    assert known(ledger).level is Level.PLAYED

    for now_known, level in (
        (STAYED, Level.PRESENT),
        (REPORTED, Level.REPORTED),
        (ACKNOWLEDGED_IT, Level.ACKNOWLEDGED),
    ):
        amend(ledger, row, before, before := heard_by(now_known))
        assert known(ledger) == replace(receipt(), caller="ann", call="room", listeners=(now_known,))
        assert known(ledger).level is level

    assert only(ledger).rows == (1, 2, 3, 4, 5)
    assert only(ledger).amended == NOW + 20
    assert next(one for one in rows(ledger) if one["seq"] == 2) == first
    assert kinds(ledger) == ["owed", "settled", "amended", "amended", "amended"]
    assert verify(ledger).fault is None


def test_an_amendment_says_what_the_level_is_then(url: str) -> None:
    before = heard_by(ANN)
    ledger, row = settled(url, before)
    amend(ledger, row, before, heard_by(STAYED))
    content = json.loads(list(rows(ledger))[-1]["content"])
    assert (content["kind"], content["of"], content["level"]) == ("amended", 2, "present")
    assert [(one["identity"], one["present"], one["level"]) for one in content["listeners"]] == [
        ("ann", [[0.0, 20.0]], "present")
    ]


def test_what_is_nothing_new_is_no_row(url: str) -> None:
    before = heard_by(REPORTED)
    ledger, row = settled(url, before)
    changed = replace(before, outcome=Outcome.FAILED, played=1.0, text="Another.", gap=0.3, listeners=(REPORTED,))
    assert ledger.amend(before, changed, call="room", by="a", now=NOW, settled=row.entry) is None
    assert kinds(ledger) == ["owed", "settled"]


def test_an_amendment_changes_listeners_and_nothing_else(url: str) -> None:
    before = heard_by(ANN)
    ledger, row = settled(url, before)
    other = cut_in()
    amend(ledger, row, before, replace(other, text="Nothing is recorded.", held=(), listeners=(REPORTED,)))
    assert known(ledger) == replace(before, listeners=(REPORTED,))
    assert verify(ledger).fault is None


def test_where_the_agents_own_line_proves_to_have_been_down_nobody_is_said_to_have_been_there(url: str) -> None:
    before = heard_by(REPORTED, Listener("ben", ((2.0, 3.0),)))
    ledger, row = settled(url, before)
    assert known(ledger).level is Level.REPORTED
    amend(ledger, row, before, heard_by(replace(REPORTED, present=((0.0, 2.0), (6.0, 20.0)))))
    assert known(ledger).listeners == (
        Listener("ann", ((0.0, 2.0), (6.0, 20.0)), reported=7.0),
        Listener("ben"),
    )
    assert known(ledger).level is Level.PLAYED


def test_of_what_is_settled_nothing_is_taken_back_without_being_named() -> None:
    before = heard_by(ACKNOWLEDGED_IT)
    less = {"identity": "ann", "present": [[1.0, 2.0]], "reported": 1.0, "acknowledged_at": 99.0}
    assert amended(before, {"listeners": [less]}) == before
    assert amended(before, {"listeners": []}) == before


def test_a_report_of_more_than_was_played_does_not_displace_one_that_can_be_true() -> None:
    before = heard_by(REPORTED)
    absurd = {"identity": "ann", "present": [], "reported": 70.0, "acknowledged_at": None}
    assert amended(before, {"listeners": [absurd]}) == before


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=3).map(
    lambda pairs: tuple((float(min(pair)), float(max(pair))) for pair in pairs)
)
people = st.builds(
    Listener,
    st.sampled_from(["ann", "ben"]),
    spans,
    st.none() | st.floats(0, 7),
    st.none() | st.floats(8, 30),
)
groups = st.lists(people, max_size=2, unique_by=lambda one: one.identity).map(tuple)


@given(groups, st.lists(groups, max_size=3))
def test_whatever_is_added_everybody_stays_as_long_as_they_were_and_all_else_as_it_was(
    before: tuple[Listener, ...], more: list[tuple[Listener, ...]]
) -> None:
    at_first = now = heard_by(*before)
    for listeners in more:
        documents = [{**vars(one), "present": [list(span) for span in one.present]} for one in listeners]
        now = amended(now, {"listeners": documents})
    assert replace(now, listeners=at_first.listeners) == at_first
    after = {one.identity: one for one in now.listeners}
    for one in before:
        left = after[one.identity]
        assert all(any(a <= begin and end <= b for a, b in left.present) for begin, end in one.present if begin < end)
        assert one.reported is None or (left.reported or 0.0) >= one.reported
        assert one.acknowledged_at is None or left.acknowledged_at == one.acknowledged_at


@given(groups, groups)
def test_what_is_read_is_what_was_known_and_nothing_is_claimed_that_was_not(
    before: tuple[Listener, ...], after: tuple[Listener, ...]
) -> None:
    then, now = heard_by(*before), heard_by(*after)
    record = amendment(then, now, "room", by="a", now=NOW, settled="x")
    read = then if record is None else amended(then, json.loads(json.dumps(record.content)))
    of_now = {one.identity: one for one in now.listeners}
    for one in read.listeners:
        ends = of_now.get(one.identity, Listener(one.identity)).present
        points = {(a + b) / 2 for a, b in one.present} | {at + 0.5 for at in range(20)}
        for at in points:
            assert any(a <= at < b for a, b in one.present) == any(a <= at < b for a, b in ends)


def test_an_amendment_of_a_row_that_is_not_in_the_book_or_was_late_changes_nothing(url: str) -> None:
    before = heard_by(ANN)
    ledger, _ = settled(url, before)
    late = ledger.settle(before, call="room", by="b", now=NOW + 60, owed=only_promise(ledger))
    amend(ledger, late, before, heard_by(REPORTED))
    ledger.amend(before, heard_by(REPORTED), call="room", by="a", now=NOW, settled="nothing")
    assert kinds(ledger) == ["owed", "settled", "late", "late", "late"]
    assert known(ledger) == before
    assert verify(ledger).fault is None


def only_promise(ledger: Ledger) -> str:
    with ledger.transaction() as connection:
        owed = tables.ROWS.c.kind == Kind.OWED.value
        return str(connection.execute(sa.select(tables.ROWS.c.entry).where(owed)).scalar_one())


def test_of_an_id_that_was_used_twice_the_right_receipt_is_amended(url: str) -> None:
    before = heard_by(ANN)
    ledger, row = settled(url, before)
    ledger.owe("room", "notice", before.text, by="a", now=NOW + 10)
    ledger.settle(before, call="room", by="a", now=NOW + 18)
    amend(ledger, row, before, heard_by(REPORTED))
    levels = [entry.receipt.level for entry in entries(ledger, now=NOW) if entry.receipt]
    assert levels == [Level.REPORTED, Level.PLAYED]


def test_what_was_never_promised_can_be_amended(url: str) -> None:
    before, ledger = heard_by(ANN), Opened(url)
    row = ledger.settle(before, call="room", by="a", now=NOW)
    amend(ledger, row, before, heard_by(REPORTED))
    assert (known(ledger).level, only(ledger).rows) == (Level.REPORTED, (1, 2))


def test_what_the_caller_said_can_be_forgotten_and_what_was_added_stays(url: str) -> None:
    before = heard_by(ANN)
    ledger, row = settled(url, before)
    amend(ledger, row, before, heard_by(STAYED))
    assert ledger.forget("room", by="ann", now=NOW + 30, text=True) == 2
    amend(ledger, row, heard_by(STAYED), heard_by(REPORTED))
    assert MINE not in str(list(rows(ledger)))
    assert known(ledger).level is Level.REPORTED
    assert verify(ledger).fault is None


@pytest.mark.parametrize("content", ['"level":"present"', '"present":[[0.0,20.0]]'])
def test_a_changed_amendment_is_found(url: str, content: str) -> None:
    before = heard_by(ANN)
    ledger, row = settled(url, before)
    amend(ledger, row, before, heard_by(STAYED))
    with ledger.transaction() as connection:
        changed = sa.func.replace(tables.ROWS.c.content, content, content.replace("present", "reported"))
        connection.execute(tables.ROWS.update().where(tables.ROWS.c.seq == 3).values(content=changed))
    fault = verify(ledger).fault
    assert fault is not None
    assert (fault.seq, fault.row) == (3, "row 3 (amended: utterance 'notice' in call 'room')")


def test_where_the_ledger_is_down_it_waits_behind_the_receipt(tmp_path: Path) -> None:
    url, before = f"sqlite:///{tmp_path}/receipts.db", heard_by(ANN)
    ledger = Opened(url)
    ledger.owe("room", "notice", before.text, by="a", now=NOW)

    async def say() -> None:
        scribe = Scribe(Ledger(url), holder="a")
        with locked(tmp_path / "receipts.db"):
            written = scribe.settle(before, call="room", now=NOW + 8, entry="row")
            scribe.amend(before, heard_by(STAYED), call="room", now=NOW + 20, settled="row")
            assert await written is Written.SPOOLED
        await scribe.close()

    asyncio.run(say())
    assert kinds(ledger) == ["owed", "settled", "amended"]
    assert (known(ledger).level, only(ledger).spooled) == (Level.PRESENT, True)


def test_the_scribe_writes_it_and_after_its_close_leaves_it_to_the_next_process(tmp_path: Path) -> None:
    url, before = f"sqlite:///{tmp_path}/receipts.db", heard_by(ANN)

    async def say() -> None:
        scribe = Scribe(Ledger(url))
        await scribe.owe("room", "notice", before.text, now=NOW)
        scribe.settle(before, call="room", now=NOW + 8, entry="row")
        scribe.amend(before, heard_by(STAYED), call="room", now=NOW + 20, settled="row")
        scribe.amend(heard_by(STAYED), heard_by(STAYED), call="room", now=NOW + 21, settled="row")
        await scribe.close()
        scribe.amend(heard_by(STAYED), heard_by(REPORTED), call="room", now=NOW + 22, settled="row")  # spooled

    async def next_one() -> None:
        scribe = Scribe(Ledger(url))
        await until(lambda: len(kinds(ledger)) == 4)
        await scribe.close()

    ledger = Opened(url)
    asyncio.run(say())
    asyncio.run(next_one())
    assert kinds(ledger) == ["owed", "settled", "amended", "amended"]
    assert known(ledger).level is Level.REPORTED
    assert only(ledger).spooled


def test_a_close_waits_for_nothing_more_and_adds_what_is_known_in_one_row(tmp_path: Path) -> None:
    ledger = Opened(f"sqlite:///{tmp_path}/receipts.db")

    async def keep() -> None:
        scribe: Any = InTheLoop(ledger, "a")
        book = Bookkeeper(scribe, "room", agent=lambda: "", standing=lambda _: Standing())
        book.promise("key", Asked("notice", receipt().text))
        await book.promised("key")
        book.amend("key", heard_by(STAYED))  # it is not over
        book.settle("key", heard_by(ANN), answer=False)
        book.amend("key", heard_by(STAYED))
        book.amend("key", heard_by(REPORTED))
        assert kinds(ledger) == ["owed", "settled"]
        await book.close()
        book.amend("key", heard_by(ACKNOWLEDGED_IT))

    virtually(keep)
    assert kinds(ledger) == ["owed", "settled", "amended"]
    assert known(ledger).level is Level.REPORTED


# Whole calls


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
            samples = round(Voice().seconds(NOTICE) * 48_000)
            heard = {"allowed": True, "muted": False, "paused": False, "hidden": False}
            return json.dumps({"received": samples, "concealed": 0} | heard)
        return ""

    async def publish_data(self, *_: Any, **__: Any) -> None:
        pass


def call_with_a_page(ledger: Ledger, *acts: Do, reports_after: float = 0.1, ends_after: float = 60.0) -> Any:
    """A call whose caller has a page; they are in the room until its end, and LiveKit would miss them after 21 s."""
    page: list[PagesRoom] = []

    async def read(session: AgentSession[Any]) -> None:
        shell, room = session._shell, PagesRoom(reports_after)
        assert shell is not None
        page.append(room)
        await shell.keep(InTheLoop(ledger, "a"), "room/1")  # type: ignore[arg-type]
        shell.follow(room)  # type: ignore[arg-type]
        assert shell.room is not None
        assert shell.page is not None
        shell.room.caller = "ann"
        shell.room._presence.came("ann", shell.now)
        await page[0].says(HELLO)
        shell.page.witness.ask("notice", "I have understood")
        session.announce(NOTICE, id="notice")

    acts = tuple(Do(one.at, lambda session, one=one: one.what((session, page[0]))) for one in acts)
    return call(*acts, agent=reading(read), policy=Policy(acknowledge_grace=0.0), ends_after=ends_after)


async def press(session_and_page: tuple[Any, PagesRoom]) -> None:
    await session_and_page[1].says(ACKNOWLEDGED, id="notice")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Opened(f"sqlite:///{tmp_path}/receipts.db")


def in_the_book(ledger: Ledger) -> Entry:
    (entry,) = entries(ledger, now=1e12, call="room/1")
    return entry


def test_a_late_report_a_late_acknowledgement_and_late_presence_reach_the_ledger(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearout.witnesses.REPORTED", 0.1)
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
    assert entry.receipt.listeners[0].reported == pytest.approx(Voice().seconds(NOTICE), abs=0.1)
    assert len(kinds(ledger)) == 4
    assert verify(ledger).fault is None


def test_a_late_report_alone_is_an_amendment(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout.witnesses.REPORTED", 0.1)
    seen: list[tuple[list[str], float | None]] = []

    def look(session_and_page: tuple[Any, PagesRoom]) -> None:
        found = in_the_book(ledger).receipt
        assert found is not None
        assert [found.listeners] == [one.listeners for one in session_and_page[0].receipts]
        seen.append((kinds(ledger), found.listeners[0].reported))

    call_with_a_page(ledger, Do(from_end(5.0), look), reports_after=2.4, ends_after=16.0)

    assert seen == [(["owed", "settled", "amended"], pytest.approx(Voice().seconds(NOTICE), abs=0.1))]


def test_a_button_that_is_pressed_after_a_minute_is_added_while_the_call_goes_on(ledger: Ledger) -> None:
    seen: list[Level] = []

    def look(_: Any) -> None:
        found = in_the_book(ledger).receipt
        assert found is not None
        seen.append(found.level)

    call_with_a_page(ledger, Do(from_end(60.0), press), Do(from_end(65.0), look), ends_after=90.0)

    assert seen == [Level.ACKNOWLEDGED]


def test_what_becomes_known_just_before_the_end_of_the_call_is_added(ledger: Ledger) -> None:
    async def press_and_go(session_and_page: tuple[Any, PagesRoom]) -> None:
        await press(session_and_page)
        await session_and_page[0].aclose()

    call_with_a_page(ledger, Do(from_end(60.0), press_and_go), ends_after=90.0)

    assert kinds(ledger) == ["owed", "settled", "amended", "amended"]
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert entry.receipt.level is Level.ACKNOWLEDGED


def test_what_becomes_known_while_the_row_waits_for_the_answer_is_in_that_row(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, waiting = Bookkeeper.settle, []

    def waits(self: Bookkeeper, key: str, one: Receipt, *, answer: bool) -> None:
        settle(self, key, one, answer=True)

    async def later(session_and_page: tuple[Any, PagesRoom]) -> None:
        waiting.extend(kinds(ledger))
        await press(session_and_page)

    monkeypatch.setattr(Bookkeeper, "settle", waits)
    call_with_a_page(ledger, Do(from_end(3.0), later), ends_after=17.0)

    assert waiting == ["owed"]
    assert kinds(ledger) == ["owed", "settled"]
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert entry.receipt.listeners[0].acknowledged_at is not None


def test_a_caller_who_takes_anothers_place_changes_nothing_on_the_receipt(ledger: Ledger) -> None:
    def another(session_and_page: tuple[Any, PagesRoom]) -> None:
        session_and_page[0]._shell.room.caller = "ben"
        session_and_page[0]._shell.room._presence.came("ben", session_and_page[0]._shell.now)

    result = call_with_a_page(ledger, Do(from_end(5.0), another))

    (one,) = result.session.receipts
    entry = in_the_book(ledger)
    assert entry.receipt is not None
    assert (one.caller, entry.receipt.caller) == ("ann", "ann")
    assert [listener.identity for listener in one.listeners] == ["ann"]
    assert one.level is entry.receipt.level is Level.REPORTED

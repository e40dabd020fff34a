"""Evidence that comes after a row was settled is added as an amendment, and nothing else changes.

On SQLite and PostgreSQL alike; whole calls are in `test_amendments_calls.py`.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from harness.databases import locked, until
from harness.kept_in_loop import InTheLoop
from harness.ledger_workers import MINE, NOW, Opened, cut_in, kinds, receipt, writing
from hearout import Level, Outcome, Receipt
from hearout._floor.state import Progress
from hearout._session.call_ledger import CallLedger
from hearout._session.speeches import SpeechRequest
from hearout.ledger import Ledger
from hearout.ledger import _tables as tables
from hearout.ledger._entries import Entry, Record, RowKind, Written, amended, amendment
from hearout.ledger._read import entries, rows, verify
from hearout.ledger._writer import LedgerWriter
from hearout.receipts import Listener
from hearout.testing import run as virtually

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


def test_later_evidence_raises_the_level_and_the_first_row_stays(url: str) -> None:
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
    content = json.loads(list(rows(ledger))[2]["content"])
    assert (content["kind"], content["of"], content["level"]) == ("amended", 2, "present")
    assert [(one["present"], one["level"]) for one in content["listeners"]] == [([[0.0, 20.0]], "present")]


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


def test_while_the_agents_connection_proves_lost_nobody_counts_as_present(url: str) -> None:
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


def test_a_report_of_more_than_was_played_does_not_displace_a_possible_one() -> None:
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
def test_an_addition_leaves_everybodys_presence_and_all_else_as_they_were(
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
def test_reading_gives_the_known_facts_and_claims_no_others(
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


def test_an_amendment_of_a_missing_row_or_a_late_one_changes_nothing(url: str) -> None:
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
        owed = tables.ROWS.c.kind == RowKind.OWED.value
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
    assert ledger.forget("room", by="ann", now=NOW + 30, text=True) == 3
    assert MINE not in str(list(rows(ledger)))
    assert known(ledger).level is Level.PRESENT
    amend(ledger, row, heard_by(STAYED), heard_by(REPORTED))  # whom it means is not known any more
    assert (kinds(ledger)[-1], known(ledger).level) == ("late", Level.PRESENT)
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

    async def say(writer: LedgerWriter) -> None:
        with locked(tmp_path / "receipts.db"):
            written = writer.settle(before, call="room", now=NOW + 8, entry="row")
            writer.amend(before, heard_by(STAYED), call="room", now=NOW + 20, settled="row")
            assert await written is Written.SPOOLED

    writing(Ledger(url), say, holder="a")
    assert kinds(ledger) == ["owed", "settled", "amended"]
    assert (known(ledger).level, only(ledger).spooled) == (Level.PRESENT, True)


def test_a_closed_writer_leaves_its_rows_to_the_next_process(tmp_path: Path) -> None:
    url, before = f"sqlite:///{tmp_path}/receipts.db", heard_by(ANN)

    async def say(writer: LedgerWriter) -> None:
        await writer.owe("room", "notice", before.text, now=NOW)
        writer.settle(before, call="room", now=NOW + 8, entry="row")
        writer.amend(before, heard_by(STAYED), call="room", now=NOW + 20, settled="row")
        writer.amend(heard_by(STAYED), heard_by(STAYED), call="room", now=NOW + 21, settled="row")
        await writer.close()
        writer.amend(heard_by(STAYED), heard_by(REPORTED), call="room", now=NOW + 22, settled="row")  # spooled

    async def next_one(_: LedgerWriter) -> None:
        await until(lambda: len(kinds(ledger)) == 4)

    ledger = Opened(url)
    writing(Ledger(url), say)
    writing(Ledger(url), next_one)
    assert kinds(ledger) == ["owed", "settled", "amended", "amended"]
    assert known(ledger).level is Level.REPORTED
    assert only(ledger).spooled


def test_a_close_waits_for_nothing_more_and_adds_what_is_known_in_one_row(tmp_path: Path) -> None:
    ledger = Opened(f"sqlite:///{tmp_path}/receipts.db")

    async def keep() -> None:
        writer: Any = InTheLoop(ledger, "a")
        book = CallLedger(writer, "room", agent=lambda: "", progress=lambda _: Progress())
        book.promise("key", SpeechRequest("notice", receipt().text))
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

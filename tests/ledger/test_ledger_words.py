"""Which words the ledger keeps, and how the ledger forgets."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness.ledger_workers import MINE, NOTICE, NOW, SECRET, cut_in, kinds, receipt
from harness.ledger_workers import Opened as Ledger
from hearout.errors import LedgerError
from hearout.ledger import _read as reading
from hearout.ledger import _tables as tables
from hearout.ledger._calls import CallRegistry, WatchedCall
from hearout.ledger._entries import RowKind
from hearout.ledger._leases import mark
from hearout.ledger._read import entries, rows, verify
from hearout.policy import Retention
from hearout.receipts import Attempt, Listener

DAY = 86400.0


def leases(ledger: Ledger) -> list[Any]:
    with ledger.transaction() as connection:
        return list(connection.execute(sa.select(tables.LEASES)).mappings())


def test_words_that_are_not_to_be_kept_are_not(url: str) -> None:
    ledger = Ledger(url, words=Retention.OMIT, text=Retention.OMIT)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert ledger.owed("room")[0].text == NOTICE  # else it could not be said again
    ledger.settle(receipt(), call="room", by="a", now=NOW)
    kept = str(list(rows(ledger)))
    assert MINE not in kept
    assert NOTICE not in kept
    assert receipt().text_sha256 in kept
    assert '"sha256"' not in kept  # a "yes" would be guessed
    assert verify(ledger).fault is None
    (entry,) = entries(ledger, now=NOW)
    assert entry.receipt is not None
    assert entry.receipt.text_sha256 == receipt().text_sha256


def test_what_a_caller_said_can_be_forgotten_and_the_chain_stays_whole(url: str) -> None:
    ledger = Ledger(url)
    for call in ("room", "another"):
        ledger.owe(call, "notice", NOTICE, by="a", now=NOW)
        ledger.settle(receipt(), call=call, by="a", now=NOW)
    ledger.owe("room", "farewell", NOTICE, by="a", now=NOW)
    ledger.renew("room", "farewell", by="a", played=1.0, now=NOW, held=[MINE])
    head = verify(ledger).head

    assert ledger.forget("room", by="ann", now=NOW + 9) == 1
    assert verify(ledger, head=head).fault is None
    first, other, _ = entries(ledger, now=NOW)
    assert first.receipt is not None
    assert other.receipt is not None
    assert [held.text for held, _ in first.receipt.held] == [""]
    assert first.receipt.text == NOTICE
    assert [held.text for held, _ in other.receipt.held] == [MINE]
    nameless = first.call
    assert MINE not in str(list(rows(ledger, call=nameless)))
    assert [one["held"] for one in leases(ledger)] == ["[]"]
    assert kinds(ledger)[-1] == RowKind.FORGOTTEN.value

    assert ledger.forget(nameless, by="ann", now=NOW + 9, text=True) == 3
    assert NOTICE not in str(list(rows(ledger, call=nameless)))
    assert verify(ledger).fault is None


def test_a_replys_text_is_known_from_its_renewals_until_it_is_settled(url: str) -> None:
    ledger = Ledger(url, text=Retention.OMIT)
    ledger.owe("room", "reply", "", by="a", now=NOW)
    assert (ledger.owed("room")[0].text, ledger.owed("room")[0].complete) == ("", False)
    for said, complete in (("Very well. This", False), (NOTICE, True)):
        so_far = mark(at=1.5, characters=11, text=said, complete=complete)
        ledger.renew("room", "reply", by="a", played=2.0, now=NOW, held=[so_far, {"kind": "spoken", "text": MINE}])
        (owing,) = ledger.owed("room")
        assert (owing.text, owing.complete) == (said, complete)
        (died,) = entries(ledger, now=NOW + 60)
        assert died.receipt is not None
        assert (died.receipt.text, died.receipt.omitted_text) == (said, "")
    ledger.settle(receipt("reply"), call="room", by="a", now=NOW + 8)
    assert NOTICE not in everything(ledger)  # it was kept only as long as it was owed
    (over,) = entries(ledger, now=NOW + 60)
    assert over.receipt is not None
    assert (over.receipt.text, over.receipt.text_sha256) == ("", receipt().text_sha256)


def everything(ledger: Ledger) -> str:
    with ledger.transaction() as connection:
        return str([connection.execute(sa.select(table)).all() for table in tables.METADATA.sorted_tables])


def test_a_replys_text_is_forgotten_on_request_the_callers_words_always(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "reply", "", by="a", now=NOW)
    held = [mark(at=1.5, characters=11, text=NOTICE, complete=True), {"kind": "spoken", "text": MINE}, MINE]
    ledger.renew("room", "reply", by="a", played=2.0, now=NOW, held=held)

    ledger.forget("room", by="ann", now=NOW + 9)
    assert MINE not in everything(ledger)
    (died,) = entries(ledger, now=NOW + 60)
    assert died.receipt is not None
    assert died.receipt.text == NOTICE

    ledger.forget(died.call, by="ann", now=NOW + 9, text=True)
    assert NOTICE not in everything(ledger)
    (lease,) = leases(ledger)
    assert json.loads(lease["held"]) == [{"kind": "mark", "at": 1.5, "characters": 11, "complete": True}]
    assert verify(ledger).fault is None


def test_what_is_forgotten_is_nowhere_in_the_file(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/receipts.db")
    for index in range(20):
        ledger.owe(f"room-{index}", "notice", NOTICE, by="a", now=NOW)
        ledger.settle(receipt(), call=f"room-{index}", by="a", now=NOW)
    assert any(MINE.encode() in path.read_bytes() for path in tmp_path.iterdir())
    for index in range(20):
        ledger.forget(f"room-{index}", by="ann", now=NOW)
    assert [path.name for path in tmp_path.iterdir() if MINE.encode() in path.read_bytes()] == []


PHONE = "+49 170 5551234"


def telephone_call(ledger: Ledger, call: str = f"call-{PHONE}/RM_1", now: float = NOW) -> None:
    """A call by telephone, whose number is in the room's name, the caller's identity and the reasons."""
    sip = f"sip_{PHONE}"
    ledger.owe(call, "notice", NOTICE, by="a", now=now)
    there = (Listener(sip, ((0.0, 20.0),)), Listener("supervisor", ((0.0, 20.0),)))
    before = replace(cut_in(), why=f"stopped by {sip}", cut_in_by=sip, caller=sip, listeners=there)
    before = replace(before, attempts=(Attempt(1.0, 4.0, 3.0, ended_why=f"by {sip}"),))
    row = ledger.settle(before, call=call, by="a", now=now + 8)
    after = replace(before, listeners=(replace(there[0], reported=3.0), there[1]))
    ledger.amend(before, after, call=call, by="a", now=now + 20, settled=row.entry)


def test_no_name_is_in_the_chain_and_all_come_back_when_it_is_read(url: str) -> None:
    ledger = Ledger(url)
    telephone_call(ledger)
    with ledger.transaction() as connection:
        assert PHONE not in str(connection.execute(sa.select(tables.ROWS)).all())
    (entry,) = entries(ledger, now=NOW, call=f"call-{PHONE}/RM_1")
    assert entry.receipt is not None
    assert (entry.call, entry.receipt.call) == (f"call-{PHONE}/RM_1",) * 2
    assert (entry.receipt.caller, entry.receipt.cut_in_by) == (f"sip_{PHONE}",) * 2
    assert (entry.receipt.why, entry.receipt.attempts[0].ended_why) == (f"stopped by sip_{PHONE}", f"by sip_{PHONE}")
    assert [(one.identity, one.reported) for one in entry.receipt.listeners] == [
        (f"sip_{PHONE}", 3.0),
        ("supervisor", None),
    ]
    assert verify(ledger).fault is None


def test_forgetting_a_call_removes_the_telephone_number_everywhere(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/receipts.db")
    telephone_call(ledger)
    ledger.owe(f"call-{PHONE}/RM_1", "farewell", NOTICE, by="a", now=NOW)
    assert PHONE in everything(ledger)
    before = levels(ledger)

    ledger.forget(f"call-{PHONE}/RM_1", by="ann", now=NOW + 100)

    assert PHONE not in everything(ledger)
    assert [path.name for path in tmp_path.iterdir() if PHONE.encode() in path.read_bytes()] == []
    assert levels(ledger) == before  # what was witnessed stays, of somebody
    assert verify(ledger).fault is None


def levels(ledger: Ledger) -> list[Any]:
    return [entry.receipt and (entry.receipt.level, entry.receipt.outcome) for entry in entries(ledger, now=NOW + 200)]


def test_the_same_name_is_another_one_in_another_call(url: str) -> None:
    ledger = Ledger(url)
    for number in range(2):
        telephone_call(ledger, f"room-{number}")
    contents = [json.loads(row["content"]) for row in list(rows(ledger))[:-1] if "receipt" in row["content"]]
    people = [one["identity"] for content in contents for one in content["receipt"]["listeners"]]
    assert len(set(people)) == 4


@pytest.mark.parametrize("attended", [True, False])
def test_a_call_that_is_being_held_is_not_forgotten(url: str, attended: bool) -> None:  # noqa: FBT001
    ledger = Ledger(url)
    now = time.time()
    if attended:
        ledger.settle(receipt(), call="room", by="a", now=now)
        registry = CallRegistry(ledger, SECRET)
        registry.look(worker="w", beat=1)
        registry.attend(WatchedCall("room", "room", "RM_1", "job", "agent", "", "", worker="w"))
    else:
        ledger.owe("room", "notice", NOTICE, by="a", now=now)
    before = everything(ledger)
    with pytest.raises(LedgerError, match="call 'room' is being held; forget it when it is over"):
        ledger.forget("room", by="ann", now=now + 1)
    assert ledger.expire(before=now + 2, by="ann", now=now + 1) == 0
    assert everything(ledger) == before

    if attended:
        registry.leave("room", job="job")
    assert ledger.forget("room", by="ann", now=now + 60) <= 1
    assert verify(ledger).fault is None


def test_what_is_said_after_a_call_was_forgotten_is_not_forgotten_by_that(url: str) -> None:
    ledger = Ledger(url)
    ledger.settle(receipt("first"), call="room", by="a", now=NOW)
    ledger.forget("room", by="ann", now=NOW + 60)
    ledger.settle(receipt("second"), call="room", by="a", now=NOW + 120)
    (second,) = entries(ledger, now=NOW, call="room")
    assert second.receipt is not None
    assert (second.id, second.receipt.held[0][0].text) == ("second", MINE)
    assert verify(ledger).fault is None
    with ledger.transaction() as connection:  # and whoever removes it has no row to point to
        connection.execute(tables.SAID.update().where(tables.SAID.c.seq == 3).values(salt=None, caller=None))
    fault = verify(ledger).fault
    assert fault is not None
    assert fault.what == "what was kept beside it (caller) is gone, and no row says that it was forgotten"


def test_calls_that_are_older_expire_and_the_others_stay(url: str) -> None:
    ledger = Ledger(url)
    for number, call in enumerate(("old", "older", "new")):
        telephone_call(ledger, call, now=NOW + (90 * DAY if call == "new" else number))
    assert ledger.expire(before=NOW + DAY, by="ann", now=NOW + 91 * DAY) == 2
    assert [entry.call.startswith("~") for entry in entries(ledger, now=NOW)] == [True, True, False]
    assert verify(ledger).fault is None
    assert kinds(ledger)[-1] == RowKind.FORGOTTEN.value
    assert ledger.expire(before=NOW + DAY, by="ann", now=NOW + 91 * DAY) == 0  # nothing is left to forget
    with ledger.transaction() as connection:
        connection.execute(tables.SAID.update().where(tables.SAID.c.seq == 8).values(names=None))
    assert verify(ledger).fault is not None  # that one was newer


def test_what_waited_while_it_was_to_be_forgotten_is_not_kept(url: str) -> None:
    ledger, elsewhere = Ledger(url), Ledger(url, "elsewhere")
    promise = elsewhere.owe("room", "farewell", NOTICE, by="a", now=NOW)
    record = elsewhere.settle(receipt("farewell"), call="room", by="a", now=NOW, owed=promise.entry)
    ledger.settle(receipt(), call="room", by="a", now=NOW)
    ledger.forget("room", by="ann", now=NOW + 60, text=True)
    for waited in (promise, record):
        ledger.append(waited, spooled=True)
    assert MINE not in str(list(rows(ledger)))
    assert NOTICE not in str(list(rows(ledger)))
    assert "'room'" not in str(list(rows(ledger)))
    assert len({entry.call for entry in entries(ledger, now=NOW)}) == 1
    assert verify(ledger).fault is None


def test_what_is_forgotten_while_a_book_is_verified_is_no_fault(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, first = Ledger(url), iter([True])
    for number in range(3):
        ledger.settle(receipt(), call=f"room-{number}", by="a", now=NOW)
    pages = reading._pages

    def forgotten_meanwhile(*given: Any) -> Any:
        if next(first, False):
            ledger.forget("room-2", by="ann", now=NOW + 60)
        return pages(*given)

    monkeypatch.setattr(reading, "_pages", forgotten_meanwhile)
    assert verify(ledger).fault is None

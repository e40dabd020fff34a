"""Which words the ledger keeps, and how the ledger forgets."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from harness.ledger_workers import (
    MINE,
    NOTICE,
    NOW,
    kinds,
    receipt,
)
from harness.ledger_workers import Opened as Ledger
from hearout.ledger import RowKind
from hearout.ledger import _tables as tables
from hearout.ledger._entries import mark
from hearout.ledger._read import entries, rows, verify
from hearout.policy import Retention


@pytest.mark.parametrize("policy", [Retention.HASH, Retention.OMIT])
def test_words_that_are_not_to_be_kept_are_not(url: str, policy: Retention) -> None:
    ledger = Ledger(url, words=policy, text=policy)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert ledger.owed("room")[0].text == NOTICE  # else it could not be said again
    ledger.settle(receipt(), call="room", by="a", now=NOW)
    kept = str(list(rows(ledger)))
    assert MINE not in kept
    assert NOTICE not in kept
    assert receipt().text_sha256 in kept
    assert ('"sha256"' in kept) is (policy is Retention.HASH)
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
    assert MINE not in str(list(rows(ledger, call="room")))
    assert ledger.owed("room")[0].held == ()
    assert kinds(ledger)[-1] == RowKind.FORGOTTEN.value

    assert ledger.forget("room", by="ann", now=NOW + 9, text=True) == 3
    assert NOTICE not in str(list(rows(ledger, call="room")))
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
    (owing,) = ledger.owed("room")
    assert (owing.text, owing.held) == (NOTICE, (held[0],))

    ledger.forget("room", by="ann", now=NOW + 9, text=True)
    assert NOTICE not in everything(ledger)
    (owing,) = ledger.owed("room")
    assert (owing.text, owing.held) == ("", ({"kind": "mark", "at": 1.5, "characters": 11, "complete": True},))
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


def test_what_waited_while_it_was_to_be_forgotten_is_not_kept(url: str) -> None:
    ledger, elsewhere = Ledger(url), Ledger(url, "elsewhere")
    record = elsewhere.settle(receipt(), call="room", by="a", now=NOW)
    ledger.forget("room", by="ann", now=NOW + 60)
    ledger.append(record, spooled=True)
    assert MINE not in str(list(rows(ledger)))
    assert verify(ledger).fault is None

"""The ledger's book: what is promised and settled, by how many at once, on SQLite and PostgreSQL alike."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.ledger_workers import (
    MINE,
    NOTICE,
    NOW,
    all_at_once,
    append_many,
    cut_in,
    kinds,
    processes,
    receipt,
    say_and_never_end,
    take_over,
)
from harness.ledger_workers import Opened as Ledger
from hearout.errors import AlreadyOwedError
from hearout.ledger._chain import GENESIS
from hearout.ledger._leases import LEASE
from hearout.ledger._read import entries, verify


def standings(ledger: Ledger, now: float = NOW) -> list[tuple[str, str]]:
    return [(entry.id, entry.standing) for entry in entries(ledger, now=now)]


def test_a_promise_is_owed_until_it_is_settled(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW, agent="Front desk", policy={"redeliver": "never"})

    (owing,) = ledger.owed("room")
    assert (owing.text, owing.agent, owing.policy) == (NOTICE, "Front desk", {"redeliver": "never"})
    assert (owing.holder, owing.played, owing.held, owing.attempts) == ("a", 0.0, (), 0)
    assert standings(ledger) == [("notice", "owed")]
    assert ledger.owed("another room") == ()

    ledger.settle(receipt(), call="room", by="a", now=NOW + 8)
    assert ledger.owed("room") == ()
    (entry,) = entries(ledger, now=NOW)
    assert entry.receipt == replace(receipt(), call="room")
    assert (entry.asked, entry.over, entry.rows) == (NOW, NOW + 8, (1, 2))


def test_while_it_is_renewed_it_plays_and_afterwards_its_process_has_died(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert ledger.renew("room", "notice", by="a", played=2.5, now=NOW + 3, held=[{"text": MINE}])

    assert standings(ledger, NOW + 3 + LEASE - 0.1) == [("notice", "playing")]
    (died,) = entries(ledger, now=NOW + 3 + LEASE)
    assert (died.standing, died.played) == ("unknown", 2.5)
    assert died.receipt is not None
    assert (died.receipt.played, died.receipt.text) == (2.5, NOTICE)
    assert ledger.owed("room")[0].held == ({"text": MINE},)


def test_what_was_played_never_becomes_less(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    ledger.renew("room", "notice", by="a", played=2.5, now=NOW)
    ledger.renew("room", "notice", by="a", played=1.0, now=NOW)
    assert ledger.owed("room")[0].played == 2.5


def test_what_is_owed_cannot_be_promised_again_and_what_is_settled_can(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    with pytest.raises(AlreadyOwedError, match="'notice' is owed in call 'room' already; take it over"):
        ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    ledger.owe("another", "notice", NOTICE, by="a", now=NOW)
    ledger.settle(receipt(), call="room", by="a", now=NOW)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert standings(ledger) == [("notice", "finished"), ("notice", "owed"), ("notice", "owed")]


def test_what_was_never_promised_may_be_settled(url: str) -> None:
    ledger = Ledger(url)
    ledger.settle(cut_in(), call="room", by="a", now=NOW)
    (entry,) = entries(ledger, now=NOW)
    assert (entry.standing, entry.asked, entry.over) == ("cut in", None, NOW)


def test_a_record_is_appended_once_however_often_it_is_tried(url: str) -> None:
    ledger = Ledger(url)
    record = ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert ledger.append(record) == ledger.append(record, spooled=True) == 1


def test_books_are_apart(url: str) -> None:
    one, other = Ledger(url, "one"), Ledger(url, "other")
    one.owe("room", "notice", NOTICE, by="a", now=NOW)
    other.owe("room", "notice", NOTICE, by="a", now=NOW)
    other.settle(receipt(), call="room", by="a", now=NOW)
    assert (verify(one).rows, verify(other).rows) == (1, 2)
    assert standings(one) == [("notice", "owed")]


def test_odd_names_and_texts_come_back(url: str) -> None:
    ledger = Ledger(url)
    odd = "Grüß Gott \0 \ud83d 'quoted' “so”"
    ledger.owe(odd, odd, odd, by="a", now=NOW, agent=odd)
    (owing,) = ledger.owed(odd)
    assert (owing.text, owing.agent) == (odd, odd)
    ledger.settle(receipt(odd, text=odd), call=odd, by="a", now=NOW)
    (entry,) = entries(ledger, now=NOW, call=odd)
    assert entry.receipt is not None
    assert (entry.receipt.id, entry.receipt.text) == (odd, odd)
    assert verify(ledger).fault is None


def test_an_empty_book_is_whole(url: str) -> None:
    assert verify(Ledger(url)).rows == 0
    assert verify(Ledger(url)).head == GENESIS
    assert list(entries(Ledger(url), now=NOW)) == []


# Taking over


def test_what_a_living_process_owes_is_nobody_else_s(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert ledger.take_over("room", "notice", by="b", now=NOW + LEASE - 0.1) is None
    assert ledger.take_over("room", "farewell", by="b", now=NOW + LEASE) is None


def test_who_takes_over_owes_it_and_has_what_is_known_of_it(url: str) -> None:
    ledger = Ledger(url)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW, policy={"x": 1})
    ledger.renew("room", "notice", by="a", played=2.0, now=NOW, held=["hm"])
    won = ledger.take_over("room", "notice", by="b", now=NOW + 60)
    assert won is not None
    assert (won.holder, won.played, won.held, won.attempts, won.text) == ("b", 2.0, ("hm",), 1, NOTICE)
    assert won.is_alive(NOW + 60)
    assert not ledger.renew("room", "notice", by="a", played=3.0, now=NOW + 61)
    assert ledger.renew("room", "notice", by="b", played=3.0, now=NOW + 61)
    assert ledger.take_over("room", "notice", by="c", now=NOW + 62) is None


def test_the_late_receipt_of_who_lost_it_is_kept_and_changes_nothing(url: str) -> None:
    ledger = Ledger(url)
    promise = ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    ledger.take_over("room", "notice", by="b", now=NOW + 60)
    ledger.settle(cut_in(), call="room", by="a", now=NOW + 61, owed=promise.entry)
    assert standings(ledger, NOW + 61) == [("notice", "owed")]
    ledger.settle(receipt(), call="room", by="b", now=NOW + 68)
    ledger.settle(cut_in(), call="room", by="a", now=NOW + 69, owed=promise.entry)
    assert standings(ledger) == [("notice", "finished")]
    assert kinds(ledger) == ["owed", "taken over", "late", "settled", "late"]
    assert verify(ledger).fault is None


def test_of_several_processes_exactly_one_takes_over(url: str) -> None:
    Ledger(url).owe("room", "notice", NOTICE, by="dead", now=NOW)
    found = all_at_once(take_over, 5, url)
    winners = [(number, holder) for number, holder in found if holder is not None]
    assert len(winners) == 1
    assert winners[0][1] == f"w{winners[0][0]}"
    assert kinds(Ledger(url)) == ["owed", "taken over"]


# Several at once, and death


def test_several_processes_append_at_once_and_lose_or_fork_nothing(url: str) -> None:
    all_at_once(append_many, 4, url, 25)
    ledger = Ledger(url)
    assert verify(ledger).rows == 200
    assert verify(ledger).fault is None
    ids = {(entry.id, entry.standing) for entry in entries(ledger, now=NOW)}
    assert ids == {(f"u{worker}-{index}", "finished") for worker in range(4) for index in range(25)}


def test_a_process_killed_in_the_middle_leaves_what_it_owed(url: str) -> None:
    context = processes()
    started = context.Event()
    victim = context.Process(target=say_and_never_end, args=(url, started))
    victim.start()
    assert started.wait(60)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(60)

    ledger, now = Ledger(url), time.time()
    assert standings(ledger, now) == [("notice", "playing")]  # for all that anybody can know so soon
    assert standings(ledger, now + LEASE) == [("notice", "unknown")]
    won = ledger.take_over("room", "notice", by="next", now=now + LEASE)
    assert won is not None
    assert (won.text, won.played, won.held) == (NOTICE, 2.0, ({"text": MINE, "at": 1.2},))
    assert (won.agent, won.policy) == ("Front desk", {"redeliver": "from cut"})
    assert verify(ledger).fault is None


def test_a_promise_is_on_disk_before_it_is_played(tmp_path: Path) -> None:
    """SQLite is told to wait for the disk; PostgreSQL does by default, and nothing here tells it otherwise."""
    ledger = Ledger(f"sqlite:///{tmp_path}/receipts.db")
    with ledger.transaction() as connection:
        full = 2
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == full

"""The ledger's book: what is promised and settled, by how many at once, on SQLite and PostgreSQL alike."""

import importlib
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hearout.errors import AlreadyOwedError, LedgerDownError, LedgerError
from hearout.ledger import LEASE, Kind, Mode, tables
from hearout.ledger.chain import GENESIS
from hearout.ledger.entries import mark
from hearout.ledger.read import entries, rows, verify
from hearout.receipt import Outcome
from hearout.record import Words
from ledger_workers import (
    MINE,
    NOTICE,
    NOW,
    all_at_once,
    append_many,
    cut_in,
    processes,
    receipt,
    say_and_never_end,
    take_over,
)
from ledger_workers import Opened as Ledger


def standings(ledger: Ledger, now: float = NOW) -> list[tuple[str, str]]:
    return [(entry.id, entry.standing) for entry in entries(ledger, now=now)]


def kinds(ledger: Ledger) -> list[str]:
    with ledger.transaction() as connection:
        return list(connection.execute(sa.select(tables.ROWS.c.kind).order_by(tables.ROWS.c.seq)).scalars())


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


# What is refused


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("receipts.db", "makes no sense; for a file write sqlite:///receipts.db"),
        ("mysql://host/receipts", "cannot be kept in mysql"),
        ("a b://host/receipts", "makes no sense"),
        ("sqlite://", "would be lost with the process"),
        ("sqlite:///:memory:", "would be lost with the process"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_at_once(wrong: str, says: str) -> None:
    with pytest.raises(LedgerError, match=says):
        Ledger(wrong)


def test_a_missing_driver_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerError, match=r"install hearout\[postgres\]"):
        Ledger("postgresql://ann@host/receipts")


def test_missing_cryptography_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    monkeypatch.delitem(sys.modules, "hearout.ledger.signing", raising=False)
    with pytest.raises(LedgerError, match=r"install hearout\[signed\]"):
        importlib.import_module("hearout.ledger.signing")


def test_a_book_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="book of the ledger needs a name"):
        Ledger(f"sqlite:///{tmp_path}/receipts.db", "")


def test_a_policy_that_is_no_json_is_refused_before_anything_is_written(url: str) -> None:
    ledger = Ledger(url)
    with pytest.raises(LedgerError, match="must be an object of JSON"):
        ledger.owe("room", "notice", NOTICE, by="a", now=NOW, policy={"cut_in": object()})
    assert verify(ledger).rows == 0


def test_a_newer_schema_is_refused_and_nothing_is_changed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(tables, "VERSION", 9)
        Ledger(url).owe("room", "notice", NOTICE, by="a", now=NOW)
    for mode in Mode:
        with pytest.raises(LedgerError, match="has version 9, and this hearout knows 2; use a newer one"):
            Ledger(url, mode=mode).owed("room")
    monkeypatch.setattr(tables, "VERSION", 9)
    assert verify(Ledger(url)).rows == 1


def test_an_older_schema_is_brought_up_when_writing_and_refused_when_reading(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(url).owe("room", "notice", NOTICE, by="a", now=NOW)

    def add_a_column(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE hearout_leases ADD COLUMN room_sid TEXT")

    monkeypatch.setattr(tables, "VERSION", 4)
    monkeypatch.setattr(tables, "MIGRATIONS", {2: lambda _: None, 3: add_a_column})
    with pytest.raises(LedgerError, match="has version 2; it is brought up to 4 when an agent next writes"):
        Ledger(url, mode=Mode.READ).owed("room")
    ledger = Ledger(url)
    assert [owing.id for owing in ledger.owed("room")] == ["notice"]
    with ledger.transaction() as connection:
        assert connection.execute(sa.select(tables.SCHEMA.c.version)).scalar_one() == 4
        assert "room_sid" in [column["name"] for column in sa.inspect(connection).get_columns("hearout_leases")]


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(url).owe("room", "notice", NOTICE, by="a", now=NOW)

    def fail(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE hearout_leases ADD COLUMN room_sid TEXT")
        connection.exec_driver_sql("SELECT nothing FROM nowhere")

    with monkeypatch.context() as newer:
        newer.setattr(tables, "VERSION", 3)
        newer.setattr(tables, "MIGRATIONS", {2: fail})
        with pytest.raises((LedgerError, LedgerDownError)):
            Ledger(url).owed("room")
    ledger = Ledger(url)
    assert ledger.owed("room")
    with ledger.transaction() as connection:
        assert "room_sid" not in [column["name"] for column in sa.inspect(connection).get_columns("hearout_leases")]


def test_reading_makes_no_ledger(url: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        Ledger(url, mode=Mode.READ).owed("room")
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/receipts.db"
    writer = Ledger(url)
    writer.owe("room", "notice", NOTICE, by="a", now=NOW)
    writer.close()
    before = (tmp_path / "receipts.db").read_bytes()
    reader = Ledger(url, mode=Mode.READ)
    assert reader.owed("room")
    with pytest.raises(LedgerDownError, match="readonly"):
        reader.owe("room", "farewell", NOTICE, by="a", now=NOW)
    reader.close()
    assert [path.name for path in tmp_path.iterdir()] == ["receipts.db"]
    assert (tmp_path / "receipts.db").read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "100% my receipts?.db"
    path.write_text("Dear diary, " * 1000)
    for mode in Mode:
        with pytest.raises(LedgerError, match="is no database"):
            Ledger(f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}", mode=mode).owed("room")
    assert path.read_text() == "Dear diary, " * 1000


def test_an_error_shows_no_password() -> None:
    ledger = Ledger("postgresql://ann:s3cret@127.0.0.1:9/receipts")
    with pytest.raises(LedgerDownError) as caught:
        ledger.owed("room")
    assert "s3cret" not in str(caught.value)


# What was said


@pytest.mark.parametrize("policy", [Words.HASH, Words.OMIT])
def test_words_that_are_not_to_be_kept_are_not(url: str, policy: Words) -> None:
    ledger = Ledger(url, words=policy, text=policy)
    ledger.owe("room", "notice", NOTICE, by="a", now=NOW)
    assert ledger.owed("room")[0].text == NOTICE  # else it could not be said again
    ledger.settle(receipt(), call="room", by="a", now=NOW)
    kept = str(list(rows(ledger)))
    assert MINE not in kept
    assert NOTICE not in kept
    assert receipt().text_sha256 in kept
    assert ('"sha256"' in kept) is (policy is Words.HASH)
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
    assert kinds(ledger)[-1] == Kind.FORGOTTEN.value

    assert ledger.forget("room", by="ann", now=NOW + 9, text=True) == 3
    assert NOTICE not in str(list(rows(ledger, call="room")))
    assert verify(ledger).fault is None


def test_the_text_of_a_reply_is_known_from_its_renewals_until_it_is_settled(url: str) -> None:
    ledger = Ledger(url, text=Words.OMIT)
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


def test_the_text_of_a_reply_is_forgotten_only_where_that_is_asked_for_and_the_callers_words_always(url: str) -> None:
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


def test_an_empty_book_is_whole(url: str) -> None:
    assert verify(Ledger(url)).rows == 0
    assert verify(Ledger(url)).head == GENESIS
    assert list(entries(Ledger(url), now=NOW)) == []


def test_a_cut_in_is_found_by_its_outcome(url: str) -> None:
    ledger = Ledger(url)
    ledger.settle(cut_in(), call="room", by="a", now=NOW)
    (entry,) = entries(ledger, now=NOW)
    assert entry.receipt is not None
    assert entry.receipt.outcome is Outcome.CUT_IN

"""The ledger from asyncio: written in order by one thread, and no call is held up by a ledger that is down."""

import asyncio
import contextlib
import json
import logging
import math
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness.databases import SLOW, Postgres, locked, until
from harness.ledger_workers import MINE, NOTICE, NOW, SECRET, Opened, cut_in, receipt, writing
from hearout.errors import AlreadyOwedError, LedgerError
from hearout.ledger import Ledger, Mode
from hearout.ledger import _spool as spool
from hearout.ledger import _tables as tables
from hearout.ledger import _writer as writer_module
from hearout.ledger._calls import NOBODY, CallRegistry, WatchedCall
from hearout.ledger._entries import Written, promise
from hearout.ledger._leases import LEASE
from hearout.ledger._read import entries, verify
from hearout.ledger._writer import Lease, LedgerWriter
from hearout.policy import Retention

KEPT = {"words": Retention.KEEP, "keep": Retention.KEEP}


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/receipts.db"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WAIT", 0.2)
    monkeypatch.setattr(writer_module, "RETRY", 0.1)


def found(url: str) -> list[tuple[str, str, bool]]:
    """The utterances of a ledger, read without a lock; none while it cannot be read."""
    try:
        with contextlib.closing(Opened(url, mode=Mode.READ)) as reader:
            return [(entry.id, entry.standing, entry.spooled) for entry in entries(reader, now=NOW + 100)]
    except LedgerError:
        return []


def test_a_call_s_utterances_are_written_in_order(url: str) -> None:
    async def call(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=NOW, agent="Front desk") is Written.LEDGER
        one.renew("room", "notice", played=2.0, now=NOW + 2, held=[MINE])
        one.renew("room", "notice", played=3.0, now=NOW + 3)
        (owing,) = await one.owed("room")
        assert (owing.played, owing.held, owing.holder) == (3.0, (MINE,), one.holder)
        one.settle(receipt(), call="room", now=NOW + 8)
        assert await one.owe("room", "farewell", NOTICE, now=NOW + 9) is Written.LEDGER
        assert await one.settle(cut_in("farewell"), call="room", now=NOW + 10) is Written.LEDGER
        assert await one.owed("room") == ()

    writing(Ledger(url), call, patience=SLOW)
    assert found(url) == [("notice", "finished", False), ("farewell", "cut in", False)]


def test_a_renewal_is_written_while_the_one_before_is_taken(sqlite_url: str) -> None:
    goes_on, was_taken = threading.Event(), threading.Event()

    class Taken(dict[tuple[str, str], Lease]):
        """The thread takes what waits just after it was looked at."""

        def get(self, key: Any, default: Any = None) -> Any:
            waits = super().get(key, default)
            if key in self:
                goes_on.set()
                assert was_taken.wait(10)
            return waits

        def pop(self, key: Any, *default: Any) -> Any:
            taken = super().pop(key, *default)
            was_taken.set()
            return taken

    async def call(one: LedgerWriter) -> None:
        await one.owe("room", "notice", NOTICE, now=NOW)
        one._renewals = Taken()
        one._jobs.put(goes_on.wait)
        one.renew("room", "notice", played=2.0, now=NOW + 2, held=[MINE])
        one.renew("room", "notice", played=3.0, now=NOW + 3)
        (owing,) = await one.owed("room")
        assert (owing.played, owing.held) == (3.0, (MINE,))

    writing(Ledger(sqlite_url), call, patience=SLOW)


def test_of_renewals_that_wait_the_newest_is_written(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    goes_on = threading.Event()

    async def call(one: LedgerWriter) -> None:
        await one.owe("room", "notice", NOTICE, now=NOW)
        one._jobs.put(goes_on.wait)
        one.renew("room", "notice", played=2.0, now=NOW + 2)
        one.renew("room", "notice", played=3.0, now=NOW + 3)
        goes_on.set()
        (owing,) = await one.owed("room")
        assert owing.played == 3.0

    writing(Ledger(sqlite_url), call, patience=SLOW)

    assert "failed" not in caplog.text  # the second job has nothing to write


def test_what_is_owed_already_is_an_error_and_the_first_promise_stands(url: str) -> None:
    async def call(one: LedgerWriter) -> None:
        await one.owe("room", "notice", NOTICE, now=NOW)
        with pytest.raises(AlreadyOwedError):
            await one.owe("room", "notice", NOTICE, now=NOW)
        await one.settle(receipt(), call="room", now=NOW)

    writing(Ledger(url), call, patience=SLOW)
    assert found(url) == [("notice", "finished", False)]


def test_the_next_agent_takes_over_what_is_owed_and_settles_it(url: str) -> None:
    Opened(url).owe("room", "notice", NOTICE, by="dead", now=NOW)

    async def call(one: LedgerWriter) -> None:
        owing = await one.take_over("room", "notice", now=NOW + LEASE)
        assert owing is not None
        assert owing.holder == one.holder
        assert await one.take_over("room", "notice", now=NOW + LEASE) == owing  # it is this one's by now
        await one.settle(receipt(), call="room", now=NOW + 20)

    writing(Ledger(url), call, patience=SLOW)
    assert found(url) == [("notice", "finished", False)]


def test_who_lost_it_to_another_settles_late_and_changes_nothing(url: str) -> None:
    async def call(first: LedgerWriter) -> None:
        second, third = LedgerWriter(Opened(url), patience=SLOW), LedgerWriter(Opened(url), patience=SLOW)
        await first.owe("room", "notice", NOTICE, now=NOW)
        assert await second.take_over("room", "notice", now=NOW + LEASE)
        assert await third.take_over("room", "notice", now=NOW + 2 * LEASE)
        await third.settle(receipt(), call="room", now=NOW + 20)
        await second.settle(cut_in(), call="room", now=NOW + 21)
        await first.settle(cut_in(), call="room", now=NOW + 22)
        await second.close()
        await third.close()

    writing(Ledger(url), call, patience=SLOW)
    assert found(url) == [("notice", "finished", False)]


def test_what_comes_while_others_wait_is_written_after_them(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY", SLOW)
    Opened(sqlite_url).owed("room")

    async def call(one: LedgerWriter) -> None:
        with locked(tmp_path / "receipts.db"):
            assert await one.settle(receipt("first"), call="room", now=NOW) is Written.SPOOLED
        assert await one.settle(receipt("second"), call="room", now=NOW) is Written.SPOOLED

    writing(Ledger(sqlite_url), call, patience=SLOW)  # the close appends them
    assert found(sqlite_url) == [("first", "finished", True), ("second", "finished", True)]


def test_what_a_process_leaves_behind_is_appended_by_one_that_lives(sqlite_url: str, tmp_path: Path) -> None:
    async def call(one: LedgerWriter) -> None:
        assert await one.owed("room") == ()  # it has looked around before
        dying = spool.Spool(tmp_path / "receipts.db-spool", "dying")
        dying.keep(promise("room", "notice", NOTICE, agent="", policy={}, by="dying", now=NOW, **KEPT))
        dying.close()
        await until(lambda: found(sqlite_url) == [("notice", "unknown", True)])

    writing(Ledger(sqlite_url), call, patience=SLOW)


def test_a_hanging_ledger_delays_an_announcement_by_its_patience_only(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Opened(sqlite_url).owed("room")
    monkeypatch.setattr(tables, "WAIT", SLOW)

    async def call(one: LedgerWriter) -> None:
        began = time.monotonic()
        with locked(tmp_path / "receipts.db"):
            assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.SPOOLED
            assert time.monotonic() - began < SLOW / 3
            assert NOTICE in next((tmp_path / "receipts.db-spool").iterdir()).read_text()
            assert await one.owed("room") == ()
            assert time.monotonic() - began < SLOW / 3
        one.settle(receipt(), call="room", now=NOW)

    writing(Ledger(sqlite_url), call, patience=0.05)
    assert [entry[:2] for entry in found(sqlite_url)] == [("notice", "finished")]
    assert verify(Opened(sqlite_url)).rows == 2


def test_rows_that_a_locked_ledger_refused_follow_in_order(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Opened(sqlite_url).owed("room")

    async def call(one: LedgerWriter) -> None:
        with locked(tmp_path / "receipts.db"):
            for id in ("first", "second", "third"):
                assert await one.owe("room", id, NOTICE, now=NOW) is Written.SPOOLED
                assert await one.settle(receipt(id), call="room", now=NOW) is Written.SPOOLED
        await until(lambda: len(found(sqlite_url)) == 3)
        assert await one.owe("room", "fourth", NOTICE, now=NOW) is Written.LEDGER

    with caplog.at_level(logging.WARNING, "hearout.ledger"):
        writing(Ledger(sqlite_url), call, patience=SLOW)
    assert found(sqlite_url) == [
        ("first", "finished", True),
        ("second", "finished", True),
        ("third", "finished", True),
        ("fourth", "unknown", False),
    ]
    assert verify(Opened(sqlite_url)).fault is None
    assert not list((tmp_path / "receipts.db-spool").iterdir())
    assert "receipts wait beside it" in caplog.text
    assert "the ledger is back; 6 receipts" in caplog.text
    assert MINE not in caplog.text


def test_a_full_disk_holds_nothing_up_and_loses_nothing(sqlite_url: str) -> None:
    full = True

    def limit(connection: Any, _record: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages if full else 1000000}")

    Opened(sqlite_url).owed("room")
    Opened.all.pop().close()
    sa.event.listen(sa.pool.Pool, "connect", limit)
    try:

        async def call(one: LedgerWriter) -> None:
            nonlocal full
            long = NOTICE * 10000
            assert await one.owe("room", "notice", long, now=NOW) is Written.SPOOLED
            assert await one.settle(receipt(text=long), call="room", now=NOW) is Written.SPOOLED
            full = False
            one._ledger.close()  # the limit belongs to the connection
            await until(lambda: found(sqlite_url) == [("notice", "finished", True)])

        writing(Ledger(sqlite_url), call, patience=SLOW)
    finally:
        sa.event.remove(sa.pool.Pool, "connect", limit)


def test_what_is_spooled_when_a_process_ends_is_appended_by_the_next(sqlite_url: str, tmp_path: Path) -> None:
    Opened(sqlite_url).owed("room")

    async def first(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.SPOOLED
        one.settle(cut_in(), call="room", now=NOW)

    with locked(tmp_path / "receipts.db"):
        writing(Ledger(sqlite_url), first, holder="first", patience=SLOW)
    (left,) = (tmp_path / "receipts.db-spool").iterdir()
    with left.open("a") as file:
        file.write('{"kind": "settled", "call": "ro')  # it died in the middle of a line

    async def second(one: LedgerWriter) -> None:
        await until(lambda: found(sqlite_url) == [("notice", "cut in", True)])

    writing(Ledger(sqlite_url), second, holder="second", patience=SLOW)
    assert not list((tmp_path / "receipts.db-spool").iterdir())


def test_a_receipt_after_the_close_is_kept_for_the_next_process(sqlite_url: str) -> None:
    async def call(one: LedgerWriter) -> None:
        await one.owe("room", "notice", NOTICE, now=NOW)
        await one.close()
        one.renew("room", "notice", played=1.0, now=NOW)
        assert await one.settle(receipt(), call="room", now=NOW) is Written.SPOOLED
        assert await one.owe("room", "farewell", NOTICE, now=NOW) is Written.SPOOLED

    writing(Ledger(sqlite_url), call, patience=SLOW)

    async def next_one(one: LedgerWriter) -> None:
        await until(lambda: found(sqlite_url) == [("notice", "finished", True), ("farewell", "unknown", True)])

    writing(Ledger(sqlite_url), next_one, patience=SLOW)


def test_a_newer_ledger_is_left_alone_and_the_receipts_wait(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(tables, "VERSION", 9)
        Opened(sqlite_url).owed("room")
        Opened.all.pop().close()
    before = (tmp_path / "receipts.db").read_bytes()

    async def call(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.SPOOLED

    writing(Ledger(sqlite_url), call, patience=SLOW)
    assert (tmp_path / "receipts.db").read_bytes() == before
    assert "has version 9" in caplog.text


def test_a_policy_that_is_no_json_is_refused_in_the_call(sqlite_url: str) -> None:
    async def call(one: LedgerWriter) -> None:
        with pytest.raises(LedgerError, match="object of JSON"):
            await one.owe("room", "notice", NOTICE, now=NOW, policy={"cut_in": object()})
        one.renew("room", "notice", played=1.0, now=NOW, held=[object()])  # logged; the thread goes on
        assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.LEDGER

    writing(Ledger(sqlite_url), call, patience=SLOW)


def test_rows_that_a_hanging_ledger_did_not_take_are_on_disk_at_the_end(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Opened(sqlite_url).owed("room")

    async def call(one: LedgerWriter) -> None:
        monkeypatch.setattr(tables, "WAIT", SLOW)
        one._ledger.close()  # its next connection waits long
        waits = one.settle(cut_in("first"), call="room", now=NOW)
        one.settle(cut_in("second"), call="room", now=NOW)
        monkeypatch.setattr(writer_module, "CLOSES", 0.1)  # the close does not
        await one.close()
        assert not waits.done()
        left = next((tmp_path / "receipts.db-spool").iterdir()).read_text()
        assert [json.loads(line)["id"] for line in left.splitlines()] == ["first", "second"]

    with locked(tmp_path / "receipts.db"):
        writing(Ledger(sqlite_url), call, patience=0.05)

    async def next_one(one: LedgerWriter) -> None:
        await until(lambda: [entry[:2] for entry in found(sqlite_url)] == [("first", "cut in"), ("second", "cut in")])

    writing(Ledger(sqlite_url), next_one)
    assert verify(Opened(sqlite_url)).rows == 2


def test_a_call_that_is_released_is_anybodys_at_once(url: str) -> None:
    attended = WatchedCall("room", "room", "RM_1", "job-1", "agent-1", "", "", worker="a")

    async def call(one: LedgerWriter) -> None:
        await one.attend(attended, is_sent=False)
        await one.owed("room")  # listed by then
        one.release()

    writing(Ledger(url), call, patience=SLOW, secret=SECRET)

    (listed,) = CallRegistry(Opened(url), SECRET).look(worker="b", beat=1).calls
    assert (listed.job, listed.worker) == ("job-1", NOBODY)


# What the ledger will never take, and what is written how often


def test_a_record_the_ledger_never_takes_is_set_aside_and_none_waits(
    postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres.database()
    Opened(url).owed("room")
    endless = secrets.token_hex(5000)  # longer than an index of PostgreSQL takes, however it is packed

    async def call(one: LedgerWriter) -> None:
        await asyncio.to_thread(postgres.stop)
        try:
            assert await one.owe("room", endless, NOTICE, now=NOW) is Written.SPOOLED
            assert await one.settle(receipt(), call="room", now=NOW) is Written.SPOOLED
        finally:
            await asyncio.to_thread(postgres.start)
        await until(lambda: [entry[0] for entry in found(url)] == ["notice"])
        assert await one.owe("room", endless, NOTICE, now=NOW) is Written.ASIDE
        assert await one.owe("room", "farewell", NOTICE, now=NOW) is Written.LEDGER

    writing(Ledger(url), call, spool=tmp_path / "spool", patience=SLOW)
    (aside,) = (tmp_path / "spool" / "aside").iterdir()
    assert [json.loads(line)["id"] == endless for line in aside.read_text().splitlines()] == [True, True]
    assert aside.stat().st_mode & 0o777 == 0o600
    assert "a record of kind 'owed' is set aside in" in caplog.text
    assert NOTICE not in caplog.text


def test_a_record_that_is_no_json_is_set_aside_and_the_next_is_written(sqlite_url: str, tmp_path: Path) -> None:
    async def call(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=math.nan) is Written.ASIDE  # no number of JSON
        assert await one.owe("room", "farewell", NOTICE, now=NOW) is Written.LEDGER

    writing(Ledger(sqlite_url), call, patience=SLOW)
    assert [entry[0] for entry in found(sqlite_url)] == ["farewell"]
    assert (tmp_path / "receipts.db-spool" / "aside").is_dir()


def test_a_spooled_line_that_is_no_record_is_set_aside(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dying = spool.Spool(tmp_path / "receipts.db-spool", "dying")
    dying.keep(promise("room", "notice", NOTICE, agent="", policy={}, by="dying", now=NOW, **KEPT))
    dying.close()
    (path,) = (tmp_path / "receipts.db-spool").glob("*.jsonl")
    lines = [b'{"kind": "settled"}', b"[" * 100_000, b"[]", b"\xff", path.read_bytes().strip()]
    path.write_bytes(b"\n".join(lines) + b"\n")

    async def call(_: LedgerWriter) -> None:
        await until(lambda: [entry[0] for entry in found(sqlite_url)] == ["notice"])

    writing(Ledger(sqlite_url), call, patience=SLOW)
    assert (tmp_path / "receipts.db-spool" / "aside" / "dying.jsonl").read_bytes().split(b"\n")[:-1] == lines[:4]
    assert "line 1 of dying.jsonl cannot be read as a record; it is set aside" in caplog.text


def test_a_lease_is_written_when_it_changed_or_would_run_out(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[float, float, Any]] = []
    renew = Ledger.renew

    def noted(ledger: Ledger, *names: str, **given: Any) -> bool:
        written.append((given["now"] - NOW, given["played"], given["held"]))
        return renew(ledger, *names, **given)

    monkeypatch.setattr(Ledger, "renew", noted)

    async def call(one: LedgerWriter) -> None:
        await one.owe("room", "notice", NOTICE, now=NOW)
        for second in range(1, 7):
            one.renew("room", "notice", played=0.0, now=NOW + second, held=[MINE] if second > 3 else [])
            await one.owed("room")
        (owing,) = await one.owed("room")
        assert (owing.held, owing.until) == ((MINE,), NOW + 6 + LEASE)

    writing(Ledger(sqlite_url), call, patience=SLOW)
    assert written == [(1, 0.0, []), (3, 0.0, None), (4, 0.0, [MINE]), (6, 0.0, None)]


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_holds_words_is_its_owners_only(sqlite_url: str, tmp_path: Path, umask: int) -> None:
    async def call(one: LedgerWriter) -> None:
        assert await one.settle(receipt("first"), call="room", now=NOW) is Written.LEDGER
        with locked(tmp_path / "receipts.db"):
            assert await one.settle(receipt(), call="room", now=NOW) is Written.SPOOLED
            modes = modes_of(tmp_path)
        assert modes.pop("receipts.db-spool") == 0o700
        assert set(modes) >= {"receipts.db", "receipts.db-wal"}
        assert set(modes.values()) == {0o600}

    before = os.umask(umask)
    try:
        (tmp_path / "receipts.db").touch()  # as an older version made it, or a volume is
        (tmp_path / "receipts.db-spool").mkdir(mode=0o755)
        writing(Ledger(sqlite_url), call, patience=SLOW)
    finally:
        os.umask(before)


def modes_of(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}

"""A PostgreSQL server dies under a ledger's writer, and comes back."""

import asyncio
from pathlib import Path

from harness.databases import SLOW, Postgres, until
from harness.ledger_workers import NOTICE, NOW, Opened, receipt, writing
from hearout.ledger import Ledger
from hearout.ledger._entries import Written
from hearout.ledger._read import verify
from hearout.ledger._writer import LedgerWriter
from tests.ledger.test_ledger_writer import found


def test_a_server_that_dies_and_comes_back_gets_what_waited(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database()

    async def call(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.LEDGER
        await asyncio.to_thread(postgres.stop)
        try:
            assert await one.settle(receipt(), call="room", now=NOW + 8) is Written.SPOOLED
            assert await one.owe("room", "farewell", NOTICE, now=NOW + 9) is Written.SPOOLED
            assert await one.take_over("room", "farewell", now=NOW) is None
        finally:
            await asyncio.to_thread(postgres.start)
        assert await one.settle(receipt("farewell"), call="room", now=NOW + 10) in (Written.LEDGER, Written.SPOOLED)
        await until(lambda: len(found(url)) == 2 and "unknown" not in found(url)[1])

    writing(Ledger(url), call, spool=tmp_path / "spool", patience=SLOW)
    assert [entry[:2] for entry in found(url)] == [("notice", "finished"), ("farewell", "finished")]
    assert found(url)[1][2]
    assert verify(Opened(url)).fault is None

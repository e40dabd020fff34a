"""The spool: what the ledger could not take waits on the disk, in memory where there is none, and is told apart."""

import resource
from pathlib import Path

import pytest

from harness.databases import SLOW
from harness.ledger_workers import NOTICE, NOW, writing
from hearout.ledger import Ledger
from hearout.ledger import _spool as spool
from hearout.ledger._entries import Written, promise
from hearout.ledger._writer import LedgerWriter
from hearout.policy import Retention

KEPT = {"words": Retention.KEEP, "keep": Retention.KEEP}


def test_the_spool_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    living, other = spool.Spool(tmp_path, "living"), spool.Spool(tmp_path, "other")
    record = promise("room", "notice", NOTICE, agent="", policy={}, by="living", now=NOW, **KEPT)
    assert living.keep(record) is Written.SPOOLED
    assert list(other.orphans()) == []
    living.close()
    assert list(other.orphans()) == [[record]]


def test_on_a_full_disk_the_spool_waits_in_memory_and_leaves_no_half_line(tmp_path: Path) -> None:
    one = spool.Spool(tmp_path, "one")
    records = [
        promise("room", f"u{number}", NOTICE, agent="", policy={}, by="one", now=NOW, **KEPT) for number in range(3)
    ]
    assert one.keep(records[0]) is Written.SPOOLED
    (path,) = tmp_path.iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        assert one.keep(records[1]) is Written.MEMORY
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert one.keep(records[2]) is Written.SPOOLED
    assert one.waiting == records
    one.close()
    assert list(spool.Spool(tmp_path, "two").orphans()) == [[records[0], records[2]]]


def test_a_folder_that_cannot_be_made_leaves_rows_in_memory_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.MEMORY

    writing(Ledger(f"sqlite:///{tmp_path}/no/such/folder/receipts.db"), call, patience=SLOW)
    assert "receipts wait in memory only" in caplog.text
    assert "is there such a folder, and may this user write in it?" in caplog.text
    assert "1 receipts are lost: neither the ledger nor the disk beside it could be written" in caplog.text
    assert "for the next process" not in caplog.text
    assert NOTICE not in caplog.text


def test_a_row_that_waited_in_memory_is_on_the_disk_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beside = tmp_path / "later" / "spool"

    async def call(one: LedgerWriter) -> None:
        assert await one.owe("room", "notice", NOTICE, now=NOW) is Written.MEMORY
        beside.parent.mkdir()

    writing(Ledger(f"sqlite:///{tmp_path}/no/receipts.db"), call, patience=SLOW, spool=beside)
    assert "1 receipts are not in the ledger yet; they wait beside it" in caplog.text
    ((waited,),) = spool.Spool(beside, "another").orphans()
    assert waited.id == "notice"

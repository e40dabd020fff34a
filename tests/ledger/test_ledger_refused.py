"""The ledger refuses addresses, schemas and files that cannot be read or written."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness.ledger_workers import NOTICE, NOW
from harness.ledger_workers import Opened as Ledger
from hearout.errors import LedgerDownError, LedgerError
from hearout.ledger import Mode
from hearout.ledger import _tables as tables
from hearout.ledger._read import verify
from hearout.ledger._signing import load_signer, load_verifier


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
    for load in (load_signer, load_verifier):
        with pytest.raises(LedgerError, match=r"install hearout\[signed\]"):
            load(Path("key.pem"))


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
        with pytest.raises(LedgerError, match="has version 9, and this hearout knows 5; use a newer one"):
            Ledger(url, mode=mode).owed("room")
    monkeypatch.setattr(tables, "VERSION", 9)
    assert verify(Ledger(url)).rows == 1


def test_an_older_schema_is_migrated_on_writing_and_refused_on_reading(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(url).owe("room", "notice", NOTICE, by="a", now=NOW)

    def add_a_column(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE hearout_leases ADD COLUMN room_sid TEXT")

    monkeypatch.setattr(tables, "VERSION", 7)
    monkeypatch.setattr(tables, "MIGRATIONS", {5: lambda _: None, 6: add_a_column})
    with pytest.raises(LedgerError, match="has version 5; it is brought up to 7 when an agent next writes"):
        Ledger(url, mode=Mode.READ).owed("room")
    ledger = Ledger(url)
    assert [owing.id for owing in ledger.owed("room")] == ["notice"]
    with ledger.transaction() as connection:
        assert connection.execute(sa.select(tables.SCHEMA.c.version)).scalar_one() == 7
        assert "room_sid" in [column["name"] for column in sa.inspect(connection).get_columns("hearout_leases")]


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(url).owe("room", "notice", NOTICE, by="a", now=NOW)

    def fail(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE hearout_leases ADD COLUMN room_sid TEXT")
        connection.exec_driver_sql("SELECT nothing FROM nowhere")

    with monkeypatch.context() as newer:
        newer.setattr(tables, "VERSION", 6)
        newer.setattr(tables, "MIGRATIONS", {5: fail})
        with pytest.raises((LedgerError, LedgerDownError)):
            Ledger(url).owed("room")
    ledger = Ledger(url)
    assert ledger.owed("room")
    with ledger.transaction() as connection:
        assert "room_sid" not in [column["name"] for column in sa.inspect(connection).get_columns("hearout_leases")]


def test_a_ledger_from_before_the_first_release_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(tables, "VERSION", 2)
        Ledger(url).owed("room")
    with pytest.raises(LedgerError, match="has version 2, from before the first release"):
        Ledger(url).owed("room")


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

"""`hearout receipts` on a ledger in which somebody changed a value: one sentence that names the row, and no traceback.

SQLite keeps any value in any column: a text where a number was, bytes where a text was.
"""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness.shown_book import filled
from hearout.ledger import _tables as tables
from hearout.ledger._command import main

READING = (
    ["list"],
    ["show", "recording-notice"],
    ["export"],
    ["export", "--chain", "--call", "dental-4412"],
    ["export", "--vcon"],
    ["list", "--asked", "consent"],
    ["list", "--disclosed-before-first-answer", "recording-notice"],
    ["verify"],
    ["anchor"],
)
CHANGING = (["forget", "dental-4412"], ["expire", "--older-than", "1s"])

READ = (tables.ROWS, tables.HEADS, tables.NAMES, tables.SAID, tables.LEASES)
CHANGES = [
    f'{table.name} SET "{column.name}" = {value}'
    for table in READ
    for column in table.columns
    for value in ("x'00ff'", "'[1]'" if isinstance(column.type, sa.Text) else "1e300")
]

INSIDE = {
    "at": '"z"',
    "call": "7",
    "agent": "3",
    "kept": "1",
    "receipt": "3",
    "receipt.version": '"9.0"',
    "receipt.held": "[1]",
    "receipt.listeners": "[3]",
    "receipt.attempts": '"x"',
    "receipt.ended_at": "1e308",
    "receipt.id": "[]",
}
"""What may be written into the JSON of a row's content, by the path."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "receipts.db"
    with closing(filled(f"sqlite:///{path}")) as ledger:
        ledger.wipe()  # into the one file that is copied
    return path


def said(path: Path, capsys: pytest.CaptureFixture[str], *commands: list[str]) -> Iterator[tuple[str, int, str]]:
    """What each command says on standard error, and its exit status."""
    for command in commands:
        status = main([*command, "--ledger", f"sqlite:///{path}"])
        yield " ".join(command), status, capsys.readouterr().err


def changed(path: Path, whole: Path, statement: str) -> None:
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def is_one_sentence(error: str) -> bool:
    return not error or re.fullmatch(r"error: [^\n]+\n", error) is not None


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_column_is_one_sentence(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    changed(tmp_path / "r.db", whole, f"UPDATE OR REPLACE {change}")
    for command, status, error in said(tmp_path / "r.db", capsys, *READING, *CHANGING):
        assert is_one_sentence(error), (command, error)
        assert status == 1 or not error, command


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("kind", ["owed", "settled", "asked"])
def test_a_changed_content_is_one_sentence_and_verify_names_the_row(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    where = f"kind = '{kind}' AND json_type(content, '$.{name}') IS NOT NULL"
    new = f"json_set(content, '$.{name}', json('{INSIDE[name]}'))"
    changed(tmp_path / "r.db", whole, f"UPDATE hearout_rows SET content = {new} WHERE {where}")
    is_changed = (tmp_path / "r.db").read_bytes() != whole.read_bytes()
    for command, status, error in said(tmp_path / "r.db", capsys, *READING):
        assert is_one_sentence(error), (command, error)
        assert command != "verify" or status == is_changed


def test_a_row_whose_columns_were_changed_is_not_listed_as_if_it_were_so(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for column, value in (("at", "at - 86400"), ("utterance", "'another-notice'")):
        changed(tmp_path / "r.db", whole, f"UPDATE hearout_rows SET {column} = {value} WHERE seq = 3")
        for command, status, error in said(tmp_path / "r.db", capsys, ["list"], ["show", "recording-notice"]):
            assert (status, error[:37]) == (1, "error: row 3 cannot be read: it was c"), command

"""The environment: where it is read, which variables, and that the `hearout` command reads the agent's `.env`."""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from harness import ROOT
from harness.ledger_workers import NOW, Opened, receipt
from hearout import __main__ as commands

SOURCE = ROOT / "src" / "hearout"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DOCUMENTS = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
OWN = {"HEAROUT_ATTACHED", "HEAROUT_PAGE", "HEAROUT_WORKER", "LIVEKIT_KEYS"}
"""What a worker tells its own jobs, and `web` its own livekit-server; nobody else sets it."""


def constants() -> Iterator[str]:
    """Every string in the source that is no docstring's part."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


READ = {one for one in constants() if re.fullmatch(r"(HEAROUT|LIVEKIT|PROMETHEUS)_[A-Z_]*[A-Z]", one)} - OWN


def test_the_example_lists_every_variable_that_is_read_and_no_other() -> None:
    listed = re.findall(r"^(?:# )?([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(READ)


@pytest.mark.parametrize("name", sorted(READ))
def test_a_variable_that_is_read_is_in_a_document(name: str) -> None:
    assert re.search(rf"\b{name}\b", DOCUMENTS)


def test_the_environment_is_touched_only_in_the_files_that_are_said_to() -> None:
    said = next(one for one in CONTRIBUTING.split("\n\n") if one.startswith("The environment is read"))
    touching = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert touching == set(re.findall(r"`([\w/]+\.py)`", said))


# The `hearout` command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent's folder with a `.env` and the ledger that is named there, and a folder below."""
    (tmp_path / ".env").write_text(f"HEAROUT_LEDGER=sqlite:///{tmp_path}/mine.db\nHEAROUT_BOOK=\n")
    ledger = Opened(f"sqlite:///{tmp_path}/mine.db")
    ledger.settle(receipt("recording"), call="room", by="a", now=NOW)
    ledger.close()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEAROUT_LEDGER", raising=False)
    monkeypatch.setattr(sys, "argv", ["hearout", "receipts"])
    with mock.patch.dict(os.environ):
        yield tmp_path


def status() -> object:
    with pytest.raises(SystemExit) as ended:
        commands.run()
    return ended.value.code


@pytest.mark.parametrize("where", [".", "below"])
def test_the_receipts_that_an_agent_wrote_are_found_by_its_env_file(
    folder: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder / where)
    assert status() == 0
    assert "recording" in capsys.readouterr().out


def test_a_variable_that_is_set_wins_over_the_env_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEAROUT_LEDGER", f"sqlite:///{folder}/other.db")
    assert status() == 1
    assert "other.db" in capsys.readouterr().err


def test_an_env_file_that_cannot_be_read_is_said_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".env").write_bytes(b"HEAROUT_LEDGER=\xff\xfe\n")
    assert status() == 2
    assert f"{folder}/.env cannot be read" in capsys.readouterr().err

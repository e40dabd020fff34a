"""The tutorial is done as it is written, in one folder; and what the pages for compliance and licences name is so."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from harness import ROOT, compatibility, licences
from tests.house.test_docs_run import Terminal
from tests.house.test_names import names_of_tests

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
COMPLIANCE = (ROOT / "docs" / "compliance.md").read_text()
FILES = ("desk.py", "test_desk.py", "test_desk.py", "test_desk.py", "main.py", "agent.py")
"""The file that each block of Python is, or is added to."""


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    path = f"{Path(sys.executable).parent}:{terminal.environment['PATH']}"
    names, printed = iter(FILES), {}
    for language, block in re.findall(r"```(\w+)\n(.*?)```", TUTORIAL, re.DOTALL):
        if language == "python":
            with (tmp_path / next(names)).open("a") as file:
                file.write(block)
            continue
        for line in block.splitlines():
            printed[line] = terminal.type(line, PATH=path, PYTHONDONTWRITEBYTECODE="1")

    assert next(names, None) is None
    assert "3 passed" in printed["python -m pytest -q test_desk.py"]
    assert printed["python main.py"].split() == ["finished", "yes"]
    assert "opening-notice finished" in printed["hearout receipts"]
    assert "played" in printed["hearout receipts show opening-notice"]
    assert "yes that is fine" in printed["hearout receipts --asked recording-consent"]
    assert "server" in terminal.type("python -c 'import agent; print(vars(agent).keys())'", PATH=path)


def test_the_tutorial_has_ten_steps() -> None:
    assert re.findall(r"^## (\d+)\.", TUTORIAL, re.MULTILINE) == [str(step) for step in range(1, 11)]


def test_each_answer_to_a_compliance_team_names_what_shows_it() -> None:
    rows = re.findall(r"^\| (?!question|-)(.*) \|$", COMPLIANCE, re.MULTILINE)
    assert len(rows) > 15
    assert [row for row in rows if not re.search(r"`test_|\]\(", row.rsplit(" | ", 1)[-1])] == []
    tests = set(names_of_tests()) | set(re.findall(r"def (test_\w+)", TUTORIAL))
    assert set(re.findall(r"`(test_\w+)`", COMPLIANCE)) <= tests


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or version("livekit-agents") != compatibility.bounds()[1],
    reason="other Pythons, and older LiveKits, install other packages",
)
def test_the_list_of_licences_is_as_the_packages_say() -> None:
    assert licences.DOCUMENT.read_text() == licences.drawn(), "docs/licences.md is stale: run `make licences`"
    assert "**not told**" not in licences.drawn()

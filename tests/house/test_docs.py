"""What the documents say is so."""

import re

import pytest
from livekit.agents import AgentSession as LiveKitSession

from harness import ROOT, architecture, diagram, readme_picture
from hearout import AgentSession
from tests.house.test_names import names_of_tests

PRIVATE = {name for name in vars(AgentSession) if name.startswith("_")}
TABLES = (ROOT / "docs" / "livekit.md").read_text()


def test_the_floors_states_are_drawn_as_they_are() -> None:
    assert (ROOT / "docs" / "floor.md").read_text() == diagram.drawn(), "docs/floor.md is stale: run `make docs`"


def test_the_picture_of_the_architecture_is_drawn_from_the_imports() -> None:
    assert architecture.DOCUMENT.read_text() == architecture.drawn(), "docs/architecture.md is stale: run `make docs`"


def test_the_picture_of_the_readme_is_of_calls_as_they_go_now() -> None:
    assert readme_picture.PICTURE.read_text() == readme_picture.drawn(), "the picture is stale: run `make docs`"
    assert "every word was lost" in readme_picture.drawn()


def test_what_the_architecture_says_is_decided_somewhere_is_there() -> None:
    table = architecture.DOCUMENT.read_text().partition("## Where it is decided")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .* \| `(\S+)` \| `(\w+)` \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n|") - 2
    for file, function in rows:
        assert f"def {function}(" in (architecture.SOURCE / file).read_text(), f"{file} has no {function}"


@pytest.mark.parametrize("name", sorted(path.name for path in architecture.SOURCE.iterdir()))
def test_the_architectures_tree_names_each_entry(name: str) -> None:
    if name not in ("__pycache__", "py.typed"):
        table = architecture.DOCUMENT.read_text().partition("## Who imports whom")[0]
        assert f"`{name}`" in table or f"`{name}/`" in table


def test_a_test_that_a_document_names_is_there() -> None:
    before, _, after = TABLES.partition("### LiveKit's own tests")
    ours = before + after.partition("\n## ")[2]
    assert set(re.findall(r"`(test_\w+)`", ours)) - set(names_of_tests()) == set()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`tests/([\w/]+\.py)`", TABLES))))
def test_a_file_that_a_document_names_is_there(name: str) -> None:
    assert (ROOT / "tests" / name).is_file()


@pytest.mark.parametrize("name", sorted({*vars(AgentSession)} - {*dir(LiveKitSession)} - PRIVATE))
def test_what_a_session_has_beyond_livekits_is_in_a_document(name: str) -> None:
    documents = "".join(one.read_text() for one in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert any(said in documents for said in (f"`{name}", f"session.{name}", f" {name}("))

"""What the documents say is so."""

import re

import pytest

from diagram import drawn
from support import ROOT

TABLES = (ROOT / "docs" / "livekit.md").read_text()


def test_the_floors_states_are_drawn_as_they_are() -> None:
    assert (ROOT / "docs" / "floor.md").read_text() == drawn(), "docs/floor.md is stale: run `make docs`"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", TABLES))))
def test_a_test_that_a_document_names_is_there(name: str) -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert f"def {name}(" in tests


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`tests/(\w+\.py)`", TABLES))))
def test_a_file_that_a_document_names_is_there(name: str) -> None:
    assert (ROOT / "tests" / name).is_file()

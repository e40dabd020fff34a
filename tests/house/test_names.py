"""Names: of tests, of classes, and of what is public."""

import ast
import functools
import re
from collections import Counter
from pathlib import Path

from harness import ROOT

SOURCE = ROOT / "src" / "hearout"
LONGEST = 70
"""Characters of a test's name."""
ENTRIES = 22
"""Entries at the top of the source."""

PUBLIC = {"announcement", "cli", "errors", "ledger", "measure", "policy", "prepare", "receipts", "testing"}
"""What a user may import beside the names of `hearout.__all__`."""

INSIDE = {"testing/zoo.py"}
"""What a user may import from inside a public package."""


@functools.cache
def names_of_tests() -> list[str]:
    """The names of all tests, in the order of their files."""
    found = [re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.M) for path in _files(ROOT / "tests")]
    return [name for names in found for name in names]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_a_tests_name_is_a_short_sentence() -> None:
    assert [name for name in names_of_tests() if len(name) > LONGEST] == []


def test_no_class_name_stands_for_two_things() -> None:
    classes = [
        one for path in _files(SOURCE) for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.ClassDef)
    ]
    counted = Counter(one.name for one in classes)
    assert [name for name, times in counted.items() if times > 1] == []


def entries() -> set[str]:
    """What a reader sees at the top of the source."""
    return {path.name for path in SOURCE.iterdir()} - {"__pycache__"}


def test_the_source_can_be_seen_at_a_glance() -> None:
    assert len(entries()) <= ENTRIES


def test_what_is_not_public_says_so_by_its_name() -> None:
    shown = {name.removesuffix(".py") for name in entries() if not name.startswith("_")}
    assert shown == PUBLIC | {"py.typed"}
    for path in _files(SOURCE):
        inner = path.relative_to(SOURCE).parts
        if len(inner) > 1 and "/".join(inner) not in INSIDE:
            assert any(part.startswith("_") for part in inner), f"{path} looks public: name it _{path.name}"


def test_a_public_package_lists_what_is_public_in_it() -> None:
    for package in PUBLIC - {"cli", "errors", "policy", "announcement"}:
        face = ast.parse((SOURCE / package / "__init__.py").read_text())
        assert any(isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__all__" for one in face.body), (
            package
        )

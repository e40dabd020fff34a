"""SECURITY.md promises what a test shows: every test that it names is there."""

import ast
import re

from harness import ROOT

DOCUMENT = (ROOT / "SECURITY.md").read_text()
NAMED = re.findall(r"`(test_\w+)`", DOCUMENT)


def there() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")]
    return {one.name for tree in trees for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}


def test_every_test_that_a_promise_names_is_there() -> None:
    assert NAMED
    assert set(NAMED) <= there()


def test_every_promise_names_a_test() -> None:
    table = re.findall(r"^\| (?!against|-)(.*) \|$", DOCUMENT, re.MULTILINE)
    assert len(table) >= 5
    assert [row for row in table if "`test_" not in row.rsplit(" | ", 1)[-1]] == []

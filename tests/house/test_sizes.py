"""No file and no function is longer than can be read in one go."""

import ast
from pathlib import Path

import pytest

from harness import ROOT

FILE, FUNCTION = 500, 40
"""Lines: of a file, and of a function with its docstring."""
FILES = sorted(path for folder in ("src", "harness", "tests", "bench") for path in (ROOT / folder).rglob("*.py"))
TABLES = {
    ("floor.py", "_note"): "one case an event: to be read beside events.py",
    ("outbound.py", "perform"): "one case an action: to be read beside actions.py",
    ("utterance.py", "note"): "one case an event: to be read beside events.py",
    ("agent_session.py", "ask"): "one line an argument, each with its documentation",
    ("orders.py", "_event"): "one case a letter of the random orders",
    ("_codec.py", "from_json"): "one line a field of the receipt",
}
"""Functions that are longer, and why: each would be harder to read in parts."""


def functions(path: Path) -> list[tuple[str, int]]:
    """The functions of a file, each with its length in lines."""
    found = [
        one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [(one.name, (one.end_lineno or one.lineno) - one.lineno + 1) for one in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_each_of_its_functions_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE
    long = {name: lines for name, lines in functions(path) if lines > FUNCTION and (path.name, name) not in TABLES}
    assert not long, f"{path.name}: {long}; split it, or say in TABLES why it is a table"


def test_every_table_that_is_named_is_still_there_and_still_long() -> None:
    long = {(path.name, name) for path in FILES for name, lines in functions(path) if lines > FUNCTION}
    assert set(TABLES) <= long, "take out of TABLES what is short by now"

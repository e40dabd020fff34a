"""No file and no function is longer than can be read in one go."""

import ast
import functools
from pathlib import Path

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
}
"""Functions that are longer, and why: each would be harder to read in parts."""


@functools.cache
def functions(path: Path) -> list[tuple[str, int]]:
    """The functions of a file, each with its length in lines."""
    found = [
        one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [(one.name, (one.end_lineno or one.lineno) - one.lineno + 1) for one in found]


def test_every_file_and_each_of_its_functions_can_be_read_in_one_go() -> None:
    files = {path: lines for path in FILES if (lines := len(path.read_text().splitlines())) > FILE}
    assert not files, f"more than {FILE} lines: {files}; split them"
    long = [(path.name, *one) for path in FILES for one in functions(path) if one[1] > FUNCTION]
    left = [one for one in long if one[:2] not in TABLES]
    assert not left, f"more than {FUNCTION} lines: {left}; split them, or say in TABLES why each is a table"


def test_every_table_that_is_named_is_still_there_and_still_long() -> None:
    long = {(path.name, name) for path in FILES for name, lines in functions(path) if lines > FUNCTION}
    assert set(TABLES) <= long, "take out of TABLES what is short by now"

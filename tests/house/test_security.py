"""SECURITY.md promises what a test shows: every test that it names is there."""

import ast
import re

from harness import ROOT
from tests.house.test_names import names_of_tests

DOCUMENT = (ROOT / "SECURITY.md").read_text()
NAMED = re.findall(r"`(test_\w+)`", DOCUMENT)


def test_every_test_that_a_promise_names_is_there() -> None:
    assert NAMED
    assert set(NAMED) <= set(names_of_tests())


def test_every_promise_names_a_test() -> None:
    table = re.findall(r"^\| (?!against|-)(.*) \|$", DOCUMENT, re.MULTILINE)
    assert len(table) >= 5
    assert [row for row in table if "`test_" not in row.rsplit(" | ", 1)[-1]] == []


OPENS = {"write_text", "write_bytes", "savefig", "NamedTemporaryFile", "mkstemp"}
WRITERS = {
    "_console/report.py": "under the umask 077 of `cli._kept`",
    "_console/run.py": "under the umask 077 of `cli._kept`",
    "_metrics.py": "numbers, in a folder of their own",
    "_web/rooms.py": "the log of a LiveKit server, in a temporary folder, which is 0700",
    "ledger/_anchors.py": "made 0600; no words of the caller",
    "ledger/_spool.py": "made 0600, in a folder that is 0700",
    "ledger/_tables.py": "made 0600",
    "measure/_picture.py": "made 0600",
    "prepare/_make.py": "the agent's own words, which whoever runs the agent may read",
}
"""Each file of the source that writes files, and why nobody else reads what a caller said in them."""


def is_writing(call: ast.Call) -> bool:
    """Whether a call makes a file or writes to one."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    opens = name == "open" and (any(set(mode) & set("wax") and len(mode) < 4 for mode in modes))
    return name in OPENS or opens or "O_CREAT" in ast.unparse(call)


def test_every_file_that_is_written_is_known_and_closed_to_others() -> None:
    source = ROOT / "src" / "hearout"
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(is_writing(one) for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Call))
    }
    assert found == set(WRITERS)

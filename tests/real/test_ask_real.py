"""A question in the console, in real time: the script says what must come of it, and the exit status follows."""

from pathlib import Path

import pytest

from harness import ROOT, run

pytestmark = pytest.mark.real

SCRIPT = """
[call]
expect = "{expect}"
at_most = 40

[[caller]]
from_end = 1.0
{answer}
"""


@pytest.mark.parametrize(
    ("answer", "expect", "status", "shown"),
    [
        ('say = "yes, that is fine"', "yes", 0, "answered 'yes' (given)"),
        ('say = "no, please do not"', "yes", 1, "the script expects 'yes'"),
        ('keys = "1"', "yes", 0, "answered 'yes' (given)"),
    ],
)
def test_a_script_says_what_must_be_answered(tmp_path: Path, answer: str, expect: str, status: int, shown: str) -> None:
    (tmp_path / "call.toml").write_text(SCRIPT.format(expect=expect, answer=answer))
    agent = ROOT / "harness" / "rooms" / "asking_agent.py"
    path = {"PYTHONPATH": str(ROOT)}
    done = run("console", "--script", str(tmp_path / "call.toml"), "--out", str(tmp_path / "out"), agent=agent, **path)

    assert done.returncode == status, done.stdout + done.stderr
    assert shown in done.stdout, done.stdout

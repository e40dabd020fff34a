"""The README's commands, import and table of settings are true. For the calls see `newcomer/`."""

import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT
from harness.scenes import call, reading
from hearout import CutIn, Level, Outcome, YesNo
from hearout._session import settings
from hearout.testing import Say, from_end
from tests.conftest import IN_REAL_TIME

README = (ROOT / "README.md").read_text()
CONSOLE = (ROOT / "docs" / "console.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README + CONSOLE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

SHOWN_ELSEWHERE = {
    "make run": "test_both_commands_work_in_a_clean_clone",
    "make run < /dev/null": "test_both_commands_work_in_a_clean_clone",
    "make test": "this run; its target is looked at in test_make_test_all_runs_every_test_once",
    "hearout receipts": "test_the_main_calls_ledger_shows_a_changed_byte",
    "hearout receipts verify": "test_the_main_calls_ledger_shows_a_changed_byte",
    "python uninterruptable.py console": "test_both_commands_work_in_a_clean_clone",
    "python uninterruptable.py console --stock": "test_the_call_without_hearout_is_what_the_program_prints",
    "python uninterruptable.py console --script bench/calls/talk-over.toml --out calls/mine": (
        "test_the_call_with_hearout_is_what_the_program_prints"
    ),
}


def test_every_command_is_run_by_a_test() -> None:
    assert set(COMMANDS) == set(SHOWN_ELSEWHERE)


def test_the_import_that_is_shown_is_the_agents_own() -> None:
    exec(PYTHON[0], {})
    (policy,) = re.findall(r"```python\n(.*?)```", SETTINGS, re.DOTALL)
    exec(policy.replace("session =", "session = lambda:"), {})
    agent = (ROOT / "uninterruptable.py").read_text()
    assert "from hearout import Agent, AgentSession, cli" in agent
    assert PYTHON[0].splitlines()[0] in agent


def test_the_announcement_that_is_shown_gets_its_receipt() -> None:
    shown: list[Any] = []

    async def read(session: Any) -> None:
        scope: dict[str, Any] = {"session": session, "CutIn": CutIn}
        code = textwrap.indent(PYTHON[1], "    ").replace("    receipt.outcome", "    return receipt.outcome")
        exec(f"async def shown():\n{code}", scope)
        shown.extend(await scope["shown"]())

    call(agent=reading(read))

    assert shown == [Outcome.FINISHED, pytest.approx(4.3, abs=0.5), Level.PLAYED, ()]


def test_the_question_that_is_shown_gets_its_answer() -> None:
    shown: list[Any] = []

    async def read(session: Any) -> None:
        scope: dict[str, Any] = {"session": session, "YesNo": YesNo}
        code = textwrap.indent(PYTHON[2], "    ").replace("    answer.outcome", "    return answer.outcome")
        exec(f"async def shown():\n{code}", scope)
        shown.extend(await scope["shown"]())

    call(Say(from_end(1.0), "yes please"), agent=reading(read))

    assert [str(getattr(one, "value", one)) for one in shown] == ["answered", "yes", "yes please"]


def test_every_document_of_the_readme_is_there() -> None:
    for path in re.findall(r"\]\(([\w/.-]+)(?:#[\w-]+)?\)", README):
        assert (ROOT / path).is_file(), path


def test_the_table_of_settings_is_the_one_in_the_code() -> None:
    assert len(re.findall(r"^\| `", SETTINGS, re.MULTILINE)) == len(settings.WHY) + 1  # adaptive interruption stays
    for name in settings.WHY:
        assert re.split(r"[ =]", name)[0] in SETTINGS


def chosen(target: str) -> list[str]:
    """The marks by which a target of make chooses its tests, run by run; what plays failed ones again names none."""
    shown = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r'-m pytest [^|;]*? -m "([^"]*)"', shown.stdout)


def test_make_test_all_runs_every_test_once() -> None:
    assert chosen("test") == ["one_of_each", "not in_real_time"]
    assert chosen("test-rest") == ["in_real_time and not one_of_each"]
    assert chosen("test-all") == ["in_real_time", "not in_real_time"]
    named = re.findall(r"^REAL := ([^#]*)#", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named == [" ".join(f"tests/{folder}" for folder in IN_REAL_TIME)]  # the others are not collected


@pytest.mark.parametrize(("fail", "allowed", "status"), [(2, 1, 2), (1, 1, 0), (1, 0, 2)])
def test_more_calls_that_fail_twice_than_are_allowed_fail_the_run(
    fail: int, allowed: int, status: int, tmp_path: Path
) -> None:
    calls = "import pytest\npytestmark = pytest.mark.in_real_time\n"
    calls += "".join(f"def test_{call}() -> None:\n    assert {call >= fail}\n" for call in range(3))
    (tmp_path / "test_calls.py").write_text(calls)
    ours = (f"REAL={tmp_path}", f"CALLED={tmp_path}/made/calls", "TOOLS=", "CLIENT=", "PYTHONS=:", "AT_ONCE=0")

    ran = subprocess.run(["make", "test-rest", f"MAY_FAIL={allowed}", *ours], cwd=ROOT, capture_output=True, text=True)

    assert ran.stdout.count(f"{fail} failed") == 2  # once beside others, once alone
    assert ran.returncode == status

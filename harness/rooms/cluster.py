"""The services of docs/deploy.md on this machine, started by its commands, on ports of the tests' own."""

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT
from harness.databases import binaries
from harness.rooms.server import Server, ended

DOCUMENT = ROOT / "docs" / "deploy.md"
SHORT_DRAIN = 3
"""Seconds for which the second worker waits for its calls, in place of the document's ten minutes."""

_STARTS = 60.0


def commands(document: str) -> list[str]:
    """The shell commands of a document, in their order."""
    return [line for block in re.findall(r"```sh\n(.*?)```", document, re.DOTALL) for line in block.splitlines()]


def only(lines: list[str], program: str) -> list[str]:
    """Those that run a program."""
    return [line for line in lines if program in shlex.split(line, comments=True)]


@dataclass
class Cluster:
    """What runs.

    Attributes:
        folder: where logs go.
        environment: what deploy/.env gives to each command.
        ports: of the document, and those in their place.
        processes: by name; each is the program itself.
    """

    folder: Path
    environment: dict[str, str]
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def node(self, port: str) -> Server:
        """The node whose signalling is on this port of the document, for callers."""
        key, secret = self.environment["LIVEKIT_API_KEY"], self.environment["LIVEKIT_API_SECRET"]
        return Server(f"ws://127.0.0.1:{self.ports[port]}", key, secret, sorted(self.folder.glob("*.log")))

    def page(self, port: str, path: str = "/") -> str:
        """What is served on this port of the document."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def translated(self, line: str) -> str:
        """A command of the document, on the ports of this cluster."""
        return re.sub(r"\b\d{4}\b", lambda found: str(self.ports.get(found[0], found[0])), line)

    def run(self, line: str, **how: Any) -> str:
        """Run a command of the document to the end; the output."""
        done = subprocess.run(
            ["sh", "-c", self.translated(line)],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=_STARTS,
            check=False,
            **{"cwd": ROOT, **how},
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, name: str, line: str, *, environment: dict[str, str] | None = None, **how: Any) -> Iterator[None]:
        """Run a command of the document while the block runs."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["sh", "-c", f"exec env {self.translated(line)}"],
                env=os.environ | self.environment | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **{"cwd": ROOT, **how},
            )
        self.processes[name] = process
        with ended(process):
            yield

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until something is so, as long as a process lives."""
        until = time.monotonic() + _STARTS
        while not ready():
            if self.processes[name].poll() is not None or time.monotonic() > until:
                pytest.fail(f"{name} did not start:\n{(self.folder / f'{name}.log').read_text()[-3000:]}")
            time.sleep(0.1)

    def answers_queries(self) -> bool:
        """Whether PostgreSQL is done starting up."""
        asked = self.translated("pg_isready --quiet --host 127.0.0.1 --port 5432")
        return subprocess.run(["sh", "-c", asked], env=os.environ | self.environment, check=False).returncode == 0

    def is_healthy(self, port: str) -> bool:
        """Whether `GET /` is answered with 200."""
        try:
            return bool(self.page(port))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _needed() -> dict[str, str]:
    """The folders of the programs that are needed; without one the tests are skipped, but in CI they fail."""
    server = subprocess.run([ROOT / ".ci" / "livekit-server"], capture_output=True, text=True, check=False)
    found = {
        "livekit-server": server.stdout.strip(),
        "redis-server": shutil.which("redis-server"),
        "PostgreSQL": str(binaries() / "initdb") if binaries() else None,
    }
    missing = [name for name, path in found.items() if not path]
    if missing:
        reason = f"{' and '.join(missing)} not installed"
        pytest.fail(f"{reason}; .ci/run installs it") if os.environ.get("CI") == "true" else pytest.skip(reason)
    return {name: str(Path(path).parent) for name, path in found.items() if path}


def _free(ports: set[str]) -> dict[str, int]:
    """A free port for each; UDP and TCP, for a number may be used for either."""
    with contextlib.ExitStack() as held:
        taken = {}
        for port in sorted(ports):
            while True:
                tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
                held.enter_context(tcp).bind(("", 0))
                number = tcp.getsockname()[1]
                with contextlib.suppress(OSError):
                    held.enter_context(udp).bind(("", number))
                    break
            taken[port] = number
    return taken


@contextlib.contextmanager
def deployed(folder: Path) -> Iterator[Cluster]:
    """Run all of it while the block runs, with two workers, of which the second takes no calls yet.

    It does once ``0`` is in the file `load` of the folder. It waits for its calls for :data:`SHORT_DRAIN` only, and has
    LiveKit's own metrics on port `lk` as well.
    """
    lines = commands(DOCUMENT.read_text())
    where = _needed()
    home = Path(tempfile.mkdtemp(prefix="hearout-deploy-"))  # not pytest's, which nobody else may enter
    password, secret = secrets.token_hex(16), "s" + secrets.token_hex(32)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *where.values(), os.environ["PATH"]]),
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "PGDATA": str(home / "postgres"),
        "REDIS": str(home / "redis.sock"),
        "NODE_IP": "127.0.0.1",
        "LIVEKIT_API_KEY": "test",
        "LIVEKIT_API_SECRET": secret,
        "POSTGRES_PASSWORD": password,
        **dict.fromkeys(
            ("HEAROUT_LLM", "HEAROUT_LLM_URL", "HEAROUT_LLM_MODEL", "HEAROUT_LLM_KEY", "LIVEKIT_INFERENCE_URL"), ""
        ),
    }
    used = set(re.findall(r"(?<=[ :=])\d{4}\b", " ".join(only_services(lines)))) | {"lk"}
    cluster = Cluster(folder, environment, _free(used))
    for name in ("LIVEKIT_KEYS", "HEAROUT_LEDGER"):
        environment[name] = cluster.translated(_of_the_example(cluster, name))
    try:
        with contextlib.ExitStack() as held:
            _begin_postgres(cluster, lines, held, home)
            _begin_nodes(cluster, lines, held)
            _begin_workers(cluster, lines, held)
            yield cluster
    finally:
        shutil.rmtree(home)


def only_services(lines: list[str]) -> list[str]:
    """The commands that run until they are ended."""
    programs = ("postgres", "redis-server", "livekit-server", "deploy.agent")
    return [line for program in programs for line in only(lines, program)]


def _of_the_example(cluster: Cluster, name: str) -> str:
    example = ROOT / "deploy" / "env.example"
    return cluster.run(f'eval "$(grep ^{name}= {shlex.quote(str(example))})"; echo "${name}"').strip()


def _begin_postgres(cluster: Cluster, lines: list[str], held: contextlib.ExitStack, home: Path) -> None:
    how: dict[str, Any] = {"cwd": home}
    if os.getuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(home, "nobody", "nogroup")
        how |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
    (made,) = only(lines, "initdb")
    (server,) = only(lines, "postgres")
    (database,) = only(lines, "createdb")
    cluster.run(made, **how)
    held.enter_context(cluster.running("postgres", server, **how))
    cluster.wait("postgres", cluster.answers_queries)  # it listens before it does
    cluster.run(database, **how)


def _begin_nodes(cluster: Cluster, lines: list[str], held: contextlib.ExitStack) -> None:
    (redis,) = only(lines, "redis-server")
    held.enter_context(cluster.running("redis", redis))
    cluster.wait("redis", lambda: Path(cluster.environment["REDIS"]).is_socket())
    first, second = only(lines, "livekit-server")
    for name, line, port in (("node-a", first, "7880"), ("node-b", second, "7890")):
        held.enter_context(cluster.running(name, line))
        cluster.wait(name, lambda port=port: cluster.is_healthy(port))  # type: ignore[misc]


def _begin_workers(cluster: Cluster, lines: list[str], held: contextlib.ExitStack) -> None:
    load = cluster.folder / "load"
    load.write_text("1")
    # a process that is kept ready would be begun while a call is judged
    more: dict[str, Any] = {"num_idle_processes": 0, "initialize_process_timeout": _STARTS}
    idle = {"ROOM_SERVER": json.dumps(more)}
    more |= {"prometheus_port": cluster.ports["lk"], "prometheus_multiproc_dir": str(cluster.folder / "numbers")}
    busy = {"ROOM_LOAD": str(load), "ROOM_SERVER": json.dumps(more)}
    first, second = (_unloaded(line) for line in only(lines, "deploy.agent"))
    second = second.replace("--drain-timeout 600", f"--drain-timeout {SHORT_DRAIN}")
    held.enter_context(cluster.running("worker-a", first, environment=idle))
    held.enter_context(cluster.running("worker-b", second, environment=busy))
    for name in ("worker-a", "worker-b"):
        log = cluster.folder / f"{name}.log"
        cluster.wait(name, lambda log=log: "registered worker" in log.read_text())  # type: ignore[misc]


def _unloaded(line: str) -> str:
    program = "python -m deploy.agent"
    assert program in line
    return line.replace(
        program, f"python {shlex.quote(str(ROOT / 'harness' / 'rooms' / 'unloaded.py'))} deploy/agent.py"
    )

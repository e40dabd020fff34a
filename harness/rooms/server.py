"""A LiveKit server on this machine and the agent file as its worker: fixtures `room_server` and `room_worker`."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from livekit import api

from harness import AGENT, ROOT

STARTED, REGISTERED, ENDED = 20.0, 60.0, 15.0
"""Seconds that a server, a worker's registration and a process's end may take at most."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is, and who may come in.

    Attributes:
        url: of its WebSocket.
        key: of its one API key.
        secret: of that key.
        logs: what it and its workers write.
    """

    url: str
    key: str
    secret: str
    logs: list[Path]

    def token(
        self,
        room: str,
        identity: str,
        *,
        kind: api.AccessToken.ParticipantKind = "standard",
        attributes: dict[str, str] | None = None,
        **grants: bool,
    ) -> str:
        """What lets `identity` into `room`, for an hour; `grants` are those of LiveKit's `VideoGrants`."""
        allowed = api.VideoGrants(room_join=True, room=room, **grants)
        made = api.AccessToken(self.key, self.secret).with_identity(identity).with_kind(kind).with_grants(allowed)
        return made.with_attributes(attributes or {}).to_jwt()

    @staticmethod
    def new_room() -> str:
        """The name of a room that nobody used: the first who joins it is the one an agent is sent for."""
        return f"room-{uuid.uuid4().hex[:8]}"

    def last_words(self) -> str:
        """The ends of the logs, for the message of a test that failed."""
        return "\n".join(f"--- {log}:\n{_tail(log)}" for log in self.logs)

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a worker or a room's administrator finds the server."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.key, "LIVEKIT_API_SECRET": self.secret}


@dataclass(frozen=True)
class Worker:
    """An agent file that waits for calls.

    Attributes:
        server: which sends it the calls.
        process: its main process; its jobs are that one's children.
        log: what it and its jobs print.
    """

    server: Server
    process: subprocess.Popen[bytes]
    log: Path


@pytest.fixture(scope="session")
def room_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this test run's own; without one the tests are skipped, but in CI they fail."""
    found = subprocess.run([ROOT / ".ci" / "livekit-server"], capture_output=True, text=True, check=False)
    if found.returncode:
        reason = found.stderr.strip().splitlines()[-1]
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with serving(found.stdout.strip(), tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def room_worker(room_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The recipe's agent, waiting for the calls of that server's rooms. One worker at a time: any may get a call."""
    with working(room_server, tmp_path_factory.mktemp("worker")) as worker:
        yield worker


@contextlib.contextmanager
def serving(program: str, folder: Path) -> Iterator[Server]:
    """Run a server while the block runs; what it writes is in `folder`."""
    with contextlib.ExitStack() as held:
        # Taken at once, so that they differ, and let go just before the server takes them.
        sockets = [socket.socket(type=kind) for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        for one in sockets:
            held.enter_context(one).bind(("", 0))
        port, tcp_port, udp_port = (int(one.getsockname()[1]) for one in sockets)
    log = folder / "server.log"
    server = Server(f"ws://127.0.0.1:{port}", "test", secrets.token_urlsafe(48), [log])
    config = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {"tcp_port": tcp_port, "udp_port": udp_port},
    }
    keys = {"LIVEKIT_KEYS": f"{server.key}: {server.secret}"}
    with ended(_started([program, "--config-body", json.dumps(config)], log, keys)) as process:
        _wait(STARTED, lambda: _answers(port), process, log, "the LiveKit server did not start")
        yield server


@contextlib.contextmanager
def working(
    server: Server, folder: Path, *, agent: Path = AGENT, command: str = "dev", by_livekit: bool = False
) -> Iterator[Worker]:
    """Run an agent file as a worker of `server` while the block runs; what it prints is in `folder`.

    With `by_livekit` LiveKit's own command line runs it, which never calls the file's ``__main__``.
    """
    # A developer's .env must not reach the test; load_dotenv leaves alone what is there, be it empty.
    bare = {"HEAROUT_LLM": "", "HEAROUT_LLM_URL": "", "HEAROUT_LLM_MODEL": "", "HEAROUT_LLM_KEY": ""}
    bare |= dict.fromkeys(("LIVEKIT_INFERENCE_URL", "LIVEKIT_INFERENCE_API_KEY", "LIVEKIT_INFERENCE_API_SECRET"), "")
    log = folder / "worker.log"
    program = [sys.executable, str(Path(__file__).with_name("unloaded.py")), str(agent), command]
    if by_livekit:
        program = [sys.executable, "-m", "livekit.agents", command, str(agent)]
    with ended(_started(program, log, bare | server.environment)) as process:
        registered = "registered worker"
        _wait(REGISTERED, lambda: registered in log.read_text(), process, log, "the worker did not register")
        server.logs.append(log)
        yield Worker(server, process, log)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a process of :func:`_started` after the block by SIGTERM, and what is left of its group by force."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDED)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(ENDED)


def _started(arguments: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process that leads a new group, so that the children can be ended too."""
    with log.open("wb") as out:
        return subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _wait(seconds: float, ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, failed: str) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"{failed}; the last it said:\n{_tail(log)}")
        time.sleep(0.1)

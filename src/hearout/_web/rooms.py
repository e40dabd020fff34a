"""A LiveKit server of our own, for the page: on free ports, with a key that nobody else has."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import WebError

STARTS, ENDS = 20.0, 1.0
"""Seconds that the server may take to start, and to end: it would wait for rooms in which nobody is any more."""

TOOLS = Path(".tools")
"""Where `make livekit` puts it in a checkout."""


@dataclass(frozen=True)
class Rooms:
    """Where rooms are, and what lets one in.

    Attributes:
        url: of the server (``ws://`` or ``wss://``).
        key, secret: of its API.
        port: that the page's browser finds it at under the page's own host name; None where `url` is for browsers too.
    """

    url: str = field(repr=False)
    key: str
    secret: str = field(repr=False)
    port: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What LiveKit's worker and its jobs look for."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.key, "LIVEKIT_API_SECRET": self.secret}


def program() -> str:
    """The path of livekit-server: the one on PATH, else the one in ``.tools/``.

    Raises:
        WebError: there is none; says how to get it.
    """
    built = TOOLS / "livekit-server"
    found = shutil.which("livekit-server") or (str(built.resolve()) if built.is_file() else None)
    if found is None:
        raise WebError(
            "livekit-server is neither on PATH nor in .tools/; install it (docs.livekit.io, self-hosting), or run "
            "`make livekit` in a checkout of hearout, which builds it (needs Go), or set LIVEKIT_URL, LIVEKIT_API_KEY "
            "and LIVEKIT_API_SECRET for a server that runs elsewhere"
        )
    return found


@contextlib.contextmanager
def serving(host: str, log: Path) -> Iterator[Rooms]:
    """Run a server while the block runs.

    Args:
        host: the address that it is reached at: the page's.
        log: what it writes.

    Raises:
        WebError: it does not start; the message has its last words.
    """
    binary = program()
    port, tcp_port, udp_port = _free_ports()
    here = "127.0.0.1" if host == "localhost" else host
    rooms = Rooms(f"ws://{_reached(here)}:{port}", "hearout", secrets.token_urlsafe(48), port)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [binary, "--config-body", json.dumps(_config(here, port, tcp_port, udp_port))],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LIVEKIT_KEYS": f"{rooms.key}: {rooms.secret}"},  # a command line is for all to read
            start_new_session=True,  # Ctrl-C is for us: the rooms end after the calls in them
        )
    try:
        _wait_for(process, f"http://{_reached(here)}:{port}/", log)
        yield rooms
    finally:
        _end(process)


def _config(host: str, port: int, tcp_port: int, udp_port: int) -> dict[str, object]:
    rtc: dict[str, object] = {"tcp_port": tcp_port, "udp_port": udp_port}
    if host == "::1" or host.startswith("127."):
        # By TCP it would listen on all addresses (1.13.5); on loopback nothing stands in the way of UDP.
        rtc |= {"interfaces": {"includes": ["lo"]}, "enable_loopback_candidate": True, "node_ip": host, "tcp_port": 0}
    return {"port": port, "bind_addresses": [host], "rtc": rtc, "logging": {"level": "warn"}}


def _reached(host: str) -> str:
    """By what address this machine itself reaches a server that is bound to `host`."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as held:
        # Taken at once, so that they differ, and let go just before the server takes them.
        sockets = [socket.socket(type=kind) for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        for one in sockets:
            held.enter_context(one).bind(("", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + STARTS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > until:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise WebError(f"livekit-server did not start: {last[0][-500:]}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(ENDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Real rooms for the benchmark: a LiveKit server of its own on this machine, and workers, as the tests have them."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from harness import ROOT

if TYPE_CHECKING:
    from harness.rooms.server import Server, Worker

WARM = 60.0
"""Seconds within which a worker must have a process ready for its next call."""


class NoServerError(Exception):
    """There is no livekit-server; the message says what is missing."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator["Server"]:
    """Run a LiveKit server while the block runs; what it writes is in `folder`.

    Raises:
        NoServerError: there is none on this machine, and it cannot be built.
    """
    from harness.rooms import server  # not above: pytest wants to import a plugin itself, first

    found = subprocess.run([ROOT / ".ci" / "livekit-server"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise NoServerError(found.stderr.strip().splitlines()[-1])
    with server.serving(found.stdout.strip(), folder) as running:
        yield running


@contextlib.contextmanager
def working(server: "Server", folder: Path, agent: Path, **environment: str) -> Iterator["Worker"]:
    """Run an agent file as a worker, with ``dev``, while the block runs; what it prints is in `folder`."""
    from harness.rooms import server as workers

    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    folder.mkdir()
    with (
        mock.patch.dict(os.environ, environment, PYTHONPATH=os.pathsep.join(paths)),
        workers.working(server, folder, agent=agent) as worker,
    ):
        yield worker


def wait_until_warm(worker: "Worker") -> None:
    """Wait until the worker has a process ready for its next call, and so starts none meanwhile.

    Raises:
        TimeoutError: it has none within :data:`WARM` seconds.
    """

    def warm() -> bool:
        said = worker.log.read_text(errors="replace")
        return said.count("process initialized") > said.count("received job request")

    try:
        wait(warm, WARM, "the worker made no process ready for its next call")
    except TimeoutError as error:
        raise TimeoutError(f"{error}; the last it said:\n{worker.log.read_text(errors='replace')[-2000:]}") from None


def wait(there: Callable[[], bool], seconds: float, failed: str) -> None:
    """Wait until it is so.

    Raises:
        TimeoutError: it is not within `seconds`.
    """
    until = time.monotonic() + seconds
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(f"{failed} within {seconds:g} s")
        time.sleep(0.1)

"""The local models in a process of their own, so that it is seen what they take: ``python -m bench.models``.

It writes one line of JSON, with what LiveKit must find in the environment, and ends when its standard input does.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import ROOT


@contextlib.contextmanager
def serving(log: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run them while the block runs; the process, and the environment of whoever is to use them.

    Raises:
        RuntimeError: they could not be loaded; the log says why.
    """
    command, pipe = [sys.executable, "-m", "bench.models"], subprocess.PIPE
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not (said := process.stdout.readline()):
            raise RuntimeError(f"the local models have ended with {process.wait()}: {log.read_text()[-2000:]}")
        yield process, json.loads(said)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    """Serve them until standard input ends."""
    from hearout._local.gateway import Gateway

    with Gateway.start() as gateway:
        gateway.loaded()
        print(json.dumps(gateway.environment()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

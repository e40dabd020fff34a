"""The local models in a process of their own, whose processor time is counted: ``python -m bench.models``.

The process writes one line of JSON, with what LiveKit must find in the environment, and ends with its standard input.
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
    """Run the local models while the block runs; their process, and the environment in which LiveKit finds them.

    Raises:
        RuntimeError: the models could not be loaded; the log says why.
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
    """Serve the models until standard input ends."""
    from hearout._local.gateway import Gateway

    with Gateway.start() as gateway:
        gateway.loaded()
        print(json.dumps(gateway.environment()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

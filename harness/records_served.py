"""`hearout receipts serve` as a process of its own, with a book that has calls of each kind."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.shown_book import filled, recorded


@contextlib.contextmanager
def records_served(folder: Path) -> Iterator[str]:
    """Serve the page while the block runs; its address."""
    url = f"sqlite:///{folder / 'book.db'}"
    filled(url).close()
    sounds = str(recorded(folder / "recordings"))
    command = [sys.executable, "-m", "hearout", "receipts", "serve", "--ledger", url, "--recordings", sounds]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            yield serving.stdout.readline().split()[1]
        finally:
            serving.terminate()
        assert serving.wait(20) == 0

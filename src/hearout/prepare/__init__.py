"""`hearout prepare`: makes ready-made announcements, and checks that they say their text."""

import sys
from collections.abc import Sequence

from .._text import shown
from .._text.progress import Progress, silent


def main(argv: Sequence[str], progress: Progress = silent) -> int:
    """Make the announcements that the arguments name; the exit status, as of :func:`hearout.prepare._command.main`."""
    try:
        from ._command import main as run  # the TTS, the STT and the meters are extras
    except ModuleNotFoundError as error:
        why = f"error: hearout prepare needs {error.name}, which is not installed"
        print(shown(f"{why}; run: pip install 'hearout[local,prepare]'"), file=sys.stderr)  # noqa: T201
        return 2
    return run(argv, progress)


__all__ = ["main"]

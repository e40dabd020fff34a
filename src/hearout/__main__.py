"""The `hearout` command: each of its commands is a module's ``main``, imported when it is called."""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from dotenv import find_dotenv, load_dotenv

from ._local.choice import drop_empty
from ._text import shown
from ._text.progress import Told, silent
from .errors import HearoutError

COMMANDS = {
    "measure": ("hearout.measure._command", "how much of an announcement is in a recording"),
    "prepare": ("hearout.prepare", "make announcements ahead of time, checked against their text"),
    "receipts": ("hearout.ledger._command", "what was said to whom, and whether the record is unchanged"),
}


def run() -> None:
    """Run the command line; ends the process with its exit status: 2 for a wrong call.

    A `.env` here or in a folder above completes the environment, as it does an agent's: else `hearout receipts` would
    look for the receipts elsewhere than where the agent writes them.
    """
    write_any_name()
    file = find_dotenv(usecwd=True)
    try:
        load_dotenv(file)
    except (OSError, UnicodeDecodeError) as error:
        why = f"{file} cannot be read ({error}); make it readable, or call hearout in another folder"
        print(shown(f"error: {why}"), file=sys.stderr)  # noqa: T201
        sys.exit(2)
    drop_empty(os.environ)
    if sys.argv[1:2] != ["receipts"]:  # which reads no further in its database than its reader does
        outlive_readers()
    try:
        status = main(sys.argv[1:])
        print(end="", flush=True)  # noqa: T201
    except OSError as error:  # of the output: the commands have a sentence for what else cannot be read or written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(shown(f"error: the output cannot be written: {error.strerror}"), file=sys.stderr)  # noqa: T201
        status = 2
    sys.exit(status)


def write_any_name() -> None:
    """Let a terminal or a file of another encoding than UTF-8 have any text: what it has no sign for is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Patient(io.FileIO):
    """Standard output or error: what nobody reads any more is thrown away."""

    def write(self, written: Any, /) -> int:
        try:
            return super().write(written)
        except BrokenPipeError:
            return len(written)


def outlive_readers() -> None:
    """Let this process go on when a reader of its output has gone (`… | head`): to its end, files and exit status.

    Python would raise in whichever thread prints next, and at the end of the process once more.
    """
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        try:
            new = io.BufferedWriter(_Patient(old.fileno(), "w", closefd=False))
        except (AttributeError, OSError):  # it is no file
            continue
        old.flush()
        text = io.TextIOWrapper(new, old.encoding, old.errors, line_buffering=old.line_buffering)
        setattr(sys, name, text)


def main(arguments: list[str]) -> int:
    """As :func:`run`, with the arguments given; the exit status."""
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:
        wanted = name in ("-h", "--help")
        why = f"there is no command {name!r}" if name else "no command was given"
        print(shown(usage() if wanted else f"{usage()}\n\nerror: {why}"), file=None if wanted else sys.stderr)
        return 0 if wanted else 2
    try:
        command = importlib.import_module(COMMANDS[name][0])
        options = {"environ": os.environ, "serve": _serve} if name == "receipts" else {}
        status: int = command.main(arguments[1:], progress=progress, **options)
    except HearoutError as error:
        print(shown(f"error: {error}"), file=sys.stderr)  # noqa: T201
        return 2
    return status


@contextlib.contextmanager
def progress(what: str) -> Iterator[Told]:
    """Show on a terminal how far work is, and that it goes on; nothing where an output is a file or a pipe."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr)):
        with silent(what) as told:
            yield told
        return
    from rich.console import Console  # its import would make each command wait
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _serve(options: argparse.Namespace) -> int:
    from ._web.records_site import serve  # aiohttp: for this command only

    return serve(options)


def usage() -> str:
    rows = "\n".join(f"  {name:10}{what}" for name, (_, what) in COMMANDS.items())
    return f"usage: hearout COMMAND ...   (hearout COMMAND --help)\n\n{rows}"


if __name__ == "__main__":
    run()

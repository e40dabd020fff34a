"""The command line of an agent file: `console` and `web` are ours, the rest LiveKit's, with what `attach` adds."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from livekit.agents import AgentServer, WorkerOptions
from livekit.agents import cli as livekit_cli

from .__main__ import outlive_readers, write_any_name
from ._local import choice as voices
from ._session.process import Process
from ._text import shown
from ._worker.attach import attach
from .errors import ConsoleError, HearoutError

CALLS = Path("calls")
"""Where `console` and `web` keep what they write, in the working folder: nobody else's business."""

LIVEKITS = {
    "dev": "join a LiveKit server, for development",
    "start": "join a LiveKit server, in production",
    "connect": "join one room of a LiveKit server",
    "download-files": "fetch what LiveKit's plugins need",
}
"""LiveKit's own commands."""


def run_app(server: AgentServer | WorkerOptions) -> None:
    """Run the agent as the command line says; ends the process with its exit status.

    Takes the place of LiveKit's ``cli.run_app``: ``console`` needs no key and no sound card, and ``dev``, ``start`` and
    ``connect`` run with what :func:`hearout.attach` adds.
    """
    write_any_name()
    outlive_readers()
    made = AgentServer.from_server_options(server) if isinstance(server, WorkerOptions) else server
    sys.exit(main(made, sys.argv[1:]))


def main(server: AgentServer, arguments: Sequence[str]) -> int:
    """As :func:`run_app`, with the arguments given; the exit status: 2 for a wrong call, 1 for a failed one."""
    is_livekits = bool(arguments) and arguments[0] in LIVEKITS
    options = _parser(Path(sys.argv[0]).name).parse_args(arguments[:1] if is_livekits else arguments)
    try:
        voices.drop_empty(os.environ)
        if options.command == "console":
            with _kept(options.out):
                return _console(server, options, voices.choose(os.environ))
        if options.command == "web":
            with _kept(None):
                attach(server)
                return _web(server, options, voices.choose(os.environ))
        attach(server)
        livekit_cli.run_app(server)
    except HearoutError as error:
        print(shown(f"error: {error}"), file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Runs the agent.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    console = commands.add_parser(
        "console",
        help="talk with the agent in this terminal; without a terminal, play a scripted call",
        description="Talk with the agent in this terminal: no server, no key and no sound card are needed. "
        "Without a terminal, a scripted call is played.",
    )
    console.add_argument("--virtual", action="store_true", help="do not use the sound card, even if there is one")
    console.add_argument("--script", type=Path, metavar="FILE", help="play this call (TOML) and end")
    console.add_argument("--out", type=Path, metavar="DIR", help="where the call's files go (calls/<UTC time>)")
    console.add_argument("--stock", action="store_true", help="as LiveKit behaves without hearout, to compare")
    web = commands.add_parser(
        "web",
        help="talk with the agent in a browser, by microphone",
        description="Serves a page in which you talk with the agent by microphone. It starts a LiveKit server of its "
        "own, unless LIVEKIT_URL names one.",
    )
    web.add_argument("--port", type=int, default=8000, help="of the page (8000; 0 for a free one)")
    web.add_argument("--host", default="127.0.0.1", help="what the page is bound to (127.0.0.1: this machine only)")
    for name, what in LIVEKITS.items():
        commands.add_parser(name, help=f"{what} (LiveKit's own)", add_help=False)
    return parser


def _console(server: AgentServer, options: argparse.Namespace, choice: voices.Choice) -> int:
    from ._console import run  # the console's packages are an extra

    if options.stock:
        Process.stock = True
    return run.console(
        server,
        script=options.script,
        out=options.out,
        choice=choice,
        sound_card=not options.virtual,
        llm=voices.answers(os.environ),
    )


def _web(server: AgentServer, options: argparse.Namespace, choice: voices.Choice) -> int:
    from ._web import run

    return run.web(server, host=options.host, port=options.port, choice=choice)


@contextlib.contextmanager
def _kept(out: Path | None) -> Iterator[None]:
    """Meanwhile, what is written is for its owner only, and a ledger that nobody named is with the calls' files.

    Args:
        out: where the files of one call go; None for a folder in `CALLS`.

    Raises:
        ConsoleError: the folder cannot be made.
    """
    folder, before = out or CALLS, os.umask(0o077)
    named = os.environ.get("HEAROUT_LEDGER")
    try:
        if out is None:
            _make_folder()
        # absolute: the agent's own code may change the working folder
        os.environ["HEAROUT_LEDGER"] = named or f"sqlite:///{quote(str(folder.absolute() / 'receipts.db'))}"
        yield
    finally:
        os.umask(before)
        if named is None:
            os.environ.pop("HEAROUT_LEDGER", None)


def _make_folder() -> None:
    try:
        CALLS.mkdir(exist_ok=True)
        CALLS.chmod(0o700)  # older versions made it for everybody to read
    except OSError as error:
        raise ConsoleError(f"{CALLS}: cannot be written to ({error.strerror}); call it in another folder") from error

"""The command line of an agent file: `console` and `web` are ours, the rest LiveKit's, with the local voice at need."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from livekit.agents import AgentServer
from livekit.agents import cli as livekit_cli

from . import _failover as rescue
from ._local import choice as voices
from ._session import process
from .errors import ConsoleError, HearoutError


def run_app(server: AgentServer) -> None:
    """Run the agent as the command line says; ends the process with its exit status.

    Takes the place of LiveKit's ``cli.run_app``: ``console`` needs no key and no sound card, and ``dev``, ``start`` and
    ``connect`` work without keys for the models.
    """
    sys.exit(main(server, sys.argv[1:]))


def main(server: AgentServer, arguments: Sequence[str]) -> int:
    """As :func:`run_app`, with the arguments given; the exit status: 2 for a wrong call, 1 for a failed one."""
    options = _parser(Path(sys.argv[0]).name).parse_args(arguments[:1] if _is_livekits(arguments) else arguments)
    try:
        voices.drop_empty(os.environ)
        choice = voices.choose(os.environ)
        if options.command == "console":
            return _console(server, options, choice)
        if options.command == "web":
            return _web(server, options, choice)
        with _metrics(options.command):
            return _livekit(server, options.command, choice)
    except HearoutError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _is_livekits(arguments: Sequence[str]) -> bool:
    return bool(arguments) and arguments[0] in ("dev", "start", "connect", "download-files")


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
    for name, what in (
        ("dev", "join a LiveKit server, for development"),
        ("start", "join a LiveKit server, in production"),
        ("connect", "join one room of a LiveKit server"),
        ("download-files", "fetch what LiveKit's plugins need"),
    ):
        commands.add_parser(name, help=f"{what} (LiveKit's own)", add_help=False)
    return parser


def _console(server: AgentServer, options: argparse.Namespace, choice: voices.Choice) -> int:
    from ._console import run  # the console's packages are an extra

    if options.stock:
        process.use_stock()
    return run.console(
        server,
        script=options.script,
        out=options.out,
        choice=choice,
        sound_card=not options.virtual,
        upstream=_upstream(),
    )


def _web(server: AgentServer, options: argparse.Namespace, choice: voices.Choice) -> int:
    from ._web import run

    return run.web(server, host=options.host, port=options.port, choice=choice, upstream=_upstream())


def _livekit(server: AgentServer, command: str, choice: voices.Choice) -> int:
    """LiveKit's own command, in an environment where its inference classes find the local voice."""
    if command == "download-files":
        livekit_cli.run_app(server)
        return 0
    if choice.where is not voices.Where.LOCAL:
        with rescue.watching(server, os.environ):
            livekit_cli.run_app(server)
        return 0
    if "LIVEKIT_URL" not in os.environ and not {"--url", "-h", "--help"} & set(sys.argv):
        raise ConsoleError(
            f"{command} joins a LiveKit server, and LIVEKIT_URL is not set; set {', '.join(voices.LIVEKIT)} in .env, "
            "or run `console` or `web`, which need none"
        )
    from ._local.gateway import answering

    with answering(_upstream()) as environment, rescue.watching(server, os.environ):
        os.environ.update(environment)  # before LiveKit's fork server starts: its jobs inherit it
        print(choice.because, flush=True)  # noqa: T201
        livekit_cli.run_app(server)
    return 0


@contextlib.contextmanager
def _metrics(command: str) -> Iterator[None]:
    """Serve the numbers for Prometheus meanwhile, where they are asked for."""
    port = os.environ.get("HEAROUT_METRICS_PORT", "")
    if not port or command not in ("dev", "start"):
        yield
        return
    from . import _metrics as metrics

    with metrics.serving(os.environ.get("HEAROUT_METRICS_HOST", "127.0.0.1"), port) as url:
        print(f"metrics: {url}", flush=True)  # noqa: T201
        yield


def _upstream() -> tuple[str, str, str] | None:
    url = os.environ.get("HEAROUT_LLM_URL")
    return (url, os.environ.get("HEAROUT_LLM_MODEL", ""), os.environ.get("HEAROUT_LLM_KEY", "")) if url else None

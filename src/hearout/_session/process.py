"""What holds for every session of this process: set by the command line, before the first job."""

import functools
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import AgentSession, get_job_context

logger = logging.getLogger("hearout")

ATTACHED = "HEAROUT_ATTACHED"
"""Set by a worker that runs with `hearout.attach`, for its own jobs."""


PAGE = "HEAROUT_PAGE"
"""Set by `web`: its page shows the whole call to its caller, not only what they are asked."""


class LocalLine(Protocol):
    """What takes the place of a room: the console's line, or a test's."""

    def attach(self, session: AgentSession[Any]) -> None:
        """Set ``input.audio``, ``output.audio``, ``output.transcription``.

        Called in the session's event loop, before LiveKit starts it.
        """


class Process:
    """What holds for every session of this process: set by the command line, before the first job.

    Attributes:
        line: takes the place of a room; None for none.
        call: names the call on that line.
        stock: sessions behave as LiveKit's own, for comparison: no settings, no floor.
    """

    line: LocalLine | None = None
    call: str = ""
    stock: bool = False


def use_line(line: LocalLine | None, *, call: str = "") -> None:
    """Let the sessions of this process talk over `line` instead of a room; receipts name the call so."""
    Process.line, Process.call = line, call


def page_shows_all() -> bool:
    """Whether the caller's page shows the call itself: the caller's words, what is owed, each receipt."""
    return PAGE in os.environ


def call_in(room: rtc.Room | None) -> str:
    """Names the call: a room's name may be used again, its session id is not."""
    job = get_job_context(required=False)
    if job is not None and job.job.room.sid:
        return f"{job.job.room.name}/{job.job.room.sid}"
    return (room.name if room is not None else "") or f"call-{uuid.uuid4().hex[:12]}"


@functools.cache
def say_what_was_never_tried() -> None:
    """Say in the log, once in a process, that nobody ran hearout's tests on these versions."""
    python = "{}.{}".format(*sys.version_info)
    if why := untried(python, version("livekit-agents")):
        logger.warning("%s; what is promised may not hold. docs/compatibility.md says what was tried", why)


def untried(python: str, agents: str) -> str:
    """What was never tried of these versions, in words; empty, where both were, beside each other.

    LiveKit's patch versions count, each of them: 1.8.7 brought another major version of its OpenAI client. Python's do
    not.

    Args:
        python: major and minor version, "3.12".
        agents: version of livekit-agents, "1.8.9".
    """
    runs = json.loads(files(__package__).joinpath("tried.json").read_text())["runs"]
    if any((run["python"], run["livekit-agents"]) == (python, agents) for run in runs):
        return ""
    known = ", ".join(f"{run['livekit-agents']} on Python {run['python']}" for run in runs)
    return f"hearout was never tried with livekit-agents {agents} on Python {python}, but with {known}"


@functools.cache
def say_what_is_off() -> None:
    """Say in the log, once in a process, what a worker that was started without `hearout.attach` does not do."""
    if ATTACHED in os.environ or Process.line is not None or get_job_context(required=False) is None:
        return
    if off := "; ".join(_left_off(os.environ)):
        logger.warning("this worker runs without hearout.attach(server), so these are off: %s", off)


def _left_off(environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get("HEAROUT_RESCUE") != "off" and environ.get("HEAROUT_LEDGER", "off") not in ("", "off"):
        yield "failover (a call whose agent dies is sent no other)"
    if environ.get("HEAROUT_METRICS_PORT"):
        yield "hearout's metrics (HEAROUT_METRICS_PORT is set)"
    elsewhere = any(environ.get(name) for name in ("LIVEKIT_INFERENCE_URL", "LIVEKIT_INFERENCE_API_KEY"))
    if not elsewhere and ".livekit.cloud" not in environ.get("LIVEKIT_URL", ""):
        yield "the local models (no key for others is set)"

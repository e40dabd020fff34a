"""What holds for every session of this process: set by the command line, before the first job."""

import uuid
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import AgentSession, get_job_context


class LocalLine(Protocol):
    """What takes the place of a room: the console's line, or a test's."""

    def attach(self, session: AgentSession[Any]) -> None:
        """Give the session its ears and mouth: set ``input.audio``, ``output.audio``, ``output.transcription``.

        Called in the session's event loop, before LiveKit starts it.
        """


class Process:
    """What holds for every session of this process: set by the command line, before the first job."""

    line: LocalLine | None = None
    call: str = ""
    stock: bool = False


def use_line(line: LocalLine | None, *, call: str = "") -> None:
    """Let the sessions of this process talk over `line` instead of a room; receipts name the call so."""
    Process.line, Process.call = line, call


def use_stock() -> None:
    """Let the sessions of this process behave as LiveKit's own, for comparison: no settings, no floor."""
    Process.stock = True


def call_in(room: rtc.Room | None) -> str:
    """Names the call: a room's name may be used again, its session id is not."""
    job = get_job_context(required=False)
    if job is not None and job.job.room.sid:
        return f"{job.job.room.name}/{job.job.room.sid}"
    return (room.name if room is not None else "") or f"call-{uuid.uuid4().hex[:12]}"

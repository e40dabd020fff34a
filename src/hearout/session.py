"""AgentSession: LiveKit's, with the three promises. The only file that touches LiveKit's session."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, cast

from livekit.agents import Agent
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.voice.run_result import RunResult

from . import settings

logger = logging.getLogger("hearout")

Userdata_T = TypeVar("Userdata_T")


class Line(Protocol):
    """What takes the place of a room: the console's line, or a test's."""

    def attach(self, session: "AgentSession[Any]") -> None:
        """Give the session its ears and mouth: set ``input.audio``, ``output.audio``, ``output.transcription``.

        Called in the session's event loop, before LiveKit starts it.
        """


class _Process:
    """What holds for every session of this process: set by the command line, before the first job."""

    line: Line | None = None
    stock: bool = False


def use_line(line: Line | None) -> None:
    """Let the sessions of this process talk over `line` instead of a room."""
    _Process.line = line


def use_stock() -> None:
    """Let the sessions of this process behave as LiveKit's own, for comparison: no settings, no floor."""
    _Process.stock = True


class AgentSession(LiveKitSession[Userdata_T]):
    """LiveKit's `AgentSession` that keeps the three promises for every protected utterance.

    Takes all of LiveKit's arguments and passes them on. What would break a promise silently is set
    (:data:`hearout.settings.WHY`).

    Raises:
        SettingsError: an argument contradicts a promise, or LiveKit would ignore it; the message says what to change.
    """

    def __init__(self, **arguments: Any) -> None:
        self._stock = _Process.stock
        super().__init__(**(arguments if self._stock else settings.session_arguments(arguments)))
        if not self._stock:
            settings.check_model(self.llm, whose="session")
            logger.debug("session settings: %s", "; ".join(f"{name} ({why})" for name, why in settings.WHY.items()))

    async def start(self, agent: Agent, **arguments: Any) -> RunResult[Any] | None:  # type: ignore[override]
        """Start the session, as LiveKit's; in the console it starts on the console's line instead of the room.

        Raises:
            SettingsError: ``session_host=True``, or the agent's model decides turns on its server.
        """
        given: Mapping[str, Any] = arguments
        if (line := _Process.line) is not None:
            line.attach(self)
            given = {name: value for name, value in arguments.items() if name != "room"}
        if self._stock:
            return cast(RunResult[Any] | None, await super().start(agent, **given))
        settings.check_model(agent.llm, whose="agent")
        return cast(RunResult[Any] | None, await super().start(agent, **settings.start_arguments(given)))

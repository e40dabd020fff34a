"""LiveKit's agents, with the type of their session: at run time LiveKit's own do as well."""

from typing import Any, TypeVar, cast

from livekit import agents

from .agent_session import AgentSession

TaskResult_T = TypeVar("TaskResult_T")


class Agent(agents.Agent):
    """LiveKit's `Agent`; a type checker knows its `session` as :class:`hearout.AgentSession`, with `announce()`."""

    @property
    def session(self) -> AgentSession[Any]:
        """The session that runs this agent.

        Raises:
            RuntimeError: none does.
        """
        return cast(AgentSession[Any], super().session)


class AgentTask(agents.AgentTask[TaskResult_T]):
    """LiveKit's `AgentTask`; a type checker knows its `session` as :class:`hearout.AgentSession`, with `ask()`."""

    @property
    def session(self) -> AgentSession[Any]:
        return cast(AgentSession[Any], super().session)

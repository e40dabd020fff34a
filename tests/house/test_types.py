"""What a team's type checker sees of hearout: as much as of LiveKit, and what hearout adds."""

import inspect

from livekit.agents import AgentSession

from hearout._session.signatures import SessionArguments


def test_no_argument_of_livekits_session_is_unknown_to_type_checkers() -> None:
    assert set(SessionArguments.__annotations__) == set(inspect.signature(AgentSession.__init__).parameters) - {"self"}

"""Each public call of LiveKit's session and agents is taken by hearout's, with each of its arguments and defaults."""

import inspect
from typing import Any

import pytest
from livekit import agents

import hearout
from hearout._session.signatures import SessionArguments

OVERRIDDEN = {
    "AgentSession": {
        *("aclose", "clear_user_turn", "commit_user_turn", "conn_options", "emit", "generate_reply", "llm"),
        *("say", "shutdown", "start", "update_agent", "update_options"),
    },
    "Agent": {"session"},
    "AgentTask": {"session"},
}
"""What hearout's classes have of their own in place of LiveKit's; all else is LiveKit's own."""


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_is_overridden_is_listed_and_has_livekits_arguments(name: str) -> None:
    ours, theirs = public(getattr(hearout, name)), public(getattr(agents, name))
    changed = {called for called, member in theirs.items() if ours[called] is not member}

    assert changed == OVERRIDDEN[name]
    for called in changed:
        if inspect.isfunction(theirs[called]):
            assert differences(ours[called], theirs[called]) == []
        else:
            assert isinstance(ours[called], property)


def differences(ours: Any, theirs: Any) -> list[str]:
    """The arguments of LiveKit's function that ours does not take, or not with the same default."""
    taken = inspect.signature(ours).parameters
    passes_on = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
    return [
        wanted.name
        for wanted in inspect.signature(theirs).parameters.values()
        if not (
            (
                (named := taken.get(wanted.name)) is not None
                and (named.kind, named.default) == (wanted.kind, wanted.default)
            )
            or (named is None and passes_on and wanted.kind is inspect.Parameter.KEYWORD_ONLY)
        )
    ]


def test_every_argument_of_livekits_session_is_known_by_its_type() -> None:
    theirs = set(inspect.signature(agents.AgentSession.__init__).parameters) - {"self"}

    assert set(SessionArguments.__annotations__) == theirs


def test_agents_take_what_livekits_take() -> None:
    for name in ("Agent", "AgentTask"):
        assert getattr(hearout, name).__init__ is getattr(agents, name).__init__

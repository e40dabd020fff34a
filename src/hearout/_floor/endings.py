"""How an utterance ends that did not finish, in words."""

from collections.abc import Mapping

from ..receipts import Cause, Outcome

LEFT: Mapping[Cause | None, tuple[Outcome, str]] = {
    None: (Outcome.CALLER_GONE, "the caller left"),
    Cause.TRANSFERRED: (Outcome.CALLER_GONE, "the caller's telephone was transferred"),
    Cause.REPLACED: (Outcome.CALLER_GONE, "another participant took the caller's identity"),
    Cause.REMOVED: (Outcome.CALLER_GONE, "the caller was taken out of the room"),
    Cause.REJECTED: (Outcome.NOT_ANSWERED, "the telephone was busy, or the call was declined"),
    Cause.NOT_ANSWERED: (Outcome.NOT_ANSWERED, "the telephone was not answered"),
    Cause.AGENT_REMOVED: (Outcome.SHUT_DOWN, "the agent was taken out of the room"),
    Cause.ROOM_DELETED: (Outcome.SHUT_DOWN, "the room was deleted"),
    Cause.AGENT_REPLACED: (Outcome.SHUT_DOWN, "another participant took the agent's identity"),
}
"""How an utterance ends when the caller cannot be reached, and in which words: by the cause."""


def gave_up(what: str) -> str:
    """What a `VoiceFailed` of this cause says, in words."""
    if what == Cause.STOOD_STILL.value:
        return "the agent's event loop stood still, and what was tried meanwhile broke off"
    return f"the {what} gave up"

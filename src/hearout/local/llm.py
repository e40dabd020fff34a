"""The built-in script: what stands in for a language model where none is configured. It says plainly that it is one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MONOLOGUE = (
    "Very well, then: the history of the paper clip. "
    "It is a short piece of wire, bent three times, and that is very nearly all there is to say. "
    "Before it, people kept their papers together with straight pins, which rusted, and with ribbon, which took two "
    "hands and some patience. "
    "The wire came in several shapes, and for years there were polite disagreements about which one was best. "
    "In the end one shape won, mostly by being there. "
    "And that was the whole story. Thank you for listening."
)
"""What the script says when it is asked for something long and boring: 25 to 30 s in the local voice."""

ABOUT = (
    "I am not a language model, only a small script, so that you can hear how this agent takes turns. "
    "To talk with a real model, set HEAROUT_LLM_URL to any server that speaks the OpenAI protocol."
)

EARLY = "came before the question"
"""How hearout's instruction for an early answer is recognised (see `session.py`)."""

LONGEST_ECHO = 400
"""Characters of the caller that are said back at most."""

_SEED = re.compile(r"\b(long|boring|bore me)\b", re.IGNORECASE)
_WHO = re.compile(r"\b(who|what) are you\b|\bare you (a|an|real)\b|\byour name\b", re.IGNORECASE)


def reply(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the script says to a conversation.

    Args:
        messages: as in the OpenAI protocol, oldest first.
    """
    asked = _last(messages, "user")
    if asked is None:
        return "Hello. What can I do for you?"
    if any(EARLY in text for text in _texts(messages, "system", "developer")):
        return "You answered before I had put my question, so let me ask it again. Do you agree?"
    if _WHO.search(asked):
        return ABOUT
    if len(_SEED.findall(asked)) > 1:
        return MONOLOGUE
    asked = " ".join(asked.split())
    shortened = asked if len(asked) <= LONGEST_ECHO else asked[:LONGEST_ECHO].rsplit(" ", 1)[0]
    return f"You said: {shortened.rstrip('.?!')}."


def chunks(text: str) -> Iterator[str]:
    """The text in the pieces in which a model would stream it: a word at a time."""
    yield from re.findall(r"\S+\s*", text)


def _last(messages: Sequence[Mapping[str, Any]], role: str) -> str | None:
    """The last turn of `role`: its consecutive messages at the end of the conversation, joined."""
    turn: list[str] = []
    for message in reversed(messages):
        if message.get("role") == role:
            turn.append(_text(message))
        elif message.get("role") in ("assistant", "tool") and turn:
            break
    return " ".join(reversed(turn)) or None


def _texts(messages: Sequence[Mapping[str, Any]], *roles: str) -> Iterator[str]:
    return (_text(message) for message in messages if message.get("role") in roles)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))

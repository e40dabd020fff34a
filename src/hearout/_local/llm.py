"""The built-in script that answers where no LLM is configured, and says that it is a script."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MONOLOGUE = (
    "Very well: this is the history of the paper clip. "
    "It is a short piece of wire that was folded three times, and that is very nearly all there is to say. "
    "Before there were paper clips, people held their letters together with ribbon. "
    "The wire came in several shapes, and for years there were polite disagreements about which one was best. "
    "In the end, people chose the one that was nearest. "
    "Nothing has changed since then, and nobody has complained. "
    "That was the whole story. Thank you for listening."
)
"""What the script says when it is asked for something long and boring: 25 to 30 s in the local voice."""

ABOUT = (
    "I am not a language model, only a small script, so that you can hear how this agent takes turns. "
    "To talk with a real model, set HEAROUT_LLM_URL to any server that speaks the OpenAI protocol."
)

EARLY = "came before the question"
"""How hearout's instruction for an early answer is recognised (`early_instructions` in `policy.py`)."""

LONGEST_ECHO = 1000
"""Characters of the caller that are said back at most: about a minute of talk."""

_LONG = re.compile(r"\blong(-winded)?\b", re.IGNORECASE)
_BORING = re.compile(r"\b(boring|dull|tedious|bore me)\b", re.IGNORECASE)
_TELL = re.compile(r"\b(say|tell|talk|read|recite|give|explain)\b", re.IGNORECASE)
_WHO = re.compile(
    r"\b(who|what) (exactly )?are you\b(?! \w+ing)|\bare you (an? |the |real|human|some)|\byour name\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"[^.?!]+[.?!]*")


def reply(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the script says to a conversation: as in the OpenAI protocol, the oldest message first."""
    asked = _last_turn(messages)
    if not asked:
        return "Hello. What can I do for you?"
    instructions = [text_of(message) for message in messages if message.get("role") in ("system", "developer")]
    if instructions and EARLY in instructions[-1]:
        return "You answered before I had put my question, so let me ask it again. Do you agree?"
    if _LONG.search(asked) and _BORING.search(asked) and _TELL.search(asked):
        return MONOLOGUE
    sentences = _SENTENCE.findall(asked)
    if all(_WHO.search(sentence) for sentence in sentences) and sentences:
        return ABOUT
    return f"{_said_back(asked)} {ABOUT}" if _WHO.search(asked) else _said_back(asked)


def _said_back(asked: str) -> str:
    if len(asked) > LONGEST_ECHO:
        asked = asked[:LONGEST_ECHO].rsplit(" ", 1)[0] + ", and more"
    return f"You said: {asked}" if asked[-1] in ".?!" else f"You said: {asked}."


def chunks(text: str) -> Iterator[str]:
    """The text in the pieces in which a model would stream it: a word at a time."""
    yield from re.findall(r"\S+\s*", text)


def _last_turn(messages: Sequence[Mapping[str, Any]]) -> str:
    """The user's last turn: the consecutive user messages that come last, joined."""
    turn: list[str] = []
    for message in reversed(messages):
        if message.get("role") == "user":
            turn.append(text_of(message))
        elif message.get("role") in ("assistant", "tool") and turn:
            break
    return " ".join(" ".join(reversed(turn)).split())


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, in one piece; empty where it has none."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [one.get("text", "") for one in content if isinstance(one, Mapping)] if isinstance(content, list) else []
    return " ".join(part for part in parts if isinstance(part, str))

"""What a very small LLM is asked, and how much of its answer is said: SmolLM2-135M alone rambles."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._text.sentences import sentences
from .llm import text_of

CONTEXT = 4096
"""Tokens that the model is given room for. It was trained for 8192; half of it takes 90 MB less."""

TOKENS = 96
"""Tokens of one answer at most: some 70 words, half a minute of speech."""

SENTENCES = 3
"""Sentences of one answer at most."""

TURNS = 1200
"""Bytes of the conversation before the last turn, at most: 280 tokens or so, which the model reads in 2 s."""

BLOCK = 4
"""Messages that are dropped at a time: while the beginning of a request stays as it was, the model need not read it
again."""

BRIEF = "Answer the caller in one or two short sentences."

EXAMPLES = (
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hello. How can I help you?"},
    {"role": "user", "content": "What can you do?"},
    {"role": "assistant", "content": "I can answer questions in a sentence or two."},
)
"""Example turns before the conversation: in one run of 12 questions answers were shorter with them, and fewer were
apologies ("I'm sorry for your loss"). An impression, not a rate."""

_AROUND = 8  # tokens of the chat template around one message (five), and some room
_ROOM = CONTEXT - TOKENS - _AROUND * (len(EXAMPLES) + 2) - sum(len(one["content"]) for one in EXAMPLES)


def request(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The body of the request to the model's server, whatever the agent asked for besides.

    Tools are left out: the model cannot call one. A token is a byte of text or more, so counting bytes is safe.
    """
    told, turns = _parts(messages)
    asked = _cut(turns.pop()["content"], TURNS)
    system = f"{_cut(told, _ROOM // 2 - len(BRIEF) - 1)} {BRIEF}".strip()
    room = min(TURNS, _ROOM - _size(system) - _size(asked))
    while turns and sum(_size(turn["content"]) + _AROUND for turn in turns) > room:
        del turns[:BLOCK]
    first = {"role": "system", "content": system}
    return {
        "messages": [first, *EXAMPLES, *turns, {"role": "user", "content": asked}],
        "stream": True,
        "max_tokens": TOKENS,
        "temperature": 0.2,
    }


class WholeSentences:
    """Lets an answer through sentence by sentence, so that it never ends in the middle of one."""

    def __init__(self) -> None:
        self._held = ""
        self._said = 0

    @property
    def is_enough(self) -> bool:
        """Whether no more of the answer is said."""
        return self._said >= SENTENCES

    def take(self, piece: str) -> str:
        """What can be said now that this piece has come; "" for nothing yet."""
        self._held += piece
        begun = sentences(self._held)
        whole = min(len(begun) - 1, SENTENCES - self._said)
        if whole < 1:
            return ""
        self._said += whole
        end = begun[whole][0]
        said, self._held = self._held[:end], self._held[end:]
        return said

    def rest(self, *, is_whole: bool) -> str:
        """What is left to say at the end.

        Args:
            is_whole: whether the model ended by itself. Else the last sentence is broken off, and said only if there
                was no other.
        """
        return self._held if not self.is_enough and (is_whole or not self._said) else ""


def _parts(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[dict[str, str]]]:
    """The instructions, and the turns by turns; the last is the user's.

    Instructions at the end ("Greet the caller.") are put as a question: the model takes no notice of them elsewhere.
    """
    said = [(str(message.get("role")), _text(message)) for message in messages]
    said = [(role, text) for role, text in said if text and role in ("system", "developer", "user", "assistant")]
    told: list[str] = []
    last = len(said)
    while last and said[last - 1][0] in ("system", "developer"):
        last -= 1
    turns: list[dict[str, str]] = []
    for place, (role, text) in enumerate(said):
        if role in ("system", "developer") and (place < last or not place):
            told.append(text)
            continue
        role = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f" {text}"
        else:
            turns.append({"role": role, "content": text})
    if not turns or turns[-1]["role"] == "assistant":
        turns.append({"role": "user", "content": "Please go on." if turns else "Hello."})
    return " ".join(told), turns


def _text(message: Mapping[str, Any]) -> str:
    text = " ".join(text_of(message).split())
    return text.encode("utf-8", "replace").decode()  # no half of a surrogate pair: sizes are counted in bytes


def _size(text: str) -> int:
    return len(text.encode())


def _cut(text: str, size: int) -> str:
    """The beginning of a text, of so many bytes at most."""
    return text.encode()[:size].decode(errors="ignore")

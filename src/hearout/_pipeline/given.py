"""The text that a TTS was given: after LiveKit's transforms and the agent's own nodes, as the service gets it.

LiveKit 1.8.9 has no event for it. A TTS's `stream()`, its `push_text()` and `synthesize()` are public, and every node
that speaks with LiveKit's TTS calls them; so they are wrapped on the instance, as the agent's nodes are.
"""

import weakref
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

from livekit.agents import tts

from .._text import open_tags


class Given:
    """What one try at a piece of speech was given.

    Args:
        note: called with all of it each time that there is more, and with whether that is ``complete``.
        skip: characters at its beginning that have been said before: they are noted and not passed on.
    """

    def __init__(self, note: Callable[..., None], *, skip: int = 0) -> None:
        self.text = ""
        self.complete = False
        self.requests: list[int] = []
        """Where each sentence begins that was asked for by itself, one after the other."""
        self._note = note
        self._skip = skip

    def push(self, text: str) -> str:
        """More text; what of it is to be said."""
        begin = len(self.text)
        self.text += text
        self._note(self.text, complete=False)
        rest = text[max(0, self._skip - begin) :]
        if rest and self._skip and not self.requests:
            rest, self._skip = open_tags(self.text[: self._skip]) + rest, 0
        return rest

    def ask(self, sentence: str) -> str:
        """Note that the next sentence is requested by itself; the part of it that is to be said."""
        self.requests.append(max(self._skip, len(self.text)))
        return self.push(sentence + " ").strip()

    def tell(self, other: "Given | None") -> None:
        if other is not None:
            other.requests[:] = self.requests
            other.push(self.text[len(other.text) :])
            if self.complete and not other.complete:
                other.end()

    def end(self) -> None:
        self.complete = True
        self._note(self.text, complete=True)


GIVEN: ContextVar[Given | None] = ContextVar("hearout_given", default=None)
"""Where what a node gives its TTS is noted; LiveKit's tasks for the node inherit it."""

_NOTED: "weakref.WeakSet[tts.TTS[Any]]" = weakref.WeakSet()


def note_given(used: Any) -> None:
    """From now on note what this TTS is given, wherever `GIVEN` says that it counts."""
    if not isinstance(used, tts.TTS) or used in _NOTED:
        return
    _NOTED.add(used)
    stream, synthesize = used.stream, used.synthesize

    def noted_stream(*arguments: Any, **named: Any) -> Any:
        made = stream(*arguments, **named)
        if (given := GIVEN.get()) is not None:
            push, end = made.push_text, made.end_input

            def push_text(token: str) -> None:
                if rest := given.push(token):
                    push(rest)

            def end_input() -> None:
                given.end()
                end()

            vars(made).update(push_text=push_text, end_input=end_input)
        return made

    def noted_synthesize(text: str, **named: Any) -> Any:
        if (given := GIVEN.get()) is None:
            return synthesize(text, **named)
        before = GIVEN.set(None)  # one that is made of a stream is not noted twice
        try:
            rest = given.ask(text)
            return synthesize(rest, **named) if rest else _Nothing()
        finally:
            GIVEN.reset(before)

    vars(used).update(stream=noted_stream, synthesize=noted_synthesize)


class _Nothing:
    """The stream of a sentence that has been said before: no sound."""

    async def __aenter__(self) -> "_Nothing":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Any]:
        for _ in ():
            yield _

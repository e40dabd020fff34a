"""Which of LiveKit's speeches is which utterance of the floor, and what is known of each before it is said."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from livekit.agents.voice import SpeechHandle

from .. import _metrics as metrics
from ..policy import Answer, CutIn, Redeliver
from ..receipts._receipt import sha256


@dataclass(eq=False)
class SpeechRequest:
    """A request for speech: the text to be said, with the choices for it.

    Args:
        id: of the utterance; empty where one is to be made.
        text: all of it, where that is known.
        sentences: where its sentences begin, in seconds, where that is known.
        frames: gives its audio from one of its seconds on, where it is ready.
        context: whether it goes into the chat context.
        before: the text of the utterance before this attempt, which begins at its second `begins_at`.
        key: what the floor calls it: an id may be used again when it is over, a key is used once in a call.
        reworded: whether the TTS was given another text than was written (SSML, structured output, pronunciation).
        is_over: whether its receipt is written.

    The rest is as the floor is told it (`SpeechRequested`).
    """

    id: str = ""
    text: str = field(default="", repr=False)
    cut_in: CutIn | None = None
    answer: Answer | None = None
    redeliver: Redeliver | None = None
    expected: float | None = None
    sentences: tuple[tuple[float, str], ...] = field(default=(), repr=False)
    frames: Callable[[float], Any] | None = field(default=None, repr=False)
    context: bool = True
    begins_at: float = 0.0
    before: str = field(default="", repr=False)
    acknowledge: str = ""
    acknowledge_keys: str = ""
    every: float = 0.0
    repeats: str = ""
    question: str = ""
    key: str = ""
    reworded: bool = False
    is_over: bool = False


@dataclass(eq=False)
class SpeechAttempt:
    """One of LiveKit's speeches: an attempt at an utterance.

    Args:
        id: the key of the utterance.
        text: of the utterance, as far as it is known: as it was written.
        spoken: what the TTS was given in this attempt, piece for piece.
        let_go: whether it may be interrupted for now, since somebody said so.
        begun_at: when its first sample left, by `time.time()`; of what follows a tool, the first one of that.
        shown: what the agent's transcription node made of the text that is not in the chat context yet.
    """

    id: str
    handle: SpeechHandle
    asked: SpeechRequest
    text: str = field(default="", repr=False)
    spoken: dict[int, str] = field(default_factory=dict, repr=False)
    shown: str = field(default="", repr=False)
    let_go: bool = False
    begun_at: float | None = None

    def __post_init__(self) -> None:
        self._in_context = len(self.asked.before)

    def model_asked(self) -> None:
        """Note that the LLM is asked, for a reply or after a tool: the text so far is in the chat context by now."""
        if self.own_text:
            self.text += " "
            self._in_context, self.shown = len(self.text), ""

    @property
    def new_text(self) -> str:
        """The text of the speech that is not in the chat context yet, as LiveKit will put it there."""
        return self.shown or self.text[self._in_context :]

    @property
    def begins_at(self) -> float:
        return self.asked.begins_at

    @property
    def own_text(self) -> str:
        """The text of this attempt, as far as it is known."""
        return self.text[len(self.asked.before) :]


class Speeches:
    """The protected speeches of one session that LiveKit has not finished."""

    def __init__(self) -> None:
        self._by_handle: dict[str, SpeechAttempt] = {}
        self._asked: dict[str, SpeechRequest] = {}
        self._wish: SpeechRequest | None = None
        self.utterances: dict[str, SpeechRequest] = {}
        """Everything that was asked for in this call, by the key of the utterance."""

    def __iter__(self) -> Iterator[SpeechAttempt]:
        return iter(list(self._by_handle.values()))

    def __getitem__(self, handle: SpeechHandle) -> SpeechAttempt | None:
        return self._by_handle.get(handle.id)

    def named(self, name: str) -> SpeechAttempt | None:
        return next((speech for speech in self._by_handle.values() if speech.id == name), None)

    @contextmanager
    def wished(self, asked: SpeechRequest) -> Iterator[None]:
        """The speech that LiveKit makes inside is this, unless somebody further out has said which it is."""
        outer, self._wish = self._wish, self._wish or asked
        try:
            yield
        finally:
            self._wish = outer

    @property
    def is_wished(self) -> bool:
        return self._wish is not None

    def created(self, handle: SpeechHandle) -> None:
        if self._wish is not None:
            self._asked[handle.id] = self._wish
            handle.add_done_callback(self._forget)

    def text_given(self, handle: SpeechHandle) -> str:
        """The text that the program gave this speech; empty where it stays out of the chat context."""
        asked = self._asked.get(handle.id)
        return asked.text if asked is not None and asked.context else ""

    def begin(self, handle: SpeechHandle) -> SpeechAttempt:
        """Begin an attempt at a protected utterance, which gets its id now if it has none."""
        asked = self._asked.get(handle.id, SpeechRequest())
        if not asked.key:
            name = asked.id or (name_of(asked.text) if asked.text else handle.id)
            asked.key = self._unused(name)
            asked.id = asked.id or asked.key
        if asked.key not in self.utterances:
            self.utterances[asked.key] = asked
            metrics.owes(1)
        speech = self._by_handle[handle.id] = SpeechAttempt(asked.key, handle, asked, asked.before)
        return speech

    def written(self, key: str) -> SpeechRequest:
        """Note that the receipt is written: nothing is owed any more, unless the caller missed the end."""
        asked = self.utterances[key]
        asked.is_over = True
        metrics.owes(-1)
        return asked

    def reopen(self, key: str, of: str) -> SpeechRequest:
        """The end of an utterance was missed: it is owed under another key, and under its own id."""
        again = self.utterances[key] = dataclasses.replace(self.utterances[of], key=key, is_over=False)
        metrics.owes(1)
        return again

    def owes(self, name: str) -> bool:
        """Whether an utterance of this id has no receipt yet."""
        return any(asked.id == name and not asked.is_over for asked in self.utterances.values())

    def end(self, handle: SpeechHandle) -> SpeechAttempt:
        return self._by_handle.pop(handle.id)

    def _forget(self, handle: SpeechHandle) -> None:
        self._asked.pop(handle.id, None)

    def _unused(self, name: str) -> str:
        number, candidate = 1, name
        while candidate in self.utterances:
            number += 1
            candidate = f"{name}#{number}"
        return candidate


def name_of(text: str) -> str:
    """The id of what was asked for by its text alone."""
    return f"say-{sha256(text)[:12]}"

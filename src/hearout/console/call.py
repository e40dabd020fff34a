"""What happened in a call on the line: listens to the session and the line, and keeps the record."""

import itertools
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentHandoff, ChatMessage, ConversationItemAddedEvent, UserInputTranscribedEvent
from livekit.agents.voice import AgentSession, SpeechHandle

from .line import Line, Segment
from .report import CallRecord, Held, Reply, Said, Transcript, Turn, Utterance


class Call:
    """One call, as it becomes known.

    Args:
        news: called with each thing worth showing, as ``news(kind, text)``; kinds: "agent", "caller", "heard",
            "guess", "held", "turn", "end".
    """

    def __init__(self, news: Callable[[str, str], None]) -> None:
        self._news = news
        self.line = Line(on_tick=self._tick, on_attached=self._attached, on_caption=self._caption)
        self.transcripts: list[Transcript] = []
        self.turns: list[Turn] = []
        self.held: list[Held] = []
        self.said: list[Said] = []
        self.on_close: Callable[[], None] = lambda: None
        self.guess = ""
        self.caption = ""
        self.tickers: list[Callable[[float], None]] = []
        self._texts: dict[str, list[str]] = {}
        self._speaking: Segment | None = None
        self._last_spoke: SpeechHandle | None = None

    def speak(self, words: str, samples: Any) -> None:
        """Let the caller say `words`; call it in the session's loop."""
        start = self.line.speak(samples)
        self.said.append(Said(start, start + len(samples) / 24_000, words))
        self._news("caller", words)

    def typed(self, text: str) -> None:
        """Let the caller type `text`, as into a chat; call it in the session's loop."""
        if self.line.session is not None:
            self.line.session.generate_reply(user_input=text)

    def pressed(self, keys: str) -> None:
        """Let the caller press telephone keys; call it in the session's loop."""
        self.said.append(Said(self.line.now, self.line.now, f"[keys {keys}]"))
        self._news("caller", f"[keys {keys}]")

    @property
    def agent_speaks(self) -> bool:
        """Whether something of the agent's is being played or waits to be."""
        return self.line.loudspeaker.current is not None

    def record(self, outcome: str) -> CallRecord:
        """The call as it is known now."""
        agent = [
            Utterance(
                handle.id,
                segments[0].start or 0.0,
                segments[-1].end if segments[-1].end is not None else self.line.now,
                " ".join(self._texts.get(handle.id, [])),
                not handle.allow_interruptions,
                handle.interrupted or any(segment.cut for segment in segments),
            )
            for handle, segments in self._utterances()
        ]
        return CallRecord(
            outcome, agent, list(self.said), list(self.transcripts), list(self.turns), self._replies(agent), self.held
        )

    def finished(self) -> bool:
        """Whether the first protected utterance was played to its end."""
        first = next((u for u in self._utterances() if not u[0].allow_interruptions), None)
        return first is not None and all(s.complete and s.end is not None and not s.cut for s in first[1])

    def problems(self) -> list[str]:
        """What of the promises was not kept in this call, a sentence each."""
        found = []
        if not self.finished():
            found.append("The announcement did not finish.")
        return found

    def first_sound(self) -> float | None:
        """Seconds of the call at which the agent's first sound began; None before it."""
        segments = self.line.loudspeaker.segments
        return segments[0].start if segments else None

    def first_end(self) -> float | None:
        """When the first protected utterance ends or ended, in seconds of the call; None while that is not known."""
        for segment in [*self.line.loudspeaker.segments, *self.line.loudspeaker.waiting]:
            if segment.handle is not None and not segment.handle.allow_interruptions:
                if segment.end is not None:
                    return segment.end
                return self.line.now + segment.captured - segment.played if segment.complete else None
        return None

    def _utterances(self) -> list[tuple[SpeechHandle, list[Segment]]]:
        """The stretches that sounded, by the speech they belong to, in order."""
        found: dict[str, tuple[SpeechHandle, list[Segment]]] = {}
        for segment in self.line.loudspeaker.segments:
            if segment.handle is not None:
                found.setdefault(segment.handle.id, (segment.handle, []))[1].append(segment)
        return list(found.values())

    def _replies(self, agent: list[Utterance]) -> list[Reply]:
        """Each utterance that followed a turn of the caller, with its gap to the utterance before it."""
        return [
            Reply(after.start, after.start - before.end)
            for before, after in itertools.pairwise(agent)
            if any(said.start < after.start for said in self.said)
        ]

    def _attached(self, session: AgentSession[Any]) -> None:
        session.on("user_input_transcribed", self._transcribed)
        session.on("conversation_item_added", self._item_added)
        session.on("speech_created", self._speech_created)
        session.on("close", lambda _: self.on_close())

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        self.transcripts.append(Transcript(self.line.now, event.transcript, event.is_final))
        self.guess = "" if event.is_final else event.transcript
        self._news("heard" if event.is_final else "guess", event.transcript)

    def _speech_created(self, event: Any) -> None:
        handle: SpeechHandle = event.speech_handle
        handle.add_done_callback(self._speech_done)

    def _speech_done(self, handle: SpeechHandle) -> None:
        """Take the text from what LiveKit put into the history: it is what was spoken."""
        texts = [item.text_content or "" for item in handle.chat_items if isinstance(item, ChatMessage)]
        self._texts[handle.id] = [text for text in texts if text]

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, AgentHandoff) or not isinstance(item, ChatMessage):
            return
        text = item.text_content or ""
        if item.role == "user":
            self.turns.append(Turn(self.line.now, text))
            self._news("turn", text)
        elif item.role == "assistant":
            self._news("agent", text)

    def _caption(self, text: str) -> None:
        self.caption += text

    def _tick(self, now: float) -> None:
        segment = self.line.loudspeaker.current
        if segment is not self._speaking:
            self._speaking = segment
            self.caption = "" if segment is None else self.caption
        for ticker in self.tickers:
            ticker(now)

"""What happened in a call on the line: listens to the session and the line, and keeps the record."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from livekit.agents import AgentHandoff, ChatMessage, ConversationItemAddedEvent, UserInputTranscribedEvent
from livekit.agents.voice import AgentSession as LiveKitSession
from livekit.agents.voice import SpeechHandle

from .._floor import actions, events, trace
from .._session.agent_session import AgentSession
from ..policy import Policy
from ..receipts import Fate, Kind, QuestionReceipt, Receipt
from ..receipts._codec import question_to_json, to_json
from .line import SAMPLE_RATE, Line, PlayedSegment
from .timeline import CallRecord, HeldRow, ReplyRow, SaidRow, SpokenRow, Transcript, Turn

GAP = 0.3
"""Seconds that an answer may take after protected speech, where the question ended in time."""

IN_TIME = Policy().prepare
"""Seconds before the end of protected speech by which a question must have ended, so that its answer can be prepared:
the policy's default."""

HELD = "held"
"""The fate of words that are not settled yet."""


class CallLog:
    """One call, as it becomes known.

    Args:
        news: called with each thing worth showing, as ``news(kind, text)``; kinds: "agent", "caller", "heard",
            "held", "turn", "gap", "note", "error".
    """

    def __init__(self, news: Callable[[str, str], None]) -> None:
        self._news = news
        self.line = Line(on_tick=self._tick, on_attached=self._attached, on_caption=self._caption)
        self.transcripts: list[Transcript] = []
        self.turns: list[Turn] = []
        self.held: list[HeldRow] = []
        self.said: list[SaidRow] = []
        self.on_close: Callable[[], None] = lambda: None
        self.guess = ""
        self.caption = ""
        self.tickers: list[Callable[[float], None]] = []
        self._texts: dict[str, list[str]] = {}
        self._speaking: PlayedSegment | None = None
        self._typing: set[asyncio.Future[None]] = set()
        self._answer_is_due = False
        self._session_at = 0.0
        self.trace: list[str] = []
        """What the floor was told and decided, a line of ``floor.jsonl`` each."""

    def speak(self, words: str, samples: Any) -> None:
        """Let the caller say `words`; call it in the session's loop."""
        start = self.line.speak(samples)
        self.said.append(SaidRow(start, start + len(samples) / SAMPLE_RATE, words))
        self._news("caller", words)

    def typed(self, text: str) -> None:
        """Let the caller type `text`, as into a chat; call it in the session's loop."""
        session = self.line.session
        if isinstance(session, AgentSession):
            self._typing.add(task := asyncio.ensure_future(session.user_typed(text)))
            task.add_done_callback(self._typed)
        elif session is not None:
            session.generate_reply(user_input=text)

    def _typed(self, task: asyncio.Future[None]) -> None:
        self._typing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._news("error", f"what was typed is lost: {error}")

    def pressed(self, keys: str) -> None:
        """Let the caller press telephone keys; call it in the session's loop."""
        self.said.append(SaidRow(self.line.now, self.line.now, f"[keys {keys}]"))
        self._news("caller", f"[keys {keys}]")
        if isinstance(self.line.session, AgentSession):
            self.line.session.user_pressed(keys)

    @property
    def agent_speaks(self) -> bool:
        """Whether something of the agent's is being played or waits to be."""
        return self.line.loudspeaker.current is not None

    def record(self, outcome: str) -> CallRecord:
        """The call as it is known now."""
        agent = [
            SpokenRow(
                handle.id,
                segments[0].start or 0.0,
                segments[-1].end if segments[-1].end is not None else self.line.now,
                " ".join(self._texts.get(handle.id, [])),
                not handle.allow_interruptions,
                handle.interrupted or any(segment.cut for segment in segments),
            )
            for handle, segments in self._utterances()
        ]
        kept = [to_json(receipt) for receipt in self.receipts()]
        replies = self._replies(agent)
        asked = [question_to_json(question) for question in self.questions()]
        heard = ([*self.said], [*self.transcripts], [*self.turns])
        return CallRecord(outcome, agent, *heard, replies, self.held, kept, asked, self._session_at)

    def receipts(self) -> list[Receipt]:
        """The receipts of the protected utterances that are over."""
        session = self.line.session
        return session.receipts if isinstance(session, AgentSession) else []

    def questions(self) -> list[QuestionReceipt]:
        """The records of the questions that have ended."""
        session = self.line.session
        return session.questions if isinstance(session, AgentSession) else []

    def unexpected(self, choice: str | None) -> list[str]:
        """The difference between the last question's choice and the choice that the script expects; empty where there
        is none."""
        made = self.questions()[-1].choice if self.questions() else None
        if choice is None or made == choice:
            return []
        what = "No question ended" if made is None else f"The last question's choice is {made!r}"
        return [f"{what}; the script expects {choice!r}."]

    def finished(self) -> bool:
        """Whether the first protected utterance was played to its end."""
        first = next((u for u in self._utterances() if not u[0].allow_interruptions), None)
        return first is not None and all(s.complete and s.end is not None and not s.cut for s in first[1])

    def problems(self) -> list[str]:
        """What of the promises was not kept in this call, a sentence each."""
        found = []
        if not self.finished():
            found.append("The announcement did not finish.")
        agent = self.record("").agent
        protected = [one for one in agent if one.protected]
        for said in self.said:
            over = any(one.start < said.end and said.start < one.end for one in protected)
            if over and not said.text.startswith("[") and not self._was_held(said):
                found.append(f"What the caller said at {said.start:.1f} s was lost.")
        found += [f"What was held at {one.at:.1f} s was not settled." for one in self.held if one.fate == HELD]
        delivered = [one for one in self.held if one.fate == Fate.DELIVERED.value]
        answers = [turn for turn in self.turns if delivered and turn.at > delivered[0].at]
        for turn in answers:
            if not any(one.start >= turn.at - 0.1 for one in agent):
                found.append(f"The turn at {turn.at:.1f} s was not answered.")
        return found + self._late(protected)

    def _was_held(self, said: SaidRow) -> bool:
        """True if held words or a final transcript came of the caller's sentence."""
        heard = [one.at for one in self.transcripts if one.final] + [one.at for one in self.held]
        return said.is_heard_at(heard, self.said)

    def _late(self, protected: list[SpokenRow]) -> list[str]:
        """Answers that came later than they could have."""
        found = []
        for reply in self._replies(self.record("").agent):
            before = next((one for one in reversed(protected) if one.end <= reply.start + 1e-6), None)
            if before is None or abs(reply.start - reply.gap - before.end) > 0.01 or reply.gap <= GAP:
                continue
            over = [said for said in self.said if before.start < said.end and said.start < before.end]
            if over and max(said.end for said in over) <= before.end - IN_TIME:
                found.append(f"The answer came {reply.gap * 1000:.0f} ms after the end at {before.end:.1f} s.")
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

    def _utterances(self) -> list[tuple[SpeechHandle, list[PlayedSegment]]]:
        """The stretches that sounded, by the speech they belong to, in order."""
        found: dict[str, tuple[SpeechHandle, list[PlayedSegment]]] = {}
        for segment in self.line.loudspeaker.segments:
            if segment.handle is not None:
                found.setdefault(segment.handle.id, (segment.handle, []))[1].append(segment)
        return list(found.values())

    def _replies(self, agent: list[SpokenRow]) -> list[ReplyRow]:
        """Each utterance that followed a turn of the caller, with its gap to the utterance before it."""
        return [
            ReplyRow(after.start, after.start - before.end)
            for before, after in itertools.pairwise(agent)
            if any(said.start < after.start for said in self.said)
        ]

    def _attached(self, session: LiveKitSession[Any]) -> None:
        if isinstance(session, AgentSession):
            session.on_floor(self._floor)
        session.on("user_input_transcribed", self._transcribed)
        session.on("conversation_item_added", self._item_added)
        session.on("speech_created", self._speech_created)
        session.on("close", lambda _: self.on_close())

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        self.transcripts.append(Transcript(self.line.now, event.transcript, event.is_final))
        self.guess = "" if event.is_final else event.transcript
        if event.is_final and not any(one.fate == HELD and one.text == event.transcript for one in self.held):
            self._news("heard", event.transcript)  # what is held has been shown as such

    def _speech_created(self, event: Any) -> None:
        handle: SpeechHandle = event.speech_handle
        handle.add_done_callback(self._speech_done)

    def _speech_done(self, handle: SpeechHandle) -> None:
        """Take the spoken text from the chat items that LiveKit added to the history."""
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

    def _floor(self, at: float, what: events.Event | actions.Action) -> None:
        """Note held words and their fates. `at` is on the session's clock, the record on the line's."""
        now = self.line.now
        if not self.trace:
            self._session_at = now - at
        self.trace.append(trace.line(at, what))
        match what:
            case events.WordsHeard() | events.TextTyped():
                kind = Kind.TYPED if isinstance(what, events.TextTyped) else Kind.SPOKEN
                self.held.append(HeldRow(now, what.text, kind.value, HELD))
                self._news("held", what.text)
            case actions.RecordFate(words=words, fate=fate):
                self._settle(words.text, words.kind)
                self.held.append(HeldRow(now - (at - words.at), words.text, words.kind.value, fate.value))
                if fate in (Fate.BACKCHANNEL, Fate.ECHO):
                    self._news("note", f"{'':8}{fate.value}: {words.text}")
            case actions.AnswerTyped(text=text):
                self._settle(text, Kind.TYPED)  # over nothing: it was not held
            case actions.DeliverTurn():
                self._answer_is_due = True

    def _settle(self, text: str, kind: Kind) -> None:
        """Take away the rows that wait for this text's fate: one, or those that the floor holds as one after many."""
        waiting = [one for one in self.held if one.fate == HELD and one.kind == kind.value]
        same = [one for one in waiting if one.text == text]
        joined = (_joined(text, waiting[first:]) for first in range(len(waiting)))
        more = [one for one in waiting if one.text.endswith(f" {text}")]  # the STT gave again what came before
        for one in same[:1] or next(filter(None, joined), more[:1]):
            self.held.remove(one)

    def _caption(self, text: str) -> None:
        self.caption += text

    def _tick(self, now: float) -> None:
        segment = self.line.loudspeaker.current
        if segment is not self._speaking:
            self._speaking = segment
            self.caption = ""
        if self._answer_is_due and segment is not None and segment.start is not None and segment.played < 0.1:
            ended = [one.end for one in self.line.loudspeaker.segments if one.end is not None]
            if ended and segment.start >= max(ended) - 1e-6:
                self._answer_is_due = False
                self._news("gap", f"{(segment.start - max(ended)) * 1000:.0f} ms")
        for ticker in self.tickers:
            ticker(now)


def _joined(text: str, rows: Sequence[HeldRow]) -> list[HeldRow]:
    """The rows whose texts, one after the other, are `text`; none where there are no such."""
    parts, rest = list[HeldRow](), text
    for one in rows:
        after = rest.removeprefix(one.text)
        if after != rest and after[:1] in ("", " ", "\n"):
            parts.append(one)
            rest = after.lstrip()
    return [] if rest else parts

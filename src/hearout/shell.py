"""Feeds one call's floor in order, holds its alarm, and does what it decides. It decides nothing itself."""

import asyncio
import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from livekit.agents import (
    Agent,
    AgentHandoff,
    ConversationItemAddedEvent,
    SpeechCreatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
    stt,
)
from livekit.agents.types import NOT_GIVEN
from livekit.agents.utils import is_given
from livekit.agents.voice import AgentSession, SpeechHandle

from . import actions as a
from . import events as e
from . import words
from .announcing import AnnouncementHandle
from .answers import Answers
from .ear import Ear
from .errors import AlreadyOwedError, FloorClosedError
from .floor import Floor
from .nodes import Nodes
from .playout import Tap
from .policy import Policy
from .receipt import Receipt
from .reports import Reports
from .retry import SPEECH, Retry
from .speeches import Asked, Speech, Speeches

logger = logging.getLogger("hearout")

FloorListener = Callable[[float, e.Event | a.Action], None]
"""Called with the second of the call and what happened or was decided."""


class Shell:
    """What stands between one LiveKit session and its floor.

    Args:
        session: LiveKit's session, running in this event loop.
        policy: the choices of the team.
    """

    def __init__(self, session: AgentSession[Any], policy: Policy) -> None:
        self.floor = Floor(policy)
        self.receipts: list[Receipt] = []
        self.listeners: list[FloorListener] = []
        self.may_close = asyncio.Event()
        self._session = session
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._upcoming: deque[tuple[e.Event, float]] = deque()
        self._feeding = False
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ear = Ear(self._keep)
        self._nodes: dict[int, Nodes] = {}
        self._tap: Tap | None = None
        self.speeches = Speeches()
        self._answers = Answers(session, policy, self.speeches, nodes=self.wrap, start=self._start)
        self._reports = Reports(self.feed, self.speeches, self._answers)
        self._retry = Retry(
            tries=policy.voice_tries,
            patience=policy.voice_stall,
            failed=self._reports.failed,
            given_up=self._reports.given_up,
        )
        self._unscheduled: list[SpeechHandle] = []
        self._awaited: dict[str, asyncio.Future[Receipt]] = {}
        self._receipt_of: dict[str, int] = {}
        self._handed_back: list[str] = []
        self._came_early = False
        self._turn_detection: Any = None
        self._closed = False
        session.on("speech_created", self._speech_created)
        session.on("user_state_changed", self._user_state_changed)
        session.on("conversation_item_added", self._item_added)
        session.on("close", lambda _: self.close())

    # Into the floor

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return self._loop.time() - self._began

    def feed(self, event: e.Event, *, at: float | None = None) -> None:
        """Tell the floor what happened, and do what it decides.

        What happens while something is done (LiveKit calls back) waits until that is done: the floor sees one thing
        after the other.

        Args:
            event: what happened.
            at: when, in seconds from the session's begin; now, where it is None.
        """
        self._upcoming.append((event, self.now if at is None else at))
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._upcoming:
                event, at = self._upcoming.popleft()
                self._tell(at, event)
                for action in self.floor.apply(event, at):
                    self._tell(at, action)
                    self._perform(action)
        finally:
            self._feeding = False
            self._set_alarm()

    def wrap(self, agent: Agent) -> Nodes:
        """Stand between LiveKit and this agent's nodes; once for each agent."""
        if id(agent) not in self._nodes:
            self._nodes[id(agent)] = Nodes(
                agent, ear=self._ear, retry=self._retry, watcher=self._reports, turn_completed=self._turn_completed
            )
        return self._nodes[id(agent)]

    def listen_to_playout(self) -> None:
        """Stand before the session's loudspeaker, whichever it is now."""
        sink = self._session.output.audio
        if sink is not None and sink is not self._tap:
            self._tap = Tap(sink, speaking=SPEECH.get, listener=self._reports)
            self._session.output.audio = self._tap

    def is_repeated(self, event: UserInputTranscribedEvent) -> bool:
        """Whether LiveKit reports what was given back to it, and was reported before; asked once for each."""
        if not event.is_final:
            return not event.transcript and self.floor.holding
        if event.transcript in self._handed_back:
            self._handed_back.remove(event.transcript)
            return True
        return False

    def receipt_of(self, key: str) -> Receipt | None:
        """The newest receipt of an utterance, by its key; None where none is written."""
        number = self._receipt_of.get(key)
        return None if number is None else self.receipts[number]

    def close(self) -> None:
        """The session is closed: nothing more can be done for it."""
        if self._closed:
            return
        self.feed(e.ShutdownAsked())
        self.feed(e.SessionClosed())
        self._closed = True
        self.may_close.set()
        self._answers.close()
        self._set_alarm()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this too; `settled` waits for it."""
        self._start(work)

    async def settled(self) -> None:
        """Wait until what was begun is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        at = self.floor.next_alarm
        if at is not None and not self._closed:
            self._alarm = self._loop.call_at(self._began + at, self._ring, at)

    def _ring(self, at: float) -> None:
        current = self._session.current_speech
        for speech in self.speeches:
            if current is not None and current is not speech.handle and not speech.own_text:
                self.feed(e.SpeechQueued(speech.id))
        # not a rounding error before its time: it would ring again and again
        self.feed(e.AlarmRang(), at=max(at, self.now))

    def _tell(self, at: float, what: e.Event | a.Action) -> None:
        for listener in self.listeners:
            listener(at, what)

    # What LiveKit says

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        handle = event.speech_handle
        SPEECH.set(handle)  # LiveKit makes the speech's tasks after this, in this context
        self.speeches.created(handle)
        self.listen_to_playout()
        self._loop.call_soon(self._look_at, handle)

    def _look_at(self, handle: SpeechHandle) -> None:
        if not handle.scheduled and not handle.done():
            self._unscheduled.append(handle)  # a preemptive reply: nothing is owed before LiveKit decides for it
        elif not handle.allow_interruptions:
            self.protect(handle)

    def _look_again(self) -> None:
        waiting, self._unscheduled = self._unscheduled, []
        for handle in waiting:
            self._look_at(handle)

    def protect(self, handle: SpeechHandle) -> None:
        """From now on it is an utterance of the floor."""
        if self.speeches[handle] is not None or handle.done():
            return
        speech = self.speeches.begin(handle)
        asked = speech.asked
        self.feed(
            e.SpeechRequested(
                speech.id,
                asked.cut_in,
                asked.answer,
                asked.redeliver,
                text=asked.text,
                begins_at=speech.begins_at,
                expected=asked.expected,
            )
        )
        self._goes_on(speech)

    def _goes_on(self, speech: Speech) -> None:
        for seconds, text in speech.asked.sentences:
            self.feed(e.SentencePlaced(speech.id, seconds, text))
        speech.handle.add_done_callback(self._speech_done)

    def _speech_done(self, handle: SpeechHandle) -> None:
        speech = self.speeches.end(handle)
        if handle.exception() is not None:
            self.feed(e.VoiceFailed(speech.id, "model"))
        self._answers.forget(handle)
        if self._tap is not None:
            self._tap.forget(handle)
        self.feed(e.SpeechEnded(speech.id, interrupted=handle.interrupted))

    def _look_for_flips(self) -> None:
        """Speech whose flag was changed while it ran: LiveKit has no event for it."""
        current = self._session.current_speech
        if current is not None and not current.allow_interruptions:
            self.protect(current)
        for speech in self.speeches:
            if speech.handle.allow_interruptions:
                self.feed(e.SpeechSuspended(speech.id))

    def _user_state_changed(self, event: UserStateChangedEvent) -> None:
        self._look_for_flips()
        if event.new_state == "speaking":
            self.feed(e.CallerStarted())
        elif event.old_state == "speaking":
            self.feed(e.CallerStopped())

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, AgentHandoff):
            self.wrap(self._session.current_agent)
            for speech in self.speeches:
                self.feed(e.SpeechSuspended(speech.id))

    def _keep(self, event: stt.SpeechEvent) -> bool:
        """Whether a transcript is the floor's."""
        self._look_for_flips()
        heard = event.alternatives[0]
        final = event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
        if not self.floor.takes(heard.text, self.now):
            if final and heard.text.strip():
                self.feed(e.WordsPassed())
            return False
        self.feed(e.WordsHeard(heard.text) if final else e.WordsGuessed(heard.text))
        self._session.emit(
            "user_input_transcribed",
            UserInputTranscribedEvent(
                transcript=heard.text, is_final=final, language=heard.language, speaker_id=heard.speaker_id
            ),
        )
        return True

    async def _turn_completed(
        self, agent: Agent, original: Any, context: llm.ChatContext, message: llm.ChatMessage
    ) -> None:
        """LiveKit's own turn: with the floor told, and the model told what came too early."""
        self.feed(e.TurnTaken())
        if self._protects(agent):
            self.feed(e.ReplyExpected())
        if self._came_early:
            self._came_early = False
            context.add_message(role="system", content=self._policy.early_instructions)
        try:
            await original(context, new_message=message)
        finally:
            # LiveKit asks for the answer, in the same step, when this returns
            self._loop.call_soon(self._look_again)
            self._call_off_soon()

    def _call_off_soon(self) -> None:
        """After the answer that was asked for in this step has been looked at (`_look_at`), which takes one step."""
        self._loop.call_soon(lambda: self._loop.call_soon(lambda: self.feed(e.ReplyCalledOff())))

    def _protects(self, agent: Agent) -> bool:
        """Whether the agent's replies may not be interrupted."""
        own = agent.allow_interruptions
        allowed = own if is_given(own) else self._session.options.interruption["enabled"]
        return not allowed

    def announce(self, asked: Asked) -> AnnouncementHandle:
        """Let LiveKit say it; what is owed, and becomes a receipt.

        Raises:
            FloorClosedError: the call is over.
            AlreadyOwedError: this id is owed.
        """
        if self.speeches.owes(asked.id):
            raise AlreadyOwedError(f"{asked.id!r} is being announced, or waits for it; await it, or use another id")
        try:
            handle = self.say(asked)
        except RuntimeError as error:
            raise FloorClosedError("the session is closing or closed: nothing more can be announced in it") from error
        self.protect(handle)
        speech = self.speeches[handle]
        assert speech is not None
        self._awaited[speech.id] = receipt = self._loop.create_future()
        return AnnouncementHandle(
            speech.id,
            receipt=receipt,
            played=lambda: self.floor.played(speech.id),
            stop=lambda reason: self.feed(e.StopAsked(reason, speech.id)),
        )

    def say(self, asked: Asked) -> SpeechHandle:
        """Let LiveKit say it, as an attempt at this utterance.

        Raises:
            RuntimeError: LiveKit's session does not run, or is closing.
        """
        audio = NOT_GIVEN if asked.frames is None else asked.frames(asked.begins_at)
        with self.speeches.wished(asked):
            return self._session.say(asked.text, audio=audio, allow_interruptions=False, add_to_chat_ctx=asked.context)

    # Doing

    def _perform(self, action: a.Action) -> None:  # noqa: C901 - a table: one line an action
        match action:
            case a.Hold():
                self._hold(action)
            case a.LetGo():
                self._let_go(action)
            case a.PrepareAnswer():
                self._answers.prepare(action.number, action.words)
            case a.DropAnswer():
                self._answers.drop(action.number)
            case a.DeliverTurn():
                self._start(self._deliver(action))
            case a.HandBackWords():
                self._hand_back(action.words)
            case a.NoteWords():
                self._start(self._answers.note(words.join(held.text for held in action.words)))
            case a.StopUtterance() if (speech := self.speeches.named(action.id)) is not None:
                speech.handle.interrupt(force=True)
            case a.SayAgain():
                self._say_again(action)
            case a.StopInterruptible():
                current = self._session.current_speech
                if current is not None and current.allow_interruptions and not current.interrupted:
                    current.interrupt()
            case a.WriteReceipt():
                self._write(action.receipt)
            case a.NoteGap():
                self._note_the_gap(action)
            case a.EndCall():
                self._session.shutdown(drain=False)
            case a.FinishShutdown():
                self.may_close.set()
            case _:
                pass

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a decision of the floor could not be carried out", exc_info=error)

    def _hold(self, action: a.Hold) -> None:
        self._ear.take_back_the_guess()
        if action.leftover:
            self._turn_detection = self._session.turn_detection
            self._session.update_options(turn_detection="manual")

    def _let_go(self, action: a.LetGo) -> None:
        if self._turn_detection is not None:
            self._session.update_options(turn_detection=self._turn_detection)
            self._turn_detection = None
        if action.commit and not self._closed:
            self._session.commit_user_turn(transcript_timeout=0.0)

    def _hand_back(self, held: tuple[words.Held, ...]) -> None:
        self._came_early = self._came_early or any(one.early for one in held)
        text = words.join(one.text for one in held)
        self._handed_back.append(text)
        self._ear.hand_back(text)

    async def _deliver(self, action: a.DeliverTurn) -> None:
        self.feed(e.ReplyExpected())
        try:
            await self._answers.deliver(action.words, action.number)
        finally:
            self._call_off_soon()

    def _say_again(self, action: a.SayAgain) -> None:
        asked = self.speeches.utterances[action.id]
        try:
            self.say(dataclasses.replace(asked, text=action.text, before=action.before, begins_at=action.begins_at))
        except RuntimeError:  # LiveKit is closing: it is over, and its receipt says so
            self.feed(e.SpeechEnded(action.id, interrupted=True))

    def _write(self, receipt: Receipt) -> None:
        key, asked = receipt.id, self.speeches.utterances.pop(receipt.id)
        receipt = dataclasses.replace(receipt, id=asked.id)
        self._receipt_of[key] = len(self.receipts)
        self.receipts.append(receipt)
        if (waiting := self._awaited.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(receipt)

    def _note_the_gap(self, action: a.NoteGap) -> None:
        number = self._receipt_of[action.id]
        self.receipts[number] = dataclasses.replace(self.receipts[number], gap=action.seconds)

"""Feeds one call's floor in order, holds its alarm, and does what it decides. It decides nothing itself."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from livekit import rtc
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
from livekit.agents.utils import is_given
from livekit.agents.voice import AgentSession, SpeechHandle

from .. import _text as words
from .._floor import actions as a
from .._floor import events as e
from .._floor.floor import Floor
from .._floor.state import Progress
from .._pipeline.nodes import Nodes
from .._pipeline.playout import PlayoutMeter
from .._pipeline.retry import SPEECH, Retry
from .._pipeline.transcripts import TranscriptGate
from .._room.evidence import Evidence
from .._room.page import CallersPage
from .._room.participants import Participants
from ..ledger import LedgerWriter
from ..ledger._calls import WatchedCall
from ..policy import Policy
from ..receipts import Held
from .announce import Announcer
from .answers import Answers
from .call_ledger import CallLedger
from .call_receipts import CallReceipts
from .inbound import Reports
from .runner import FloorListener, Runner
from .speeches import SpeechAttempt, Speeches
from .takeover import Takeover

logger = logging.getLogger("hearout")


class Shell:
    """What stands between one LiveKit session and its floor.

    Args:
        session: LiveKit's session, running in this event loop.
        policy: the choices of the team.
    """

    def __init__(self, session: AgentSession[Any], policy: Policy) -> None:
        self.floor = Floor(policy)
        self._feeder = Runner(self.floor, perform=self._perform, before_alarm=self._look_for_queued)
        self.feed = self._feeder.feed
        self.may_close = asyncio.Event()
        self.room: Participants | None = None
        self.page: CallersPage | None = None
        self._session = session
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ear = TranscriptGate(self._keep)
        self._nodes: dict[int, Nodes] = {}
        self._tap: PlayoutMeter | None = None
        self.speeches = Speeches()
        self.receipts = CallReceipts(self.speeches, agent=self._agent_name, start=self._start)
        self._answers = Answers(session, policy, self.speeches, nodes=self.wrap, start=self._start)
        self._reports = Reports(self.feed, self.speeches, self._answers)
        self._retry = Retry(
            tries=policy.voice_tries,
            patience=policy.voice_stall,
            failed=self._reports.failed,
            given_up=self._reports.given_up,
        )
        self.announcer = Announcer(session, self)
        self.taking_up = Takeover(session, self.announcer, self.speeches, feed=self.feed)
        self._unscheduled: list[SpeechHandle] = []
        self._handed_back: list[str] = []
        self._came_early = False
        self._turn_detection: Any = None
        self._closed = False
        session.on("speech_created", self._speech_created)
        session.on("user_state_changed", self._user_state_changed)
        session.on("conversation_item_added", self._item_added)
        session.on("close", lambda _: self.close())

    # What others ask of it

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return self._feeder.now

    @property
    def listeners(self) -> list[FloorListener]:
        """Who is told everything that the floor is told and decides."""
        return self._feeder.listeners

    def standing(self, key: str) -> Progress:
        """How far an utterance is now."""
        return self.floor.standing(key, self.now)

    def wrap(self, agent: Agent) -> Nodes:
        """Stand between LiveKit and this agent's nodes; once for each agent."""
        if id(agent) not in self._nodes:
            self._nodes[id(agent)] = Nodes(
                agent,
                ear=self._ear,
                retry=self._retry,
                watcher=self._reports,
                taking_up=self.taking_up,
                turn_completed=self._turn_completed,
            )
        return self._nodes[id(agent)]

    def listen_to_playout(self) -> None:
        """Stand before the session's loudspeaker, whichever it is now."""
        sink = self._session.output.audio
        if sink is not None and sink is not self._tap:
            lead_in = (lambda: 0.0) if self.room is None else self.room.lead_in
            self._tap = PlayoutMeter(sink, speaking=SPEECH.get, listener=self._reports, lead_in=lead_in)
            self._session.output.audio = self._tap

    def follow(self, room: rtc.Room) -> None:
        """Let who is in the room be known to the floor and on the receipts."""
        followed = self.room = Participants(room, self._session, self._policy, self)
        page = self.page = CallersPage.in_room(
            room, now=lambda: self.now, caller=lambda: followed.caller or None, receipt=self.receipts.of
        )
        self.listeners.append(page.hear)
        self.receipts.on_amended.append(page.show_receipt)
        self.receipts.witness = Evidence(followed, page, acknowledge_grace=self._policy.acknowledge_grace)
        for news in (page.witness.told.on_report, page.witness.told.on_acknowledged):
            news.append(lambda key, _: self.receipts.look_at(key))
        followed.follow()

    def is_repeated(self, event: UserInputTranscribedEvent) -> bool:
        """Whether LiveKit reports what was given back to it, and was reported before; asked once for each."""
        if not event.is_final:
            return not event.transcript and self.floor.holding
        if event.transcript in self._handed_back:
            self._handed_back.remove(event.transcript)
            return True
        return False

    def close(self) -> None:
        """The session is closed: nothing more can be done for it."""
        if self._closed:
            return
        self.feed(e.ShutdownAsked())
        self.feed(e.SessionClosed())
        self._closed = True
        self.may_close.set()
        self._answers.close()
        if self.receipts.witness is not None:
            self.receipts.look_again()
            self.receipts.witness.close()
        if self.room is not None and self.page is not None:
            self.room.close()
            self._start(self.page.close())
        if self._tap is not None:
            self._start(self._tap.aclose())
        self._feeder.close()

    async def settled(self) -> None:
        """Wait until what was begun is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.receipts.book is not None and self._closed:
            await self.receipts.book.close()

    async def keep(self, scribe: LedgerWriter, call: str, attended: WatchedCall | None = None) -> None:
        """Keep the book of this call, and see what dead agents left in it; let it be looked after, where it can be."""
        book = CallLedger(scribe, call, agent=self._agent_name, standing=self.standing)
        await book.inherit()
        if attended is not None:
            book.attend(attended)
        self.receipts.book = self._reports.book = self.taking_up.book = book

    def _agent_name(self) -> str:
        try:
            return type(self._session.current_agent).__name__
        except RuntimeError:  # before its first agent runs, and after its last
            return ""

    def _look_for_queued(self) -> None:
        """What waits behind speech that is not the floor's has a longer time to begin."""
        current = self._session.current_speech
        for speech in self.speeches:
            if current is not None and current is not speech.handle and not speech.own_text:
                self.feed(e.SpeechQueued(speech.id))

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
        if self.receipts.book is not None:
            self.receipts.book.promise(speech.id, speech.asked)
        self.feed(
            e.SpeechRequested(
                speech.id,
                asked.cut_in,
                asked.answer,
                asked.redeliver,
                text=asked.before + asked.text,
                begins_at=speech.begins_at,
                expected=asked.expected,
            )
        )
        self._goes_on(speech)

    def _goes_on(self, speech: SpeechAttempt) -> None:
        for seconds, text in speech.asked.sentences:
            self.feed(e.SentencePlaced(speech.id, seconds, text))
        speech.handle.add_done_callback(self._speech_done)

    def _speech_done(self, handle: SpeechHandle) -> None:
        speech = self.speeches.end(handle)
        if handle.exception() is not None:
            self.feed(e.VoiceFailed(speech.id, "model"))
        self._answers.forget(handle)
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
                self.feed(e.WordsLeftToLiveKit())
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

    # Doing

    def _perform(self, action: a.Action) -> None:  # noqa: C901 - a table: one line an action
        match action:
            case a.Hold():
                self._hold(action)
            case a.Release():
                self._let_go(action)
            case a.PrepareAnswer():
                self._answers.prepare(action.number, action.words)
            case a.DropAnswer():
                self._answers.drop(action.number)
            case a.DeliverTurn():
                self._start(self._deliver(action))
            case a.ReturnWords():
                self._hand_back(action.words)
            case a.AnswerTyped():
                self._start(self._answers.answer_now(action.text))
            case a.AddToContext():
                self._start(self._answers.note(words.join(held.text for held in action.words)))
            case a.StopUtterance() if (speech := self.speeches.named(action.id)) is not None:
                speech.handle.interrupt(force=True)
            case a.Resume():
                self.announcer.say_again(action)
            case a.Reopen():
                self.receipts.owe_again(action.id, action.of)
            case a.ResumeUnfinished():
                self.taking_up.go_on_with(action.id)
            case a.SkipUnfinished():
                self.taking_up.let_lie(action.id)
            case a.StopInterruptible():
                current = self._session.current_speech
                if current is not None and current.allow_interruptions and not current.interrupted:
                    current.interrupt()
            case a.WriteReceipt():
                self.receipts.write(action.receipt)
            case a.NoteGap():
                self.receipts.note_gap(action.id, action.seconds)
            case a.EndCall():
                if self.room is not None:
                    self.room.end()
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

    def _let_go(self, action: a.Release) -> None:
        if self._turn_detection is not None:
            self._session.update_options(turn_detection=self._turn_detection)
            self._turn_detection = None
        if action.commit and not self._closed:
            self._session.commit_user_turn(transcript_timeout=0.0)

    def _hand_back(self, held: tuple[Held, ...]) -> None:
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

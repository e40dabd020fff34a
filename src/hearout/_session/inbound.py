"""LiveKit's events become the floor's: speeches, transcripts, turns, the agent's nodes and the audio output."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from livekit.agents import (
    Agent,
    AgentHandoff,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    SpeechCreatedEvent,
    StopResponse,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    UserTurnExceededEvent,
    llm,
    stt,
)
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.events import EventTypes

from .. import _text as words
from .._floor import events as e
from .._floor.utterance import gave_up
from .._pipeline.prepared import PreparedAnswer
from .._pipeline.retry import SPEECH
from .process import say_what_is_off
from .speeches import SpeechAttempt

if TYPE_CHECKING:
    from .bridge import Bridge

logger = logging.getLogger("hearout")


class Inbound:
    """Translates LiveKit's events into the floor's, and an attempt's seconds into the utterance's.

    Speech that is no utterance of the call is nothing to the floor.
    """

    def __init__(self, call: "Bridge") -> None:
        self._call, self._session, self._runner, self._feed = call, call.session, call.runner, call.feed
        self._speeches, self._answers = call.speeches, call.answers
        self._unscheduled: list[SpeechHandle] = []
        self._earlier: dict[str, list[Callable[[SpeechAttempt], None]]] = {}
        """Of each speech that may be interrupted: what the floor is told should the speech become protected."""
        self._other_alive_at = 0.0  # when speech that may be interrupted last gave text or sound
        self.passed: list[str] = []
        """The final transcripts that LiveKit has, and of which it has made no turn yet."""
        self.in_hook: set[asyncio.Task[Any]] = set()
        """The tasks in which an agent's hook for a turn runs: nobody cancels them."""
        self.heard_at = -math.inf
        """When a transcript was held last, by `time.time()`."""
        self._exceeding = self._answered = ""
        """What the caller had said when the turn was too long; and the same, once the agent answers it."""
        self._listening: dict[EventTypes, Callable[[Any], None]] = {
            "speech_created": self._speech_created,
            "user_state_changed": self._user_state_changed,
            "agent_state_changed": self._agent_state_changed,
            "conversation_item_added": self._item_added,
        }
        for name, listener in self._listening.items():
            self._session.on(name, listener)

    def close(self) -> None:
        for name, listener in self._listening.items():
            self._session.off(name, listener)

    # The session's events

    def _agent_state_changed(self, event: AgentStateChangedEvent) -> None:
        self._feed(e.AgentChanged(busy=event.new_state in ("speaking", "thinking")))

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        handle = event.speech_handle
        SPEECH.set(handle)  # LiveKit makes the speech's tasks after this, in this context
        self._speeches.created(handle)
        self._call.unsaid.created(handle, self._speeches.text_given(handle))
        self._call.stand_between()
        asyncio.get_running_loop().call_soon(self._look_at, handle)

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
        if self._speeches[handle] is not None or handle.done():
            return
        say_what_is_off()
        speech = self._speeches.begin(handle)
        asked = speech.asked
        if (ledger := self._call.receipts.ledger) is not None:
            ledger.promise(speech.id, asked)
        self._feed(
            e.SpeechRequested(
                speech.id,
                asked.cut_in,
                asked.answer,
                asked.redeliver,
                text=asked.before + asked.text,
                begins_at=speech.begins_at,
                expected=asked.expected,
                question=asked.question,
                acknowledge=asked.acknowledge,
                acknowledge_keys=asked.acknowledge_keys,
                every=asked.every,
                repeats=asked.repeats,
            )
        )
        for seconds, text in asked.sentences:
            self._feed(e.SentencePlaced(speech.id, seconds, text))
        handle.add_done_callback(self._speech_done)
        for tell in self._earlier.pop(handle.id, ()):  # made protected in mid-speech: LiveKit has no event for it
            tell(speech)

    def _of(self, handle: SpeechHandle, tell: Callable[[SpeechAttempt], None]) -> None:
        """Tell the floor of protected speech, now; of other speech, if and when it becomes protected."""
        if handle.scheduled and not handle.allow_interruptions:
            self.protect(handle)
        if (speech := self._speeches[handle]) is not None:
            tell(speech)
        elif not handle.done():
            self._other_alive_at = self._runner.now
            if handle.id not in self._earlier:
                handle.add_done_callback(self._forget)
            self._earlier.setdefault(handle.id, []).append(tell)

    def _forget(self, handle: SpeechHandle) -> None:
        self._earlier.pop(handle.id, None)

    def _speech_done(self, handle: SpeechHandle) -> None:
        speech = self._speeches.end(handle)
        if handle.exception() is not None:
            self._feed(e.VoiceFailed(speech.id, "model"))
        self._answers.forget(handle)
        self._feed(e.SpeechEnded(speech.id, interrupted=handle.interrupted))

    def look_for_flips(self) -> None:
        """Look for speech whose flag was changed while it ran: LiveKit has no event for that."""
        current = self._session.current_speech
        if current is not None and not current.allow_interruptions:
            self.protect(current)
        for speech in self._speeches:
            if speech.handle.allow_interruptions:
                speech.let_go = True
                if self._runner.floor.holding:  # looked at with each frame: it is told while that changes something
                    self._feed(e.SpeechSuspended(speech.id))
            elif speech.let_go:
                speech.let_go = False
                self._feed(e.TextKnown(speech.id, speech.text))

    def _user_state_changed(self, event: UserStateChangedEvent) -> None:
        self._call.callee.is_awaited()
        self.look_for_flips()
        if event.new_state == "speaking":
            self._feed(e.CallerStarted())
        elif event.old_state == "speaking":
            self._feed(e.CallerStopped())

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        exceeds = self._exceeding and isinstance(item, llm.ChatMessage) and item.text_content == self._exceeding
        if exceeds and self._runner.floor.holding:
            self._answered, self._exceeding = self._exceeding, ""
        if isinstance(item, llm.ChatMessage) and item.role == "user":
            self._turn_made(item.text_content or "")
        if isinstance(event.item, AgentHandoff):
            self._call.wrap(self._session.current_agent)
            for speech in self._speeches:
                self._feed(e.SpeechSuspended(speech.id))

    def keeps(self, event: stt.SpeechEvent) -> bool:
        """Whether a transcript is the floor's."""
        self.look_for_flips()
        heard = event.alternatives[0]
        final = event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
        if not self._runner.floor.takes(heard.text, self._runner.now):
            if final and heard.text.strip():
                return self._left_to_livekit(event)
            return False
        self._answers.caller_speaks(heard.language)
        if heard.text.strip():
            self.heard_at = time.time()
            # as LiveKit does for a transcript: the VAD may have missed it; before 1.8.3 there is no public way
            if self._session.user_state != "speaking" and hasattr(self._session, "reset_away_timer"):
                self._session.reset_away_timer()
        self._feed(self._heard(event) if final else e.WordsGuessed(heard.text, str(heard.language or "")))
        if final:
            self._call.callee.heard(heard.text)
        self._session.emit(
            "user_input_transcribed",
            UserInputTranscribedEvent(
                transcript=heard.text, is_final=final, language=heard.language, speaker_id=heard.speaker_id
            ),
        )
        return True

    def _left_to_livekit(self, event: stt.SpeechEvent) -> bool:
        """Leave a final to LiveKit, without the words that were held before; whether there are no others in it."""
        heard, now = self._heard(event), self._runner.now
        new = self._runner.floor.new_for_livekit(heard, now)
        if not new.strip():
            return True
        event.alternatives[0].text = new
        self.passed.append(new)
        models = self._session.realtime
        may_come_back = models is not None and models.heard(event)
        self._feed(e.WordsLeftToLiveKit(None if may_come_back else heard))
        return False

    def take_over(self) -> bool:
        """Hold the words of which a realtime model made no turn; whether LiveKit would make a turn of any."""
        if (models := self._session.realtime) is None:
            return False
        passed = models.take_over()
        for event in passed:
            self._feed(self._heard(event))
        return bool(passed) and not models.server_takes_turns

    def _heard(self, event: stt.SpeechEvent) -> e.WordsHeard:
        heard, now = event.alternatives[0], self._runner.now
        since = self._call.gate.since(event)
        began, ended = (None, None) if since is None else (now - since[0], now - since[1])
        language, confidence = str(heard.language or ""), heard.confidence or None
        label = "" if self._session.stt is None else self._session.stt.label  # an agent's own is not told apart
        return e.WordsHeard(heard.text, language, confidence, label, began, ended)

    async def turn_completed(
        self, agent: Agent, original: Any, context: llm.ChatContext, message: llm.ChatMessage
    ) -> None:
        """LiveKit's own turn: with the floor told, and the LLM told what came too early."""
        self._feed(e.TurnTaken())
        self._turn_made(message.text_content or "")
        if self._session.protects(agent):
            self._feed(e.ReplyExpected())
        if self._call.gate.take_early():
            context.add_message(role="system", content=self._answers.early_instructions)
        task = asyncio.current_task()
        assert task is not None
        self.in_hook.add(task)
        try:
            async with self._answers.turn_of(agent):
                self._leave_out_what_was_answered(message)
                await original(context, new_message=message)
        finally:
            self.in_hook.discard(task)
            # LiveKit asks for the answer, in the same step, when this returns
            asyncio.get_running_loop().call_soon(self._look_again)
            self.call_off_soon()

    async def turn_exceeded(
        self, original: Callable[[UserTurnExceededEvent], Awaitable[None]], event: UserTurnExceededEvent
    ) -> None:
        """The caller talks for too long: what the agent answers now is not in the turn a second time."""
        self._exceeding = event.transcript
        await original(event)

    def _turn_made(self, text: str) -> None:
        self.passed = [one for one in self.passed if one.strip() not in text]

    def _leave_out_what_was_answered(self, message: llm.ChatMessage) -> None:
        """LiveKit drops such a turn, since its reply is protected (1.8.9); here it would be answered again."""
        answered, self._answered = self._answered, ""
        text = message.text_content or ""
        if not answered or not text.startswith(answered):
            return
        if not (rest := text[len(answered) :].strip()):
            raise StopResponse
        message.content = [rest]

    def call_off_soon(self) -> None:
        """After the answer that was asked for in this step has been looked at (`_look_at`), which takes one step."""
        asyncio.get_running_loop().call_soon(
            lambda: asyncio.get_running_loop().call_soon(lambda: self._feed(e.ReplyCalledOff()))
        )

    def look_for_queued(self) -> None:
        """What waits behind speech that is not the floor's, or for LiveKit, has a longer time to begin."""
        current, waits = self._session.current_speech, self._call.callee.is_awaited()
        for speech in self._speeches:
            if waits or (current is not None and current is not speech.handle and not speech.own_text):
                self._feed(e.SpeechQueued(speech.id, alive_at=None if waits else self._alive_at(current)))

    def _alive_at(self, other: SpeechHandle | None) -> float | None:
        # a reply whose tool runs holds nothing up: LiveKit (1.8.9) lets the next speech begin before the tool is done
        return None if other is None or self._session.agent_state == "speaking" else self._other_alive_at

    # The agent's nodes and the audio output

    def text_known(self, handle: SpeechHandle, text: str) -> None:
        self._of(handle, lambda speech: self._text_known(speech, text))

    def _text_known(self, speech: SpeechAttempt, text: str) -> None:
        speech.text += text
        if not speech.spoken:
            self._feed(e.TextKnown(speech.id, speech.text))
        if self._session.output.audio is None:
            self._feed(e.TextSent(speech.id))

    def text_shown(self, handle: SpeechHandle, text: str) -> None:
        def shown(speech: SpeechAttempt) -> None:
            speech.shown += text

        self._of(handle, shown)

    def spoken(self, handle: SpeechHandle, piece: int, text: str, *, complete: bool) -> None:
        if text:
            self._of(handle, lambda speech: self._spoken(speech, piece, text, complete=complete))

    def _spoken(self, speech: SpeechAttempt, piece: int, text: str, *, complete: bool) -> None:
        speech.spoken[piece] = text
        said = words.join([speech.asked.before, *speech.spoken.values()])
        if said.split() == (speech.asked.before + speech.asked.text).split():
            return  # it is said as it was asked for
        speech.asked.reworded = speech.asked.reworded or (complete and said.split() != speech.text.split())
        self._feed(e.TextKnown(speech.id, said, complete=complete))

    def is_spoken_text(self, handle: SpeechHandle) -> bool:
        speech = self._speeches[handle]
        return speech is not None and speech.asked.reworded and bool(speech.asked.before)

    def sentence_placed(self, handle: SpeechHandle, seconds: float, text: str) -> None:
        self._of(handle, lambda speech: self._feed(e.SentencePlaced(speech.id, speech.begins_at + seconds, text)))

    def model_asked(self, handle: SpeechHandle) -> None:
        self._call.unsaid.model_asked(handle)
        self._of(handle, self._model_asked)

    def _model_asked(self, speech: SpeechAttempt) -> None:
        speech.model_asked()
        self._feed(e.ModelAsked(speech.id))

    def to_ask(self, handle: SpeechHandle, context: llm.ChatContext) -> llm.ChatContext:
        return self._answers.without_turns_of_others(handle, context)

    def model_wrote(self, handle: SpeechHandle, text: str) -> None:
        self._call.unsaid.model_wrote(handle, text)

    def tool_called(self, handle: SpeechHandle) -> None:
        self._answers.uses_tools(handle)
        self._of(handle, lambda speech: self._feed(e.ToolCalled(speech.id)))

    def prepared(self, handle: SpeechHandle) -> PreparedAnswer | None:
        return self._answers.prepared(handle)

    async def may_play(self, handle: SpeechHandle) -> None:
        ledger, speech = self._call.receipts.ledger, self._speeches[handle]
        if ledger is not None and speech is not None:
            await ledger.promised(speech.id)

    def playout_made(self, handle: SpeechHandle, seconds: float, *, complete: bool) -> None:
        self._of(
            handle,
            lambda speech: self._feed(e.AudioMade(speech.id, speech.begins_at + seconds, complete=complete)),
        )

    def playout_started(self, handle: SpeechHandle) -> None:
        if self._answers.begins(handle):
            self._feed(e.ReplyStarted())
        self._of(handle, self._playout_started)

    def _playout_started(self, speech: SpeechAttempt) -> None:
        speech.begun_at = time.time()
        self._feed(e.PlayoutStarted(speech.id))

    def playout_progressed(self, handle: SpeechHandle, since: float, until: float, sure: float) -> None:
        def progressed(speech: SpeechAttempt) -> None:
            at = speech.begins_at
            self._feed(e.PlayoutProgressed(speech.id, at + until, since=at + since, sure=at + sure))

        self._of(handle, progressed)

    def playout_finished(self, handle: SpeechHandle, seconds: float) -> None:
        self._of(handle, lambda speech: self._feed(e.PlayoutFinished(speech.id, speech.begins_at + seconds)))

    def waits(self, handle: SpeechHandle) -> None:
        self._of(handle, lambda speech: self._feed(e.SpeechQueued(speech.id)))

    def failed(self, handle: SpeechHandle, what: str) -> None:
        logger.warning("the %s broke off in speech %s; it is asked again", what, handle.id)

    def given_up(self, handle: SpeechHandle, what: str) -> None:
        logger.error("a part of speech %s will not be said: %s", handle.id, gave_up(what))
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.VoiceFailed(speech.id, what))

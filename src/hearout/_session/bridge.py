"""Builds the parts between one LiveKit session and its floor, wires and ends them."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from livekit import rtc
from livekit.agents import Agent, CloseEvent, UserInputTranscribedEvent, get_job_context

from .._floor import events as e
from .._floor.awake import AwakeFloor
from .._floor.state import Progress
from .._pipeline.hearing import CallerAudio
from .._pipeline.nodes import Nodes
from .._pipeline.playout import PlayoutMeter
from .._pipeline.retry import SPEECH, Patience, Retry
from .._pipeline.transcripts import TranscriptGate
from .._room.channel import Channel
from .._room.evidence import Evidence
from .._room.page import CallersPage
from .._room.participants import Participants
from .._room.streams import StreamGuard
from ..errors import FloorClosedError, HearoutError
from ..ledger._calls import WatchedCall
from ..ledger._writer import LedgerWriter
from ..policy import Policy
from .announce import Announcer
from .answers import Answers
from .ask import Asker
from .call_ledger import CallLedger
from .call_receipts import CallReceipts
from .callee import CalleeWatch
from .inbound import Inbound
from .outbound import Outbound
from .process import page_shows_all
from .realtime import RealtimeDoors
from .runner import Runner
from .speeches import Speeches
from .takeover import Takeover
from .telemetry import Telemetry
from .unsaid import Unsaid


class Bridge:
    """What stands between one LiveKit session, which runs in this event loop, and its floor.

    The parts are built in this order, and reach each other over the bridge.
    """

    def __init__(self, session: RealtimeDoors[Any], policy: Policy) -> None:
        self.session, self.policy = session, policy
        self.room: Participants | None = None
        self.page: CallersPage | None = None
        self._nodes: dict[int, Nodes] = {}
        self._meter: PlayoutMeter | None = None
        self._streams: StreamGuard | None = None
        self.finishing = False  # a shutdown waits for what is owed, and nothing new is said
        self.over = asyncio.Event()  # set once the session is closed
        self.floor = AwakeFloor(policy)
        self.runner = runner = Runner(self.floor)
        self.feed, self.later = runner.feed, runner.awake.later
        self.speeches = Speeches()
        self.unsaid = Unsaid()
        self.receipts = CallReceipts(self.speeches, agent=self._agent_name, start=runner.start)
        self._audio = CallerAudio(hears=self._hears)
        self.gate = TranscriptGate(lambda event: self.inbound.keeps(event), restored=self._audio.restored)
        self.answers = Answers(self)
        self.inbound = Inbound(self)
        self._retry = self._retrying(policy)
        self.announcer = Announcer(self)
        self.takeover = Takeover(self)
        self.asker = Asker(self)
        self.callee = CalleeWatch(self)
        self.outbound = Outbound(self)
        runner.perform, runner.before_alarm = self.outbound.perform, self.inbound.look_for_queued
        runner.modes[e.TurnsByHand] = self.outbound.turns_end_by_hand
        runner.modes[e.TurnsBySound] = lambda: session.hears_sound
        if session.realtime is not None:
            session.realtime.on_turn = lambda: self.feed(e.TurnTaken())
        self._wire_telemetry()
        session.on("close", self.close)

    def _wire_telemetry(self) -> None:
        job = get_job_context(required=False)
        telemetry = Telemetry(self.policy, lambda: self.now, None if job is None else job.tagger)
        self.receipts.on_settled.append(telemetry.utterance)
        self.receipts.on_amended.append(lambda key: telemetry.amended(self.receipts.of(key)))
        self.asker.on_ended.append(telemetry.question)

    def _retrying(self, policy: Policy) -> Retry:
        waits = policy.timeouts
        return Retry(
            tries=policy.voice_tries,
            patience=Patience(waits.voice, waits.stall, waits.close),
            left=lambda handle, made: 0.0 if self._meter is None else self._meter.left(handle, made),
            watcher=self.inbound,
            awake=self.runner.awake,
            awaited=lambda handle: self.floor.holding or self.answers.is_answer(handle),
        )

    @property
    def now(self) -> float:
        return self.runner.now

    @property
    def is_owing(self) -> bool:
        """Whether protected speech is owed, or its last sample is still on its way to the caller."""
        return self.receipts.unsettled > 0 or self.floor.is_owing

    @property
    def is_ending(self) -> bool:
        """Whether the session was told to close, or is closed; or the caller will not return."""
        closing = self.floor.closing
        return self.over.is_set() or closing.shutdown_at is not None or closing.is_gone_for_good(self.now)

    @property
    def is_draining(self) -> bool:
        """Whether the session was told to close, and is not closed yet."""
        return self.floor.closing.shutdown_at is not None and not self.over.is_set()

    def check_thread(self, what: str) -> None:
        """Refuse a call from outside the session's event loop, in which everything of a call happens.

        Raises:
            HearoutError: this is another thread, or another loop.
        """
        if asyncio._get_running_loop() is not self.runner.loop:  # the public one raises where there is none
            raise HearoutError(
                f"{what} was called outside the session's event loop; from another thread: "
                f"loop.call_soon_threadsafe(lambda: session.{what.replace('()', '(…)')})"
            )

    def check_open(self) -> None:
        """Refuse new speech while owed speech is finished.

        LiveKit closes after that by its own rules: an agent may speak in `on_exit`.

        Raises:
            FloorClosedError: the session is closing or closed.
        """
        if self.over.is_set() or self.finishing:
            raise FloorClosedError("the session is closing: it finishes what is owed, and says nothing new")

    @contextlib.contextmanager
    def while_open(self) -> Iterator[None]:
        """Something is said in this block, which LiveKit refuses as well once the session is closing.

        Raises:
            FloorClosedError: the session is closing or closed.
        """
        self.check_open()
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, FloorClosedError) or not self.is_ending:
                raise
            raise FloorClosedError("the session is closing or closed: nothing more can be said in it") from error

    def progress(self, key: str) -> Progress:
        """How far an utterance is now, as far as the audio output says."""
        if self._meter is not None:
            self._meter.look()
        return self.floor.progress(key)

    def clear_turn(self) -> None:
        """Drop the held words, and forget those that LiveKit has and drops, too."""
        self.inbound.passed.clear()
        self.feed(e.TurnCleared())

    def commit_turn(self, patience: float, silence: float, *, replies: bool) -> asyncio.Future[str]:
        """The program ends the caller's turn while the floor holds.

        Args:
            patience: seconds in which a final transcript may still come.
            silence: seconds of it that the STT is given where the audio input is disabled, as LiveKit does.
            replies: whether the agent is to answer.
        """
        known = self.outbound.expect_turn()
        self.feed(e.TurnCommitted(patience, replies))
        source = self.session.input
        if not source.audio_enabled and (ends := self._audio.ended_by_silence(silence)) is not None:
            source.audio = ends
        return known

    def _hears(self) -> bool:
        self.inbound.look_for_flips()
        return self.floor.holding

    def wrap(self, agent: Agent) -> Nodes:
        """Stand between LiveKit and this agent's nodes; once for each agent."""
        if id(agent) not in self._nodes:
            stt = self.session.stt_of(agent)
            if stt is not None and not stt.capabilities.interim_results:
                self.feed(e.PhrasesExpected())
            self._nodes[id(agent)] = Nodes(
                agent,
                gate=self.gate,
                retry=self._retry,
                watcher=self.inbound,
                entering=self.takeover.entering,
                turn_completed=self.inbound.turn_completed,
                turn_exceeded=self.inbound.turn_exceeded,
            )
        return self._nodes[id(agent)]

    def stand_between(self) -> None:
        """Stand before the session's audio input and its audio output, whichever they are now."""
        source = self.session.input.audio
        if source is not None and (ours := self._audio.before(source)) is not source:
            self.session.input.audio = ours
        self._meter_playout()

    def _meter_playout(self) -> None:
        output = self.session.output.audio
        if output is not None and output is not self._meter:
            if isinstance(output, PlayoutMeter):
                output = output.sink  # of an earlier start of the session
            lead_in = (lambda: 0.0) if self.room is None else self.room.lead_in
            self._meter = PlayoutMeter(
                output, speaking=SPEECH.get, listener=self.inbound, awake=self.runner.awake, lead_in=lead_in
            )
            self.session.output.audio = self._meter

    def follow(self, room: rtc.Room) -> None:
        """Tell the floor and the receipts who is in the room."""
        followed = self.room = Participants(
            room,
            self.session,
            self.policy,
            now=lambda: self.now,
            feed=self.feed,
            queued=lambda: [speech.id for speech in self.speeches],
            look_again=self.receipts.look_again,
        )
        self._streams = StreamGuard(room, caller=followed.caller_now)
        page = self.page = CallersPage(
            Channel(room),
            now=lambda: self.now,
            caller=lambda: followed.caller or None,
            receipt=self.receipts.of,
            feed=self.feed,
            shows_all=page_shows_all(),
        )
        self.runner.listeners.append(page.hear)
        self.receipts.on_amended.append(page.show_receipt)
        self.receipts.evidence = Evidence(followed, page, acknowledge=self.policy.timeouts.acknowledge)
        page.reports.on_news.append(self.receipts.look_at)
        followed.follow()

    def is_repeated(self, event: UserInputTranscribedEvent) -> bool:
        """Whether LiveKit reports a transcript that was reported while held; asked once for each."""
        if not event.is_final:
            return not event.transcript and self.floor.holding
        return self.gate.was_reported(event.transcript)

    def close(self, _event: CloseEvent | None = None) -> None:
        """The session is closed: nothing more can be done for it."""
        if self.over.is_set():
            return
        self.session.off("close", self.close)
        self.feed(e.ShutdownAsked())
        self.feed(e.SessionClosed())
        self.over.set()
        self.outbound.may_close.set()
        self.outbound.turn_known("")
        self.asker.close()
        self.answers.close()
        self.inbound.close()
        for nodes in self._nodes.values():
            nodes.unwrap()
        self.session.release()
        if self.receipts.evidence is not None:
            self.receipts.look_again()
            self.receipts.evidence.close()
        if self.room is not None and self.page is not None:
            self.room.close()
            self.runner.start(self.page.close())
        if self._streams is not None:
            self._streams.close()
        if self._meter is not None:
            self.runner.start(self._meter.aclose())
        self.runner.close()

    async def finish(self) -> None:
        """Wait until nothing is owed any more; nothing new is said meanwhile."""
        self.finishing = True
        try:
            await self.outbound.may_close.wait()
            await self.settled()
        finally:
            self.finishing = False

    async def settled(self) -> None:
        """Wait until the call's tasks are done, and its ledger rows written if it is closed."""
        await self.runner.settled()
        if self.receipts.ledger is not None and self.over.is_set():
            await self.receipts.ledger.close()

    async def keep(
        self, writer: LedgerWriter, call: str, watched: WatchedCall | None = None, *, is_sent: bool = False
    ) -> None:
        """Open this call's ledger rows, register the call for failover, load what earlier agents left unfinished.

        Raises:
            FloorClosedError: this agent was sent to the call, and another that was has it.
        """
        ledger = CallLedger(writer, call, agent=self._agent_name, progress=self.progress)
        if watched is not None:
            await ledger.attend(watched, is_sent=is_sent)
        await ledger.inherit()
        self.receipts.ledger = ledger
        self.runner.listeners.append(ledger.hear)

    def _agent_name(self) -> str:
        agent = self.session.running_agent
        return "" if agent is None else type(agent).__name__

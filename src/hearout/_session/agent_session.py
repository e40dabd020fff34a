"""LiveKit's AgentSession with the three promises. The bridge does the work."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncIterable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack, cast

from livekit import rtc
from livekit.agents import Agent, AgentEvent, UserInputTranscribedEvent, get_job_context
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.events import EventTypes, UserTranscriptionTimeoutEvent
from livekit.agents.voice.room_io import TextInputEvent
from livekit.agents.voice.run_result import RunResult

from .._floor import events as e
from .._pipeline.own_audio import own_audio
from .._room.connection import ConnectionLoss
from .._room.page_reports import PageReports
from ..errors import FloorClosedError, SettingsError
from ..ledger import Ledger
from ..ledger._calls import SENT
from ..ledger._entries import Unfinished
from ..ledger._environment import ledger_from
from ..ledger._writer import LedgerWriter
from ..policy import Answer, CutIn, Policy, Redeliver
from ..receipts import QuestionReceipt, Receipt
from . import settings
from .announce import AnnouncementHandle, asked
from .answers import answer_typed
from .ask import Aside, Choices, Digits, Question, QuestionHandle, Silence, YesNo
from .bridge import Bridge
from .call_ledger import RENEW
from .callee import Callee
from .process import Process, call_in, say_what_was_never_tried
from .realtime import RealtimeDoors
from .runner import FloorListener
from .signatures import SessionArguments, Userdata_T, signed_as
from .speeches import SpeechRequest
from .takeover import watched_call

if TYPE_CHECKING:
    from ..announcement import Announcement

_GLANCE = 0.02
"""Seconds from one look at what is owed to the next: a frame."""

YES_NO = YesNo()


class AgentSession(RealtimeDoors[Userdata_T]):
    """LiveKit's `AgentSession` that keeps the three promises for every protected utterance.

    Takes all of LiveKit's arguments and passes them on. They hold as the user chose them while nothing protected is
    owed; what would break a promise gives way while it is (``docs/livekit.md``).

    Args:
        policy: how protected speech behaves; the defaults of :class:`hearout.Policy` where it is None.
        ledger: where receipts are kept; None for nowhere but :attr:`receipts`. Left out, it is what ``HEAROUT_LEDGER``
            and ``HEAROUT_BOOK`` say, wherever the session talks in a room; nowhere, where they name none.
        strict: refuse an argument that cannot hold as it is given; otherwise it is overridden, and the log says so.

    Raises:
        SettingsError: an argument cannot be kept at all, or, with `strict`, not as it is given; the message says what
            to change.
    """

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        ledger: NotGivenOr[Ledger | None] = NOT_GIVEN,
        strict: bool = False,
        **arguments: Unpack[SessionArguments[Userdata_T]],
    ) -> None:
        self._stock = Process.stock
        self._strict = strict
        self._choices, self._ledger = settings.own_arguments(policy, ledger)
        self._bridge: Bridge | None = None
        self._floor_listeners: list[FloorListener] = []
        self._grace_task: asyncio.Task[None] | None = None
        given = arguments if self._stock else settings.session_arguments(arguments, strict=strict)
        holds = lambda: self._bridge is not None and self._bridge.floor.holding  # noqa: E731
        super().__init__(holds=None if self._stock else holds, **given)

    @signed_as(LiveKitSession.start)
    async def start(self, agent: Agent, **arguments: Any) -> RunResult[Any] | None:
        """Start the session, as LiveKit's; in the console it starts on the console's line instead of the room.

        Where it runs already, nothing happens, and where it is closing, it starts once it is closed: as LiveKit's.

        Raises:
            SettingsError: the agent's model is a duplex model; with `strict`, ``session_host=True``.
            LedgerError: ``HEAROUT_LEDGER`` names none that makes sense, or none that this version can write.
        """
        given: Mapping[str, Any] = arguments
        if (line := Process.line) is not None:
            line.attach(self)
            given = {name: value for name, value in arguments.items() if name != "room"}
        if self._stock:
            return cast(RunResult[Any] | None, await super().start(agent, **given))
        say_what_was_never_tried()
        self.admit(agent)
        started = settings.start_arguments(
            given, typed=self._typed_in_the_room, owes=lambda: self._owes, strict=self._strict
        )
        if (running := self._bridge) is not None and not running.over.is_set():
            if not (running.finishing or self._is_closing()):  # a private name: LiveKit has no public one (1.8.9)
                return cast(RunResult[Any] | None, await super().start(agent, **started))
            await running.over.wait()
        bridge = self._bridge = Bridge(self, self._choices)
        bridge.runner.listeners.extend(self._floor_listeners)
        try:
            await self._open_ledger(bridge, arguments.get("room"))
            await bridge.takeover.remind(agent)
            bridge.wrap(agent)
            if (room := given.get("room")) is not None:
                bridge.follow(room)
            result = cast(RunResult[Any] | None, await super().start(agent, **started))
        except BaseException:
            await self._give_up(bridge)
            raise
        bridge.stand_between()
        return result

    @property
    def _owes(self) -> bool:
        return self._bridge is not None and self._bridge.floor.owes

    @property
    def conn_options(self) -> SessionConnectOptions:
        """As LiveKit's, but no number of errors closes the session while protected speech is owed."""
        chosen = super().conn_options
        return dataclasses.replace(chosen, max_unrecoverable_errors=sys.maxsize) if self._owes else chosen

    async def _give_up(self, bridge: Bridge) -> None:
        """The session did not start: nothing of it stays but the call, which another agent may be sent to."""
        if bridge.receipts.ledger is not None:
            bridge.receipts.ledger.abandon()
        bridge.close()
        await bridge.settled()

    async def _open_ledger(self, bridge: Bridge, room: rtc.Room | None) -> None:
        """Keep the ledger of this call, where it has one: not where it talks in no room and on no line."""
        ledger = self._ledger
        if not is_given(ledger):
            real = room is not None or Process.line is not None
            # read here, not in cli.py: LiveKit's job processes come this way only
            ledger = ledger_from(os.environ, warns=True) if real else None
        if ledger is not None:
            call, job = Process.call or call_in(room), get_job_context(required=False)
            looked_after = None if job is None else watched_call(job, call, os.environ)
            words, text = self._choices.words_on_receipt, self._choices.text_on_receipt
            writer = LedgerWriter(ledger, secret=os.environ.get("LIVEKIT_API_SECRET", ""), words=words, text=text)
            try:
                await bridge.keep(writer, call, looked_after, is_sent=job is not None and SENT in job.job.attributes)
            except FloorClosedError as error:
                if job is not None:
                    job.shutdown(reason=str(error))
                raise
            if room is not None and looked_after is not None and bridge.receipts.ledger is not None:
                unheard = lambda: None if bridge.room is None else bridge.room.nobody_hears()  # noqa: E731
                abandon, later = bridge.receipts.ledger.abandon, bridge.later
                ConnectionLoss(room, unheard=unheard, abandon=abandon, later=later, written=2 * RENEW)

    @property
    def owed(self) -> tuple[Unfinished, ...]:
        """What an agent that died owed in this call, and this one has not resumed yet.

        An announcement of the same id and text goes on from the sentence in which it was broken off:
        ``session.announce(owing.text, id=owing.id)``.
        """
        ledger = None if self._bridge is None else self._bridge.receipts.ledger
        return () if ledger is None else tuple(old.owing for old in ledger.inherited.values())

    @property
    def page_reports(self) -> PageReports | None:
        """What the caller's page reports of protected speech; None where the session is in no room."""
        page = None if self._bridge is None else self._bridge.page
        return None if page is None else page.reports

    def on_floor(self, listener: FloorListener) -> None:
        """Be told everything that the floor is told and decides, as ``listener(at, what)``, before it is done.

        What a listener raises is logged; it changes nothing. Events and actions are private: for logs and debugging.

        Args:
            listener: called in the session's event loop with the seconds since its start and an event
                (:mod:`hearout._floor.events`) or an action (:mod:`hearout._floor.actions`).
        """
        self._floor_listeners.append(listener)
        if self._bridge is not None:
            self._bridge.runner.listeners.append(listener)

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts of the protected utterances that are over, in the order of their ends."""
        return [] if self._bridge is None else list(self._bridge.receipts.all)

    async def user_typed(self, text: str) -> None:
        """The user wrote `text`: it is answered; after protected speech, if such is owed."""
        if (bridge := self._bridge) is not None and (bridge.floor.holding or not bridge.is_draining):
            bridge.feed(e.TextTyped(text))
            return
        await answer_typed(self, text)

    def user_pressed(self, digits: str) -> None:
        """The user pressed keys of the telephone."""
        if self._bridge is not None:
            self._bridge.feed(e.KeysPressed(digits))

    def answered_by(self, callee: Callee) -> None:
        """A machine answered the call, or a person did; LiveKit's own detection (``AMD``) is followed without this."""
        if self._bridge is not None:
            self._bridge.callee.answered_by(callee)

    def user_left(self, *, known_until: float | None = None) -> None:
        """The user is gone: nobody is spoken to, so protected speech stops. It stays owed.

        What was played since `known_until`, in seconds since the session's start, was played to nobody."""
        if self._bridge is not None:
            self._bridge.feed(e.CallerLeft(known_until))

    def user_returned(self) -> None:
        """The user is back: what is owed is said, from the sentence in which it was broken off."""
        if self._bridge is not None:
            self._bridge.feed(e.CallerReturned())

    def announce(
        self,
        text: str = "",
        *,
        id: str | None = None,
        audio: "Announcement | None" = None,
        cut_in: CutIn | None = None,
        answer: Answer | None = None,
        redeliver: Redeliver | None = None,
        acknowledge: str = "",
        acknowledge_keys: str = "",
        every: float = 0.0,
    ) -> AnnouncementHandle:
        """Say something that may not be interrupted; await what this gives back for its receipt.

        It is owed from now on: two announcements are said in their order, and one that the caller's leaving breaks off
        is resumed on return. It may be called wherever LiveKit's ``say()`` may.

        Args:
            text: what is to be said; that of `audio`, where it is empty.
            id: what receipts and redelivery go by; made from the text, where it is None.
            audio: a ready-made announcement: no TTS is asked at call time.
            acknowledge: what a button on the caller's page says ("I have understood"), shown when it was said to its
                end; who presses it makes the receipt's level *acknowledged*. Without a page nobody is asked.
            acknowledge_keys: keys of a telephone ("1"), each of which does the same once it was said to its end.
            every: seconds from its end to when it comes again, at the next pause, each time with a receipt of its own.
            cut_in, answer, redeliver: as in :class:`hearout.Policy`, whose choices hold where they are None.

        Raises:
            AnnouncementError: nothing to say, nothing to speak it with, another text than that of `audio`, or no key.
            AlreadyOwedError: this id is owed now.
            FloorClosedError: the session has not been started, or is closing.
            SettingsError: ``console --stock``, or a realtime model without a TTS or an STT beside it.
        """
        bridge = self._running_bridge("announce()", tts=audio is None)
        asks = {"acknowledge": acknowledge, "acknowledge_keys": acknowledge_keys, "every": every}
        wanted = asked(text, id, audio, cut_in=cut_in, answer=answer, redeliver=redeliver, **asks)
        return bridge.announcer.announce(wanted)

    def ask(
        self,
        text: str,
        *,
        id: str,
        version: str = "",
        choices: YesNo | Choices | Digits = YES_NO,
        attempts: int = 3,
        wait: float = 6.0,
        repeat: str = "",
        aside: Aside = Aside.ANSWER,
        decide: Callable[[str], str | None] | None = None,
        silence: Silence = Silence.NOTHING,
        language: str = "",
    ) -> QuestionHandle:
        """Ask a question that must be answered; await what this gives back for a `CallerAnswer`.

        By rules, and never by a guess: what began before the question had been asked is no answer, nor is silence. It
        is asked again when the answer is unclear. Whatever the caller does, nothing is raised and nothing is decided:
        the outcome says what happened.

        Args:
            text: the question.
            id, version: name it and its wording, for its receipt.
            choices: what it may be answered by.
            attempts: how often it is asked at most; not counted is what follows a question back.
            wait: seconds for beginning an answer, from when it had been asked.
            repeat: its short form, for asking again; the question itself where it is empty.
            aside: what becomes of a question that the caller asks back.
            decide: told the words; what it says confirms the choice that the rules found, or makes it none.
            silence: what it means that the caller says nothing at all.
            language: of the question and its answer, as ``"de"``; where it is empty the policy's, or what the STT says.

        Raises:
            QuestionError: an argument makes no sense, or there is no TTS.
            AlreadyOwedError: a question of this id is open.
            FloorClosedError: the session has not been started, or is closing.
            SettingsError: ``console --stock``, or a realtime model without a TTS or an STT beside it.
        """
        bridge = self._running_bridge("ask()", tts=True)
        question = Question(
            text=text,
            id=id,
            version=version,
            choices=choices,
            attempts=attempts,
            wait=wait,
            repeat=repeat,
            aside=aside,
            decide=decide,
            silence=silence,
            language=language or self._choices.language,
        )
        return bridge.asker.ask(question)

    def _running_bridge(self, what: str, *, tts: bool) -> Bridge:
        if self._stock:
            why = f"--stock plays LiveKit's own session, which has no {what}; leave it out"
            raise SettingsError(why, setting="--stock")
        if self._bridge is None:
            raise FloorClosedError(f"{what} needs a session that runs: await session.start(…) first")
        self._bridge.check_open()
        self._bridge.check_thread(what)
        self.check_protected(tts=tts)
        return self._bridge

    @property
    def questions(self) -> list[QuestionReceipt]:
        """The records of the questions that have ended, in the order of their ends; a revoked one twice."""
        return [] if self._bridge is None else list(self._bridge.asker.all)

    async def stop_announcement(self, reason: str) -> None:
        """Stop the protected speech that is being said, or is said next; its receipt says who did, and why."""
        if self._bridge is not None:
            self._bridge.feed(e.StopAsked(reason))
            await asyncio.sleep(0)

    @signed_as(LiveKitSession.say)
    def say(self, text: str | AsyncIterable[str], **arguments: Any) -> SpeechHandle:
        """As LiveKit's; speech that may not be interrupted is owed, and its text is known from the beginning."""
        known = text if isinstance(text, str) else ""
        if self._bridge is None:
            return super().say(text, **arguments)
        asked = SpeechRequest(text=known, context=arguments.get("add_to_chat_ctx", True))
        if is_given(audio := arguments.get("audio", NOT_GIVEN)) and audio is not None:
            arguments["audio"] = own_audio(audio, self._bridge.inbound)
        with self._bridge.while_open():
            if not self._bridge.speeches.is_wished and (instead := self._bridge.takeover.saying(known)) is not None:
                return instead
            with self._bridge.speeches.wished(asked):
                return super().say(text, **arguments)

    @signed_as(LiveKitSession.generate_reply)
    def generate_reply(self, **arguments: Any) -> SpeechHandle:
        """As LiveKit's; in the place of an agent that died, what that one had begun to say of it is gone on with."""
        if self._bridge is None:
            return super().generate_reply(**arguments)
        with self._bridge.while_open():
            return self._bridge.takeover.reply(super().generate_reply, arguments)

    def commit_user_turn(
        self, *, transcript_timeout: float = 2.0, stt_flush_duration: float = 2.0, skip_reply: bool = False
    ) -> asyncio.Future[str]:
        """As LiveKit's; what is held is one turn then, and is answered as soon as the floor is free.

        Gives back the words of the turn, once they are known.
        """
        bridge, replies = self._bridge, not skip_reply
        if bridge is not None and not bridge.floor.holding:
            bridge.feed(e.TurnCommitted())
        if bridge is not None and bridge.floor.holding:
            return bridge.commit_turn(transcript_timeout, stt_flush_duration, replies=replies)
        made = super().commit_user_turn(
            transcript_timeout=transcript_timeout, stt_flush_duration=stt_flush_duration, skip_reply=skip_reply
        )
        return made if bridge is None else bridge.outbound.livekit_commits(made, transcript_timeout, replies=replies)

    def clear_user_turn(self) -> None:
        """As LiveKit's; what is held is dropped too, and its receipt says so."""
        if self._bridge is not None:
            self._bridge.clear_turn()
        super().clear_user_turn()

    @signed_as(LiveKitSession.update_options)
    def update_options(self, **options: Any) -> None:
        """As LiveKit's; while LiveKit must end no turn by itself, another turn detection waits until it may."""
        if (
            self._bridge is not None
            and is_given(options.get("turn_detection", NOT_GIVEN))
            and self._bridge.outbound.turn_detection_chosen(options["turn_detection"])
        ):
            del options["turn_detection"]
        super().update_options(**options)
        if self._bridge is not None:
            self._bridge.feed(e.AlarmRang())  # held words may wait for nothing now

    async def _typed_in_the_room(self, _session: LiveKitSession[Any], event: TextInputEvent) -> None:
        room = None if self._bridge is None else self._bridge.room
        if room is None or event.participant is None or event.participant.identity == room.caller_now():
            await self.user_typed(event.text)

    def emit(self, event: EventTypes, arg: AgentEvent) -> None:
        """As LiveKit's, but a transcript that was held is reported once, and is not reported as missing."""
        repeated = (
            self._bridge is not None and isinstance(arg, UserInputTranscribedEvent) and self._bridge.is_repeated(arg)
        )
        kept = (
            self._bridge is not None
            and isinstance(arg, UserTranscriptionTimeoutEvent)
            and self._bridge.inbound.heard_at >= arg.vad_speech_started_at
        )
        if not (repeated or kept):
            super().emit(event, arg)

    async def aclose(self) -> None:
        """Close the session, once protected speech is through or the policy's grace for it is over."""
        if self._bridge is None:
            await super().aclose()
            return
        await self._grace(self._bridge)
        await super().aclose()
        await self._bridge.settled()

    async def drained(self) -> None:
        """Wait until the protected speech that is owed now is over, and its last sample has reached the caller.

        The latter takes ``Timeouts(telephone_tail=…)``, or ``tail`` where the caller is at no telephone. Who ends a
        call by other means (deletes the room, removes the caller) waits for this first. Of a reply whose tool runs,
        what it said before is waited for.
        """
        while (bridge := self._bridge) is not None:
            if not bridge.is_owing:
                return
            await asyncio.sleep(_GLANCE)

    async def hang_up(self) -> None:
        """End the caller's call once protected speech is over, its last word included; the job ends with it.

        A telephone stays on a silent line when only the session is shut down, or the agent leaves: LiveKit's SIP bridge
        hangs up when its participant is removed. Without a room the session is closed.

        Raises:
            livekit.api.TwirpError: LiveKit's server refused it; the caller is still there.
        """
        await self.drained()
        if self._bridge is not None and (room := self._bridge.room) is not None:
            if self._bridge.floor.holding:  # from a tool, behind what its reply said
                await asyncio.sleep(room.tail())
            await room.hang_up()
        self.shutdown(drain=False)

    async def transfer(self, to: str, *, play_dialtone: bool = False) -> None:
        """Send the caller's telephone elsewhere (SIP REFER), once protected speech is over.

        As ``ctx.transfer_sip_participant``, but the receipts know of it: of what is said meanwhile they claim nothing
        for a telephone to which the bridge plays its dial tone, and *transferred* is the cause of what it cuts.

        Args:
            to: ``"tel:+4930…"`` or ``"sip:…"``.
            play_dialtone: whether the bridge plays a tone meanwhile; nothing of the room is heard then.

        Raises:
            SettingsError: the caller is at no telephone, or the session is in no job of LiveKit's.
            livekit.api.TwirpError: the transfer failed; the caller is still there.
        """
        await self.drained()
        if self._bridge is None or self._bridge.room is None:
            raise SettingsError("transfer() needs a caller at a telephone: the session talks in no room")
        await self._bridge.room.transfer(to, play_dialtone=play_dialtone)

    def shutdown(self, *, drain: bool = True) -> None:
        """Close the session soon; protected speech has the policy's grace, with ``drain=False`` too, and its tail."""
        if self._bridge is not None and drain:
            self._bridge.feed(e.ShutdownAsked(drain=True))
        if self._bridge is None or not (self._bridge.is_owing or (self._bridge.floor.holding and not drain)):
            super().shutdown(drain=drain)
        elif not self._bridge.finishing:
            self._bridge.finishing = True
            self._grace_task = asyncio.create_task(self._shut_down_in_grace(self._bridge, drain=drain))

    async def _shut_down_in_grace(self, bridge: Bridge, *, drain: bool) -> None:
        await self._grace(bridge, asks=not drain)
        super().shutdown(drain=drain)

    async def _grace(self, bridge: Bridge, *, asks: bool = True) -> None:
        if asks:
            bridge.feed(e.ShutdownAsked())
        await bridge.finish()

"""A call as data, and how it is played."""

import asyncio
import inspect
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import Agent
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.inference import TurnDetector

from .._session.agent_session import AgentSession
from ..errors import CallError
from ._clock import report_lost_errors, run
from ._line import AudioReceiver, Loudspeaker, Microphone, SentAudio
from ._llm import LLM, Request, ScriptedLLM
from ._realtime import Realtime, ScriptedRealtimeModel
from ._result import Result, Segment, answered, utterances
from ._script import Act, Do, HangUp, Moment, Noise, Press, Return, Say, Type, When, check_caller
from ._sound import NOISE, SpokenWords, read
from ._stt import STT, ScriptedSTT, ScriptedVAD
from ._tts import TTS, ScriptedTTS, behind

GLANCE = 0.99
"""Seconds from one look at whether a call is quiet to the next; not a whole second, at which much else happens."""

TypedText = Callable[[Any, str], Any]


async def as_typed(session: Any, text: str) -> None:
    """Typed text, as in a room: LiveKit's own session (1.8.9, ``room_io/types.py``) stops the agent, and answers."""
    if isinstance(session, AgentSession):
        await session.user_typed(text)
    else:
        await session.interrupt()
        session.generate_reply(user_input=text)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call: who the agent is, what the caller does, and how STT, LLM and TTS work and fail.

    Args:
        agent: makes the agent; a class will do.
        session: makes the session; called with ``stt``, ``llm``, ``tts`` and ``vad``. hearout's or LiveKit's class,
            or a function that adds arguments.
        caller: what the caller does.
        stt, llm, tts: how each behaves.
        realtime: a realtime model in place of the LLM, with what `llm` answers and the sound of `tts`; None for none.
            The `session` gets it as ``llm``.
        listener: what happens to the audio that leaves the agent.
        ends_after: seconds after which the session is closed, if it is not by then.
        ends_quiet: it is closed earlier, once the caller has done all, nobody speaks or thinks, and the session has
            told of nothing for so many seconds. What is owed to a caller who is away keeps no call open. None: never.
        typed: called with the session and the text when the caller types; as the session itself does it in a room.
        seed: of the `random` module during the call.

    Raises:
        CallError: an argument makes no sense; the message names it.
    """

    agent: Callable[[], Agent]
    session: Callable[..., LiveKitSession[Any]] = AgentSession
    caller: Sequence[Act] = ()
    stt: STT = field(default_factory=STT)
    llm: LLM = field(default_factory=LLM)
    tts: TTS = field(default_factory=TTS)
    realtime: Realtime | None = None
    listener: AudioReceiver = field(default_factory=AudioReceiver)
    ends_after: float = 30.0
    ends_quiet: float | None = None
    typed: TypedText = as_typed
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(self.agent):
            raise CallError("Call(agent=…) needs what makes the agent (its class will do), and not an agent")
        if not math.isfinite(self.ends_after):
            raise CallError(f"Call(ends_after={self.ends_after}) would never end; give a number of seconds")
        check_caller(self.caller)

    def play(self) -> Result:
        """Play the call in virtual time.

        Raises:
            CallError: it could not be played to its end, or left tasks behind.
        """
        return run(lambda: _Playing(self).through(), seed=self.seed)


class _Log(logging.Handler):
    """Collects what is logged at WARNING or above."""

    NAMES = ("livekit", "asyncio", "hearout")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    def __enter__(self) -> "_Log":
        for name in self.NAMES:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.NAMES:
            logging.getLogger(name).removeHandler(self)


_EVENTS = (
    "user_state_changed",
    "agent_state_changed",
    "user_input_transcribed",
    "conversation_item_added",
    "speech_created",
    "function_tools_executed",
    "agent_false_interruption",
    "error",
    "close",
)


class _Playing:
    """One call while it is played."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._moments: dict[str, asyncio.Future[float]] = {
            name: self._loop.create_future() for name in ("first sound", "end of the first protected utterance")
        }
        self._lexicon = SpokenWords()
        self._stt = ScriptedSTT(call.stt, self._lexicon, self.now)
        self._llm = ScriptedLLM(call.llm, self.now)
        self._tts = ScriptedTTS(call.tts, self.now)
        self._realtime: ScriptedRealtimeModel | None = None
        if (kind := call.realtime) is not None:
            self._realtime = ScriptedRealtimeModel(kind, call.llm, self._tts, self._lexicon, self.now)
        self._microphone = Microphone(self.now)
        self._loudspeaker = Loudspeaker(
            self.now,
            call.listener,
            captured=self._segment_began,
            flushed=self._segment_known,
            rate=call.tts.sample_rate,
        )
        self._segments: list[Segment] = []
        self._acted: list[tuple[float, Act]] = []
        self._events: list[tuple[float, str, Any]] = []
        self._doing: set[asyncio.Task[None]] = set()
        """What the program has begun to do: it goes on while the session closes, since it may be what closes it."""

    def now(self) -> float:
        return self._loop.time() - self._began

    async def through(self) -> Result:
        call = self._call
        with _Log() as log:
            voice = behind(self._tts)
            self._session = call.session(
                stt=self._stt, llm=self._realtime or self._llm, tts=voice, vad=ScriptedVAD(self._lexicon)
            )
            if isinstance(self._session.turn_detection, TurnDetector) and not self._server_takes_turns:
                # LiveKit's default is an LLM that listens to the sound of a TTS; there is none here
                self._session.update_options(turn_detection="vad")
            for name in _EVENTS:
                self._session.on(name, self._noted(name))  # type: ignore[arg-type]
            self._session.input.audio = self._microphone
            self._session.output.audio = self._loudspeaker
            await self._session.start(agent=call.agent())
            await self._acts()
            await self._close()
            await _ended(self._doing)
            self._loudspeaker.close()
            await voice.aclose()
            report_lost_errors()
        return self._result(log.lines)

    @property
    def _requests(self) -> list[Request]:
        return self._llm.requests if self._realtime is None else self._realtime.requests

    @property
    def _server_takes_turns(self) -> bool:
        """Whether LiveKit leaves the caller's turns to a realtime model's server, as nothing else was asked for."""
        return self._realtime is not None and self._realtime.capabilities.turn_detection

    async def _acts(self) -> None:
        tasks = [asyncio.create_task(self._act(act), name=f"{act}") for act in self._call.caller]
        ends = asyncio.create_task(self._ends(tasks))
        try:
            waiting: set[asyncio.Task[None]] = {*tasks, ends}
            while not ends.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            await _ended({ends, *tasks} - self._doing)

    async def _ends(self, acts: Sequence[asyncio.Task[None]]) -> None:
        """Wait until the call is to end."""
        quiet = self._call.ends_quiet
        if quiet is None:
            await asyncio.sleep(self._call.ends_after - self.now())
            return
        while (left := self._call.ends_after - self.now()) > 1e-6:
            acted = self._acted[-1][0] if self._acted else 0.0
            since = max(acted, self._events[-1][0] if self._events else 0.0)
            if self.now() - since >= quiet and self._is_still and all(act.done() for act in acts):
                return
            await asyncio.sleep(min(left, GLANCE))

    @property
    def _is_still(self) -> bool:
        session = self._session
        said = self._microphone.is_silent and session.user_state != "speaking"
        return said and session.agent_state == "listening"

    async def _close(self) -> None:
        self._ended = self.now()
        try:
            async with asyncio.timeout(60):
                await self._session.aclose()
        except TimeoutError:
            raise CallError("the session did not close within 60 s") from None

    async def _act(self, act: Act) -> None:
        await asyncio.sleep(await self._second(act.at) - self.now())
        if isinstance(act, Do) and (task := asyncio.current_task()) is not None:
            self._doing.add(task)
        self._acted.append((self.now(), act))
        match act:
            case Say():
                for word in self._lexicon.say(act.words, self.now(), act.seconds, act):
                    self._microphone.speak(word.start, word.end, word.number)
            case Noise():
                self._microphone.speak(self.now(), self.now() + act.duration, NOISE)
            case Type():
                await _awaited(self._call.typed(self._session, act.words))
            case Press() if isinstance(self._session, AgentSession):  # LiveKit's own ignores keys (1.8.9)
                self._session.user_pressed(act.digits)
            case HangUp():
                self._hang_up()
            case Return():
                self._return()
            case Do():
                await self._do(act)

    def _hang_up(self) -> None:
        self._microphone.hang_up()
        self._loudspeaker.hang_up()
        if isinstance(self._session, AgentSession):
            self._session.user_left()
        else:
            self._session.shutdown(drain=False)  # as LiveKit's own ends in a room (1.8.9)

    def _return(self) -> None:
        self._microphone.take_up()
        self._loudspeaker.take_up()
        if isinstance(self._session, AgentSession):  # LiveKit's own is over by then
            self._session.user_returned()

    async def _do(self, act: Do) -> None:
        try:
            await _awaited(act.what(self._session))
        except Exception as error:
            if act.raises is None or not isinstance(error, act.raises):
                raise
            return
        if act.raises is not None:
            raise CallError(f"{act} was to raise {act.raises.__name__} and did not")

    async def _second(self, when: When) -> float:
        if not isinstance(when, Moment):
            return when
        second = await self._moments[when.after] + when.seconds
        if second < self.now() - 1e-6:
            raise CallError(
                f"{when.seconds} s from the {when.after} is {second:.2f} s, known only at {self.now():.2f} s"
            )
        return second

    def _segment_began(self, piece: SentAudio) -> None:
        handle = self._session.current_speech
        protected = handle is not None and not handle.allow_interruptions
        self._segments.append(Segment(piece.start, protected))
        if not self._moments["first sound"].done():
            self._moments["first sound"].set_result(piece.start)

    def _segment_known(self, end: float) -> None:
        moment = self._moments["end of the first protected utterance"]
        if self._segments[-1].protected and not moment.done():
            moment.set_result(end)

    def _noted(self, name: str) -> Callable[[Any], None]:
        return lambda event: self._events.append((self.now(), name, event))

    def _result(self, warnings: list[str]) -> Result:
        history = self._session.history
        turns = [item.text_content or "" for item in history.messages() if item.role == "user"]
        found = utterances(
            read(self._loudspeaker.played(), self._call.tts.sample_rate),
            self._segments,
            self._tts.syntheses,
            self._requests,
            self._call.tts,
        )
        closes = [(at, str(event.reason.value)) for at, name, event in self._events if name == "close"]
        return Result(
            utterances=found,
            said=sorted(self._lexicon.words, key=lambda word: word.start),
            heard=self._stt.heard,
            turns=turns,
            acted=self._acted,
            answered=answered(self._call.caller, turns, found),
            requests=self._requests,
            errors=[(at, event.error) for at, name, event in self._events if name == "error"],
            warnings=warnings,
            events=self._events,
            closed=closes[0] if closes and closes[0][0] < self._ended else None,
            session=self._session,
            history=history,
        )


async def _awaited(made: Any) -> None:
    if inspect.isawaitable(made):
        await made


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""The realtime model of a scripted call: a server with an input buffer, as OpenAI's, or with turns of its own only."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from livekit import rtc
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.agents.utils.aio import Chan

from ._llm import LLM, Reply, Request
from ._sound import CALLER_RATE, Samples, SpokenWords, synthesis
from ._stt import ENOUGH, ScriptedVAD
from ._tts import ScriptedTTS, Synthesis, spoken


@dataclass(frozen=True)
class Realtime:
    """A kind of realtime model. Times in seconds. The call's `LLM` has the answers, the call's `TTS` speaks.

    Args:
        detects_turns: the server hears when the caller speaks, and makes a turn of it ("server VAD").
        creates_response: it answers the turns that it made; otherwise somebody asks for each answer.
        can_disable: LiveKit may switch its turn detection off (`can_disable_turn_detection`).
        commits: its buffer can be committed and cleared, and its replies cut, as OpenAI's; Gemini's cannot.
        transcribes: it tells what the caller said in each turn.
        overlapping: it speaks while the caller does, and decides itself when it yields (a duplex model).
        onset: of sound until the server says that speech began.
        silence: of silence until it says that speech ended, and makes a turn of it.
        delay: from the network and the server to whatever it tells.
        transcript: from the end of a turn to its transcript.
    """

    detects_turns: bool = True
    creates_response: bool = True
    can_disable: bool = False
    commits: bool = True
    transcribes: bool = True
    overlapping: bool = False
    onset: float = 0.1
    silence: float = 0.5
    delay: float = 0.05
    transcript: float = 0.4

    @property
    def capabilities(self) -> llm.RealtimeCapabilities:
        """As the model tells LiveKit."""
        return llm.RealtimeCapabilities(
            message_truncation=self.commits,
            turn_detection=self.detects_turns and self.creates_response,
            user_transcription=self.transcribes,
            auto_tool_reply_generation=not self.commits,
            audio_output=True,
            manual_function_calls=self.commits,
            can_disable_turn_detection=self.can_disable,
            supports_overlapping_speech=self.overlapping,
            mutable_chat_context=True,
            mutable_instructions=True,
            mutable_tools=True,
            per_response_tool_choice=self.commits,
        )


class ScriptedRealtimeModel(llm.RealtimeModel):
    """LiveKit's model for a `Realtime`: the texts, the TTS that says them, and the seconds of the call."""

    def __init__(
        self, kind: Realtime, answers: LLM, voice: ScriptedTTS, lexicon: SpokenWords, now: Callable[[], float]
    ) -> None:
        super().__init__(capabilities=kind.capabilities)
        self.kind, self.answers, self.voice, self.lexicon, self.now = kind, answers, voice, lexicon, now
        self.requests: list[Request] = []
        """What it was asked, each with its conversation at that moment."""
        self.sessions: list[ScriptedRealtimeSession] = []
        """Its connections, the oldest first."""

    @property
    def model(self) -> str:
        return "scripted"

    def session(self, *, turn_detection_disabled: bool = False) -> "ScriptedRealtimeSession":
        made = ScriptedRealtimeSession(self, detects=self.kind.detects_turns and not turn_detection_disabled)
        self.sessions.append(made)
        return made

    async def aclose(self) -> None:
        pass


@dataclass
class _Response:
    """One response while it is made."""

    request: Request
    task: "asyncio.Task[None] | None" = None
    messages: "Chan[llm.MessageGeneration]" = field(default_factory=Chan)
    calls: "Chan[llm.FunctionCall]" = field(default_factory=Chan)
    text: "Chan[str]" = field(default_factory=Chan)
    audio: "Chan[rtc.AudioFrame]" = field(default_factory=Chan)

    def end(self) -> None:
        """Nothing more comes."""
        for channel in (self.messages, self.calls, self.text, self.audio):
            if not channel.closed:
                channel.close()


class ScriptedRealtimeSession(llm.RealtimeSession[Any]):
    """One connection to the model; `detects`: whether its server makes turns of the caller's sound."""

    def __init__(self, model: ScriptedRealtimeModel, *, detects: bool) -> None:
        super().__init__(model)
        self._scripted = model
        self._kind = model.kind
        self._detects = detects
        self._context = llm.ChatContext.empty()
        """The server's conversation, in which the caller's turns are what was said in them."""
        self._told: dict[str, str] = {}
        """Items of which LiveKit knows no words: what the server heard in them."""
        self._tools = llm.ToolContext([])
        self._tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN
        self._vad = ScriptedVAD(model.lexicon)
        self._buffer: Counter[int] = Counter()
        self._sound = self._silence = 0.0
        self._speaking = False
        self._items = 0
        self._response: _Response | None = None
        self._timers: list[asyncio.TimerHandle] = []

    # The input buffer

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        samples = np.frombuffer(frame.data, dtype=np.int16)
        for number, count in zip(*np.unique(samples, return_counts=True), strict=True):
            if number > 0:
                self._buffer[int(number)] += int(count)
        if self._detects:
            self._listen(samples, frame.duration)

    def _listen(self, samples: Samples, seconds: float) -> None:
        heard = self._vad.notices(samples)
        self._sound = self._sound + seconds if heard else 0.0
        self._silence = 0.0 if heard else self._silence + seconds
        if not self._speaking and self._sound >= self._kind.onset - 1e-9:
            self._speaking = True
            if self._kind.creates_response:
                self._cancel()
            self._tell("input_speech_started", llm.InputSpeechStartedEvent())
        elif self._speaking and self._silence >= self._kind.silence - 1e-9:
            self._speaking = False
            stopped = llm.InputSpeechStoppedEvent(user_transcription_enabled=self._kind.transcribes)
            self._tell("input_speech_stopped", stopped)
            self._commit()
            if self._kind.creates_response:
                self._respond(asked=None, delay=self._scripted.answers.first_token)

    def commit_audio(self) -> None:
        if self._kind.commits:
            self._commit()

    def clear_audio(self) -> None:
        if self._kind.commits:
            self._buffer.clear()
            self._speaking, self._sound, self._silence = False, 0.0, 0.0

    def _commit(self) -> None:
        """Make a turn of the buffer."""
        said = [word.text for word in self._scripted.lexicon.words if self._has(word.number)]
        self._buffer.clear()
        item = llm.ChatMessage(role="user", content=[], id=self._new_id("item"))
        self._told[item.id] = text = " ".join(said)
        self._add(item)
        if self._kind.transcribes:
            event = llm.InputTranscriptionCompleted(item_id=item.id, transcript=text, is_final=True)
            self._tell("input_audio_transcription_completed", event, after=self._kind.transcript)

    def _has(self, number: int) -> bool:
        word = self._scripted.lexicon[number]
        return self._buffer[number] >= ENOUGH * (word.end - word.start) * CALLER_RATE

    # Responses

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        asked: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.get_running_loop().create_future()
        self._respond(asked=asked, delay=self._scripted.answers.first_token)
        return asked

    def _respond(self, *, asked: "asyncio.Future[llm.GenerationCreatedEvent] | None", delay: float) -> None:
        self._cancel()
        heard = self._heard()
        context = self.conversation
        to_tool = bool(heard.items) and heard.items[-1].type == "function_call_output"
        reply = self._scripted.answers.reply(len(self._scripted.requests), heard)
        number = len(self._scripted.requests) + 1
        request = Request(number, self._scripted.now(), context, reply, to_tool)
        self._scripted.requests.append(request)
        response = self._response = _Response(request)
        response.task = asyncio.create_task(self._make(response, asked, delay))

    async def _make(
        self,
        response: _Response,
        asked: "asyncio.Future[llm.GenerationCreatedEvent] | None",
        delay: float,
    ) -> None:
        await asyncio.sleep(self._kind.delay)
        created = llm.GenerationCreatedEvent(
            message_stream=response.messages,
            function_stream=response.calls,
            user_initiated=asked is not None,
            response_id=f"response-{response.request.number}",
        )
        if asked is not None and not asked.done():
            asked.set_result(created)
        self.emit("generation_created", created)
        await asyncio.sleep(delay)
        reply = response.request.reply
        if reply.text:
            await self._speak(response, reply)
        for tool in reply.tools:
            call_id = f"{tool.name}-{response.request.number}"
            call = llm.FunctionCall(call_id=call_id, name=tool.name, arguments=json.dumps(dict(tool.arguments)))
            self._context.items.append(call)
            response.calls.send_nowait(call)
        response.end()
        if self._response is response:
            self._response = None

    async def _speak(self, response: _Response, reply: Reply) -> None:
        """Make the message of a response, text and sound, a word at a time and faster than they play."""
        item = llm.ChatMessage(role="assistant", content=[reply.text], id=self._new_id("answer"))
        self._add(item)
        both: asyncio.Future[list[Literal["text", "audio"]]] = asyncio.get_running_loop().create_future()
        both.set_result(["audio", "text"])
        response.messages.send_nowait(llm.MessageGeneration(item.id, response.text, response.audio, both))
        made, voice = self._scripted.voice.begin()[0], self._scripted.voice.voice
        made.given = reply.text
        at = 0
        for number, word in enumerate(spoken(reply.text).split()):
            made.text = f"{made.text} {word}".strip()
            response.text.send_nowait(word if number == 0 else f" {word}")
            at = self._sound_of(response, made, word, at)
            await asyncio.sleep(made.blocks(word) / 100 / voice.speed)

    @staticmethod
    def _sound_of(response: _Response, made: Synthesis, word: str, at: int) -> int:
        blocks, rate = made.blocks(word), made.voice.sample_rate
        samples = synthesis(made.number, at, blocks, rate)
        response.audio.send_nowait(rtc.AudioFrame(samples.tobytes(), rate, 1, len(samples)))
        return at + blocks

    def interrupt(self) -> None:
        if self._kind.commits:
            self._cancel()

    def _cancel(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            if response.task is not None:
                response.task.cancel()
            response.end()

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        item = self._context.get_by_id(message_id)
        if isinstance(item, llm.ChatMessage) and is_given(audio_transcript):
            item.content = [audio_transcript]

    # The conversation

    @property
    def chat_ctx(self) -> llm.ChatContext:
        return self._context.copy()

    @property
    def tools(self) -> llm.ToolContext:
        return self._tools

    @property
    def conversation(self) -> tuple[tuple[str, str], ...]:
        """Role and text of each message; of a turn of the caller, what the model heard in it."""
        return tuple((str(one.role), one.text_content or "") for one in self._heard().messages())

    def _heard(self) -> llm.ChatContext:
        """The conversation with what was said in the caller's turns."""
        context = llm.ChatContext.empty()
        for item in self._context.items:
            said = self._told.get(item.id)
            if isinstance(item, llm.ChatMessage) and said is not None:
                item = item.model_copy(update={"content": [said]})
            context.items.append(item)
        return context

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        await asyncio.sleep(self._kind.delay)
        wanted = chat_ctx.copy(exclude_instructions=True, exclude_handoff=True, exclude_config_update=True)
        known = {item.id for item in self._context.items}
        before = None
        self._context = llm.ChatContext.empty()
        for item in wanted.items:
            self._context.items.append(item.model_copy())
            if item.id not in known and isinstance(item, llm.ChatMessage):
                self.emit("remote_item_added", llm.RemoteItemAddedEvent(previous_item_id=before, item=item))
            before = item.id
        replies = not self._kind.commits and bool(wanted.items) and wanted.items[-1].type == "function_call_output"
        if replies and wanted.items[-1].id not in known:
            self._respond(asked=None, delay=self._scripted.answers.first_token)

    async def update_instructions(self, instructions: str) -> None:
        pass

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        self._tools = llm.ToolContext(tools)

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        self._tool_choice = tool_choice

    def push_video(self, frame: rtc.VideoFrame) -> None:
        pass

    async def aclose(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._cancel()

    def _add(self, item: llm.ChatMessage) -> None:
        before = self._context.items[-1].id if self._context.items else None
        self._context.items.append(item)
        self._tell("remote_item_added", llm.RemoteItemAddedEvent(previous_item_id=before, item=item))

    def _new_id(self, kind: str) -> str:
        self._items += 1
        return f"{kind}-{self._items}"

    def _tell(self, name: Any, event: Any, *, after: float = 0.0) -> None:
        """Tell LiveKit, a network later; nothing is told on a connection that is closed."""
        timer = asyncio.get_running_loop().call_later(self._kind.delay + after, lambda: self.emit(name, event))
        self._timers.append(timer)

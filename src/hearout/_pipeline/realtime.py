"""A realtime model behind the floor: the sound that the model is given, and the turns of its server that go on.

A realtime model takes turns by the sound that it is given, on its server or when LiveKit commits its buffer. While the
floor holds it is given silence, so no turn of its own begins, stops protected speech or stays in its buffer. What the
caller said meanwhile reaches it as text, once. As LiveKit's ``RealtimeModelFallbackAdapter`` (1.8.9) does, a proxy
stands before the model; the rest of it is passed on.
"""

from collections.abc import Callable, Iterable
from typing import Any

from livekit import rtc
from livekit.agents import llm, stt
from livekit.agents.utils import is_given
from livekit.agents.utils.audio import silence_frame_like

_PASSED_ON = ("session_reconnected", "metrics_collected", "error")
"""Events of a model's session with which nothing is done here."""


def _value(name: str) -> Any:
    """A property of the model behind the proxy."""
    return property(lambda proxy: getattr(proxy.behind, name))


def _method(name: str) -> Any:
    """A method of the model behind the proxy."""
    return lambda proxy, *given, **named: getattr(proxy.behind, name)(*given, **named)


class RealtimeModels:
    """The realtime models of one session, each behind one proxy."""

    def __init__(self, *, holds: Callable[[], bool], opened: Callable[[llm.RealtimeSession[Any]], None]) -> None:
        self.holds, self.opened = holds, opened
        self.on_turn: Callable[[], None] = lambda: None
        """Called when a turn was made of the caller's sound, by the model's server or by LiveKit."""
        self._proxies: dict[int, RealtimeProxy] = {}
        self._passed: list[stt.SpeechEvent] = []

    def behind(self, model: llm.RealtimeModel) -> "RealtimeProxy":
        """The proxy of this model, the same each time: LiveKit keeps a model's session over a hand-over by it."""
        if isinstance(model, RealtimeProxy):
            if self._proxies.get(id(model.behind)) is model:
                return model
            model = model.behind  # of another session
        return self._proxies.setdefault(id(model), RealtimeProxy(model, self))

    def heard(self, transcript: stt.SpeechEvent) -> bool:
        """A final transcript came while the floor did not hold; whether `take_over` may give it back.

        It may be of sound that a model has in its buffer.
        """
        may_come_back = any(one.is_collecting for one in self._sessions())
        if may_come_back:
            self._passed.append(transcript)
        return may_come_back

    def take_over(self) -> list[stt.SpeechEvent]:
        """Take sound of which no turn was made out of the buffers: the floor holds. Gives its final transcripts."""
        for one in self._sessions():
            one.take_over()
        passed, self._passed = self._passed, []
        return passed

    @property
    def server_takes_turns(self) -> bool:
        """Whether a model's server makes the caller's turns; otherwise LiveKit does."""
        return any(one.server_takes_turns for one in self._sessions())

    def turn_taken(self) -> None:
        """A turn was made of the sound so far."""
        self._passed.clear()
        self.on_turn()

    def turn_dropped(self) -> None:
        self._passed.clear()

    def _sessions(self) -> Iterable["RealtimeSessionProxy"]:
        return (one for proxy in self._proxies.values() for one in proxy.sessions)


class RealtimeProxy(llm.RealtimeModel):
    """Stands before a realtime model; what it does not know is the model's."""

    def __init__(self, behind: llm.RealtimeModel, models: RealtimeModels) -> None:
        super().__init__(capabilities=behind.capabilities)
        self.behind = behind
        self.sessions: list[RealtimeSessionProxy] = []
        """Those that are open."""
        self._models = models
        self._label = behind.label

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["behind"], name)

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:
        """The model's class: a program may ask for the kind of its agent's model."""
        return type(self.behind) if "behind" in self.__dict__ else RealtimeProxy

    model, provider, metrics_metadata = _value("model"), _value("provider"), _value("metrics_metadata")
    capabilities, aclose = _value("capabilities"), _method("aclose")

    def session(self, *, turn_detection_disabled: bool = False) -> "RealtimeSessionProxy":
        # models older than the argument do not take it
        asked = {"turn_detection_disabled": True} if turn_detection_disabled else {}
        taken = self.capabilities.turn_detection and not turn_detection_disabled
        behind = self.behind.session(**asked)
        self._models.opened(behind)
        made = RealtimeSessionProxy(self, behind, self._models, server_takes_turns=taken)
        self.sessions.append(made)
        return made


class RealtimeSessionProxy(llm.RealtimeSession[Any]):
    """Stands before one session of a realtime model.

    Args:
        server_takes_turns: whether the server makes the caller's turns; otherwise LiveKit commits them.
    """

    def __init__(
        self,
        model: RealtimeProxy,
        behind: llm.RealtimeSession[Any],
        models: RealtimeModels,
        *,
        server_takes_turns: bool,
    ) -> None:
        super().__init__(model)
        self.behind = behind
        self._proxy = model
        self._models = models
        self.server_takes_turns = server_takes_turns
        self._pushed = False
        """Whether the buffer has sound of which LiveKit has made no turn."""
        self._speaking = False
        """Whether the server hears the caller speak, as LiveKit knows it."""
        self._taken_over = False
        """Whether the words of the sound that the server last heard are the floor's: a turn of it is none."""
        self._ended = False
        """Whether the server heard the caller stop, where LiveKit makes the turns, and LiveKit has made none of it."""
        self._unturned: set[str] = set()
        """Items that the server made of such sound."""
        self._known: set[str] = set()
        """Items that LiveKit put into the model's context."""
        self._not_ours: set[str] = set()
        """Items that the server made of sound that was taken over."""
        self._forwarders: dict[str, Callable[..., None]] = {}
        for name in _PASSED_ON:
            self._forward(name)
        self._handled: dict[str, Callable[[Any], None]] = {
            "input_speech_started": self._speech_started,
            "input_speech_stopped": self._speech_stopped,
            "generation_created": self._generation_created,
            "remote_item_added": self._item_added,
            "input_audio_transcription_completed": self._transcribed,
        }
        for name, handler in self._handled.items():
            behind.on(name, handler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["behind"], name)

    @property
    def is_collecting(self) -> bool:
        """Whether sound of the caller is in the buffer of which no turn was made."""
        return self._speaking if self.server_takes_turns else self._pushed

    def take_over(self) -> None:
        """The floor holds: what is in the buffer is not to become a turn; its words are the floor's."""
        spoke, self._speaking = self._speaking, False
        if spoke or (self._pushed and not self.server_takes_turns):
            self.clear_audio()
        if self._ended:  # some servers put such sound into the context themselves
            self._not_ours |= self._unturned
            self._taken_over = True
        self._ended, self._unturned = False, set()
        if spoke:
            self._taken_over = True
            # from here on the server hears silence, and does not say that speech stopped which it has no more
            self.emit("input_speech_stopped", llm.InputSpeechStoppedEvent(user_transcription_enabled=False))

    # The caller's sound

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        if self._models.holds():
            frame = silence_frame_like(frame)
        else:
            self._pushed = True
        self.behind.push_audio(frame)

    def commit_audio(self) -> None:
        if self._models.holds():
            return  # it has nothing but silence; an empty turn would be answered
        self._pushed = self._ended = False
        self._unturned.clear()
        self.behind.commit_audio()
        self._models.turn_taken()

    def clear_audio(self) -> None:
        self._pushed = False
        self.behind.clear_audio()
        if not self._models.holds():
            self._models.turn_dropped()

    def start_user_activity(self) -> None:
        if not self._models.holds():  # Gemini would break its reply off
            self.behind.start_user_activity()

    # What the server tells

    def _speech_started(self, event: llm.InputSpeechStartedEvent) -> None:
        if self._models.holds():  # of sound from just before the floor held
            self._taken_over = True
            self.clear_audio()
            return
        self._speaking, self._taken_over = True, False
        self.emit("input_speech_started", event)

    def _speech_stopped(self, event: llm.InputSpeechStoppedEvent) -> None:
        if not self._speaking:
            return  # said already, or never begun
        self._speaking = False
        self.emit("input_speech_stopped", event)
        if self.server_takes_turns:
            self._models.turn_taken()
        else:
            self._ended = True

    def _generation_created(self, event: llm.GenerationCreatedEvent) -> None:
        if self._taken_over and not event.user_initiated:
            self._taken_over = False
            self.behind.interrupt()  # the words that it answers are held, and are answered after protected speech
            return
        self.emit("generation_created", event)

    def _item_added(self, event: llm.RemoteItemAddedEvent) -> None:
        item = event.item
        of_sound = item.id not in self._known and getattr(item, "role", "") == "user"
        if of_sound and self._taken_over:
            self._not_ours.add(item.id)
            return
        if of_sound and self._ended:
            self._unturned.add(item.id)
        self.emit("remote_item_added", event)

    def _transcribed(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.item_id not in self._not_ours:
            self.emit("input_audio_transcription_completed", event)

    # The rest is the model's

    capabilities, tools = _value("capabilities"), _value("tools")
    push_video, say, interrupt, truncate = map(_method, ("push_video", "say", "interrupt", "truncate"))
    update_instructions, update_tools = _method("update_instructions"), _method("update_tools")
    update_options = _method("update_options")

    @property
    def chat_ctx(self) -> llm.ChatContext:
        """The model's, without what its server made of sound that was taken over: a next update deletes that."""
        context = self.behind.chat_ctx
        if self._not_ours:
            context = context.copy()
            context.items[:] = [item for item in context.items if item.id not in self._not_ours]
        return context

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        self._known |= {item.id for item in chat_ctx.items}
        if any(item.type == "function_call_output" for item in chat_ctx.items[-1:]):
            self._taken_over = False  # the next reply may be the one to a tool, which some servers give by themselves
        await self.behind.update_chat_ctx(chat_ctx)

    def generate_reply(self, **asked: Any) -> Any:
        return self.behind.generate_reply(**{name: value for name, value in asked.items() if is_given(value)})

    def on(self, event: str, callback: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """As an emitter's; a model's own events (``openai_server_event_received``) are passed on, too."""
        if event not in self._handled:
            self._forward(event)
        return super().on(event, callback)

    def _forward(self, name: str) -> None:
        if name not in self._forwarders:

            def forward(*given: Any) -> None:
                self.emit(name, *given)

            self._forwarders[name] = forward
            self.behind.on(name, forward)

    async def aclose(self) -> None:
        if self in self._proxy.sessions:
            self._proxy.sessions.remove(self)
        await self.behind.aclose()

"""Realtime models at every door of a session: checked, put behind the floor, and their speech protected."""

from collections.abc import AsyncIterable, Callable
from typing import Any

from livekit.agents import Agent, SpeechCreatedEvent
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.llm import LLM, DuplexModel, DuplexRealtimeAdapter, RealtimeModel, RealtimeSession
from livekit.agents.stt import STT
from livekit.agents.tts import TTS
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.agents.voice import SpeechHandle

from .._pipeline.realtime import RealtimeModels, RealtimeProxy
from ..errors import SettingsError
from .signatures import Userdata_T, signed_as


class RealtimeDoors(LiveKitSession[Userdata_T]):
    """LiveKit's session with its realtime models behind the floor.

    LiveKit 1.8.9 refuses an agent whose speech is protected where the model's server takes turns (``ValueError``), and
    ignores ``allow_interruptions=False`` of a speech (``agent_activity.py``). The server cannot cut protected speech
    here, since it hears silence. So LiveKit is not told, and the flag is set on the speech.

    Args:
        holds: whether the floor holds now; None where the session plays LiveKit's own behaviour.

    Raises:
        SettingsError: the session's model is a duplex model.
    """

    def __init__(self, *, holds: Callable[[], bool] | None, **arguments: Any) -> None:
        self.realtime = None if holds is None else RealtimeModels(holds=holds, opened=self._model_opened)
        """The realtime models of this session; None where it plays LiveKit's own behaviour."""
        self._hidden: dict[int, tuple[Agent, NotGivenOr[bool]]] = {}
        if self.realtime is not None:
            check_model(arguments.get("llm"), whose="session")
        super().__init__(**arguments)
        if self.realtime is not None:
            check_model(super().llm, whose="session")  # a model that was given by its name
            self.on("speech_created", self._protect_as_its_agent)

    @property
    def llm(self) -> LLM[Any] | RealtimeModel | None:
        """As LiveKit's; a realtime model stands behind a proxy, which passes on what it does not know."""
        model = super().llm
        return self.realtime.behind(model) if self.realtime and isinstance(model, RealtimeModel) else model

    def update_agent(self, agent: Agent) -> None:
        """As LiveKit's.

        Raises:
            SettingsError: the agent's realtime model cannot be kept from taking turns over protected speech, or lacks
                an STT beside it; the agent that runs stays.
        """
        self.admit(agent)
        super().update_agent(agent)

    async def _update_activity(self, agent: Agent, **arguments: Any) -> None:
        # a private name: an AgentTask passes by no public one
        self.admit(agent)
        await super()._update_activity(agent, **arguments)

    @property
    def running_agent(self) -> Agent | None:
        """The agent; None before the first one runs, and after the last."""
        try:
            return self.current_agent
        except RuntimeError:
            return None

    def tts_of(self, agent: Agent) -> TTS[Any] | None:
        """The TTS that an agent has in this session."""
        return agent.tts if is_given(agent.tts) else self.tts

    def stt_of(self, agent: Agent) -> STT[Any] | None:
        """The STT that an agent has in this session."""
        return agent.stt if is_given(agent.stt) else self.stt

    def model_of(self, agent: Agent) -> LLM[Any] | RealtimeModel | None:
        return agent.llm if is_given(agent.llm) else self.llm

    @property
    def hears_sound(self) -> bool:
        """Whether the model of the agent that runs is a realtime model."""
        agent = self.running_agent
        model = self.llm if agent is None else self.model_of(agent)
        return self.realtime is not None and isinstance(model, RealtimeModel)

    def admit(self, agent: Agent) -> None:
        """Put an agent's realtime model behind the floor, before LiveKit asks for it.

        Raises:
            SettingsError: the model cannot be kept from taking turns, or there is no STT for protected speech.
        """
        if self.realtime is None:
            return
        own = agent.llm
        check_model(own, whose="agent")
        if isinstance(own, RealtimeModel) and (proxy := self.realtime.behind(own)) is not own:
            agent.update_options(llm=proxy)
        model = self.model_of(agent)
        if not isinstance(model, RealtimeModel):
            return
        if not self._allows_interruptions(agent):
            self._check_stt(agent, f"the agent {type(agent).__name__} may not be interrupted")
            if model.capabilities.turn_detection:
                self._hidden[id(agent)] = (agent, agent.allow_interruptions)
                # a private name: LiveKit has no public way to change it, and refuses the agent otherwise
                agent._allow_interruptions = True

    def release(self) -> None:
        """The session is closed: its agents are as they were before, for another session."""
        for agent, allowed in self._hidden.values():
            agent._allow_interruptions = allowed
        self._hidden.clear()

    def protects(self, agent: Agent) -> bool:
        """Whether the agent's replies may not be interrupted."""
        return id(agent) in self._hidden or not self._allows_interruptions(agent)

    def _allows_interruptions(self, agent: Agent) -> bool:
        own = agent.allow_interruptions
        return bool(own if is_given(own) else self.options.interruption["enabled"])

    @signed_as(LiveKitSession.say)
    def say(self, text: str | AsyncIterable[str], **arguments: Any) -> SpeechHandle:
        """As LiveKit's; beside a realtime model, what may not be interrupted is said by the TTS, word for word.

        Raises:
            SettingsError: it may not be interrupted, and there is no TTS, or no STT for what the caller says over it.
        """
        if not self.hears_sound:
            return super().say(text, **arguments)
        chosen = arguments.pop("allow_interruptions", NOT_GIVEN)
        self.check_protected(allowed=chosen, tts=not is_given(arguments.get("audio", NOT_GIVEN)))
        return _flagged(super().say(text, **arguments), chosen)

    @signed_as(LiveKitSession.generate_reply)
    def generate_reply(self, **arguments: Any) -> SpeechHandle:
        """As LiveKit's.

        Raises:
            SettingsError: the model is a realtime model, the reply may not be interrupted, and there is no STT.
        """
        if not self.hears_sound:
            return super().generate_reply(**arguments)
        chosen = arguments.pop("allow_interruptions", NOT_GIVEN)
        self.check_protected(allowed=chosen, tts=False)
        return _flagged(super().generate_reply(**arguments), chosen)

    def _protect_as_its_agent(self, event: SpeechCreatedEvent) -> None:
        agent = self.running_agent
        if agent is not None and id(agent) in self._hidden:
            event.speech_handle.allow_interruptions = False

    def check_protected(self, *, allowed: NotGivenOr[bool] = False, tts: bool) -> None:
        """Check that protected speech can be said and heard over; `allowed`: as ``allow_interruptions``.

        Raises:
            SettingsError: the model is a realtime model, and there is no STT; or no TTS, where `tts` is needed.
        """
        agent = self.running_agent
        if not self.hears_sound or agent is None or (allowed if is_given(allowed) else not self.protects(agent)):
            return
        if tts and self.output.audio is not None and self.tts_of(agent) is None:
            raise SettingsError(
                "speech that may not be interrupted is said word for word, which a realtime model does not promise; "
                "pass a tts beside it to the session or the agent, or audio= here",
                setting="tts",
            )
        self._check_stt(agent, "speech may not be interrupted")

    def _check_stt(self, agent: Agent, why: str) -> None:
        if self.stt_of(agent) is None:
            raise SettingsError(
                f"{why}, and its realtime model hears nothing meanwhile: what the caller says over it would be lost; "
                "pass an stt beside the model to the session or the agent",
                setting="stt",
            )

    def _model_opened(self, behind: RealtimeSession[Any]) -> None:
        """Let LiveKit's fallback adapter reach the session, which LiveKit does only for the adapter's own class."""
        if hasattr(behind, "_agent_session"):
            behind._agent_session = _Swapping(self)


class _Swapping:
    """The session as the fallback adapter uses it (1.8.9): it stops speech by force, which protected speech is not."""

    def __init__(self, session: RealtimeDoors[Any]) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def interrupt(self, **options: Any) -> None:
        models = self._session.realtime
        if models is None or not models.holds():
            await self._session.interrupt(**options)


def check_model(model: object, *, whose: str) -> None:
    """Refuse a duplex model: it speaks and hears at once, so its turn-taking cannot be kept off protected speech.

    Raises:
        SettingsError: names whose model it is and what to do.
    """
    behind = model.behind if isinstance(model, RealtimeProxy) else model
    duplex = isinstance(behind, DuplexModel | DuplexRealtimeAdapter)
    overlapping = isinstance(behind, RealtimeModel) and behind.capabilities.supports_overlapping_speech
    if duplex or overlapping:
        raise SettingsError(
            f"the model of the {whose} is a duplex model: it hears and speaks at once and decides itself when it "
            "yields, so nothing can keep the caller from stopping its speech; use a realtime model that takes turns, "
            "or LiveKit's own AgentSession where nothing has to be said to its end",
            setting="llm",
        )


def _flagged(handle: SpeechHandle, allowed: NotGivenOr[bool]) -> SpeechHandle:
    if is_given(allowed):
        handle.allow_interruptions = allowed
    return handle

"""The types of LiveKit's arguments, for type checkers and editors: one changed import loses none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from livekit.agents.llm import LLM, DuplexModel, RealtimeModel, Tool, Toolset
    from livekit.agents.llm.mcp import MCPServer
    from livekit.agents.stt import STT
    from livekit.agents.tts import TTS
    from livekit.agents.types import NotGivenOr
    from livekit.agents.vad import VAD
    from livekit.agents.voice import ExpressiveOptions, KeytermsOptions, STTContextOptions
    from livekit.agents.voice.agent_session import SessionConnectOptions
    from livekit.agents.voice.tool_executor import ToolHandlingOptions
    from livekit.agents.voice.transcription.text_transforms import TextTransforms
    from livekit.agents.voice.turn import PreemptiveGenerationOptions, TurnDetectionMode, TurnHandlingOptions

Userdata_T = TypeVar("Userdata_T")
Signed = TypeVar("Signed", bound=Callable[..., Any])


def signed_as(livekits: Signed) -> Callable[[Callable[..., Any]], Signed]:
    """Show type checkers LiveKit's signature of a method that passes its arguments on; at run time nothing changes."""

    def same(ours: Any) -> Any:
        return ours

    return same


class SessionArguments(TypedDict, Generic[Userdata_T], total=False):
    """The keyword arguments of LiveKit's `AgentSession` (1.8.9). Its own docstring says what each does."""

    stt: NotGivenOr[STT[Any] | str]
    vad: NotGivenOr[VAD | None]
    llm: NotGivenOr[LLM[Any] | RealtimeModel | DuplexModel | str]
    tts: NotGivenOr[TTS[Any] | str]
    turn_handling: NotGivenOr[TurnHandlingOptions]
    stt_context_options: NotGivenOr[STTContextOptions]
    tools: NotGivenOr[list[Tool | Toolset]]
    tool_handling: NotGivenOr[ToolHandlingOptions]
    max_tool_steps: int
    use_tts_aligned_transcript: NotGivenOr[bool]
    tts_text_transforms: NotGivenOr[Sequence[TextTransforms] | None]
    min_consecutive_speech_delay: float
    expressive: bool | ExpressiveOptions
    userdata: NotGivenOr[Userdata_T]
    video_sampler: Any  # its type is private to LiveKit
    aec_warmup_duration: NotGivenOr[float | None]
    ivr_detection: bool
    user_away_timeout: float | None
    transcription_timeout: float | None
    session_close_transcript_timeout: float
    conn_options: NotGivenOr[SessionConnectOptions]
    loop: asyncio.AbstractEventLoop | None
    mcp_servers: NotGivenOr[list[MCPServer]]
    # deprecated by LiveKit
    preemptive_generation: NotGivenOr[bool | PreemptiveGenerationOptions]
    min_endpointing_delay: NotGivenOr[float]
    max_endpointing_delay: NotGivenOr[float]
    false_interruption_timeout: NotGivenOr[float | None]
    turn_detection: NotGivenOr[TurnDetectionMode]
    discard_audio_if_uninterruptible: NotGivenOr[bool]
    min_interruption_duration: NotGivenOr[float]
    min_interruption_words: NotGivenOr[int]
    allow_interruptions: NotGivenOr[bool]
    resume_false_interruption: NotGivenOr[bool]
    agent_false_interruption_timeout: NotGivenOr[float | None]
    keyterms_options: NotGivenOr[KeytermsOptions]

"""The settings that AgentSession makes and refuses; LiveKit still does the same."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents import llm
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.room_io import RoomInputOptions, RoomOptions, TextInputOptions

from hearout import AgentSession, SettingsError
from hearout._session import settings


def made(kind: Callable[..., Any], **arguments: Any) -> Any:
    """A session of `kind`, made in a running loop as LiveKit wants it, with no models."""

    async def make() -> Any:
        return kind(vad=None, **arguments)

    return asyncio.run(make())


def test_what_would_break_a_promise_silently_is_set() -> None:
    session = made(AgentSession)
    assert session.options.interruption["discard_audio_if_uninterruptible"] is False
    assert session.options.interruption["mode"] == "vad"
    assert session.options.aec_warmup_duration is None
    assert session.conn_options.max_unrecoverable_errors > 1_000_000
    start = settings.start_arguments({}, typed=typed)
    assert start["session_host"] is False
    assert start["room_options"].close_on_disconnect is False


def test_what_was_set_is_said_once_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="hearout"):
        made(AgentSession)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "hearout"]
    assert all(name in said for name in settings.WHY)


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        ({"discard_audio_if_uninterruptible": True}, "remove it"),
        ({"turn_handling": {"interruption": {"discard_audio_if_uninterruptible": True}}}, "remove it"),
        ({"turn_handling": {"interruption": {"mode": "adaptive"}}}, "set it to 'vad'"),
        ({"aec_warmup_duration": 3.0}, "remove it"),
        ({"turn_handling": {}, "allow_interruptions": False}, "move it into turn_handling"),
        ({"turn_handling": {}, "min_endpointing_delay": 1.0}, "move it into turn_handling"),
    ],
)
def test_a_setting_that_contradicts_or_would_be_ignored_is_refused(arguments: dict[str, Any], change: str) -> None:
    with pytest.raises(SettingsError, match=change):
        made(AgentSession, **arguments)


def test_the_room_cannot_be_allowed_to_drive_the_session() -> None:
    with pytest.raises(SettingsError, match="session_host"):
        settings.start_arguments({"session_host": True}, typed=typed)


async def typed(*_: Any) -> None:
    """Takes what is typed."""


class ServerSideTurns(llm.RealtimeModel):
    """A realtime model whose server decides turns."""

    def __init__(self, *, turn_detection: bool) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=False,
                turn_detection=turn_detection,
                user_transcription=True,
                auto_tool_reply_generation=False,
                audio_output=True,
                manual_function_calls=False,
            )
        )

    def session(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""


def test_a_realtime_model_that_decides_turns_on_its_server_is_refused() -> None:
    with pytest.raises(SettingsError, match="turn_detection=None"):
        made(AgentSession, llm=ServerSideTurns(turn_detection=True))
    made(AgentSession, llm=ServerSideTurns(turn_detection=False))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "old",
    [
        {"min_endpointing_delay": 0.1, "max_endpointing_delay": 2.0},
        {"turn_detection": "vad", "allow_interruptions": False},
        {"allow_interruptions": True},
        {"false_interruption_timeout": None, "resume_false_interruption": False},
        {"agent_false_interruption_timeout": 4.0},
        {"min_interruption_duration": 0.2, "min_interruption_words": 2},
        {"preemptive_generation": True},
        {"preemptive_generation": {"enabled": True, "preemptive_tts": True}},
    ],
)
def test_the_old_keywords_mean_what_they_mean_to_livekit(old: dict[str, Any]) -> None:
    ours = made(AgentSession, **old).options.turn_handling
    theirs = made(
        LiveKitSession,
        **old,
    ).options.turn_handling
    for key, value in theirs.items():
        if key == "interruption":
            value = {**value, "discard_audio_if_uninterruptible": False, "mode": "vad"}
        if key != "turn_detection" or "turn_detection" in old:
            assert ours[key] == value


def test_every_old_keyword_of_livekit_is_known() -> None:
    known = {name for name in inspect.signature(LiveKitSession.__init__).parameters if name in settings._OLD_KEYWORDS}
    assert known == set(settings._OLD_KEYWORDS)


def test_the_users_own_choices_are_kept() -> None:
    session = made(
        AgentSession,
        turn_handling={"interruption": {"min_words": 3}, "endpointing": {"min_delay": 0.2}},
        conn_options=SessionConnectOptions(max_unrecoverable_errors=5),
        userdata={"a": 1},
    )
    assert session.options.interruption["min_words"] == 3
    assert session.options.endpointing["min_delay"] == 0.2
    assert session.userdata == {"a": 1}
    start = settings.start_arguments({"room_options": RoomOptions(delete_room_on_close=True)}, typed=typed)
    assert start["room_options"].delete_room_on_close is True
    start = settings.start_arguments({"room_input_options": RoomInputOptions()}, typed=typed)
    assert start["room_input_options"] == RoomInputOptions(close_on_disconnect=False, text_input_cb=typed)


def test_text_typed_in_the_room_comes_to_hearout_unless_the_user_takes_it() -> None:
    async def own(*_: Any) -> None:
        """The user's own."""

    def callback(options: RoomOptions) -> Any:
        return settings.start_arguments({"room_options": options}, typed=typed)["room_options"].get_text_input_options()

    assert callback(RoomOptions()).text_input_cb is typed
    assert callback(RoomOptions(text_input=True)).text_input_cb is typed
    assert callback(RoomOptions(text_input=TextInputOptions(text_input_cb=own))).text_input_cb is own
    assert callback(RoomOptions(text_input=False)) is None

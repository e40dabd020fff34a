"""The settings that AgentSession makes and refuses; LiveKit still does the same."""

import asyncio
import copy
import dataclasses
import inspect
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents import inference
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.room_io import RoomInputOptions, RoomOptions, TextInputOptions

from hearout import AgentSession, CutIn, SettingsError
from hearout._session import settings


def made(kind: Callable[..., Any], **arguments: Any) -> Any:
    """A session of `kind`, made in a running loop as LiveKit wants it, with no models."""

    async def make() -> Any:
        return kind(vad=None, **arguments)

    return asyncio.run(make())


def test_what_would_break_a_promise_silently_is_set() -> None:
    session = made(AgentSession)
    assert session.options.interruption["discard_audio_if_uninterruptible"] is False
    assert started({})["session_host"] is False


def test_what_is_livekits_stays_livekits() -> None:
    ours, theirs = made(AgentSession), made(LiveKitSession)
    assert ours.options.aec_warmup_duration == theirs.options.aec_warmup_duration == 3.0
    assert ours.interruption_detection == theirs.interruption_detection
    assert ours.conn_options == theirs.conn_options


@pytest.mark.parametrize("given", [{}, {"room_input_options": RoomInputOptions()}])
def test_a_hang_up_closes_the_session_unless_speech_is_owed(given: dict[str, Any]) -> None:
    def closes(chosen: dict[str, Any], *, owes: bool) -> bool:
        start = started(chosen, owes=owes)
        return bool((start.get("room_input_options") or start["room_options"]).close_on_disconnect)

    assert closes(given, owes=False)
    assert not closes(given, owes=True)
    assert not closes({"room_options": RoomOptions(close_on_disconnect=False)}, owes=False)


def started(given: dict[str, Any], *, owes: bool = False, strict: bool = False) -> dict[str, Any]:
    return settings.start_arguments(given, typed=typed, owes=lambda: owes, strict=strict)


def test_what_was_set_is_said_once_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="hearout"):
        made(AgentSession)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "hearout"]
    assert all(name in said for name in settings.WHY)


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        ({"discard_audio_if_uninterruptible": True}, "Remove it"),
        ({"turn_handling": {"interruption": {"discard_audio_if_uninterruptible": True}}}, "Remove it"),
        ({"turn_handling": {}, "allow_interruptions": False}, "Move it into turn_handling"),
        ({"turn_handling": {}, "preemptive_generation": True}, "Move it into turn_handling"),
        ({"turn_handling": {}, "min_endpointing_delay": 1.0}, "Move it into turn_handling"),
    ],
)
def test_what_cannot_hold_as_given_is_overridden_and_said_once_or_refused(
    arguments: dict[str, Any], change: str, caplog: pytest.LogCaptureFixture
) -> None:
    made(AgentSession, **arguments)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert change in said
    with pytest.raises(SettingsError, match=change):
        made(AgentSession, strict=True, **arguments)


def test_protection_beside_turn_handling_is_kept() -> None:
    beside = made(AgentSession, turn_handling={}, allow_interruptions=False)
    assert beside.options.interruption["enabled"] is False
    said = made(AgentSession, turn_handling={"interruption": {"enabled": True}}, allow_interruptions=False)
    assert said.options.interruption["enabled"] is True


def test_the_room_cannot_be_allowed_to_drive_the_session(caplog: pytest.LogCaptureFixture) -> None:
    assert started({"session_host": True})["session_host"] is False
    assert "session_host=True" in caplog.text
    with pytest.raises(SettingsError, match="session_host"):
        started({"session_host": True}, strict=True)


@pytest.mark.parametrize(
    ("wrong", "change"),
    [
        ({"policy": CutIn(keys="0")}, r"policy must be Policy\(…\)"),
        ({"policy": {}}, r"policy must be Policy\(…\)"),
        ({"ledger": "postgresql://user:secret@host/book"}, r"ledger must be hearout\.Ledger\("),
    ],
)
def test_what_is_no_policy_or_ledger_is_refused_at_construction(wrong: dict[str, Any], change: str) -> None:
    with pytest.raises(SettingsError, match=change) as refused:
        made(AgentSession, **wrong)
    assert refused.value.setting == next(iter(wrong))
    assert "secret" not in str(refused.value)


EXAMPLES = json.loads((Path(__file__).parent / "data" / "livekit_examples.json").read_text())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("arguments", EXAMPLES["sessions"], ids=str)
def test_every_session_of_livekits_examples_is_built(arguments: dict[str, Any]) -> None:
    async def make() -> tuple[Any, Any]:
        given = copy.deepcopy(arguments)
        if given.get("turn_handling", {}).get("turn_detection") == "detector":
            given["turn_handling"]["turn_detection"] = inference.TurnDetector()
        return AgentSession(**given), LiveKitSession(**given)

    ours, theirs = (session.options for session in asyncio.run(make()))
    expected = copy.copy(theirs.turn_handling)
    expected["interruption"] = {**expected["interruption"], "discard_audio_if_uninterruptible": False}
    assert type(ours.turn_handling.pop("turn_detection")) is type(expected.pop("turn_detection"))
    assert ours.turn_handling == expected
    assert ours.aec_warmup_duration == theirs.aec_warmup_duration


@pytest.mark.parametrize("given", EXAMPLES["starts"], ids=str)
def test_every_start_of_livekits_examples_keeps_its_options(given: dict[str, Any]) -> None:
    theirs = {name: RoomOptions(**options) for name, options in given.items()}
    ours = started(theirs)["room_options"]
    for field in dataclasses.fields(RoomOptions):
        if field.name not in ("text_input", "close_on_disconnect"):
            assert getattr(ours, field.name) == getattr(theirs.get("room_options", RoomOptions()), field.name)


async def typed(*_: Any) -> None:
    """Takes what is typed."""


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
    if isinstance(theirs["preemptive_generation"]["enabled"], dict):
        pytest.skip("this livekit-agents (before 1.8.3) does not take preemptive_generation as a mapping")
    for key, value in theirs.items():
        if key == "interruption":
            value = {**value, "discard_audio_if_uninterruptible": False}
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
    assert session.conn_options.max_unrecoverable_errors == 5
    start = started({"room_options": RoomOptions(delete_room_on_close=True)})
    assert start["room_options"].delete_room_on_close is True
    start = started({"room_input_options": RoomInputOptions(audio_sample_rate=8000)})
    assert start["room_input_options"].audio_sample_rate == 8000
    assert start["room_input_options"].text_input_cb is typed


def test_text_typed_in_the_room_comes_to_hearout_unless_the_user_takes_it() -> None:
    async def own(*_: Any) -> None:
        """The user's own."""

    def callback(options: RoomOptions) -> Any:
        return started({"room_options": options})["room_options"].get_text_input_options()

    assert callback(RoomOptions()).text_input_cb is typed
    assert callback(RoomOptions(text_input=True)).text_input_cb is typed
    assert callback(RoomOptions(text_input=TextInputOptions(text_input_cb=own))).text_input_cb is own
    assert callback(RoomOptions(text_input=False)) is None

"""The settings of LiveKit's session that would break a promise silently: set here, or refused with what to change.

Each entry of :data:`WHY` names one such setting, as LiveKit 1.8.9 has it, and what happens when it is left alone. The
figures behind them were measured; see ``docs/livekit.md``.
"""

import dataclasses
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, cast

from livekit.agents import llm
from livekit.agents.utils import is_given
from livekit.agents.voice import AgentSession
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.room_io import (
    RoomInputOptions,
    RoomOptions,
    RoomOutputOptions,
    TextInputEvent,
    TextInputOptions,
)

from ..errors import SettingsError

TypedText: TypeAlias = Callable[[AgentSession[Any], TextInputEvent], Coroutine[None, None, None] | None]

WHY: Mapping[str, str] = {
    "discard_audio_if_uninterruptible=False": "else the recogniser gets silence while protected speech plays",
    "interruption.mode='vad'": "else the adaptive detector holds and trims transcripts, and does so only in dev",
    "aec_warmup_duration=None": "else the first 3 s of the session's first speech are deaf",
    "session_host=False": "else any participant can cut or mute the agent over the room's data channel",
    "close_on_disconnect=False": "else a hang-up or a dropped line ends the session before what is owed is settled",
    "max_unrecoverable_errors": "else the fourth error of the recogniser closes the session in mid-sentence",
}
"""What is set, and why; logged once for each session, at debug."""

# LiveKit 1.8.9 ignores its old keywords, silently, as soon as turn_handling is given. So they are translated into it
# here (as voice/turn.py does), and refused beside it. Each: (section of turn_handling or None, key there).
_OLD_KEYWORDS: Mapping[str, tuple[str | None, str]] = {
    "min_endpointing_delay": ("endpointing", "min_delay"),
    "max_endpointing_delay": ("endpointing", "max_delay"),
    "false_interruption_timeout": ("interruption", "false_interruption_timeout"),
    "agent_false_interruption_timeout": ("interruption", "false_interruption_timeout"),
    "discard_audio_if_uninterruptible": ("interruption", "discard_audio_if_uninterruptible"),
    "min_interruption_duration": ("interruption", "min_duration"),
    "min_interruption_words": ("interruption", "min_words"),
    "allow_interruptions": ("interruption", "enabled"),
    "resume_false_interruption": ("interruption", "resume_false_interruption"),
    "turn_detection": (None, "turn_detection"),
    "preemptive_generation": ("preemptive_generation", "enabled"),
}


def session_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for LiveKit's session: those given, with what the promises need.

    Args:
        given: the keyword arguments that the user gave to :class:`hearout.AgentSession`.

    Raises:
        SettingsError: an argument contradicts a promise, or LiveKit would ignore it.
    """
    arguments = {name: value for name, value in given.items() if is_given(value)}
    handling = _turn_handling(arguments)
    interruption = dict(handling.get("interruption") or {})
    _refuse(
        interruption.get("discard_audio_if_uninterruptible", False),
        "discard_audio_if_uninterruptible=True would lose every word said over protected speech; remove it",
    )
    _refuse(
        interruption.get("mode", "vad") != "vad",
        f"interruption mode {interruption.get('mode')!r} holds and trims transcripts; remove it, or set it to 'vad'",
    )
    _refuse(
        arguments.get("aec_warmup_duration") is not None,
        f"aec_warmup_duration={arguments.get('aec_warmup_duration')!r} would make the session deaf for that long; "
        "remove it (the agent's own echo is recognised by its text)",
    )
    interruption |= {"discard_audio_if_uninterruptible": False, "mode": "vad"}
    handling["interruption"] = interruption
    options = arguments.get("conn_options") or SessionConnectOptions()
    return arguments | {
        "turn_handling": handling,
        "aec_warmup_duration": None,
        "conn_options": dataclasses.replace(options, max_unrecoverable_errors=sys.maxsize),
    }


def start_arguments(given: Mapping[str, Any], *, typed: TypedText) -> dict[str, Any]:
    """The arguments for LiveKit's ``session.start()``: those given, with what the promises need.

    Args:
        given: the keyword arguments that the user gave.
        typed: takes what a user types in the room, where the user of hearout has not said otherwise.

    Raises:
        SettingsError: ``session_host=True`` was asked for.
    """
    arguments = {name: value for name, value in given.items() if is_given(value)}
    _refuse(
        arguments.get("session_host", False),
        "session_host=True lets any participant cut the agent with a data message; remove it",
    )
    arguments["session_host"] = False
    if "room_input_options" in arguments or "room_output_options" in arguments:
        old = cast(RoomInputOptions, arguments.get("room_input_options") or RoomInputOptions())
        if old.text_input_cb is RoomInputOptions().text_input_cb:
            old = dataclasses.replace(old, text_input_cb=typed)
        arguments["room_input_options"] = dataclasses.replace(old, close_on_disconnect=False)
        arguments.setdefault("room_output_options", RoomOutputOptions())
    else:
        options = cast(RoomOptions, arguments.get("room_options") or RoomOptions())
        text = options.get_text_input_options()
        if text is not None and text.text_input_cb is TextInputOptions().text_input_cb:
            options = dataclasses.replace(options, text_input=TextInputOptions(text_input_cb=typed))
        arguments["room_options"] = dataclasses.replace(options, close_on_disconnect=False)
    return arguments


def check_model(model: object, *, whose: str) -> None:
    """Refuse a realtime model that decides turns on its server: LiveKit then ignores ``allow_interruptions=False``.

    Raises:
        SettingsError: names whose model it is and what to change.
    """
    _refuse(
        isinstance(model, llm.RealtimeModel) and model.capabilities.turn_detection,
        f"the realtime model of the {whose} decides turns on its server, so LiveKit ignores "
        "allow_interruptions=False; switch its turn detection off (turn_detection=None) and pass a vad and an stt",
    )


def _turn_handling(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take ``turn_handling`` out of the arguments, made from the old keywords where those were given."""
    old = {name: arguments.pop(name) for name in _OLD_KEYWORDS if name in arguments}
    if (handling := arguments.pop("turn_handling", None)) is not None:
        _refuse(
            bool(old),
            f"LiveKit ignores {', '.join(sorted(old))} beside turn_handling; move it into turn_handling",
        )
        return dict(handling)
    handling = {}
    for name, value in old.items():
        section, key = _OLD_KEYWORDS[name]
        if section is None:
            handling[key] = value
        elif isinstance(value, Mapping):
            handling[section] = dict(value)
        elif not (name == "allow_interruptions" and value):  # as upstream: only False means anything
            handling.setdefault(section, {})[key] = value
    return handling


def _refuse(wrong: object, sentence: str) -> None:
    if wrong:
        raise SettingsError(sentence)


__all__ = ["WHY", "check_model", "session_arguments", "start_arguments"]

"""The settings of LiveKit's session that would break a promise silently, and what becomes of each.

What the user asked for stays in force for speech that may be interrupted, and gives way only while protected speech is
owed. Where LiveKit 1.8.9 has no public way for that, the setting is overridden, and the log says so once; with
``AgentSession(strict=True)`` it is refused. ``docs/livekit.md`` has the table; the figures behind it were measured.
"""

import dataclasses
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, cast

from livekit.agents.types import NotGivenOr
from livekit.agents.utils import is_given
from livekit.agents.voice import AgentSession
from livekit.agents.voice.room_io import (
    RoomInputOptions,
    RoomOptions,
    RoomOutputOptions,
    TextInputEvent,
    TextInputOptions,
)

from ..errors import SettingsError
from ..ledger import Ledger
from ..policy import Policy, refusal

logger = logging.getLogger("hearout")

TypedText: TypeAlias = Callable[[AgentSession[Any], TextInputEvent], Coroutine[None, None, None] | None]

WHY: Mapping[str, str] = {
    "discard_audio_if_uninterruptible=False": "otherwise the STT gets silence while protected speech plays",
    "session_host=False": "otherwise any participant can cut or mute the agent over the room's data channel",
    "aec_warmup_duration": "gives way while protected speech is owed: the STT hears the caller",
    "close_on_disconnect": "gives way while protected speech is owed: a hang-up leaves time to return",
    "max_unrecoverable_errors": "gives way while protected speech is owed: the STT's errors do not cut it",
}
"""What is set, or gives way, and why; logged once for each session, at debug."""

# LiveKit 1.8.9 ignores its old keywords, silently, as soon as turn_handling is given. So they are translated into it
# here (as voice/turn.py does), and the log names those that are ignored beside it.
# Each: (section of turn_handling or None, key there).
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


class WhileNothingIsOwed:
    """``close_on_disconnect``, as LiveKit asks for it at each hang-up: what the user chose, unless speech is owed.

    Args:
        chosen: by the user.
        owes: whether protected speech, or an answer to what was said over it, is owed now.
    """

    def __init__(self, *, chosen: object, owes: Callable[[], bool]) -> None:
        self.chosen = bool(chosen)
        self._owes = owes

    def __bool__(self) -> bool:
        return self.chosen and not self._owes()


def own_arguments(policy: Policy | None, ledger: NotGivenOr[Ledger | None]) -> tuple[Policy, NotGivenOr[Ledger | None]]:
    """The arguments of hearout's session that LiveKit's has not, with the policy that holds.

    Raises:
        SettingsError: one is of another kind.
    """
    policy = Policy() if policy is None else policy
    if why := refusal("policy", policy, Policy):
        raise SettingsError(why, setting="policy")
    if is_given(ledger) and ledger is not None and not isinstance(ledger, Ledger):
        # not what was given: a URL may hold a password
        why = f'ledger must be hearout.Ledger("sqlite:///receipts.db"), not a {type(ledger).__name__}'
        raise SettingsError(why, setting="ledger")
    return policy, ledger


def session_arguments(given: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """The arguments for LiveKit's session: those given, with what the promises need.

    Args:
        strict: refuse what would be overridden.

    Raises:
        SettingsError: with `strict`, an argument would be overridden, or LiveKit would ignore it.
    """
    arguments = {name: value for name, value in given.items() if is_given(value)}
    handling = _turn_handling(arguments, strict=strict)
    interruption = dict(handling.get("interruption") or {})
    if interruption.get("discard_audio_if_uninterruptible", False):
        _overridden(
            "discard_audio_if_uninterruptible=True",
            "would lose every word said over protected speech; it is False. Remove it",
            strict=strict,
        )
    handling["interruption"] = interruption | {"discard_audio_if_uninterruptible": False}
    logger.debug("session settings: %s", "; ".join(f"{name} ({why})" for name, why in WHY.items()))
    return arguments | {"turn_handling": handling}


def start_arguments(
    given: Mapping[str, Any], *, typed: TypedText, owes: Callable[[], bool], strict: bool = False
) -> dict[str, Any]:
    """The arguments for LiveKit's ``session.start()``: those given, with what the promises need.

    Args:
        typed: takes what a user types in the room, where the user of hearout has not said otherwise.
        owes: whether protected speech, or an answer to what was said over it, is owed now.
        strict: refuse what would be overridden.

    Raises:
        SettingsError: with `strict`, ``session_host=True`` was asked for.
    """
    arguments = {name: value for name, value in given.items() if is_given(value)}
    if arguments.get("session_host", False):
        _overridden(
            "session_host=True",
            "would let any participant cut the agent with a data message; it is False. Remove it",
            strict=strict,
        )
    arguments["session_host"] = False
    if "room_input_options" in arguments or "room_output_options" in arguments:
        old = cast(RoomInputOptions, arguments.get("room_input_options") or RoomInputOptions())
        if old.text_input_cb is RoomInputOptions().text_input_cb:
            old = dataclasses.replace(old, text_input_cb=typed)
        closes: Any = WhileNothingIsOwed(chosen=old.close_on_disconnect, owes=owes)
        arguments["room_input_options"] = dataclasses.replace(old, close_on_disconnect=closes)
        arguments.setdefault("room_output_options", RoomOutputOptions())
    else:
        options = cast(RoomOptions, arguments.get("room_options") or RoomOptions())
        text = options.get_text_input_options()
        if text is not None and text.text_input_cb is TextInputOptions().text_input_cb:
            options = dataclasses.replace(options, text_input=TextInputOptions(text_input_cb=typed))
        closes = WhileNothingIsOwed(chosen=options.close_on_disconnect, owes=owes)
        arguments["room_options"] = dataclasses.replace(options, close_on_disconnect=closes)
    return arguments


def _turn_handling(arguments: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    """Take ``turn_handling`` out of the arguments, made from the old keywords where those were given."""
    old = {name: arguments.pop(name) for name in _OLD_KEYWORDS if name in arguments}
    if (handling := arguments.pop("turn_handling", None)) is not None:
        return _beside(dict(handling), old, strict=strict)
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


def _beside(handling: dict[str, Any], old: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    """``turn_handling``, where old keywords were given beside it: LiveKit ignores them, and protection must not be."""
    for name, value in old.items():
        if name == "allow_interruptions" and value is False:
            handling["interruption"] = {"enabled": False} | dict(handling.get("interruption") or {})
            what = "LiveKit ignores it beside turn_handling; hearout keeps it. Move it into turn_handling"
        else:
            what = "LiveKit ignores it beside turn_handling, and so does hearout. Move it into turn_handling"
        _overridden(f"{name}={value!r}", what, strict=strict)
    return handling


def _overridden(setting: str, why: str, *, strict: bool) -> None:
    """Say that a setting does not hold as it was given; refuse it, where that was asked for."""
    if strict:
        raise SettingsError(f"{setting}: {why}", setting=setting.partition("=")[0])
    logger.warning("%s: %s", setting, why)

"""Voice agents that finish what they must say, lose no word said over it, and show what was delivered."""

from .errors import (
    ConsoleError,
    HearoutError,
    LocalVoiceMissingError,
    PolicyError,
    ScriptError,
    SettingsError,
)
from .session import AgentSession

__all__ = [
    "AgentSession",
    "ConsoleError",
    "HearoutError",
    "LocalVoiceMissingError",
    "PolicyError",
    "ScriptError",
    "SettingsError",
]

"""Voice agents that finish what they must say, lose no word said over it, and show what was delivered."""

from .errors import HearoutError, LocalVoiceMissingError, PolicyError, SettingsError
from .session import AgentSession

__all__ = ["AgentSession", "HearoutError", "LocalVoiceMissingError", "PolicyError", "SettingsError"]

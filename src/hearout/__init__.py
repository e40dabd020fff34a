"""Voice agents that finish what they must say, lose no word said over it, and show what was delivered."""

from .errors import (
    ConsoleError,
    HearoutError,
    LocalVoiceMissingError,
    PolicyError,
    ScriptError,
    SettingsError,
)
from .policy import After, Answer, Keys, Nobody, Phrases, Policy, Redeliver
from .receipt import Outcome, Receipt
from .session import AgentSession

__all__ = [
    "After",
    "AgentSession",
    "Answer",
    "ConsoleError",
    "HearoutError",
    "Keys",
    "LocalVoiceMissingError",
    "Nobody",
    "Outcome",
    "Phrases",
    "Policy",
    "PolicyError",
    "Receipt",
    "Redeliver",
    "ScriptError",
    "SettingsError",
]

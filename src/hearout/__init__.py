"""Voice agents that finish what they must say, lose no word said over it, and show what was delivered."""

from .announcement import Announcement
from .announcing import AnnouncementHandle
from .errors import (
    AlreadyOwedError,
    AnnouncementError,
    ConsoleError,
    FloorClosedError,
    HearoutError,
    LocalVoiceMissingError,
    PolicyError,
    ScriptError,
    SettingsError,
)
from .policy import After, Answer, Keys, Nobody, Phrases, Policy, Redeliver
from .receipt import Level, Outcome, Receipt
from .record import Words
from .session import AgentSession

__all__ = [
    "After",
    "AgentSession",
    "AlreadyOwedError",
    "Announcement",
    "AnnouncementError",
    "AnnouncementHandle",
    "Answer",
    "ConsoleError",
    "FloorClosedError",
    "HearoutError",
    "Keys",
    "Level",
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
    "Words",
]

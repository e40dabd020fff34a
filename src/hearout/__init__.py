"""Voice agents that finish protected speech, keep each word said over it, and show what was delivered."""

import contextlib
import gc
import importlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._text import shown

if TYPE_CHECKING:
    from ._session.agent import Agent, AgentTask
    from ._session.agent_session import AgentSession
    from ._session.announce import AnnouncementHandle
    from ._session.ask import Aside, CallerAnswer, Choices, Digits, QuestionHandle, Silence, YesNo
    from ._session.callee import Callee
    from ._worker.attach import attach
    from .announcement import Announcement
    from .errors import (
        AlreadyOwedError,
        AnnouncementError,
        ConsoleError,
        FloorClosedError,
        HearoutError,
        LedgerError,
        LocalVoiceMissingError,
        MisspokenError,
        PolicyError,
        QuestionError,
        ScriptError,
        SettingsError,
    )
    from .ledger import Ledger
    from .policy import Answer, CutIn, Policy, Redeliver, Retention, Timeouts
    from .receipts import AskOutcome, Basis, Cause, Fate, Held, Level, Outcome, QuestionReceipt, Receipt

__all__ = [
    "Agent",
    "AgentSession",
    "AgentTask",
    "AlreadyOwedError",
    "Announcement",
    "AnnouncementError",
    "AnnouncementHandle",
    "Answer",
    "Aside",
    "AskOutcome",
    "Basis",
    "Callee",
    "CallerAnswer",
    "Cause",
    "Choices",
    "ConsoleError",
    "CutIn",
    "Digits",
    "Fate",
    "FloorClosedError",
    "HearoutError",
    "Held",
    "Ledger",
    "LedgerError",
    "Level",
    "LocalVoiceMissingError",
    "MisspokenError",
    "Outcome",
    "Policy",
    "PolicyError",
    "QuestionError",
    "QuestionHandle",
    "QuestionReceipt",
    "Receipt",
    "Redeliver",
    "Retention",
    "ScriptError",
    "SettingsError",
    "Silence",
    "Timeouts",
    "YesNo",
    "attach",
]

_NAMES = {
    "_session.agent": "Agent AgentTask",
    "_session.agent_session": "AgentSession",
    "_session.announce": "AnnouncementHandle",
    "_session.ask": "Aside CallerAnswer Choices Digits QuestionHandle Silence YesNo",
    "_session.callee": "Callee",
    "_worker.attach": "attach",
    "announcement": "Announcement",
    "errors": "AlreadyOwedError AnnouncementError ConsoleError FloorClosedError HearoutError LedgerError "
    "LocalVoiceMissingError MisspokenError PolicyError QuestionError ScriptError SettingsError",
    "ledger": "Ledger",
    "policy": "Answer CutIn Policy Redeliver Retention Timeouts",
    "receipts": "AskOutcome Basis Cause Fate Held Level Outcome QuestionReceipt Receipt",
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # a type checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Import what is asked for, when it is: LiveKit takes seconds, and `hearout receipts` does without."""
        if (module := _WHERE.get(name)) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with _uncollected():
            found = globals()[name] = getattr(importlib.import_module(f".{module}", __name__), name)
        return found


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage in a block that imports LiveKit, and never look through what that made: nearly all stays.

    Looking through it again and again would be a fifth of the import (1.8 s of processor, 1.4 s without; n = 6).
    """
    if "livekit.agents" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _ShownFilter(logging.Filter):
    """Lets every record through, with what acts on a terminal replaced in message, fields and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record only where a sign must be replaced: loggers group records by their arguments."""
        fields = vars(record)
        fields.update({name: shown(value) for name, value in fields.items() if isinstance(value, str)})
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the handler says so
            return True
        # a line end among the arguments would forge a line of the log
        one = shown(message).replace("\n", " ") if record.args else shown(message)
        if one != message:
            record.msg, record.args = one, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = shown(logging.Formatter().formatException(record.exc_info))
        return True


for _name in ("hearout", "hearout.ledger"):  # all loggers of ours; a filter holds for its own logger only
    logging.getLogger(_name).addFilter(_ShownFilter())

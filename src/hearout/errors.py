"""Everything that hearout raises on purpose, but for `hearout.measure`, which imports nothing of ours.

HearoutError
├── SettingsError            a setting contradicts a promise, or would be ignored
├── PolicyError              a Policy makes no sense
├── FloorClosedError         speech was asked for where no call is running
├── LocalVoiceMissingError   the local voice's packages are not installed
├── ScriptError              a call script cannot be read
├── ConsoleError             the console cannot start: a file, a device or an option
├── WebError                 the page cannot be served: a program, a file or a port is missing
├── MetricsError             the numbers for Prometheus cannot be served
├── ReportError              what a caller's page reported is no report, or cannot be true
├── ReceiptError             what was to be read as a receipt is none, or a newer one
├── LedgerError              the ledger cannot be used as it was asked to
│   ├── LedgerDownError      … for now: it is locked, full or cannot be reached
│   └── AlreadyOwedError     … since that utterance is owed already
├── AnnouncementError        there is nothing to announce; a ready-made one is missing or changed, or cannot be made
│   └── MisspokenError       its audio does not say its text
├── QuestionError            a question cannot be asked as it was given
└── CallError                a scripted call of hearout.testing could not be played, or left tasks behind

hearout.measure.MeasureError (a ValueError): a recording or an announcement could not be measured
"""


class HearoutError(Exception):
    """The root: catch this to catch whatever hearout raises on purpose, but for `hearout.measure`.

    Beside its sentence an error carries the fields that its class declares; one that was not given is empty.
    """

    def __init__(self, message: str = "", **fields: str | int) -> None:
        super().__init__(message)
        if unknown := [name for name in fields if not hasattr(type(self), name)]:
            raise TypeError(f"{type(self).__name__} has no field {unknown[0]!r}")
        vars(self).update(fields)


class SettingsError(HearoutError, ValueError):
    """A setting contradicts one of the promises, or LiveKit would ignore it; the message says what to change."""

    setting: str = ""
    """The argument or variable that was refused; "" where it is no single one."""


class PolicyError(HearoutError, ValueError):
    """A Policy was refused at construction; the message names the field and says what it may be."""

    setting: str = ""
    """The field that was refused, as "prepare" or "Timeouts.words"."""


class FloorClosedError(HearoutError, RuntimeError):
    """Speech was asked for before the call began or after it ended; nothing was played and no receipt was begun."""

    id: str = ""
    """Of the utterance that was asked for; "" where it has none."""


class LocalVoiceMissingError(HearoutError, ImportError):
    """The packages of the local voice are missing; the message names the extra that brings them."""


class ScriptError(HearoutError, ValueError):
    """A call script was refused; the message names the file, the line and the field."""

    path: str = ""
    """The file."""
    line: int = 0
    """Counted from 1; 0 where the whole file is meant."""
    field: str = ""
    """The key that was refused; "" where it is none."""


class ConsoleError(HearoutError):
    """The console could not start or write a file; the message says which and what to do."""


class WebError(HearoutError):
    """The command `web` could not start, or a part of it ended; the message says which and what to do."""


class MetricsError(HearoutError):
    """The numbers for Prometheus cannot be served where they were asked for; the message says why."""


class ReportError(HearoutError, ValueError):
    """A caller's page reported what cannot be true, or is no report; it was not counted."""


class AnnouncementError(HearoutError, ValueError):
    """There is nothing to announce, a choice is of the wrong kind, or a ready-made announcement could not be loaded or
    made; the message says what to do."""

    id: str = ""
    """Of the announcement; "" where it has none."""


class QuestionError(HearoutError, ValueError):
    """A question cannot be asked as it was given; the message says what to change. Nothing was said."""

    field: str = ""
    """The argument that was refused."""


class MisspokenError(AnnouncementError):
    """The audio made for an announcement does not say its text; nothing was stored."""


class CallError(HearoutError, AssertionError):
    """A scripted call of `hearout.testing` could not be played to its end; the message says what stood in the way."""


class ReceiptError(HearoutError, ValueError):
    """What was to be read as a receipt is none that this version understands; the message names the field."""

    field: str = ""
    """The field that was refused; "" where the whole document is meant."""


class LedgerError(HearoutError):
    """The ledger was not read or written: the message says which, why, and what to do. Nothing was overwritten."""


class LedgerDownError(LedgerError):
    """The database is locked, full or cannot be reached; nothing was written, and later it may work."""


class AlreadyOwedError(LedgerError):
    """An utterance of that id is owed in that call already; take it over, or use another id."""

    id: str = ""
    """Of the utterance."""
    call: str = ""
    """Its call; "" where the session has no ledger."""

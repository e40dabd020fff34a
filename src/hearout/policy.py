"""The choices that a team may make about protected speech. Each default is named, and has its reason."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from .errors import PolicyError


class Answer(Enum):
    """What becomes of what the caller says over protected speech."""

    RIGHT_AFTER = "right after"
    """One turn, answered as soon as the floor is free."""
    NOTE = "note"
    """Kept for the model in the chat context, not answered."""
    DROP = "drop"
    """Recorded on the receipt only."""


KEYS = "0123456789*#ABCD"
"""The keys of a telephone (ITU-T Q.23); few have the last four."""


class Redeliver(Enum):
    """Where an utterance is taken up again, when the world broke it off and the caller is back."""

    FROM_CUT = "from the cut"
    """At the beginning of the sentence in which the caller was last known to be there."""
    FROM_START = "from the start"
    NEVER = "never"
    """Not at all: it is on the receipt as not finished."""


class Retention(Enum):
    """What a record keeps of what was said."""

    KEEP = "keep"
    HASH = "hash"
    """A salted SHA-256: who has the words and the salt can show that they are the ones."""
    OMIT = "omit"


@dataclass(frozen=True)
class Nobody:
    """Nobody may cut in."""

    def __or__(self, other: "CutIn") -> "CutIn":
        return other


@dataclass(frozen=True, init=False)
class Phrases:
    """Whoever says one of these phrases may cut in; case and punctuation do not matter.

    Raises:
        PolicyError: there is none, or one has no letter in it.
    """

    phrases: tuple[str, ...]

    def __init__(self, *phrases: str) -> None:
        fine = (isinstance(phrase, str) and any(sign.isalnum() for sign in phrase) for phrase in phrases)
        if not phrases or not all(fine):
            raise PolicyError(f"Phrases needs phrases with words in them, not {phrases!r}; for no cut-in, use Nobody()")
        object.__setattr__(self, "phrases", phrases)

    def __or__(self, other: "CutIn") -> "CutIn":
        return _either(self, other)


@dataclass(frozen=True, init=False)
class Keys:
    """Whoever presses one of these keys of the telephone may cut in.

    Raises:
        PolicyError: there is none, or one is no key of a telephone (0–9, *, #, A–D).
    """

    keys: str

    def __init__(self, keys: str) -> None:
        if not isinstance(keys, str) or not keys or not set(keys) <= set(KEYS):
            raise PolicyError(f"Keys needs keys of a telephone (0-9, *, #, A-D), not {keys!r}")
        object.__setattr__(self, "keys", keys)

    def __or__(self, other: "CutIn") -> "CutIn":
        return _either(self, other)


@dataclass(frozen=True)
class After:
    """Once so many seconds of it were played, whoever says something may cut in; a backchannel does not.

    Raises:
        PolicyError: the seconds are negative or no number.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not _is_number(self.seconds) or self.seconds < 0:
            raise PolicyError(f"After needs seconds of 0 or more, not {self.seconds!r}")

    def __or__(self, other: "CutIn") -> "CutIn":
        return _either(self, other)


@dataclass(frozen=True)
class AnyOf:
    """Whoever one of these allows may cut in; made by ``|``."""

    ways: tuple[Phrases | Keys | After, ...]

    def __or__(self, other: "CutIn") -> "CutIn":
        return _either(self, other)


CutIn: TypeAlias = Nobody | Phrases | Keys | After | AnyOf
"""Who may end a protected utterance; combined with ``|``."""


def ways(cut_in: CutIn) -> tuple[Phrases | Keys | After, ...]:
    """The single ways of a `CutIn`; none for `Nobody`."""
    match cut_in:
        case Nobody():
            return ()
        case AnyOf():
            return cut_in.ways
        case _:
            return (cut_in,)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _either(one: CutIn, other: CutIn) -> CutIn:
    joined = ways(one) + ways(other)
    return AnyOf(joined) if len(joined) > 1 else joined[0]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How protected speech behaves. All times in seconds.

    Args:
        cut_in: who may end it. `Nobody`: that is what ``allow_interruptions=False`` says.
        answer: what becomes of the caller's words. `RIGHT_AFTER`: an unanswered caller says it again, or hangs up.
        redeliver: where it is taken up when the caller was gone and is back. `FROM_CUT`: a caller who heard half of a
            disclosure has not been told it, and does not want to hear the first half again.
        prepare: how long before the end an answer is prepared. 3: a cloud model and voice need about 1, and what is
            asked later than that is then rarely in vain. With 0 none is prepared.
        model_calls: how often the model may be asked about what was said over one stretch of protected speech, the
            answer that is heard included. 3: the caller may go on twice before the answer comes without a head start.
        words_grace: wait for a final transcript after the caller fell silent. 1: recognisers take 0.2–0.8 s.
        voice_grace: wait for the model's and the voice's first sound, or the next one. 10: longer is a dead line to a
            caller.
        voice_stall: wait for the voice to go on, once it has all its text. 2: then it is asked again, in time.
        voice_tries: how often the voice is asked for one utterance, the first time included. 3: an outage that three
            tries do not bridge is none that a fourth does.
        sink_grace: wait for a loudspeaker to report the end of what it was given. 3: a room's reports within 0.2.
        listener_grace: wait for somebody to subscribe. 15: a browser on a slow line takes 5.
        tool_grace: how long a tool may run in the middle of protected speech before the caller's words are no longer
            held. 30: a caller who hears nothing for longer asks whether anybody is there.
        queue_grace: wait behind speech that is not protected. 120: longer than a minute is no speech, it is stuck.
        shutdown_grace: how long protected speech may go on when the session is closed. 30: a disclosure read at a
            normal pace; LiveKit's worker gives a job 60 to close (1.8.9, ``session_end_timeout``).
        return_grace: wait for a caller who is gone. 20: then LiveKit closes the room (1.13.5, ``departure_timeout``).
        vanish_grace: how long a caller whose line died can be gone before LiveKit says so. 21: measured with
            livekit-server 1.13.5. What was said meanwhile is said again; nobody counts as present whose last sign of
            life is older, unless there is a newer one.
        ring_grace: how long protected speech waits for a telephone that rings. 60: then carriers give up.
        lead_in: silence before the first words to a caller who has just come. 0.5: a receiver that begins to play
            finds its delay meanwhile, and stretches or swallows up to 0.2 of what comes.
        may_press: identities of participants, besides the caller, whose telephone keys are the caller's. None: a
            listener has no say in what is owed to the caller.
        acknowledge_grace: how long a receipt waits for the acknowledgement that was asked for. 15: who has not pressed
            a button by then has put the telephone down.
        words_on_receipt: what the ledger keeps of the caller's words. `KEEP`: a complaint is about words; who must not
            keep them says `HASH` (whoever has the words can still show that they are the ones) or `OMIT`.
        text_on_receipt: the same for the announcement's own text, once it is over. `KEEP`: it is no secret.
        early_instructions: what the model is told, for one reply, when the caller spoke before the question was put.

    Raises:
        PolicyError: a value makes no sense; the message says which and what it must be.
    """

    cut_in: CutIn = Nobody()
    answer: Answer = Answer.RIGHT_AFTER
    redeliver: Redeliver = Redeliver.FROM_CUT
    prepare: float = 3.0
    model_calls: int = 3
    words_grace: float = 1.0
    voice_grace: float = 10.0
    voice_stall: float = 2.0
    voice_tries: int = 3
    sink_grace: float = 3.0
    listener_grace: float = 15.0
    tool_grace: float = 30.0
    queue_grace: float = 120.0
    shutdown_grace: float = 30.0
    return_grace: float = 20.0
    vanish_grace: float = 21.0
    ring_grace: float = 60.0
    lead_in: float = 0.5
    may_press: frozenset[str] = frozenset()
    acknowledge_grace: float = 15.0
    words_on_receipt: Retention = Retention.KEEP
    text_on_receipt: Retention = Retention.KEEP
    early_instructions: str = (
        "What the caller said last came before the question was put, so it is no answer to it and no consent. "
        "React to it in brief, then put the question again."
    )

    def __post_init__(self) -> None:
        if not isinstance(self.cut_in, CutIn):
            raise PolicyError(f"cut_in must be Nobody(), Phrases(…), Keys(…) or After(…), not {self.cut_in!r}")
        for name, kind in _CHOICES:
            if not isinstance(getattr(self, name), kind):
                choices = ", ".join(map(str, kind))
                raise PolicyError(f"{name} must be one of {choices}, not {getattr(self, name)!r}")
        if not self.early_instructions.strip():
            raise PolicyError("early_instructions is empty: the model would take an early yes for consent")
        if not isinstance(self.may_press, frozenset | set) or not all(isinstance(one, str) for one in self.may_press):
            raise PolicyError(f"may_press must be a set of identities, not {self.may_press!r}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in _MAY_BE_ZERO + _POSITIVE:
            value = getattr(self, name)
            if not _is_number(value) or value < 0:
                raise PolicyError(f"{name} must be a number of seconds of 0 or more, not {value!r}")
        for name in _POSITIVE:
            if getattr(self, name) == 0:
                raise PolicyError(f"{name}=0 would give up before anything could happen; make it longer")
        for name in ("model_calls", "voice_tries"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise PolicyError(f"{name} must be a whole number of 1 or more, not {value!r}")


_CHOICES: tuple[tuple[str, type[Enum]], ...] = (
    ("answer", Answer),
    ("redeliver", Redeliver),
    ("words_on_receipt", Retention),
    ("text_on_receipt", Retention),
)
_MAY_BE_ZERO = (
    "prepare",
    "words_grace",
    "shutdown_grace",
    "return_grace",
    "ring_grace",
    "lead_in",
    "acknowledge_grace",
)
_POSITIVE = ("voice_grace", "voice_stall", "sink_grace", "listener_grace", "tool_grace", "queue_grace", "vanish_grace")

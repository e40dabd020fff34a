"""The choices that a team may make about protected speech. Each default is named, and has its reason."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from ._text.language import UNKNOWN
from .errors import PolicyError


class Answer(Enum):
    """What becomes of what the caller says over protected speech."""

    RIGHT_AFTER = "right after"
    """One turn, answered as soon as the floor is free."""
    NOTE = "note"
    """Kept for the LLM in the chat context, not answered."""
    DROP = "drop"
    """Recorded on the receipt only."""


KEYS = "0123456789*#ABCD"
"""The keys of a telephone (ITU-T Q.23); few have the last four."""


class Redeliver(Enum):
    """Where protected speech is resumed that a fault, or a caller who was gone, broke off."""

    FROM_CUT = "from the cut"
    """At the beginning of the sentence in which the caller was last known to be there."""
    FROM_START = "from the start"
    NEVER = "never"
    """Not at all: it is on the receipt as not finished."""


class Retention(Enum):
    """What a record keeps of what was said."""

    KEEP = "keep"
    OMIT = "omit"


@dataclass(frozen=True, kw_only=True)
class CutIn:
    """Who may end a protected utterance. Each way stands beside the others; with none, nobody may.

    Args:
        phrases: whoever says one of these; case and punctuation do not matter.
        keys: whoever presses one of these keys of a telephone (0-9, *, #, A-D).
        after: once so many seconds of it were played, whoever says something; a backchannel does not. None: never.

    Raises:
        PolicyError: a phrase has no letter in it, a key is none of a telephone, the seconds are negative or no number.
    """

    phrases: tuple[str, ...] = ()
    keys: str = ""
    after: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.phrases, str) or not isinstance(self.phrases, tuple | list):
            raise PolicyError(
                f"CutIn(phrases=…) needs a tuple of phrases, not {self.phrases!r}", setting="CutIn.phrases"
            )
        if not all(isinstance(phrase, str) and _has_letter(phrase) for phrase in self.phrases):
            raise PolicyError(
                f"CutIn(phrases=…) needs phrases with words in them, not {self.phrases!r}", setting="CutIn.phrases"
            )
        if not isinstance(self.keys, str) or not set(self.keys) <= set(KEYS):
            raise PolicyError(
                f"CutIn(keys=…) needs keys of a telephone (0-9, *, #, A-D), not {self.keys!r}", setting="CutIn.keys"
            )
        if self.after is not None and (not _is_number(self.after) or self.after < 0):
            raise PolicyError(f"CutIn(after=…) needs seconds of 0 or more, not {self.after!r}", setting="CutIn.after")
        object.__setattr__(self, "phrases", tuple(self.phrases))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long each thing is waited for, in seconds.

    Args:
        words: a final transcript, after the caller fell silent. 1: STTs take 0.2–0.8 s. Longer where the STT has needed
            longer in this call.
        phrase: the first final transcript of an STT that gives no interim ones. 6.5: Whisper on a busy server. What it
            needs then counts for the rest of the call.
        noise: a word in a sound that goes on after the announcement, before what was said is answered. 3: speech has
            one sooner; three times as long where the STT hears whole phrases.
        voice: the first sound of LLM and TTS, or the next one. 10: longer is a dead line to a caller.
        stall: the TTS to go on, once it has all its text and nothing is left to play. 2: then it is asked again.
        close: the same, where it may have said all of it and only not closed its stream. 5: services close within 3.
        output: an audio output to report the end of what it was given. 3: a room's reports within 0.2.
        listener: somebody to subscribe. 15: a browser on a slow connection takes 5.
        tool: a tool in the middle of protected speech, before the caller's words are no longer held. 30: a caller who
            hears nothing for longer asks whether anybody is there.
        queue: behind speech that is not protected. 120: longer than a minute is no speech, it is stuck.
        shutdown: protected speech to end when the session is closed. 30: a disclosure read at a normal pace; LiveKit's
            worker gives a job 60 to close (1.8.9, ``session_end_timeout``).
        caller_return: a caller who is gone. 20: then LiveKit closes the room (1.13.5, ``departure_timeout``).
        vanish: how long a caller whose connection died can be gone before LiveKit says so. 21: measured with
            livekit-server 1.13.5. What was said meanwhile is said again; nobody counts as present whose last sign of
            life is older, unless there is a newer one.
        ring: a telephone that rings. 60: then carriers give up.
        tail: the last sample on its way to the caller, after which an announcement is over. 0.2: a network, and the
            buffer of a browser; who deletes the room earlier clips the last word.
        telephone_tail: the same to a telephone. 0.5: LiveKit's SIP bridge hangs up with up to 0.07 still in its mixer
            (livekit/livekit #4737), and a telephone network and its jitter buffer take 0.2 to 0.3.
        acknowledge: the acknowledgement that was asked for. 15: who has not pressed a button by then has put the
            telephone down.

    Raises:
        PolicyError: a value makes no sense; the message says which and what it must be.
    """

    words: float = 1.0
    phrase: float = 6.5
    noise: float = 3.0
    voice: float = 10.0
    stall: float = 2.0
    close: float = 5.0
    output: float = 3.0
    listener: float = 15.0
    tool: float = 30.0
    queue: float = 120.0
    shutdown: float = 30.0
    caller_return: float = 20.0
    vanish: float = 21.0
    ring: float = 60.0
    tail: float = 0.2
    telephone_tail: float = 0.5
    acknowledge: float = 15.0

    def __post_init__(self) -> None:
        for one in fields(self):
            _check_seconds(f"Timeouts.{one.name}", getattr(self, one.name), positive=one.name not in _MAY_BE_ZERO)


_MAY_BE_ZERO = ("words", "shutdown", "caller_return", "ring", "tail", "telephone_tail", "acknowledge")


def _check_seconds(name: str, value: object, *, positive: bool) -> None:
    if not isinstance(value, int | float) or not _is_number(value) or value < 0:
        raise PolicyError(f"{name} must be a number of seconds of 0 or more, not {value!r}", setting=name)
    if positive and value == 0:
        raise PolicyError(
            f"{name} is 0, which would give up before anything could happen; make it longer", setting=name
        )


def refusal_of_language(code: object) -> str:
    """Why this names no language, as a sentence; empty where it names one, or is empty."""
    if isinstance(code, str) and (not code or re.fullmatch(r"[a-zA-Z]{2,3}([-_][a-zA-Z0-9]{2,8})*", code)):
        return ""
    return f'language must be a code like "en" or "pt-BR", or "" for what the STT says, not {code!r}'


def refusal(name: str, value: object, kind: type) -> str:
    """Why a value is not of its kind, as a sentence; empty where it is.

    A string that reads like a choice (``answer="drop"``) is refused: compared with the enum, it would be taken for
    another choice, silently.
    """
    if isinstance(value, kind):
        return ""
    if issubclass(kind, Enum):
        return f"{name} must be one of {', '.join(map(str, kind))}, not {value!r}"
    return f"{name} must be {'a string' if kind is str else f'{kind.__name__}(…)'}, not {value!r}"


def _check_words(more: object) -> None:
    name = "more_words"
    if not isinstance(more, Mapping):
        raise PolicyError(f"{name} must be phrases by what they mean, not {more!r}", setting=name)
    for meaning, phrases in more.items():
        is_list = isinstance(phrases, Collection) and not isinstance(phrases, str | bytes)
        if not is_list or not all(isinstance(one, str) and _has_letter(one) for one in phrases):
            raise PolicyError(
                f"{name}[{meaning!r}] must be a list of phrases, each with a letter or digit, not {phrases!r}",
                setting=name,
            )
    try:
        UNKNOWN.with_words(**more)
    except TypeError as error:
        raise PolicyError(f"{name}: {error}", setting=name) from error


def _has_letter(phrase: str) -> bool:
    return any(sign.isalnum() for sign in phrase)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How protected speech behaves. The first three are the choices of a team; the rest have defaults with reasons.

    Args:
        cut_in: who may end it. Nobody: that is what ``allow_interruptions=False`` says.
        answer: what becomes of the caller's words. `RIGHT_AFTER`: an unanswered caller says it again, or hangs up.
        redeliver: where it is resumed when the caller was gone and is back. `FROM_CUT`: a caller who heard half of a
            disclosure has not been told it, and does not want to hear the first half again.
        timeouts: how long each thing is waited for.
        words_on_receipt: what the ledger keeps of the caller's words when the call is over. `OMIT`: they are personal
            data, and nobody asked for them; who needs them for complaints says `KEEP`. What was said to a question of
            ``ask()`` is kept in either case: it is the evidence for the choice.
        text_on_receipt: the same for the announcement's own text, once it is over. `KEEP`: it is no secret.
        may_press: identities of participants, besides the caller, whose telephone keys are the caller's. None: a
            listener has no say in what is owed to the caller.
        prepare: seconds before the end at which an answer is prepared. 3: a cloud LLM and TTS need about 1, and what is
            asked later than that is then rarely in vain; sooner where an answer has taken longer in this call. With 0
            none is prepared.
        model_calls: how often the LLM may be asked about what was said over one stretch of protected speech, the
            answer that is heard included. 3: the caller may go on twice before the answer comes without a head start.
        voice_tries: how often the TTS is asked for one utterance, the first time included. 3: an outage that three
            tries do not bridge is none that a fourth does.
        lead_in: seconds of silence before the first words to a caller who has just come. 0.5: a receiver that begins to
            play finds its delay meanwhile, and stretches or swallows up to 0.2 of what comes.
        language: of the agent and its caller, as in BCP 47: ``"de"``, ``"pt-BR"``. Empty: the one that the STT names.
            It decides which words can mean nothing but "I am listening"; in a language that hearout has no words of,
            and where none is known, everything is delivered.
        more_words: what the team's callers say besides, by meaning: ``{"backchannels": ["righto"], "yes": ["aye"]}``.
            They are added to the words of the language that is spoken, or are all the words of one that hearout has
            none of. `docs/languages.md` names the lists.
        early_instructions: what the LLM is told, for one reply, when the caller spoke before the question was asked.
            None: hearout's own, in that language.

    Raises:
        PolicyError: a value makes no sense; the message says which and what it must be.
    """

    cut_in: CutIn = CutIn()
    answer: Answer = Answer.RIGHT_AFTER
    redeliver: Redeliver = Redeliver.FROM_CUT
    timeouts: Timeouts = Timeouts()
    words_on_receipt: Retention = Retention.OMIT
    text_on_receipt: Retention = Retention.KEEP
    may_press: frozenset[str] = frozenset()
    prepare: float = 3.0
    model_calls: int = 3
    voice_tries: int = 3
    lead_in: float = 0.5
    language: str = ""
    more_words: Mapping[str, Collection[str]] = field(default_factory=dict, hash=False)
    early_instructions: str | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if why := refusal(name, getattr(self, name), kind):
                raise PolicyError(why, setting=name)
        if self.early_instructions is not None and not self.early_instructions.strip():
            raise PolicyError(
                "early_instructions is empty: the LLM would take an early yes for consent", setting="early_instructions"
            )
        if why := refusal_of_language(self.language):
            raise PolicyError(why, setting="language")
        _check_words(self.more_words)
        if not isinstance(self.may_press, frozenset | set) or not all(isinstance(one, str) for one in self.may_press):
            raise PolicyError(f"may_press must be a set of identities, not {self.may_press!r}", setting="may_press")
        for name in ("prepare", "lead_in"):
            _check_seconds(name, getattr(self, name), positive=False)
        for name in ("model_calls", "voice_tries"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise PolicyError(f"{name} must be a whole number of 1 or more, not {value!r}", setting=name)


OF_ONE_UTTERANCE: Mapping[str, type] = {"cut_in": CutIn, "answer": Answer, "redeliver": Redeliver}
"""The choices that a single announcement may make for itself, each with its kind."""

_KINDS: Mapping[str, type] = {
    **OF_ONE_UTTERANCE,
    "timeouts": Timeouts,
    "words_on_receipt": Retention,
    "text_on_receipt": Retention,
}


def choices_to_json(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of one utterance as JSON: in a trace, and in the ledger for the agent that says it again.

    Args:
        choices: by name; those that are None are left out, and what is no choice stays as it is.
    """
    return {name: _plain(value) for name, value in choices.items() if value is not None}


def choices_from_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """The choices that :func:`choices_to_json` wrote, where they are among ``cut_in``, ``answer`` and ``redeliver``.

    Raises:
        ValueError: one is no choice.
        TypeError: the same.
    """
    read: dict[str, Any] = {"cut_in": lambda one: CutIn(**one), "answer": Answer, "redeliver": Redeliver}
    return {name: make(document[name]) for name, make in read.items() if document.get(name) is not None}


def _plain(value: Any) -> Any:
    match value:
        case Answer() | Redeliver():
            return value.value
        case CutIn():
            return asdict(value)
        case _:
            return value

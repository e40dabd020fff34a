"""Who says what in the calls that all peers are given: the same words, at the same moments of the announcement."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from bench.course import LOUD, RATE, Samples
from hearout.measure import RATE as MEASURED
from hearout.measure import read

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "Please have your customer number ready now."
)
CONSENT = (
    "This call may be recorded for training and quality. Your data is kept for thirty days. "
    "Do you agree to the recording?"
)

JITTER = 0.15
"""Seconds by which a line begins earlier or later from round to round, where it does not hang on the end."""

LONGEST_NOISE = 4.0
"""Seconds of a noise that are played at most."""


@dataclass(frozen=True)
class Says:
    """One thing that the caller says.

    Attributes:
        text: the words; no line of a call shares its `key` with another.
        key: a word of it by which an answer to it is known.
        at: seconds after the announcement's first sound at which it begins.
        from_end: seconds after the announcement's last sound at which it begins; negative is before.
        ends: seconds after the announcement's last sound at which it ends; negative is before. One of the three.
        answered: whether it is due an answer.
        is_tic: whether it is a mere sound of thinking.
    """

    text: str
    key: str
    at: float | None = None
    from_end: float | None = None
    ends: float | None = None
    answered: bool = True
    is_tic: bool = False


@dataclass(frozen=True)
class Sounds:
    """A noise at the caller's: nothing of it is due an answer.

    Attributes:
        name: of the file, without its ending.
        at: seconds after the announcement's first sound at which it begins.
    """

    name: str
    at: float


@dataclass(frozen=True)
class Scene:
    """One kind of call.

    Attributes:
        name: in the tables.
        caller: what the caller says, in order, and the noises.
        notice: what the agent announces.
        kind: "scenario", "caller" or "noise".
        agrees: whether the caller's words are consent: False for a "yes" before the question, True for one after it,
            None where nothing is asked.
    """

    name: str
    caller: tuple[Says | Sounds, ...] = ()
    notice: str = NOTICE
    kind: str = "scenario"
    agrees: bool | None = None

    @property
    def said(self) -> tuple[Says, ...]:
        """What the caller says in words."""
        return tuple(one for one in self.caller if isinstance(one, Says))

    @property
    def due(self) -> tuple[Says, ...]:
        """What is due an answer."""
        return tuple(one for one in self.said if one.answered)


_ADDRESS, _COST = "Can I change my address first?", "And how much does it cost?"
_WAIT = "Wait, please change my address first."


def _murmur(text: str, at: float) -> Says:
    return Says(text, text.strip(".").split()[-1].lower(), at, answered=False)


def _tic(text: str, at: float) -> Says:
    return Says(text, text.strip(".").lower(), at, answered=False, is_tic=True)


SCENES: Sequence[Scene] = (
    Scene("silent caller"),
    Scene("question inside", (Says(_ADDRESS, "address", 2.5),)),
    Scene("two questions", (Says(_ADDRESS, "address", 0.7), Says(_COST, "cost", 3.4))),
    Scene("ends just before the end", (Says(_WAIT, "address", ends=-0.3),)),
    Scene("across the end", (Says(_WAIT, "address", from_end=-0.9),)),
    Scene(
        "four backchannels",
        (_murmur("Great.", 0.6), _murmur("Okay.", 2.1), _murmur("Right.", 3.5), _murmur("Got it.", 4.8)),
    ),
    Scene("two vocal tics", (_tic("Um.", 1.0), _tic("Er.", 4.0))),
    Scene("“yes” before the question", (Says("Yes.", "yes", 1.5, answered=False),), CONSENT, agrees=False),
    Scene("“yes” after the question", (Says("Yes, I agree.", "agree", from_end=0.4),), CONSENT, agrees=True),
    Scene("normal", (Says("What are your opening hours?", "hours", from_end=0.8),), kind="caller"),
    Scene(
        "impatient",
        (Says("Come on, I want to cancel my order.", "order", 0.6), Says("Please hurry up now.", "hurry", 4.0)),
        kind="caller",
    ),
    Scene(
        "correcting",
        (Says("I need a table on Tuesday.", "tuesday", 0.8), Says("No, sorry, on Wednesday.", "wednesday", 3.6)),
        kind="caller",
    ),
    Scene(
        "changing the topic",
        (Says("Can you send me the invoice?", "invoice", 0.8), Says("And do you sell bicycles?", "bicycles", 4.0)),
        kind="caller",
    ),
    Scene("filler", (Says("Um, well, you know, how long does delivery take?", "delivery", 1.5),), kind="caller"),
    Scene(
        "pushing back",
        (Says("No, I do not accept that.", "accept", 1.0), Says("Delete my data today.", "delete", 4.0)),
        kind="caller",
    ),
    Scene("horn, dog, telephone", (Sounds("car_horn", 0.5), Sounds("dog_bark", 2.8), Sounds("ringing_phone", 4.6))),
    Scene("siren, engine", (Sounds("siren", 0.5), Sounds("engine_idling", 3.5))),
    Scene("people talking", (Sounds("people_talking", 1.0),)),
)
"""Typed words and keys are no sound: the calls in virtual time have them."""

QUICK = ("question inside", "two questions", "“yes” before the question", "four backchannels")


class Studio:
    """Makes the callers' sounds, and the announcements as they must be heard.

    Args:
        noises: the folder of the noises, in any format that FFmpeg reads; a scene whose noise is missing is left out.
    """

    def __init__(self, noises: Path) -> None:
        from hearout._local.tts import synthesise

        self._synthesise = synthesise
        self._noises = noises
        self._made: dict[str, Samples] = {}

    def scenes(self) -> Iterable[Scene]:
        """The scenes whose noises are here."""
        for scene in SCENES:
            if all(self._file(one.name) is not None for one in scene.caller if isinstance(one, Sounds)):
                yield scene

    def spoken(self, text: str) -> Samples:
        """The text in the local voice, at :data:`RATE`."""
        if text not in self._made:
            self._made[text] = self._synthesise(text)
        return self._made[text]

    def edges(self, notice: str) -> tuple[float, float]:
        """Seconds of the announcement's first and last loud sample."""
        return edges(self.spoken(notice))

    def caller(self, scene: Scene, turn: int) -> tuple[Samples, list[tuple[float, float]]]:
        """The caller's sound from the announcement's first sound on, and where each line begins and ends.

        Args:
            scene: which call.
            turn: the round, from which the moments are drawn.
        """
        drawing = random.Random(f"{scene.name} {turn}")
        first, last = self.edges(scene.notice)
        placed = []
        for one in scene.caller:
            sound = self.spoken(one.text) if isinstance(one, Says) else self._noise(one.name)
            placed.append((max(0.0, _begin(one, last - first, sound, drawing)), sound))
        mixed = np.zeros(round(max((at + len(sound) / RATE for at, sound in placed), default=0.0) * RATE) + 1, np.int32)
        for at, sound in placed:
            begin = round(at * RATE)
            mixed[begin : begin + len(sound)] += sound[: len(mixed) - begin]
        whole = np.clip(mixed, -32768, 32767).astype(np.int16)
        return whole, [(at + edges(sound)[0], at + edges(sound)[1]) for at, sound in placed]

    def _file(self, name: str) -> Path | None:
        return next(self._noises.glob(f"{name}.*"), None)

    def _noise(self, name: str) -> Samples:
        found = self._file(name)
        assert found is not None
        floats = resample_poly(read(found), RATE // 8000, MEASURED // 8000)
        return (np.clip(floats, -1, 1) * 32767).astype(np.int16)[: round(LONGEST_NOISE * RATE)]


def edges(sound: Samples) -> tuple[float, float]:
    """Seconds of the first loud sample, and of the last; the whole length where nothing is loud."""
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > LOUD)
    return (float(loud[0]) / RATE, float(loud[-1]) / RATE) if len(loud) else (0.0, len(sound) / RATE)


def _begin(one: Says | Sounds, end: float, sound: Samples, drawing: random.Random) -> float:
    """Seconds after the announcement's first sound at which the file of what is said begins."""
    begins, ends = edges(sound)
    if one.at is not None:
        return one.at + drawing.uniform(-JITTER, JITTER) - begins
    assert isinstance(one, Says)
    if one.from_end is not None:
        return end + one.from_end - begins
    assert one.ends is not None
    return end + one.ends - ends

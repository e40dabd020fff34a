"""The course of one call for whoever holds it: when the caller's sound begins, and when the call is over.

Every peer's program uses this file, whatever environment it runs in; so it imports numpy and the standard library only.
"""

import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE = 24_000
"""Hz, of the caller's sound, of the agent's, and of the recordings."""

FRAME = RATE // 50
"""Samples in 20 ms."""

LOUD = 330
"""Of 32,768, 1 %: the local voice's noise lies below, its quietest fricatives above."""

QUIET, AT_MOST = 4.5, 60.0
"""Seconds of quiet on both sides after which a call is over, and seconds after which it ends in any case. On a busy
machine the slowest peer began its answer after 3.4 s."""

_SILENCE = np.zeros(FRAME, np.int16)


class Course:
    """One call in steps of 20 ms: takes the agent's sound of a step, gives the caller's next one.

    The caller's sound begins with the agent's first loud sample, so that the same WAV means the same for every peer.

    Args:
        caller: what the caller says from then on, with all its pauses.
    """

    def __init__(self, caller: Samples) -> None:
        self._caller = caller
        self._at: int | None = None  # samples of the caller's sound that were given
        self._quiet = 0.0
        self._heard: list[tuple[Samples, Samples]] = []

    @property
    def seconds(self) -> float:
        """How long the call has lasted."""
        return len(self._heard) * FRAME / RATE

    @property
    def over(self) -> bool:
        """Whether the call is over."""
        done = self._at is not None and self._at >= len(self._caller) and self._quiet >= QUIET
        return done or self.seconds >= AT_MOST

    def next(self, agent: Samples) -> Samples:
        """The caller's next 20 ms; `agent` is what was played in the 20 ms before them."""
        is_loud = bool(np.any(np.abs(agent.astype(np.int32)) > LOUD))
        if self._at is None and is_loud:
            self._at = 0
        caller = _SILENCE
        if self._at is not None and self._at < len(self._caller):
            piece = self._caller[self._at : self._at + FRAME]
            caller = np.concatenate((piece, _SILENCE[len(piece) :]))
            self._at += FRAME
        talks = self._at is not None and self._at < len(self._caller)
        self._quiet = 0.0 if is_loud or talks else self._quiet + FRAME / RATE
        self._heard.append((caller, agent))
        return caller

    def save(self, folder: Path, **facts: Any) -> None:
        """Write `caller.wav`, `agent.wav` and `facts.json`; the last one comes when the others are whole."""
        for number, name in enumerate(("caller", "agent")):
            write(folder / f"{name}.wav", np.concatenate([_SILENCE, *(pair[number] for pair in self._heard)]))
        new = folder / "facts.new"
        new.write_text(json.dumps(facts))
        new.replace(folder / "facts.json")


def order(line: str) -> Mapping[str, Any]:
    """What the runner asks for with one line of stdin: "folder", "notice", "peer" and "call" (the call's name)."""
    asked: Mapping[str, Any] = json.loads(line)
    return asked


def read(path: Path) -> Samples:
    """The samples of a WAV file: mono, 16 bits."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def write(path: Path, samples: Samples) -> None:
    """Write samples (mono, at :data:`RATE`) as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())

"""Announcements and recordings of them, made of babble."""

import numpy as np

from hearout.measure import RATE
from hearout.measure._audio import Samples

ERROR = 0.02


HEAD, TAIL = 0.7, 1.1  # seconds of silence around an announcement


def babble(seconds: float, seed: int) -> Samples:
    """Something like speech, of no language: syllables of a gliding voice and of hiss, with pauses."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * RATE:
        size = int(rng.uniform(0.08, 0.25) * RATE)
        pitch = np.cumsum(np.linspace(*rng.uniform(90, 220, 2), size)) / RATE
        voiced = sum(np.sin(2 * np.pi * k * pitch) * rng.uniform(0.05, 1) / k for k in range(1, 18))
        hiss = np.diff(rng.standard_normal(int(rng.uniform(0, 0.09) * RATE) + 1))
        pause = np.zeros(int(rng.choice([0, 0, 0.02, 0.25]) * RATE))
        parts.append(np.concatenate([0.15 * voiced * np.hanning(size), 0.03 * hiss, pause]))
    return np.concatenate(parts)[: int(seconds * RATE)].astype(np.float32)


NOTICE, OTHER = babble(8, 1), babble(9, 2)


def heard(*parts: Samples, noise: float = 1e-3) -> Samples:
    """A recording of these parts, with silence around them and a little noise."""
    silence = np.zeros(int(HEAD * RATE), np.float32), np.zeros(int(TAIL * RATE), np.float32)
    audio = np.concatenate([silence[0], *parts, silence[1]])
    return audio + noise * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)

"""Where in its sound a TTS speaks: pauses and breaks say nothing about how many letters were said."""

import numpy as np
from livekit import rtc

WINDOW = 0.02
"""Seconds of sound that are looked at as one."""

SILENT = 100
"""Of 32768: the loudest sample of a window that is silent (-50 dB). A TTS pauses in zeros, or in noise far below."""


class Loudness:
    """The stretches of one synthesis that are not silent."""

    def __init__(self) -> None:
        self._length = 0.0
        self._loud: list[tuple[float, float]] = []

    def add(self, frame: rtc.AudioFrame) -> None:
        """The next frame, of any length."""
        samples = np.frombuffer(frame.data, dtype=np.int16)
        step = max(1, round(frame.sample_rate * WINDOW)) * frame.num_channels
        for begin in range(0, len(samples), step):
            window = samples[begin : begin + step]
            seconds = len(window) / frame.num_channels / frame.sample_rate
            if max(int(window.max()), -int(window.min())) > SILENT:
                self._sounds(seconds)
            self._length += seconds

    def _sounds(self, seconds: float) -> None:
        end = self._length + seconds
        if self._loud and self._loud[-1][1] >= self._length - 1e-9:
            self._loud[-1] = (self._loud[-1][0], end)
        else:
            self._loud.append((self._length, end))

    def seconds(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Seconds of speech between two seconds of the sound."""
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in self._loud)

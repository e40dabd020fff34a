"""The sound card as the ends of a line: the agent on the loudspeaker, a person at the microphone."""

import contextlib
from collections import deque
from typing import Any

import numpy as np
from livekit import rtc

from .line import FRAME, SAMPLE_RATE, Samples

_HALF = FRAME // 2
"""Samples in 10 ms, the only length that WebRTC's audio processing takes."""

_MOST = 10
"""Frames kept between the card's clock and the line's: beyond 0.2 s the older ones are dropped, so that delay between
two clocks that drift apart stays bounded."""


def available() -> str | None:
    """The name of the sound card, if PortAudio and a card with both a microphone and a loudspeaker exist; else None."""
    try:
        import sounddevice
    except OSError:  # PortAudio itself is missing
        return None
    try:
        microphone = sounddevice.query_devices(kind="input")
        sounddevice.query_devices(kind="output")
    except (sounddevice.PortAudioError, ValueError):
        return None
    return str(microphone["name"])


class Card:
    """Moves sound between the card and the line, 20 ms at a time; takes the agent's echo out of the microphone."""

    def __init__(self) -> None:
        self._in: deque[Samples] = deque(maxlen=_MOST)
        self._out: deque[Samples] = deque(maxlen=_MOST)
        self._cancel = rtc.AudioProcessingModule(
            echo_cancellation=True, noise_suppression=True, high_pass_filter=True, auto_gain_control=True
        )
        self._stream: Any = None

    def open(self) -> None:
        import sounddevice

        self._stream = sounddevice.Stream(
            samplerate=SAMPLE_RATE, blocksize=FRAME, channels=1, dtype="int16", callback=self._moved
        )
        self._stream.start()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.stop()
            self._stream.close()
            self._stream = None

    def exchange(self, agent: Samples) -> Samples:
        """Give the next 20 ms of the agent to the card; the next 20 ms of the microphone, or silence."""
        self._out.append(agent)
        return self._in.popleft() if self._in else np.zeros(FRAME, np.int16)

    def _moved(self, heard: Any, spoken: Any, _frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's callback, in its own thread: deques are all that it shares with the line."""
        agent = self._out.popleft() if self._out else np.zeros(FRAME, np.int16)
        spoken[:, 0] = agent
        microphone = np.array(heard[:, 0], np.int16)
        for start in range(0, FRAME, _HALF):
            self._cancel.process_reverse_stream(_frame(agent[start : start + _HALF]))
            half = _frame(microphone[start : start + _HALF])
            with contextlib.suppress(RuntimeError):  # without a delay known it refuses: the sound goes on unprocessed
                self._cancel.process_stream(half)
                microphone[start : start + _HALF] = np.frombuffer(half.data, np.int16)
        self._in.append(microphone)


def _frame(samples: Samples) -> rtc.AudioFrame:
    return rtc.AudioFrame(bytearray(samples.tobytes()), SAMPLE_RATE, 1, len(samples))

"""The caller's sound as it was said: for the STT node, where LiveKit puts silence in its place.

While the echo canceller of a caller's page warms up (``aec_warmup_duration``, 3 s by default), LiveKit 1.8.9 gives the
STT silence for as long as the agent speaks, protected or not (``agent_activity.py``, ``push_audio``). Its VAD goes on
hearing. What a caller says over protected speech must not be lost, so the STT hears it then; over speech that may be
interrupted, the warm-up stays as LiveKit has it.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable

from livekit import rtc
from livekit.agents.voice import io

KEPT = 100
"""Frames that an STT node may be behind; of 50 ms, as a room's are: 5 s."""


class CallerAudio(io.AudioInput):
    """Stands before the session's audio input, and remembers what the STT node has not had yet.

    Args:
        source: the session's audio input.
        hears: whether the STT hears the caller now, whatever LiveKit gives it.
    """

    def __init__(self, source: io.AudioInput, *, hears: Callable[[], bool]) -> None:
        super().__init__(label="hearout", source=source)
        self._hears = hears
        self._upcoming: deque[rtc.AudioFrame] = deque(maxlen=KEPT)

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        self._upcoming.append(frame)
        return frame

    async def restored(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
        """What the STT node gets in place of `audio`."""
        async for frame in audio:
            original = self._original(frame)
            yield original if self._hears() else frame

    def _original(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        """The original of a frame that LiveKit passes on, in order: LiveKit gives the frame or silence of the same
        length."""
        if any(one is frame for one in self._upcoming):
            while self._upcoming.popleft() is not frame:
                pass  # what came while no agent listened
            return frame
        if self._upcoming and _shape(self._upcoming[0]) == _shape(frame):
            return self._upcoming.popleft()
        return frame


def _shape(frame: rtc.AudioFrame) -> tuple[int, int, int]:
    return frame.sample_rate, frame.num_channels, frame.samples_per_channel


__all__ = ["CallerAudio"]

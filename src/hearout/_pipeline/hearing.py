"""The caller's sound as it was said: for the STT node, where LiveKit puts silence in its place.

While the echo canceller of a caller's page warms up (``aec_warmup_duration``, 3 s by default), LiveKit 1.8.9 gives the
STT silence for as long as the agent speaks, protected or not (``agent_activity.py``, ``push_audio``). It does so anew
for each caller that it links, and so for one who returns. Its VAD goes on hearing. What a caller says over protected
speech must not be lost, so the STT hears it then; over speech that may be interrupted, the warm-up stays as LiveKit has
it.
"""

import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

from livekit import rtc
from livekit.agents.utils.audio import silence_frame
from livekit.agents.voice import io

KEPT = 600
"""Frames that an STT node may be behind; of 50 ms, as a room's are: 30 s. What a client recorded before its call was
connected comes all at once."""
_BLOCK = 0.2
"""Seconds of one frame of silence, as LiveKit's (``audio_recognition.py``)."""


class CallerAudio:
    """The caller's frames on their way to the STT node; remembers those that the node has not had yet.

    LiveKit asks for the node's audio before a room's input exists, and an input may be replaced in mid-call. So this
    stands for every input of a session, and looks at each frame.

    Args:
        hears: whether the STT hears the caller now, whatever LiveKit gives it.
    """

    def __init__(self, *, hears: Callable[[], bool]) -> None:
        self._hears = hears
        self._upcoming: deque[rtc.AudioFrame] = deque(maxlen=KEPT)
        self._input: _Noted | None = None
        self._rate = 0

    def before(self, source: io.AudioInput) -> io.AudioInput:
        """The input that the session is to have in place of `source`: the same, if it is that one already."""
        if source is not self._input:
            if isinstance(source, _Noted):
                source = source.behind  # of an earlier start of the session, or put back by its user
            self._input = _Noted(source, self._came)
        return self._input

    def ended_by_silence(self, seconds: float) -> io.AudioInput | None:
        """The same input, but so much silence comes first: an STT ends a phrase by it where the input is disabled.

        None, where nothing was heard. LiveKit gives its own STT node such silence (``stt_flush_duration``).
        """
        if self._input is None or not self._rate:
            return None
        silence = (silence_frame(_BLOCK, self._rate) for _ in range(math.ceil(seconds / _BLOCK)))
        self._input = _Noted(self._input.behind, self._came, first=silence)
        return self._input

    def _came(self, frame: rtc.AudioFrame, by: "_Noted") -> None:
        self._rate = frame.sample_rate
        if by is self._input:  # its user may have put another input around an earlier one
            self._upcoming.append(frame)

    async def restored(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
        """The frames for the STT node in place of `audio`: while it hears the caller, each that came, once."""
        self._upcoming.clear()  # another node had it, or none
        async for frame in audio:
            originals = self._up_to(frame)
            for one in originals if self._hears() else [frame]:
                yield one

    def _up_to(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        """The original of a frame that LiveKit passes on, in order: the frame itself, or silence of the same length.

        Before it come those that LiveKit dropped: it does while one agent hands over to another.
        """
        waiting = list(self._upcoming)
        place = next((at for at, one in enumerate(waiting) if one is frame), None)
        if place is None:
            place = next((at for at, one in enumerate(waiting) if _shape(one) == _shape(frame)), None)
        return [frame] if place is None else [self._upcoming.popleft() for _ in range(place + 1)]


class _Noted(io.AudioInput):
    """An input whose frames are noted as they come, after those of `first`."""

    def __init__(
        self,
        behind: io.AudioInput,
        came: Callable[[rtc.AudioFrame, "_Noted"], None],
        *,
        first: Iterable[rtc.AudioFrame] = (),
    ) -> None:
        super().__init__(label="hearout", source=behind)
        self.behind = behind
        self._came = came
        self._first = iter(first)

    async def __anext__(self) -> rtc.AudioFrame:
        frame = next(self._first, None) or await super().__anext__()
        self._came(frame, self)
        return frame


def _shape(frame: rtc.AudioFrame) -> tuple[int, int, int]:
    return frame.sample_rate, frame.num_channels, frame.samples_per_channel

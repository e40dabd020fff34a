"""A transport of raw audio: one clock plays what the agent has ready, and gives it the caller's next 20 ms."""

import asyncio
import time
from collections import deque

import numpy as np
from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import CancelFrame, EndFrame, InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

from bench.course import FRAME, RATE, Course, Samples

HEARD = 16_000
"""Hz, at which the pipeline hears the caller: Pipecat's VAD takes 8,000 and 16,000 only."""

AHEAD = 0.2
"""Seconds of sound that the line takes before it lets the agent wait. LiveKit hands all it has to the line at once, so
that a busy machine makes no holes; with 0.04 s, Pipecat's announcements had some (0.87 to 0.97 delivered, 4 of 54)."""


class Line:
    """The two ends of a call and its clock.

    Args:
        course: says what the caller says, and when the call is over.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._ready: deque[Samples] = deque()
        self._played = asyncio.Event()
        self.hear: asyncio.Queue[bytes] = asyncio.Queue()

    async def play(self, audio: bytes) -> None:
        """Take the agent's sound, and wait while there is more of it than `AHEAD`."""
        self._ready.append(np.frombuffer(audio, np.int16))
        while sum(map(len, self._ready)) > AHEAD * RATE:
            self._played.clear()
            await self._played.wait()

    async def run(self) -> None:
        """The clock: each 20 ms at its own time, until the call is over."""
        begun, ticks = time.monotonic(), 0
        while not self._course.over:
            ticks += 1
            if (wait := begun + ticks * FRAME / RATE - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            caller = self._course.next(self._next())
            self.hear.put_nowait(caller.tobytes())
            self._played.set()

    def _next(self) -> Samples:
        out, filled = np.zeros(FRAME, np.int16), 0
        while self._ready and filled < FRAME:
            samples = self._ready.popleft()
            count = min(len(samples), FRAME - filled)
            out[filled : filled + count] = samples[:count]
            filled += count
            if count < len(samples):
                self._ready.appendleft(samples[count:])
        return out


class _Input(BaseInputTransport):
    def __init__(self, line: Line, params: TransportParams) -> None:
        super().__init__(params)
        self._line = line
        self._listening: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._listening = self.create_task(self._listen())

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._end()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._end()

    async def _listen(self) -> None:
        resampler = create_stream_resampler()
        while True:
            audio = await resampler.resample(await self._line.hear.get(), RATE, HEARD)
            if audio:  # none comes of the first pieces
                await self.push_audio_frame(InputAudioRawFrame(audio, HEARD, 1))

    async def _end(self) -> None:
        if self._listening is not None:
            await self.cancel_task(self._listening)
            self._listening = None


class _Output(BaseOutputTransport):
    def __init__(self, line: Line, params: TransportParams) -> None:
        super().__init__(params)
        self._line = line

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await self._line.play(frame.audio)
        return True


class LineTransport(BaseTransport):
    """What a Pipecat pipeline begins and ends with."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        params = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=HEARD,
            audio_out_sample_rate=RATE,
            audio_out_10ms_chunks=2,
            audio_out_end_silence_secs=0,
        )
        self._input, self._output = _Input(line, params), _Output(line, params)

    def input(self) -> _Input:
        return self._input

    def output(self) -> _Output:
        return self._output

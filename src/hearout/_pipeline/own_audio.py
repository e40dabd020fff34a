"""The audio that a program gives ``say(audio=…)``: of protected speech, what came is played to its end."""

import logging
from collections.abc import AsyncIterable, AsyncIterator

import numpy as np
from livekit import rtc

from .retry import SPEECH, RetryWatcher

logger = logging.getLogger("hearout")


async def own_audio(audio: AsyncIterable[rtc.AudioFrame], watcher: RetryWatcher) -> AsyncIterator[rtc.AudioFrame]:
    """The frames, for LiveKit.

    Where one cannot be made, LiveKit (1.8.9) calls the speech done at once, while frames that came before still play.
    Protected speech goes on until they have left.
    """
    handle = SPEECH.get()
    same = _SameForm()
    try:
        async for frame in audio:
            if handle is None or handle.allow_interruptions:
                yield frame
            else:
                for one in same.form(frame):
                    yield one
    except Exception:
        if handle is None or handle.allow_interruptions:
            raise
        logger.exception("the audio that the program gave speech %s broke off", handle.id)
        watcher.given_up(handle, "voice")
    else:
        for one in same.rest():
            yield one
    finally:
        if (aclose := getattr(audio, "aclose", None)) is not None:
            await aclose()


class _SameForm:
    """Gives frames the sample rate and the channels of the first: LiveKit (1.8.9) plays the others at a wrong speed."""

    def __init__(self) -> None:
        self._rate = self._channels = 0
        self._resampler: tuple[int, rtc.AudioResampler] | None = None

    def form(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        """The frame, as the first one; with what is left of those before."""
        self._rate, self._channels = self._rate or frame.sample_rate, self._channels or frame.num_channels
        if frame.num_channels != self._channels:
            frame = _with_channels(frame, self._channels)
        changes = self._resampler is not None and self._resampler[0] != frame.sample_rate
        before = self.rest() if changes else []
        if frame.sample_rate == self._rate:
            return [*before, frame]
        if self._resampler is None:
            made = rtc.AudioResampler(frame.sample_rate, self._rate, num_channels=frame.num_channels)
            self._resampler = frame.sample_rate, made
        return [*before, *self._resampler[1].push(frame)]

    def rest(self) -> list[rtc.AudioFrame]:
        resampler, self._resampler = self._resampler, None
        return [] if resampler is None else resampler[1].flush()


def _with_channels(frame: rtc.AudioFrame, channels: int) -> rtc.AudioFrame:
    """The frame with so many channels, each the mean of all."""
    samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels).mean(axis=1).astype(np.int16)
    return rtc.AudioFrame(np.repeat(samples, channels).tobytes(), frame.sample_rate, channels, len(samples))

"""Many callers in one process, as cheap as they can be: each has a room, an open microphone, and an ear.

Orders come on stdin, a JSON object a line; each is answered by a line on stdout once it is done.
"""

import asyncio
import json
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from livekit import rtc

Samples = npt.NDArray[np.int16]

RATE = 24_000
"""Hz, of the microphones and of the recordings."""

PIECE = 0.1
"""Seconds of sound that are sent and taken at once: what a participant does each 0.02 s costs five times as much."""

AHEAD = 300
"""Milliseconds of sound that a microphone holds ready: what it needs to run on while Python is late."""

_SILENCE = np.zeros(int(RATE * PIECE), np.int16)


class Caller:
    """One of them."""

    def __init__(self, name: str, tasks: asyncio.TaskGroup) -> None:
        self.name = name
        self.room = rtc.Room()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=AHEAD)
        self._tasks = tasks
        self._to_say = _SILENCE[:0]
        self._heard: list[bytes] = []
        self.room.on("track_subscribed", self._on_track)

    async def join(self, url: str, token: str) -> None:
        await self.room.connect(url, token)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(track, options)
        self._tasks.create_task(self._talk())

    def say(self, samples: Samples) -> None:
        self._to_say = samples

    def record(self) -> None:
        """Begin a new recording."""
        self._heard = []

    def save(self, folder: Path) -> None:
        """Write what was heard since :meth:`record`; a file without a sample where nothing was."""
        with wave.open(str(folder / f"{self.name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(b"".join(self._heard))

    async def _talk(self) -> None:
        """Send what is to be said, and silence meanwhile, without end."""
        while True:
            piece, self._to_say = self._to_say[: len(_SILENCE)], self._to_say[len(_SILENCE) :]
            whole = np.concatenate((piece, _SILENCE[len(piece) :]))
            await self._source.capture_frame(rtc.AudioFrame(whole.tobytes(), RATE, 1, len(whole)))

    def _on_track(self, track: rtc.Track, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._tasks.create_task(self._listen(track))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=int(PIECE * 1000))
        async for event in stream:
            self._heard.append(bytes(event.frame.data))


async def obey(order: dict[str, Any], callers: list[Caller], tasks: asyncio.TaskGroup) -> None:
    """Do as told."""
    match order:
        case {"join": room, "url": url, "token": token}:
            callers.append(Caller(room, tasks))
            await callers[-1].join(url, token)
        case {"record": _}:
            for caller in callers:
                caller.record()
        case {"say": path}:
            with wave.open(path) as file:
                samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            for caller in callers:
                caller.say(samples)
        case {"save": folder}:
            for caller in callers:
                caller.save(Path(folder))


def listen(queue: "asyncio.Queue[dict[str, Any] | None]", loop: asyncio.AbstractEventLoop) -> None:
    """Pass on each line of stdin; its end means that the benchmark has gone."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(queue.put_nowait, json.loads(line))
    loop.call_soon_threadsafe(queue.put_nowait, None)


class Left(Exception):
    """Ends the group of tasks."""


async def main() -> None:
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    threading.Thread(target=listen, args=(queue, asyncio.get_running_loop()), daemon=True).start()
    callers: list[Caller] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            while (order := await queue.get()) is not None:
                await obey(order, callers, tasks)
                print(json.dumps(order | {"done": True}), flush=True)
            await asyncio.gather(*(caller.room.disconnect() for caller in callers))
            raise Left
    except* Left:
        pass


if __name__ == "__main__":
    asyncio.run(main())

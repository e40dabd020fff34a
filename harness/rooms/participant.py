"""The process of a `rooms.caller.Caller`: a LiveKit participant with a microphone and an ear.

Orders come on stdin and events go to stdout, a JSON object a line; the agent's sound goes to the WAV file named.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time
import wave
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
from livekit import rtc

RATE = 24_000
"""Hz, of the microphone and of the recording."""

TAKEN = 48_000
"""Hz, in which LiveKit's client counts what it takes from its jitter buffer."""

FRAME = 0.02
"""Seconds of one frame of the microphone."""

AHEAD = 100
"""Milliseconds of sound that the microphone holds ready: what it needs to run on while Python is late."""

LOUD, QUIET = 500, 0.5
"""The sample value from which the agent is heard, and the seconds without one after which it is not."""

LATE = 0.05
"""Seconds between two looks at the clock; a look that is later than that is an event."""

_SILENCE = np.zeros(int(RATE * FRAME), np.int16)


def emit(what: str, at: float | None = None, **facts: Any) -> None:
    """Tell the test."""
    print(json.dumps({"what": what, "at": time.monotonic() if at is None else at, **facts}), flush=True)


async def watch() -> None:
    """Say how late this process runs: what it hears meanwhile comes late, or is stretched or left out."""
    while True:
        due = time.monotonic() + LATE
        await asyncio.sleep(LATE)
        if (late := time.monotonic() - due) > LATE:
            emit("late", due, seconds=late)


class Recorder:
    """Writes what is heard to a WAV file that is whole after each frame, so that a killed caller leaves one too."""

    def __init__(self, path: str) -> None:
        self._file = wave.open(open(path, "wb", buffering=0), "wb")  # noqa: SIM115 - open as long as the process
        self._file.setparams((1, 2, RATE, 0, "NONE", ""))
        self._began: float | None = None
        self._last_loud: float | None = None
        self.first_sound = asyncio.Event()
        self.first_sound_at = 0.0

    @property
    def _end(self) -> float:
        assert self._began is not None
        return self._began + self._file.getnframes() / RATE

    def open_track(self, arrived: float) -> None:
        """A track's first frame came: it starts at that moment, after silence if another was there before."""
        if self._began is None:
            self._began = arrived
            emit("recording", arrived)
        self._file.writeframes(np.zeros(max(0, round((arrived - self._end) * RATE)), np.int16).tobytes())

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        """The next frame, timed by the number of samples before, not by the moment at which Python reads."""
        at = self._end
        self._file.writeframes(samples.tobytes())
        if np.abs(samples.astype(np.int32)).max(initial=0) >= LOUD:
            if self._last_loud is None:
                emit("sound", at)
                self.first_sound_at = self.first_sound_at or at
                self.first_sound.set()
            self._last_loud = self._end
        elif self._last_loud is not None and at - self._last_loud >= QUIET:
            emit("quiet", self._last_loud)
            self._last_loud = None


class Microphone:
    """Sends what it is given, and silence meanwhile, as an open microphone does."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=AHEAD)
        self._pieces: deque[npt.NDArray[np.int16]] = deque()

    def play(self, path: str) -> None:
        """Send a WAV file, after those before it."""
        with wave.open(path) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE), path
            self._pieces.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))

    async def run(self) -> None:
        """Send without end."""
        while True:
            if not self._pieces:
                await self._send(_SILENCE)
                continue
            piece = self._pieces.popleft()
            emit("talk", time.monotonic() + self.source.queued_duration)
            for start in range(0, len(piece), len(_SILENCE)):
                await self._send(piece[start : start + len(_SILENCE)])
            emit("talked", time.monotonic() + self.source.queued_duration)

    async def _send(self, samples: npt.NDArray[np.int16]) -> None:
        await self.source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples)))


class Participant:
    """The room as this participant has it; all its tasks are of one group."""

    def __init__(self, wav: str, tasks: asyncio.TaskGroup) -> None:
        self.room = self._room = rtc.Room()
        self._microphone, self._recorder = Microphone(), Recorder(wav)
        self._tasks = tasks
        self._heard: rtc.Track | None = None
        """The track that is recorded: the newest."""
        self._recorded = 0.0
        """Seconds of it."""
        self._room.on("participant_connected", lambda who: emit("here", who=who.identity))
        self._room.on("participant_disconnected", lambda who: emit("gone", who=who.identity))
        self._room.on("track_subscribed", self._on_track)
        self._room.on("disconnected", lambda reason: emit("ended", reason=rtc.DisconnectReason.Name(reason)))
        self._room.register_text_stream_handler("lk.transcription", self._on_text)

    async def join(self, url: str, token: str) -> None:
        await self._room.connect(url, token)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._microphone.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        if os.environ.get("ROOM_PRECONNECT"):
            options.preconnect_buffer = True
        await self._room.local_participant.publish_track(track, options)
        self._tasks.create_task(self._microphone.run())
        if os.environ.get("ROOM_ALIVE"):
            self._room.local_participant.register_rpc_method("hearout.alive", lambda _: "")
        emit("joined")
        for who in self._room.remote_participants.values():
            emit("here", who=who.identity)

    async def leave(self) -> None:
        await self._room.disconnect()

    async def speak_as(self, identity: str, path: str) -> None:
        """Send a WAV file as what a participant's microphone took before the call was connected."""
        people = {self._room.local_participant.identity: self._room.local_participant, **self._room.remote_participants}
        (track,) = people[identity].track_publications
        with wave.open(path) as file:
            samples = file.readframes(file.getnframes())
        says = {"trackId": track, "sampleRate": str(RATE), "channels": "1"}
        topic = "lk.agent.pre-connect-audio-buffer"
        writer = await self._room.local_participant.stream_bytes("attack", topic=topic, attributes=says)
        await writer.write(samples)
        await writer.aclose()

    def play(self, path: str, after: float | None) -> None:
        self._tasks.create_task(self._play(path, after))

    async def _play(self, path: str, after: float | None) -> None:
        if after is not None:
            await self._recorder.first_sound.wait()
            await asyncio.sleep(self._recorder.first_sound_at + after - time.monotonic())
        self._microphone.play(path)

    def _on_track(self, track: rtc.Track, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            emit("hearing", who=who.identity)
            if who.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:  # what others say is no part of the recording
                self._tasks.create_task(self._hear(track))

    async def _hear(self, track: rtc.Track) -> None:
        first = True
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            if first:
                self._recorder.open_track(time.monotonic() - event.frame.duration)
                first, self._heard, self._recorded = False, track, 0.0
                self._tasks.create_task(self._compare(track))
            if self._heard is not track:
                return  # another agent is there: of one that died, silence comes for some 20 s, between its frames
            self._recorded += event.frame.duration
            self._recorder.write(np.frombuffer(event.frame.data, np.int16))

    async def _compare(self, track: rtc.Track) -> None:
        """Say how much of a track LiveKit's client took, by its own count, before the recorder was there.

        What waits to be read differs from look to look; that does not.
        """
        looks = []
        for _ in range(5):
            await asyncio.sleep(LATE)
            counts = [one.inbound_rtp.inbound for one in await track.get_stats() if one.HasField("inbound_rtp")]
            looks.append(sum(one.total_samples_received for one in counts) / TAKEN - self._recorded)
        if self._heard is track:
            emit("unrecorded", seconds=max(0.0, min(looks)))

    def _on_text(self, reader: rtc.TextStreamReader, who: str) -> None:
        self._tasks.create_task(self._collect(reader, who))

    async def _collect(self, reader: rtc.TextStreamReader, who: str) -> None:
        """A caller's words come whole, each time in a stream of its own; the agent's piece by piece, in one."""
        attributes = reader.info.attributes or {}
        final, segment = attributes.get("lk.transcription_final") == "true", attributes.get("lk.segment_id", "")
        text, at = "", time.monotonic()
        try:
            async for piece in reader:
                text, at = text + piece, time.monotonic()
        except rtc.StreamError:
            emit("text", at, who=who, text=text, final=False, segment=segment)  # the room went away before its end
            return
        final = final or who != self._room.local_participant.identity
        emit("text", at, who=who, text=text, final=final, segment=segment)


async def orders(queue: "asyncio.Queue[dict[str, Any] | None]", participant: Participant) -> None:
    """Do as told, until told to leave or nobody is there to tell."""
    while (order := await queue.get()) is not None and "leave" not in order:
        match order:
            case {"play": path, "after": after}:
                participant.play(path, after)
            case {"type": text}:
                await participant.room.local_participant.send_text(text, topic="lk.chat")
            case {"press": digit}:
                await participant.room.local_participant.publish_dtmf(code=int(digit), digit=digit)
            case {"attack": message}:
                writer = await participant.room.local_participant.stream_bytes("attack", topic="lk.agent.session")
                await writer.write(bytes.fromhex(message))
                await writer.aclose()
            case {"speak_as": identity, "path": path}:
                await participant.speak_as(identity, path)
            case {"attributes": attributes}:
                await participant.room.local_participant.set_attributes(attributes)


def listen(queue: "asyncio.Queue[dict[str, Any] | None]", loop: asyncio.AbstractEventLoop) -> None:
    """Pass on each line of stdin; its end means that the test has gone."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(queue.put_nowait, json.loads(line))
    loop.call_soon_threadsafe(queue.put_nowait, None)


class Left(Exception):
    """Ends the group of tasks."""


async def main(wav: str) -> None:
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    threading.Thread(target=listen, args=(queue, asyncio.get_running_loop()), daemon=True).start()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch())
            participant = Participant(wav, tasks)
            await participant.join(os.environ["ROOM_URL"], os.environ["ROOM_TOKEN"])
            await orders(queue, participant)
            await participant.leave()
            raise Left
    except* Left:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test, which then closes our stdin
    asyncio.run(main(sys.argv[1]))

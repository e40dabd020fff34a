"""What the ledger claims of speech that is being said, should the agent die now: what had left, and a stated bit less.

The audio output is LiveKit's own of a room, in virtual time, above an audio source that counts what it sends. LiveKit
reports a run when it is over, and a process that starves has gaps that nobody reports in time.
"""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput

from harness.kept_in_loop import InTheLoop
from harness.ledger_workers import Opened
from harness.scenes import NOTICE, call, reading
from hearout import AgentSession
from hearout._pipeline import playout
from hearout._pipeline.playout import QUEUED
from hearout._session.call_ledger import RENEW
from hearout.testing import TTS, Do

ROUNDED = 0.06
"""Seconds of one of LiveKit's frames, and of rounding."""


Looked = list[tuple[float, float, float]]
"""Seconds of the call, seconds claimed in the ledger then, and seconds sent."""


class CountingSource(rtc.AudioSource):
    """An audio source that counts the seconds sent; the threads that send stand still now and then.

    Args:
        stalls: from when to when it does, in seconds of the call.
    """

    def __init__(self, stalls: tuple[tuple[float, float], ...]) -> None:
        super().__init__(24_000, 1, queue_size_ms=200)
        self.loop: Any = asyncio.get_running_loop()
        self._stalls, self._zero = stalls, self.loop.time()
        self._given: list[tuple[float, float]] = []
        self._empty_at = -math.inf  # as Python believes, which knows nothing of the stalls

    def sent(self, at: float) -> float:
        """Seconds that have left by this second of the call."""
        sent, free = 0.0, 0.0
        for given, seconds in self._given:
            begins = max(given, free)
            for since, until in self._stalls:
                begins = until if since <= begins < until else begins
            free = begins + seconds
            sent += min(seconds, max(0.0, at - begins))
        return sent

    @property
    def now(self) -> float:
        return float(self.loop.time()) - self._zero

    @property
    def queued_duration(self) -> float:
        return max(0.0, self._empty_at - self.now)

    def clear_queue(self) -> None:
        sent = self.sent(self.now)
        while self._given and sum(seconds for _, seconds in self._given) > sent + 1e-6:
            self._given.pop()
        self._empty_at = self.now

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self._given.append((self.now, frame.duration))
        self._empty_at = max(self._empty_at, self.now) + frame.duration
        given = sum(seconds for _, seconds in self._given)
        for _ in range(1000):
            if given - self.sent(self.now) <= 0.2 + 1e-6:
                return
            await asyncio.sleep(0.01)

    async def wait_for_playout(self) -> None:
        await asyncio.sleep(self.queued_duration)


class SilentOnProgress(_ParticipantAudioOutput):
    """An app's own output, which says that it began and that it is over, and nothing between."""

    def on_playback_progressed(self, **_: Any) -> None:
        pass


def announced(
    folder: Path,
    *acts: Any,
    stalls: tuple[tuple[float, float], ...] = (),
    kind: type[_ParticipantAudioOutput] = _ParticipantAudioOutput,
    **more: Any,
) -> Looked:
    """A call whose notice is played by such an output; five times a second somebody reads the ledger."""
    ledger, seen = Opened(f"sqlite:///{folder}/receipts.db"), Looked()

    async def read(session: AgentSession[Any]) -> None:
        output = kind(rtc.Room(), sample_rate=24_000, num_channels=1, track_publish_options=rtc.TrackPublishOptions())
        source = output._audio_source = CountingSource(stalls)
        output.subscribed.set_result(None)
        sending = asyncio.create_task(output._forward_audio())
        session.on("close", lambda _: (sending.cancel(), looking.cancel()))

        async def look() -> None:
            while True:
                await asyncio.sleep(0.2)
                for owing in ledger.owed("room/1"):
                    seen.append((source.now, owing.played, source.sent(source.now)))

        looking = asyncio.create_task(look())
        session.output.audio = output
        await session._bridge.keep(InTheLoop(ledger, "a"), "room/1")  # type: ignore[union-attr, arg-type]
        session.announce(NOTICE, id="notice")

    call(*acts, agent=reading(read), ends_after=15.0, **more)
    return seen


def paused(since: float, until: float) -> tuple[Do, Do]:
    return Do(since, lambda session: session.output.audio.pause()), Do(until, lambda s: s.output.audio.resume())


def blocked(at: float, seconds: float) -> Do:
    def stand_still(_: Any) -> None:
        loop: Any = asyncio.get_running_loop()
        loop.stand_still(seconds)

    return Do(at, stand_still)


SCENES: dict[str, Callable[[Path], Looked]] = {
    "the threads that send stand still": lambda folder: announced(folder, stalls=((2.0, 3.5), (5.0, 5.3), (6.0, 6.3))),
    "the loop stands still, and so do they": lambda folder: announced(
        folder, blocked(1.5, 1.5), *(blocked(3.0 + n, 0.45) for n in range(5)), stalls=((4.4, 4.7), (6.4, 6.8))
    ),
    "the TTS is slow": lambda folder: announced(folder, tts=TTS(speed=0.7)),
    "the output is paused": lambda folder: announced(folder, *paused(2.0, 4.0), *paused(5.5, 7.0)),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_lease_claims_what_had_left_and_at_most_a_second_less(scene: str, tmp_path: Path) -> None:
    seen = SCENES[scene](tmp_path)

    assert max(sent for _, _, sent in seen) > 5.0
    assert [one for one in seen if one[1] > one[2] + 1e-6] == []
    lags = [one for one in seen if one[1] < reached(seen, one[0] - RENEW) - QUEUED - ROUNDED]
    assert lags == [], lags


def reached(seen: Looked, at: float) -> float:
    """What had been sent by then."""
    return max((sent for when, _, sent in seen if when <= at), default=0.0)


def test_an_output_that_tells_nothing_is_claimed_at_its_end_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playout, "run_so_far", lambda _: None)
    seen = announced(tmp_path, stalls=((2.0, 3.5),), kind=SilentOnProgress)

    assert len(seen) > 40
    assert {claimed for _, claimed, _ in seen} == {0.0}

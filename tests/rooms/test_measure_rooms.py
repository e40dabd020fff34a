"""The judge on what a real receiver made of an announcement: through a LiveKit server, Opus and a jitter buffer."""

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench import damage
from harness.rooms import participant
from harness.rooms.caller import Caller
from hearout.measure import RATE, Measured, measure
from hearout.measure._audio import Samples

if TYPE_CHECKING:
    from harness.rooms.server import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

JOINED, SPOKEN = 20.0, 60.0
"""Seconds within which a track must be heard, and an announcement (8 s) be over."""


@dataclass(frozen=True)
class Call:
    """An announcement that was sent twice: whole, from the track's first frames on, and damaged."""

    notice: Samples
    kept: damage.Mask
    whole: Measured
    damaged: Measured


@pytest.fixture(scope="module")
def calls(room_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> dict[str, Call]:
    """One room per voice, beside each other: nobody but these callers takes this machine's time."""
    here = [voice for voice in sorted(damage.VOICES) if voice != "espeak" or shutil.which("espeak-ng")]
    folders = [tmp_path_factory.mktemp(voice) for voice in here]
    with ThreadPoolExecutor() as pool:
        return dict(zip(here, pool.map(lambda *one: played(room_server, *one), here, folders), strict=True))


@pytest.fixture(params=sorted(damage.VOICES))
def call(request: pytest.FixtureRequest, calls: dict[str, Call]) -> Call:
    """Each of them."""
    return calls[request.param] if request.param in calls else pytest.skip("espeak-ng is not installed")


def played(server: "Server", voice: str, folder: Path) -> Call:
    """The call of a voice. The announcement has no silence before it: the jitter buffer starts with its first word."""
    notice = trimmed(damage.VOICES[voice](damage.NOTICES[3]))[: 8 * RATE]
    at = np.arange(len(notice)) / RATE
    kept = (at < 2.5) | (at >= 3.5) & (at < 6.5)
    for _ in range(3):
        recordings = called(server, folder, notice, (notice * kept)[: int(6.5 * RATE)])
        whole, part = (measure(one, notice, participant.RATE, reference_rate=RATE) for one in recordings)
        if not ran_dry(recordings[0], notice, whole):
            break
    return Call(notice, kept, whole, part)


def trimmed(audio: Samples) -> Samples:
    """Without the silence around it, but for 50 ms."""
    loud, edge = np.flatnonzero(np.abs(audio) > 0.02 * np.abs(audio).max()), RATE // 20
    return audio[max(0, loud[0] - edge) : loud[-1] + edge]


def called(server: "Server", folder: Path, *audio: Samples) -> list[damage.Pcm]:
    """What a caller hears of each of these, one after the other, in a room of their own."""
    room = server.new_room()
    token = server.token(room, "speaker", kind="agent")  # a caller records what an agent says
    with (
        Caller.join(server, room, folder, identity="listener") as listener,
        Caller.join(server, room, folder, identity="speaker", token=token) as speaker,
    ):
        listener.wait_for("recording", JOINED)
        ends = [0]
        for one in audio:
            send(speaker, listener, one)
            ends.append(len(listener.heard.samples))
        heard = listener.heard.samples
    return [heard[start:end] for start, end in itertools.pairwise(ends)]


def ran_dry(heard: damage.Pcm, notice: Samples, found: Measured) -> bool:
    """Whether the receiver stopped for 0.1 s or more, as on a starved machine: sound is missing then."""
    end = measure(heard, notice[-3 * RATE :], participant.RATE, reference_rate=RATE)
    if found.lag_s is None or end.lag_s is None:
        return False
    return abs(end.lag_s - (len(notice) / RATE - 3) - found.lag_s) > 0.1


def send(speaker: Caller, listener: Caller, audio: Samples) -> None:
    """Let the speaker play this, until the listener hears nothing any more."""
    count = len(listener.happened("sound"))
    pcm = np.clip(damage.at_rate(audio, RATE, participant.RATE), -1, 1) * 32767
    speaker.play(pcm.astype(np.int16))
    listener.wait_for("sound", JOINED, count=count + 1)
    listener.wait_for_quiet(1.5, SPOKEN)


def test_a_whole_announcement_is_in_full_though_the_jitter_buffer_warps_it(call: Call) -> None:
    assert call.whole.in_full, call.whole
    assert call.whole.fraction == pytest.approx(1, abs=0.02)
    assert not call.whole.repeats


def test_what_was_not_sent_is_not_found(call: Call) -> None:
    share, _, tail, gap = damage.truth(call.notice, call.kept)
    found = call.damaged
    assert found.fraction == pytest.approx(share, abs=0.02), found
    assert found.front_ms <= 60, found
    assert found.tail_ms == pytest.approx(tail, abs=100), found
    assert found.longest_gap_ms == pytest.approx(gap, abs=100), found


def test_two_clocks_of_one_machine_do_not_drift(call: Call) -> None:
    assert call.whole.drift_ppm == pytest.approx(0, abs=40)

"""The judge on what a real receiver made of an announcement: through a LiveKit server, Opus and a jitter buffer."""

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bench import damage

from hearout.measure import RATE, Measured, measure
from hearout.measure.audio import Samples
from rooms import participant
from rooms.caller import Caller

if TYPE_CHECKING:
    from rooms.server import Server

pytest_plugins = ["rooms.server"]

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


@pytest.fixture(scope="module", params=sorted(damage.VOICES))
def call(request: pytest.FixtureRequest, room_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Call:
    """One room per voice. The announcement has no silence before it: the jitter buffer starts with its first word."""
    if request.param == "espeak" and not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    notice = damage.trimmed(damage.VOICES[request.param](damage.NOTICES[3]))[: 8 * RATE]
    at = np.arange(len(notice)) / RATE
    kept = (at < 2.5) | (at >= 3.5) & (at < 6.5)
    room, folder = room_server.new_room(), tmp_path_factory.mktemp(request.param)
    with (
        Caller.join(room_server, room, folder, identity="listener") as listener,
        Caller.join(room_server, room, folder, identity="speaker") as speaker,
    ):
        listener.wait_for("recording", JOINED)
        first = sent(speaker, listener, notice)
        second = sent(speaker, listener, (notice * kept)[: int(6.5 * RATE)])
    return Call(notice, kept, *(measure(one, notice, participant.RATE, reference_rate=RATE) for one in (first, second)))


def sent(speaker: Caller, listener: Caller, audio: Samples) -> damage.Pcm:
    """What the listener hears while the speaker plays this."""
    before = len(listener.heard.samples)
    count = len(listener.happened("sound"))
    pcm = np.clip(damage.at_rate(audio, RATE, participant.RATE), -1, 1) * 32767
    speaker.play(pcm.astype(np.int16))
    listener.wait_for("sound", JOINED, count=count + 1)
    listener.wait_for_quiet(1.5, SPOKEN)
    return listener.heard.samples[before:]


def test_an_announcement_that_came_whole_is_in_full_though_the_jitter_buffer_warps_its_start(call: Call) -> None:
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

"""The judge where something begins or ends: at a hole, at a word's last hiss, where a receiver starts.

Each recording is one that an earlier judge misjudged by more than two per cent.
"""

import shutil

import numpy as np
import pytest

from bench import damage as bench
from harness.recordings import ERROR, NOTICE, babble, heard
from hearout.measure import RATE, measure


@pytest.mark.parametrize("cut", [0.31, 0.36, 0.42])
def test_the_periods_of_a_vowel_that_is_cut_do_not_count_twice(cut: float) -> None:
    pitch = np.cumsum(np.linspace(112, 124, int(0.6 * RATE))) / RATE
    vowel = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 18)).astype(np.float32) * 0.15
    found = measure(heard(NOTICE, vowel[: int(cut * RATE)]), np.concatenate([NOTICE, vowel]))
    assert found.tail_ms == pytest.approx(1000 * (0.6 - cut), abs=25)


SPOKEN = np.trim_zeros(babble(4, 0))
ENDS = {
    "tone of 440 Hz": [(0.5, 440)],
    "tone whose periods fill frames": [(1.0, 1000)],
    "low tone": [(0.3, 120)],
    "dial tone": [(0.5, 350), (0.5, 440)],
    "speech": [],
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("cut", [0, 10, 20, 30, 40, 50, 60, 68, 80])
def test_what_is_cut_off_the_end_is_told_to_30_ms(end: str, cut: int) -> None:
    tones = [0.3 * np.sin(2 * np.pi * hertz * np.arange(int(long * RATE)) / RATE) for long, hertz in ENDS[end]]
    last = np.sum(tones, axis=0).astype(np.float32) if tones else np.zeros(0, np.float32)
    notice = np.concatenate([NOTICE if tones else SPOKEN, last])
    found = measure(heard(notice[: len(notice) - cut * RATE // 1000]), notice)
    assert found.tail_ms == pytest.approx(cut, abs=30)
    assert found.front_ms == 0


def error(seed: int | tuple[int, int], voice: str, text: int, codec: str, damage: str, *, warp: bool) -> float:
    """By how much the judge is wrong about a recording of the sweep in `bench/judge.py`, or of another seed."""
    if voice == "espeak" and not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    number = seed if isinstance(seed, int) else seed[1]
    say, rng = bench.VOICES[voice], np.random.default_rng(seed)
    notice, other = say(bench.NOTICES[text]), say(bench.OTHER[number % 2])
    made = bench.case(notice, other, bench.DAMAGES[damage], codec, rng, warp=warp)
    return measure(made.recording, notice).fraction - made.kept


@pytest.mark.real
def test_an_unvoiced_end_is_found_by_its_sound() -> None:
    assert error(9, "hibari", 0, "opus16", "hole, silent", warp=False) == pytest.approx(0, abs=ERROR)
    assert error(38, "hibari", 0, "opus24", "stuttered", warp=False) == pytest.approx(0, abs=ERROR)


@pytest.mark.real
def test_a_voiced_frame_is_not_found_by_its_sound() -> None:
    assert error(727, "espeak", 0, "g711a", "hole, other speech", warp=False) == pytest.approx(0, abs=ERROR)


@pytest.mark.real
def test_two_pieces_meet_where_the_hole_was() -> None:
    assert error(599, "hibari", 5, "g711u", "hole, deleted", warp=False) == pytest.approx(0, abs=ERROR)


@pytest.mark.real
def test_an_unvoiced_start_that_a_receiver_moved_is_found() -> None:
    assert error((1, 638), "espeak", 0, "opus16", "front clip", warp=True) == pytest.approx(0, abs=ERROR)


@pytest.mark.real
def test_of_an_announcement_begun_again_the_copy_counts_that_is_whole() -> None:
    assert error((1, 646), "espeak", 0, "opus16", "repeated", warp=True) == pytest.approx(0, abs=ERROR)

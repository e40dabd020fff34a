"""The judge where something begins or ends: at a hole, at a word's last hiss, where a receiver starts."""

import numpy as np
import pytest
from bench import damage as bench

from hearout.measure import RATE, measure
from hearout.measure.audio import Samples
from test_measure import NOTICE, OTHER, heard, seconds


def hiss(length: float) -> Samples:
    """An unvoiced sound."""
    noise = np.diff(np.random.default_rng(3).standard_normal(int(length * RATE) + 1))
    return (0.06 * noise).astype(np.float32)


def coded(audio: Samples) -> Samples:
    """The same sound with another waveform, as a codec leaves it of a hiss: every frequency 0-8 ms late."""
    phase = np.random.default_rng(4).uniform(-np.pi, np.pi, 65)
    phase[[0, -1]] = 0
    return np.convolve(audio, np.fft.irfft(np.exp(1j * phase)))[: len(audio)].astype(np.float32)


def silence(length: float) -> Samples:
    return np.zeros(int(length * RATE), np.float32)


def joined(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def test_an_unvoiced_end_is_found_by_its_sound() -> None:
    notice = joined(NOTICE, hiss(0.16))
    assert measure(heard(NOTICE, coded(hiss(0.16))), notice).in_full
    cut, (_, _, tail, _) = measure(heard(NOTICE), notice), bench.truth(notice, np.arange(len(notice)) < len(NOTICE))
    assert cut.tail_ms == pytest.approx(tail, abs=20)


@pytest.mark.parametrize("cut", [0.31, 0.36, 0.42])
def test_the_periods_of_a_vowel_that_is_cut_do_not_count_twice(cut: float) -> None:
    pitch = np.cumsum(np.linspace(112, 124, int(0.6 * RATE))) / RATE
    vowel = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 18)).astype(np.float32) * 0.15
    notice = joined(NOTICE, vowel)
    received = joined(NOTICE, vowel[: int(cut * RATE)])
    assert measure(heard(received), notice).tail_ms == pytest.approx(1000 * (0.6 - cut), abs=25)


@pytest.mark.parametrize("begin", np.arange(1.0, 5.0, 0.37).round(2))
def test_a_deleted_stretch_is_told_to_the_frame(begin: float) -> None:
    end = begin + 1.13
    found = measure(heard(seconds(0, begin), seconds(end, 8)), NOTICE)
    at = np.arange(len(NOTICE)) / RATE
    share = bench.truth(NOTICE, (at < begin) | (at >= end))[0]
    assert found.fraction == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("moved", [-0.03, 0.03])
def test_an_unvoiced_start_that_a_receiver_moved_is_found(moved: float) -> None:
    start = joined(hiss(0.06), silence(0.04), hiss(0.06))
    found = measure(heard(coded(start), silence(0.06 + moved), NOTICE), joined(start, silence(0.06), NOTICE))
    assert found.front_ms <= 20


@pytest.mark.parametrize("first", [7.75, 7.85, 7.9])
def test_of_an_announcement_begun_again_the_copy_counts_that_is_whole(first: float) -> None:
    found = measure(heard(seconds(0, first), OTHER[: RATE // 2], NOTICE, noise=1e-2), NOTICE)
    assert found.in_full
    assert found.fraction >= 0.995

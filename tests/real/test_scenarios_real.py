"""The calls that matter most, with the local voice and in real time, as a user runs them: those that `bench` measures.

They are held one after the other: two at once would disturb each other's time. Two questions over one announcement are
the main job's call, in ``newcomer/test_main_job.py``.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest

from bench import local_voice, peers
from bench.notice import NOTICE
from harness import alike
from hearout._local.tts import SAMPLE_RATE, synthesise
from hearout.measure import measure

pytestmark = pytest.mark.real

WAIT, ADDRESS = "Wait, please change my address first.", "Can I change my address first?"

AT_ONCE = 0.3
"""Seconds: three times what `bench` allows 95 % of the answers that could be prepared."""

CHAIN = 3 * 1.5
"""Seconds: three times what hearing, the end of a turn, thinking and speaking take at most with the local voice."""


@cache
def notice() -> npt.NDArray[Any]:
    return synthesise(NOTICE)


def hold(call: str, folder: Path, *, words_end_over_it: bool = True) -> local_voice.Held:
    """Hold a call in which the notice is delivered, by the timeline and in the sound, and all words are settled."""
    held = local_voice.hold(call, peers.HEAROUT, folder)
    assert held.done.returncode == 0, held.done.stdout + held.done.stderr
    first = held.timeline["agent"][0]
    assert (first["protected"], first["cut"], first["text"]) == (True, False, NOTICE)
    sound, sample_rate = local_voice.agent_sound(folder)
    assert sample_rate == SAMPLE_RATE
    found = measure(sound, notice(), SAMPLE_RATE)
    assert found.in_full, found
    assert not found.repeats
    for said in held.timeline["caller"]:
        assert first["start"] < said["start"] < first["end"]
        assert (said["end"] < first["end"]) is words_end_over_it
    return held


def assert_answered_once(held: local_voice.Held, asked: str, *, within: float) -> None:
    """One turn with all the words in their order, and one answer to it, after the notice."""
    turns, agent = held.timeline["turns"], held.timeline["agent"]
    assert len(turns) == 1, turns
    assert alike(turns[0]["text"], asked) >= 0.8
    assert len(agent) == 2, agent
    assert alike(agent[1]["text"], f"You said: {asked}") >= 0.8
    assert agent[1]["start"] >= agent[0]["end"]
    assert held.gap is not None
    assert held.gap <= within


def test_a_silent_caller_hears_the_whole_notice_and_nothing_after_it(tmp_path: Path) -> None:
    held = hold("silent", tmp_path)
    assert (len(held.timeline["agent"]), held.timeline["turns"], held.timeline["held"]) == (1, [], [])


@pytest.mark.parametrize(("call", "asked"), [("early", WAIT), ("middle", ADDRESS)])
def test_a_question_over_the_notice_is_answered_right_after_it(call: str, asked: str, tmp_path: Path) -> None:
    held = hold(call, tmp_path)
    assert_answered_once(held, asked, within=AT_ONCE)
    assert [one["fate"] for one in held.timeline["held"]] == ["delivered"]


def test_a_question_that_ends_just_before_the_notice_does_is_answered_once(tmp_path: Path) -> None:
    held = hold("just-before-the-end", tmp_path)
    assert_answered_once(held, WAIT, within=CHAIN)


def test_what_is_said_across_the_end_of_the_notice_is_one_turn(tmp_path: Path) -> None:
    held = hold("across-the-end", tmp_path, words_end_over_it=False)
    asked = held.timeline["caller"][0]["end"] - held.timeline["agent"][0]["end"]
    assert_answered_once(held, WAIT, within=asked + CHAIN)
    assert held.timeline["agent"][1]["start"] >= held.timeline["caller"][0]["end"]


def test_signs_of_listening_are_no_turn(tmp_path: Path) -> None:
    held = hold("backchannels", tmp_path)
    assert (len(held.timeline["agent"]), held.timeline["turns"]) == (1, [])
    assert [one["fate"] for one in held.timeline["held"]] == ["backchannel"] * 5

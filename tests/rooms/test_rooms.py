"""Calls in a real LiveKit room: what the caller hears and what the agent hears, at the caller's end of the line."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness import alike, words
from harness.rooms.caller import Caller, Recording, share_heard, spoken
from hearout._local.llm import MONOLOGUE
from hearout._local.stt import transcribe
from hearout.measure import Measured, measure

if TYPE_CHECKING:
    from harness.rooms.server import Worker

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

FIRST, SECOND = "Wait, can I change my address first?", "And how much does it cost?"

ANSWERED, ANNOUNCED = 30.0, 60.0
"""Seconds within which the agent must be heard (1-8 s), and its announcement (27 s) be over."""


@pytest.fixture(scope="module")
def talk_over(room_worker: "Worker", tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """A caller who asked two questions over the announcement, listened to the end, and hung up."""
    server = room_worker.server
    with Caller.join(server, server.new_room(), tmp_path_factory.mktemp("talk-over")) as caller:
        caller.say(FIRST, after=0.5)  # while the echo canceller warms up, in which LiveKit gives the STT silence
        caller.say(SECOND, after=10.0)
        caller.wait_for_quiet(4.0, ANSWERED + ANNOUNCED)
    return caller


def transcribed(heard: Recording) -> list[str]:
    return words(transcribe(heard.samples, heard.sample_rate))


def announced(heard: Recording) -> Measured:
    return measure(heard.samples, spoken(MONOLOGUE), heard.sample_rate)


@pytest.mark.one_of_each
def test_the_announcement_arrives_whole_at_a_caller_who_talks_over_it(talk_over: Caller) -> None:
    assert share_heard(words(MONOLOGUE), transcribed(talk_over.heard)) >= 0.95
    arrived = announced(talk_over.heard)
    assert arrived.fraction >= 0.98, arrived
    assert max(arrived.front_ms, arrived.tail_ms, arrived.longest_gap_ms) <= 200, arrived
    assert not arrived.repeats


@pytest.mark.one_of_each
def test_what_a_caller_says_over_the_announcement_is_transcribed(talk_over: Caller) -> None:
    assert alike(talk_over.said("caller"), f"{FIRST} {SECOND}") >= 0.8


@pytest.mark.one_of_each
def test_what_a_caller_says_over_the_announcement_is_answered_when_it_ends(talk_over: Caller) -> None:
    answer = f"You said: {FIRST} {SECOND}"
    announcement, *answers = [one.text for one in talk_over.transcripts if one.final and one.who != "caller"]
    assert announcement.strip() == MONOLOGUE
    assert alike(" ".join(answers), answer) >= 0.8
    heard = talk_over.heard
    assert share_heard(words(f"{MONOLOGUE} {answer}"), transcribed(heard)) >= 0.9
    arrived = announced(heard)
    assert arrived.lag_s is not None
    ended = heard.began + arrived.lag_s + arrived.speech_to_ms / 1000
    # 0.3 s of it (n = 3) is the voice's own silence. The speech's end is known to 0.1 s.
    loud = np.flatnonzero(np.abs(heard.between(ended + 0.1, ended + 3.0).astype(np.int32)) > 330)
    assert len(loud)
    assert loud[0] / heard.sample_rate < 0.9

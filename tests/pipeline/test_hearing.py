"""A caller who speaks over protected speech is heard by the STT, during LiveKit's warm-up too."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import Agent, RunResult
from livekit.agents.utils.audio import silence_frame_like
from livekit.agents.voice import io

from harness.scenes import QUESTION, SECOND, Announcing, assert_answered_at_once
from hearout import AgentSession
from hearout._pipeline.hearing import CallerAudio
from hearout.testing import Call, Do, Result, Say, first_sound, from_end


def played(agent: Any, *caller: Any, session: Any = AgentSession, warm_up: float = 3.0) -> Result:
    def make(**models: Any) -> Any:
        return session(turn_handling={"turn_detection": "vad"}, aec_warmup_duration=warm_up, **models)

    return Call(agent=agent, session=make, caller=caller).play()


class InARoom(AgentSession[None]):
    """Has no input before it starts."""

    async def start(self, agent: Agent, **arguments: Any) -> RunResult[Any] | None:  # type: ignore[override]
        self.microphone, self.input.audio = self.input.audio, None
        return await super().start(agent, **arguments)


class Arriving(Announcing):
    """Gets the session's input when its STT node has its audio already, as LiveKit does in a room."""

    async def on_enter(self) -> None:
        self.session.input.audio = self.session.microphone  # type: ignore[attr-defined]
        await super().on_enter()


@pytest.mark.parametrize("at", [0.2, 1.0, 2.0])
def test_the_first_seconds_over_protected_speech_are_heard_in_a_room(at: float) -> None:
    result = played(Arriving, Say(first_sound(at), QUESTION), session=InARoom)

    assert_answered_at_once(result, QUESTION)


class Passing(io.AudioInput):
    """An input of the user's own."""


@pytest.mark.parametrize("around", [True, False])
def test_an_input_that_is_put_in_mid_call_is_heard_too(*, around: bool) -> None:
    def put_in(session: Any) -> None:
        before = session.input.audio
        session.input.audio = Passing(label="the user's", source=before if around else before.source)

    announce = Do(from_end(0.5), lambda session: session.announce(SECOND))
    asked = Say(from_end(1.5), QUESTION)
    result = played(Announcing, Do(1.0, put_in), announce, asked, warm_up=20.0)

    assert (result.kept, result.turns) == (1.0, [QUESTION])


# What becomes of each frame: LiveKit gives it to the STT node, gives silence for it, or drops it (between two agents).
GIVEN, SILENCED, DROPPED = "given", "silenced", "dropped"

frames = st.lists(
    st.tuples(st.sampled_from([GIVEN, SILENCED, DROPPED]), st.sampled_from([1200, 1200, 1200, 12000])), max_size=20
)


class Source(io.AudioInput):
    """A microphone: of each frame the first sample is its number, and the length is given."""

    def __init__(self, lengths: list[int]) -> None:
        super().__init__(label="room")
        self.came: list[rtc.AudioFrame] = []
        self._lengths = lengths

    async def __anext__(self) -> rtc.AudioFrame:
        samples = self._lengths[len(self.came)]
        data = (len(self.came) + 1).to_bytes(2, "little") + bytes(2 * samples - 2)
        self.came.append(rtc.AudioFrame(data, 24_000, 1, samples))
        return self.came[-1]


def numbers(frames: list[rtc.AudioFrame]) -> list[int]:
    return [int(frame.data[0]) for frame in frames]


def heard(
    fates: list[tuple[str, int]], *, hears: bool, behind: int = 0, before: int = 0
) -> tuple[list[int], list[int], list[int]]:
    """The frames that came, those that LiveKit passed on, and those that the STT node got.

    Args:
        fates: what becomes of each frame, and its samples.
        hears: whether the STT hears the caller.
        behind: frames that the STT node is behind.
        before: frames that came before there was an STT node.
    """
    source = Source([length for _, length in fates])
    audio = CallerAudio(hears=lambda: hears)
    ours = audio.before(source)
    passed: list[rtc.AudioFrame] = []

    async def livekits() -> AsyncIterator[rtc.AudioFrame]:
        taken = 0
        for fate, _ in fates[before:]:
            frame = await anext(ours)
            if fate != DROPPED:
                passed.append(frame if fate == GIVEN else silence_frame_like(frame))
            while taken < len(passed) - behind:
                taken += 1
                yield passed[taken - 1]
        for frame in passed[taken:]:
            yield frame

    async def node() -> list[rtc.AudioFrame]:
        for _ in range(before):
            await anext(ours)
        return [frame async for frame in audio.restored(livekits())]

    got = asyncio.run(node())
    return numbers(source.came), numbers(passed), numbers(got)


@given(frames, st.integers(0, 5))
def test_the_stt_otherwise_gets_what_livekit_passes_on(fates: list[tuple[str, int]], behind: int) -> None:
    _, passed, got = heard(fates, hears=False, behind=behind)

    assert got == passed


@given(frames, st.integers(0, 5))
def test_while_held_no_frame_is_lost_or_comes_twice(fates: list[tuple[str, int]], behind: int) -> None:
    came, _, got = heard(fates, hears=True, behind=behind)

    assert got == came[: len(got)]
    if fates and (fates[-1][0] == GIVEN or DROPPED not in [fate for fate, _ in fates]):
        assert got == came


def test_sound_from_before_there_was_a_node_is_not_given_to_it() -> None:
    *_, got = heard([(SILENCED, 1200)] * 5, hears=True, before=3)

    assert got == [4, 5]

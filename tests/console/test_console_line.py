"""The line's loudspeaker: what is reported as played is what was played, in time."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice import io

from hearout import AgentSession, ConsoleError
from hearout._console.line import FRAME, SAMPLE_RATE, ConsoleOutput, Line
from hearout._console.play import LONGEST, cleaned, read_audio

LATER = 1e12  # a deadline that everything makes


def spoken(seconds: float) -> rtc.AudioFrame:
    samples = np.full(int(seconds * SAMPLE_RATE), 1000, np.int16)
    return rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples))


def with_loudspeaker(call: Callable[[ConsoleOutput, list[Any]], Any]) -> list[Any]:
    """Run `call` with a loudspeaker; the events that LiveKit would see."""
    events: list[Any] = []

    async def main() -> None:
        loudspeaker = ConsoleOutput(lambda: None)
        for name in ("playback_started", "playback_progressed", "playback_finished"):
            loudspeaker.on(name, events.append)
        await call(loudspeaker, events)

    asyncio.run(main())
    return events


def played(loudspeaker: ConsoleOutput, ticks: int, start: int = 0) -> np.ndarray[Any, Any]:
    return np.concatenate([loudspeaker.play((start + n) * FRAME / SAMPLE_RATE, LATER) for n in range(ticks)])


def test_a_stretch_is_reported_with_its_exact_length() -> None:
    async def call(loudspeaker: ConsoleOutput, _: list[Any]) -> None:
        await loudspeaker.capture_frame(spoken(0.05))
        loudspeaker.flush()
        assert np.count_nonzero(played(loudspeaker, 5)) == 0.05 * SAMPLE_RATE

    _, progress, finished = with_loudspeaker(call)
    assert isinstance(progress, io.PlaybackProgressedEvent)
    assert (progress.offset, round(progress.duration, 6)) == (0.0, 0.05)
    assert (round(finished.playback_position, 6), finished.interrupted) == (0.05, False)


def test_a_stretch_that_is_ready_follows_without_a_gap() -> None:
    async def call(loudspeaker: ConsoleOutput, _: list[Any]) -> None:
        for seconds in (0.05, 0.03):
            await loudspeaker.capture_frame(spoken(seconds))
            loudspeaker.flush()
        assert np.all(played(loudspeaker, 4) == 1000)
        first, second = loudspeaker.segments
        assert first.end == second.start == pytest.approx(0.05)

    with_loudspeaker(call)


def test_sound_that_comes_late_leaves_a_hole_in_the_recording() -> None:
    async def call(loudspeaker: ConsoleOutput, _: list[Any]) -> None:
        before = time.monotonic()
        await loudspeaker.capture_frame(spoken(0.02))
        assert not np.any(loudspeaker.play(0.0, before))
        assert np.any(loudspeaker.play(0.02, LATER))

    with_loudspeaker(call)


def test_cleared_audio_is_reported_as_cut_at_the_second_where_it_was() -> None:
    async def call(loudspeaker: ConsoleOutput, _: list[Any]) -> None:
        await loudspeaker.capture_frame(spoken(1.0))
        played(loudspeaker, 10)
        loudspeaker.clear_buffer()
        loudspeaker.flush()
        assert not np.any(played(loudspeaker, 2, 10))

    finished = with_loudspeaker(call)[-1]
    assert (round(finished.playback_position, 6), finished.interrupted) == (0.2, True)


def test_a_pause_plays_nothing_and_loses_nothing() -> None:
    async def call(loudspeaker: ConsoleOutput, _: list[Any]) -> None:
        await loudspeaker.capture_frame(spoken(0.1))
        loudspeaker.flush()
        loudspeaker.pause()
        assert not np.any(played(loudspeaker, 3))
        loudspeaker.resume()
        assert np.count_nonzero(played(loudspeaker, 6, 3)) == 0.1 * SAMPLE_RATE

    with_loudspeaker(call)


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cough.wav"
    file.write_text("this is no sound")
    with pytest.raises(ConsoleError, match=r"cough\.wav: is not a sound file"):
        read_audio(file)
    with pytest.raises(ConsoleError, match=r"none\.wav"):
        read_audio(tmp_path / "none.wav")


def test_what_is_typed_is_spoken_without_control_characters() -> None:
    assert cleaned("one\x1b[31m \x07two\n\tthree  ") == "one [31m two three"
    assert cleaned("  \x00 ") == ""


def test_ten_thousand_characters_are_refused_with_the_limit() -> None:
    with pytest.raises(ConsoleError, match=r"10,000 characters .* 1,000"):
        cleaned("x" * 10_000)
    assert len(cleaned("x" * LONGEST)) == LONGEST


def test_a_line_that_is_hung_up_leaves_no_task_of_its_captions() -> None:
    async def main() -> None:
        line = Line(on_tick=lambda _: None, on_attached=lambda _: None, on_caption=lambda _: None)
        line.attach(AgentSession(turn_handling={"turn_detection": "vad"}))
        await asyncio.sleep(0.05)
        await line.hang_up()
        await line.hang_up()

    asyncio.run(main())

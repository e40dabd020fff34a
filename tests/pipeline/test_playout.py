"""The playout meter: seconds that left, without the lead-in, and no task left at the end."""

import asyncio
import types
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer

from harness.scenes import Announcing
from hearout import AgentSession
from hearout._pipeline.awake import Awake
from hearout._pipeline.playout import PlayoutMeter
from hearout.testing import Call
from hearout.testing._clock import run

SECOND = rtc.AudioFrame(bytes(2 * 24_000), 24_000, 1, 24_000)


class Sink(io.AudioOutput):
    """A loudspeaker that plays nothing: the test says what it played."""

    def __init__(self) -> None:
        super().__init__(
            label="sink", capabilities=io.AudioOutputCapabilities(pause=True), next_in_chain=None, sample_rate=24_000
        )
        self.got = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self.got += frame.duration

    def flush(self) -> None:
        super().flush()

    def clear_buffer(self) -> None:
        pass


class Heard:
    """The meter's reports: name, second of the call, and seconds of the speech."""

    def __init__(self) -> None:
        self.reports: list[tuple[Any, ...]] = []

    async def may_play(self, _handle: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        def note(_handle: Any, *seconds: float, **_: Any) -> None:
            if name != "playout_made":
                now = round(asyncio.get_running_loop().time() - 1000.0, 2)
                self.reports.append((name.removeprefix("playout_"), now, *(round(one, 2) for one in seconds)))

        return note


def played(lead: float, played_to: float, *, progress: bool = False, stops_at: float | None = None) -> tuple[Any, ...]:
    """One second of speech after so much lead-in, of which the sink played so much: its audio, and the reports."""

    async def main() -> tuple[Any, ...]:
        sink, heard = Sink(), Heard()
        leads = iter((lead, 0.0))
        speech: Any = types.SimpleNamespace(id="speech", add_done_callback=lambda _: None)
        tap = PlayoutMeter(sink, speaking=lambda: speech, listener=heard, awake=Awake(), lead_in=lambda: next(leads))  # type: ignore[arg-type]
        told: list[float] = []
        tap.on("playback_finished", lambda event: told.append(event.playback_position))
        await tap.capture_frame(SECOND)
        tap.flush()
        sink.on_playback_started(created_at=0.0)
        await asyncio.sleep(played_to if stops_at is None else stops_at)
        if progress:
            sink.on_playback_progressed(started_at=0.0, offset=0.0, duration=played_to)
        sink.on_playback_finished(playback_position=played_to, interrupted=False)
        await asyncio.sleep(1.0)
        return sink.got, heard.reports, told

    return run(main)


def test_what_is_said_begins_after_its_lead_in_and_none_of_it_counts() -> None:
    got, reports, told = played(0.5, 1.5, progress=True)
    assert got == pytest.approx(1.5)
    assert reports == [("started", 0.5), ("progressed", 1.5, 0.0, 1.0, 1.0), ("finished", 1.5, 1.0)]
    assert told == [pytest.approx(1.0)]


def test_without_a_lead_in_nothing_is_added() -> None:
    assert played(0.0, 1.0, progress=True)[:2] == (
        pytest.approx(1.0),
        [("started", 0.0), ("progressed", 1.0, 0.0, 1.0, 1.0), ("finished", 1.0, 1.0)],
    )


def test_speech_that_is_stopped_in_its_lead_in_never_began() -> None:
    _, reports, told = played(0.5, 0.3, progress=True)
    assert [report for report in reports if report[0] != "progressed"] == [("finished", 0.3, 0.0)]
    assert all(since == until for name, _, since, *rest in reports if name == "progressed" for until in rest)
    assert told == [0.0]


def test_a_report_that_comes_before_the_lead_in_should_be_over_begins_it() -> None:
    """A loudspeaker's clock may be ahead."""
    assert played(0.5, 0.7, stops_at=0.4)[1] == [("started", 0.4), ("finished", 0.4, 0.2)]


class Captioned(AgentSession[Any]):
    """A session whose captions follow the sound, as in a room. Nobody closes the synchronizer."""

    async def start(self, *given: Any, **named: Any) -> Any:
        assert self.output.audio is not None
        self.output.audio = paced(self.output.audio).audio_output
        return await super().start(*given, **named)


def paced(sink: io.AudioOutput) -> TranscriptSynchronizer:
    return TranscriptSynchronizer(next_in_chain_audio=sink, next_in_chain_text=None)


def test_a_session_leaves_no_task_of_livekits_captions_behind_the_meter() -> None:
    made = Call(agent=Announcing, session=lambda **given: Captioned(turn_handling={"turn_detection": "vad"}, **given))
    assert made.play().protected[0].whole  # a task that is left ends the call with an error


def test_captions_that_another_session_shows_stay_open() -> None:
    async def main() -> tuple[bool, bool]:
        captions = paced(Sink())
        meter = PlayoutMeter(captions.audio_output, speaking=lambda: None, listener=Heard(), awake=Awake())  # type: ignore[arg-type]
        await meter.aclose()
        captions.rotate_segment()
        await captions.barrier()
        is_open = not captions._impl.closed
        captions.audio_output.on_detached()
        await meter.aclose()
        return is_open, captions._impl.closed

    assert run(main) == (True, True)

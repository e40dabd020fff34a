"""Ready-made announcements as they are said: loaded, fed to the session, resumed after a cut."""

import asyncio
import hashlib
import io
import time
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent
from livekit.agents.voice import io as livekit_io
from livekit.agents.voice.transcription.synchronizer import TranscriptSynchronizer

from harness.ready import TEXT, Noises, make, manifest_of, silenced
from hearout.announcement import AHEAD, AT_ONCE, FRAME, SPEED, Announcement
from hearout.errors import AnnouncementError
from hearout.prepare._sound import TRAILING
from hearout.testing import Call, Say, first_sound, run

LONG = "One two three four five. " * 12


@pytest.fixture
def notice(tmp_path: Path) -> Announcement:
    """An announcement of two sentences whose words the voice has timed."""
    return make(tmp_path, voice=Noises(aligned=True))[1]


def test_an_announcement_is_loaded_by_its_id_or_by_its_path(notice: Announcement, tmp_path: Path) -> None:
    assert Announcement.load("notice", tmp_path) == Announcement.load(tmp_path / "notice.json") == notice
    assert (notice.id, notice.text, notice.sample_rate) == ("notice", TEXT, 24_000)
    assert notice.seconds == pytest.approx(notice.sentences[-1].end + TRAILING, abs=0.002)
    assert " ".join(sentence.text for sentence in notice.sentences) == TEXT
    assert " ".join(word.text for word in notice.words) == TEXT
    assert len(repr(notice)) < 500


def test_ids_are_looked_for_where_the_environment_says(
    notice: Announcement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEAROUT_ANNOUNCEMENTS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnnouncementError, match=r"announcements/notice\.json.*hearout prepare"):
        Announcement.load("notice")
    monkeypatch.setenv("HEAROUT_ANNOUNCEMENTS", str(tmp_path))
    assert Announcement.load("notice") == notice
    with pytest.raises(AnnouncementError, match=r"elsewhere/notice\.json"):
        Announcement.load("notice", "elsewhere")
    monkeypatch.setenv("HEAROUT_ANNOUNCEMENTS", "")
    with pytest.raises(AnnouncementError, match=r"announcements/notice\.json"):
        Announcement.load("notice")


def test_audio_that_was_changed_is_refused(notice: Announcement) -> None:
    content = bytearray(notice.wav.read_bytes())
    content[len(content) // 2] ^= 1
    notice.wav.write_bytes(content)
    with pytest.raises(AnnouncementError, match=r"notice-.*\.wav: the audio was changed.*--force"):
        Announcement.load(notice.wav.parent / "notice.json")


def test_audio_that_is_gone_is_named(notice: Announcement, tmp_path: Path) -> None:
    notice.wav.unlink()
    with pytest.raises(AnnouncementError, match=notice.wav.name):
        Announcement.load("notice", tmp_path)


@pytest.mark.parametrize("length", [0, 1, 200, -3])
def test_half_a_manifest_is_refused(notice: Announcement, tmp_path: Path, length: int) -> None:
    path = tmp_path / "notice.json"
    path.write_text(path.read_text()[:length])
    with pytest.raises(AnnouncementError, match=r"notice\.json: this is no whole manifest.*--force"):
        Announcement.load("notice", tmp_path)


def test_a_manifest_of_a_newer_hearout_is_refused(notice: Announcement, tmp_path: Path) -> None:
    manifest_of(tmp_path, schema=2)
    with pytest.raises(AnnouncementError, match=r"schema 2, this one reads 1\); update hearout"):
        Announcement.load("notice", tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "1"), ("schema", True), ("id", None), ("text", 5), ("voice", None), ("model", []), ("lufs", "loud"),
        ("wer", None), ("true_peak_dbtp", True), ("made_at", None), ("wav", "../notice.wav"), ("wav", None),
        ("wav_sha256", None), ("text_sha256", None), ("sentences", {}), ("words", None), ("words", [1]),
        ("words", [{"begin": 0, "end": 1, "text": "a"}]), ("sentences", [{"begin": 0, "text": "a", "exact": True}]),
    ],
)  # fmt: skip
def test_a_field_that_is_missing_or_wrong_is_named(
    notice: Announcement, tmp_path: Path, field: str, value: object
) -> None:
    manifest_of(tmp_path, **{field: value})
    with pytest.raises(AnnouncementError, match=r"the field '\w+' is missing or wrong"):
        Announcement.load("notice", tmp_path)


def test_a_text_that_was_changed_is_refused(notice: Announcement, tmp_path: Path) -> None:
    manifest_of(tmp_path, text=TEXT.replace("thirty", "ninety"))
    with pytest.raises(AnnouncementError, match="its text was changed after the audio was made"):
        Announcement.load("notice", tmp_path)


@pytest.mark.parametrize(("channels", "width"), [(2, 2), (1, 1)])
def test_audio_of_another_form_is_refused(notice: Announcement, tmp_path: Path, channels: int, width: int) -> None:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((channels, width, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(48_000))
    notice.wav.write_bytes(content.getvalue())
    manifest_of(tmp_path, wav_sha256=hashlib.sha256(content.getvalue()).hexdigest())
    with pytest.raises(AnnouncementError, match="mono with 16 bit is needed"):
        Announcement.load("notice", tmp_path)


def test_what_is_no_audio_is_refused(notice: Announcement, tmp_path: Path) -> None:
    notice.wav.write_bytes(b"nothing")
    manifest_of(tmp_path, wav_sha256=hashlib.sha256(b"nothing").hexdigest())
    with pytest.raises(AnnouncementError, match="this is no WAV file"):
        Announcement.load("notice", tmp_path)


async def taken(frames: AsyncIterator[rtc.AudioFrame]) -> list[tuple[float, rtc.AudioFrame]]:
    """Every frame, with the seconds after which it came."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    return [(loop.time() - began, frame) async for frame in frames]


def test_the_frames_are_the_audio(notice: Announcement) -> None:
    frames = [frame for _, frame in run(lambda: taken(notice.frames()))]
    with wave.open(str(notice.wav)) as file:
        assert b"".join(bytes(frame.data.cast("B")) for frame in frames) == file.readframes(file.getnframes())
    assert {frame.duration for frame in frames[:-1]} == {FRAME}
    assert 0 < frames[-1].duration <= FRAME


def test_the_frames_begin_where_they_are_asked_to(notice: Announcement) -> None:
    rest = [frame for _, frame in run(lambda: taken(notice.frames(1.25)))]
    pcm = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in rest])
    with wave.open(str(notice.wav)) as file:
        file.setpos(30_000)
        expected = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert len(pcm) == len(expected)
    assert pcm[0] == 0  # faded in over 5 ms
    assert np.array_equal(pcm[120:], expected[120:])
    assert run(lambda: taken(notice.frames(notice.seconds))) == []


def test_the_frames_come_ahead_of_time_but_not_in_one_go(tmp_path: Path) -> None:
    long = make(tmp_path, LONG, voice=Noises())[1]
    assert long.seconds > 12
    came = [at for at, _ in run(lambda: taken(long.frames()))]
    fed = [number * FRAME for number in range(len(came))]

    assert came[round(AT_ONCE / FRAME)] == pytest.approx(0.0, abs=1e-6)
    assert all(at <= max(0.0, ahead - AT_ONCE) + 1e-6 for at, ahead in zip(came, fed, strict=True)), "runs dry"
    assert max(ahead - at for at, ahead in zip(came, fed, strict=True)) <= AHEAD + FRAME
    in_a_tenth = [sum(at <= one < at + 0.1 - 1e-6 for one in came) for at in came if at > 0]
    assert max(in_a_tenth) <= SPEED * 0.1 / FRAME + 1


def test_the_clock_of_the_frames_starts_when_the_first_is_taken(tmp_path: Path) -> None:
    long = make(tmp_path, LONG)[1]

    async def main() -> float:
        frames = long.frames()
        await anext(frames)
        await asyncio.sleep(30)  # a room's output waits here until somebody listens
        began = asyncio.get_running_loop().time()
        async for _ in frames:
            pass
        return asyncio.get_running_loop().time() - began

    assert run(main) == pytest.approx(long.seconds - AHEAD, abs=0.1)


def test_each_use_has_its_own_frames(notice: Announcement) -> None:
    async def main() -> tuple[int, int]:
        one, other = await asyncio.gather(taken(notice.frames()), taken(notice.frames()))
        return len(one), len(other)

    one, other = run(main)
    assert one == other > 50


class Taking(livekit_io.AudioOutput):
    """A loudspeaker that takes everything at once."""

    def __init__(self) -> None:
        super().__init__(label="taking", capabilities=livekit_io.AudioOutputCapabilities(pause=False))

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)

    def flush(self) -> None:
        super().flush()

    def clear_buffer(self) -> None:
        pass


def longest_block(frames: Callable[[], AsyncIterator[rtc.AudioFrame]]) -> float:
    """For how long at most the loop works in one go while LiveKit paces the captions of this audio; seconds of CPU."""

    async def main() -> float:
        paced = TranscriptSynchronizer(next_in_chain_audio=Taking(), next_in_chain_text=None)
        fed = asyncio.create_task(feed(paced))
        longest, last = 0.0, time.thread_time()  # not of the clock: other work may share the machine
        while not fed.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
        await paced.aclose()
        return longest

    async def feed(paced: TranscriptSynchronizer) -> None:
        async for frame in frames():
            await paced.audio_output.capture_frame(frame)
        await asyncio.sleep(0.1)

    return asyncio.run(main())


def test_the_loop_is_not_blocked_by_livekits_estimate_of_the_speaking_rate(tmp_path: Path) -> None:
    announcement = make(tmp_path, "One two three four five. " * 4)[1]

    async def in_one_go() -> AsyncIterator[rtc.AudioFrame]:
        for frame in announcement._cut(0.0):
            yield frame

    assert longest_block(announcement.frames) < longest_block(in_one_go) / 3


def calling(announcement: Announcement) -> type[Agent]:
    class Noticing(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Answer briefly.")

        async def on_enter(self) -> None:
            self.session.say(announcement.text, audio=announcement.frames(), allow_interruptions=False)

    return Noticing


def test_a_prepared_announcement_begins_at_once_and_is_played_to_its_end(tmp_path: Path) -> None:
    long = silenced(make(tmp_path, LONG)[1])
    result = Call(agent=calling(long), caller=[Say(first_sound(2.0), "my address has changed")]).play()
    receipt = result.session.receipts[0]

    assert receipt.started_at - receipt.asked_at <= 0.02
    assert receipt.played == pytest.approx(long.seconds, abs=0.001)
    assert receipt.text.split() == long.text.split()
    assert [reply.said for reply in result.replies] == ["You said my address has changed."]
    assert result.replies[0].start - receipt.ended_at < 0.1, "the answer was not prepared in time"

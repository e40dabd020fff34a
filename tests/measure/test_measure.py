"""The judge: how much of an announcement it finds in recordings that were damaged in known ways.

A sample; `bench/judge.py` has the whole sweep.
"""

import ast
import json
import shutil
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from bench import damage as bench
from harness.recordings import ERROR, HEAD, NOTICE, OTHER, TAIL, babble, heard
from hearout.measure import RATE, MeasureError, Stretch, measure, read
from hearout.measure import _judge as judge
from hearout.measure._audio import Samples
from hearout.measure._command import main


def seconds(begin: float, end: float) -> Samples:
    return NOTICE[int(begin * RATE) : int(end * RATE)]


def test_an_announcement_that_is_there_is_in_full() -> None:
    found = measure(heard(NOTICE), NOTICE)
    assert found.in_full
    assert found.fraction >= 0.995
    assert (found.front_ms, found.tail_ms) == (0, 0)
    assert found.gaps == found.repeats == ()
    assert found.lag_s == pytest.approx(HEAD, abs=0.001)
    assert found.drift_ppm == pytest.approx(0, abs=10)


@pytest.mark.parametrize(
    "recording", [heard(OTHER), heard(NOTICE * 0), np.zeros(5 * RATE, np.float32), np.full(9, 0.1, np.float32)]
)
def test_where_the_announcement_is_not_nothing_is_found(recording: Samples) -> None:
    found = measure(recording, NOTICE)
    assert found.fraction == 0
    assert not found.in_full
    assert found.lag_s is found.drift_ppm is None
    assert found.front_ms == found.tail_ms == found.speech_to_ms - found.speech_from_ms


def without(begin: float, end: float) -> tuple[float, float, float, float]:
    """What is true of the announcement without these seconds: the share, front, tail and longest gap in ms."""
    at = np.arange(len(NOTICE)) / RATE
    return bench.truth(NOTICE, (at < begin) | (at >= end))


@pytest.mark.parametrize(("begin", "end"), [(5.5, 8), (7.3, 8), (0, 1.4), (0, 0.4)])
def test_a_clip_is_told_to_60_ms(begin: float, end: float) -> None:
    found = measure(heard(seconds(0, begin), seconds(end, 8)), NOTICE)
    share, front, tail, _ = without(begin, end)
    assert found.fraction == pytest.approx(share, abs=ERROR)
    assert found.front_ms == pytest.approx(front, abs=60)
    assert found.tail_ms == pytest.approx(tail, abs=60)
    assert found.longest_gap_ms == 0
    assert not found.in_full


@pytest.mark.parametrize("hole", [np.zeros(int(0.8 * RATE), np.float32), OTHER[: int(0.8 * RATE)], OTHER[:0]])
def test_a_hole_is_a_gap_whatever_fills_it(hole: Samples) -> None:
    found = measure(heard(seconds(0, 3), hole, seconds(3.8, 8)), NOTICE)
    share, _, _, gap = without(3, 3.8)
    assert found.fraction == pytest.approx(share, abs=ERROR)
    assert found.longest_gap_ms == pytest.approx(gap, abs=60)
    assert [2940 <= one.start_ms <= 3800 for one in found.gaps] == [True]
    assert found.front_ms == found.tail_ms == 0


def test_what_was_received_once_counts_once() -> None:
    found = measure(heard(seconds(0, 4), seconds(2, 4), seconds(6, 8)), NOTICE)
    assert found.longest_gap_ms == pytest.approx(2000, abs=60)
    assert found.repeats == (Stretch(pytest.approx(2000, abs=500), pytest.approx(2000, abs=500)),)


def test_an_announcement_begun_again_is_in_full_and_repeated() -> None:
    found = measure(heard(seconds(0, 5), NOTICE), NOTICE)
    assert found.in_full
    assert found.repeats == (Stretch(pytest.approx(0, abs=500), pytest.approx(5000, abs=600)),)


def test_a_recording_that_says_each_piece_twice_is_measured_too() -> None:
    """As of a receiver that two programs listen to: stretches were found in another order than the announcement's."""
    notice, size = babble(8, 6), int(0.2 * RATE)
    stuttered = [np.tile(notice[k : k + size], 2) for k in range(0, len(notice), size)]
    assert 0.3 <= measure(heard(*stuttered), notice).fraction <= 1.0


def test_a_jitter_buffers_start_is_followed() -> None:
    for seed in range(4):
        found = measure(heard(bench.warped(NOTICE, np.random.default_rng(seed))), NOTICE)
        assert found.in_full
        assert found.front_ms <= 20


@pytest.mark.parametrize("seed", range(3))
def test_a_receiver_that_is_late_and_catches_up_is_followed(seed: int) -> None:
    late, _ = bench.caught_up(NOTICE, OTHER, np.random.default_rng(seed))
    found = measure(heard(late), NOTICE)
    assert found.fraction >= 0.97
    assert found.front_ms == found.tail_ms == 0
    assert found.drift_ppm == pytest.approx(0, abs=40)


def test_what_a_receiver_stretched_is_no_drift() -> None:
    late, rng = NOTICE, np.random.default_rng(1)
    for begin in (1.5, 4.0, 6.5):
        late = bench.stretched(late, int(begin * RATE), int((begin + 0.5) * RATE), 0.05, rng)
    found = measure(heard(late), NOTICE)
    assert found.drift_ppm == pytest.approx(0, abs=40)


def test_short_remains_one_behind_the_other_are_found() -> None:
    found = measure(heard(seconds(0, 2), seconds(3, 3.5), seconds(5, 5.6), seconds(7, 8)), NOTICE)
    at = np.arange(len(NOTICE)) / RATE
    kept = (at < 2) | (at >= 3) & (at < 3.5) | (at >= 5) & (at < 5.6) | (at >= 7)
    assert found.fraction == pytest.approx(bench.truth(NOTICE, kept)[0], abs=ERROR)


def test_an_announcement_of_one_word_is_found() -> None:
    word = babble(0.5, 5)
    assert measure(heard(OTHER, word), word).in_full
    assert measure(heard(OTHER), word).fraction == 0


def test_a_sound_in_common_is_not_a_piece_of_the_announcement() -> None:
    common = seconds(2, 2.3)
    assert measure(heard(OTHER[: 2 * RATE], common, OTHER[2 * RATE :]), NOTICE).fraction == 0


def test_a_word_in_common_with_what_follows_a_cut_is_not_its_end() -> None:
    common = seconds(6.5, 6.75)
    found = measure(heard(seconds(0, 3), OTHER[: 3 * RATE], common, OTHER[3 * RATE :]), NOTICE)
    _, _, tail, _ = without(3, 8)
    assert found.tail_ms == pytest.approx(tail, abs=60)


@pytest.mark.parametrize(("recorded", "announced"), [(75, 35), (600, 30)])
def test_the_judge_takes_a_thirtieth_of_real_time_for_long_recordings_too(recorded: int, announced: int) -> None:
    notice = np.concatenate([babble(announced - 8, 3), NOTICE])
    before = np.resize(OTHER, (recorded - announced) * RATE // 2)
    recording = np.concatenate([before, notice[: announced * RATE // 2], np.resize(OTHER[RATE:], len(before))])
    recording += 0.01 * np.random.default_rng(0).standard_normal(len(recording)).astype(np.float32)
    begun = time.process_time()
    found = measure(recording, notice)
    assert time.process_time() - begun <= 0.03 * len(recording) / RATE
    assert found.fraction == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_drifting_clock_is_followed_and_told(ppm: int) -> None:
    found = measure(heard(bench.drifted(NOTICE, ppm)), NOTICE)
    assert found.in_full
    assert found.drift_ppm == pytest.approx(ppm, abs=20)


def test_rates_and_sample_types_may_differ() -> None:
    pcm = (np.repeat(heard(NOTICE), 3) * 32767).astype(np.int16)
    assert measure(pcm, NOTICE, 48_000, reference_rate=RATE).in_full


def test_somebody_talking_over_it_does_not_hide_it() -> None:
    recording = heard(NOTICE)
    recording[RATE : RATE + len(OTHER) // 3] += 0.3 * OTHER[: len(OTHER) // 3]
    assert measure(recording, NOTICE).fraction == pytest.approx(1, abs=0.05)


def test_the_verdict_as_json_has_all_its_parts() -> None:
    told = json.loads(measure(heard(seconds(0, 3), seconds(5, 8)), NOTICE).to_json())
    assert told["in_full"] is False
    assert told["gaps"][0].keys() == {"start_ms", "length_ms"}
    assert json.loads(measure(heard(OTHER), NOTICE).to_json())["lag_s"] is None


def test_the_judge_knows_nothing_of_what_it_judges() -> None:
    for file in Path(judge.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                # how text and progress are shown, for all commands
                assert node.level <= 1 or (node.level, node.module) in {(2, "_text"), (2, "_text.progress")}
                assert not (node.module or "").startswith("hearout")
            elif isinstance(node, ast.Import):
                assert not any(name.name.startswith("hearout") for name in node.names)


@pytest.mark.parametrize(
    ("recording", "reference", "complaint"),
    [
        (NOTICE, NOTICE * 0, "the announcement is silent"),
        (NOTICE, NOTICE[:0], "the announcement is silent"),
        (NOTICE[:0], NOTICE, "the recording is empty"),
        (NOTICE, NOTICE[2000:2001] + 0.1, "0.000 s long; what is shorter than 0.2 s"),
        (NOTICE, NOTICE[: RATE // 10] + 0.1, "0.100 s long"),
        (np.stack([NOTICE, NOTICE]), NOTICE, "one channel"),
        (NOTICE * np.float32("nan"), NOTICE, "not numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(recording: Samples, reference: Samples, complaint: str) -> None:
    with pytest.raises(MeasureError, match=complaint):
        measure(recording, reference)


# ---- files


def written(path: Path, *channels: Samples) -> Path:
    """The channels as a file; the codec is what the name asks for."""
    codec, rate, form = {"wav": ("pcm_s16le", RATE, "s16"), "mp4": ("aac", 48_000, "fltp")}.get(
        path.suffix[1:], ("libopus", 48_000, "s16")
    )
    layout = "mono" if len(channels) == 1 else "stereo"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(form, layout, rate, frame_size=960 if codec == "libopus" else 1024)
        frame = av.AudioFrame.from_ndarray(np.stack(channels), "fltp", layout)
        frame.sample_rate = RATE
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["wav", "ogg", "webm", "mp4"])
def test_a_recording_is_read_from_any_container(tmp_path: Path, kind: str) -> None:
    audio = read(written(tmp_path / f"call.{kind}", heard(NOTICE)))
    assert len(audio) == pytest.approx(len(NOTICE) + (HEAD + TAIL) * RATE, abs=0.1 * RATE)
    assert measure(audio, NOTICE).in_full


def test_one_channel_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path / "call.wav", heard(NOTICE), heard(NOTICE * 0))
    assert [measure(read(path, channel), NOTICE).in_full for channel in (0, 1, None)] == [True, False, True]
    with pytest.raises(MeasureError, match=r"call\.wav: there is no channel 2; it has 2"):
        read(path, 2)


def test_lost_packets_are_silence(tmp_path: Path) -> None:
    whole, holed = written(tmp_path / "whole.webm", heard(NOTICE)), tmp_path / "holed.webm"
    with av.open(str(whole)) as source, av.open(str(holed), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None and not 3.0 <= packet.pts * packet.time_base < 4.0:
                packet.stream = stream
                out.mux(packet)
    assert len(read(holed)) == pytest.approx(len(read(whole)), abs=0.05 * RATE)
    assert measure(read(holed), NOTICE).longest_gap_ms == pytest.approx(1000, abs=60)


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    text, empty = tmp_path / "call.txt", tmp_path / "empty.wav"
    text.write_text("hello")
    with wave.open(str(empty), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
    for path, complaint in ((text, "cannot be read"), (empty, "no audio"), (tmp_path / "none.wav", "cannot be read")):
        with pytest.raises(MeasureError, match=complaint):
            read(path)


def test_the_command_tells_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notice = written(tmp_path / "notice.wav", NOTICE)
    whole, part = written(tmp_path / "whole.wav", heard(NOTICE)), written(tmp_path / "part.ogg", heard(seconds(0, 5)))
    assert main([str(whole), str(notice)]) == 0
    assert capsys.readouterr().out.startswith("delivered in full: ")
    assert main([str(part), str(notice), "--json", "--channel", "0"]) == 1
    assert json.loads(capsys.readouterr().out)["in_full"] is False
    assert main([str(part), str(tmp_path / "none.wav")]) == 2
    assert "none.wav: cannot be read" in capsys.readouterr().err
    silent = written(tmp_path / "silent.wav", NOTICE * 0)
    assert main([str(whole), str(silent)]) == 2
    assert "the announcement is silent" in capsys.readouterr().err
    assert main([str(whole), str(notice), "--channel", "1"]) == 2
    assert "there is no channel 1; it has 1" in capsys.readouterr().err


def test_the_command_draws_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    notice, picture = written(tmp_path / "notice.wav", NOTICE), tmp_path / "picture.png"
    part = written(tmp_path / "part.wav", heard(seconds(1, 3), seconds(4, 6)))
    assert main([str(part), str(notice), "--picture", str(picture)]) == 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.chmod(0o644)  # an older version's
    assert main([str(part), str(notice), "--picture", str(picture)]) == 1
    assert picture.stat().st_mode & 0o777 == 0o600
    assert main([str(part), str(notice), "--picture", str(tmp_path)]) == 2
    assert main([str(part), str(notice), "--picture", str(tmp_path / "picture.doc")]) == 2
    assert "picture.doc: the picture cannot be written" in capsys.readouterr().err


# ---- real voices through real codecs


@pytest.mark.real
@pytest.mark.parametrize(
    ("voice", "codec", "damage"),
    [
        ("hibari", "opus16", "complete"),
        ("espeak", "g711u", "complete"),
        ("hibari", "g711a", "cut, answered"),
        ("espeak", "opus24", "cut"),
        ("hibari", "opus32", "hole, silent"),
        ("espeak", "opus16", "hole, other speech"),
        ("hibari", "g711u", "front clip"),
        ("espeak", "opus16", "repeated"),
    ],
)
def test_the_share_that_was_delivered_is_told_within_two_per_cent(voice: str, codec: str, damage: str) -> None:
    if voice == "espeak" and not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    notice, other = bench.VOICES[voice](bench.NOTICES[1]), bench.VOICES[voice](bench.OTHER[0])
    made = bench.case(notice, other, bench.DAMAGES[damage], codec, np.random.default_rng(7), warp=True)
    found = measure(made.recording, notice)
    assert found.fraction == pytest.approx(made.kept, abs=ERROR)
    assert found.in_full == (made.kept == 1)


@pytest.mark.real
def test_another_announcement_in_the_same_voice_is_not_this_one() -> None:
    one, other = (bench.hibari(text) for text in bench.NOTICES[1:3])
    made = bench.case(other, one, bench.complete, "opus24", np.random.default_rng(3))
    assert measure(made.recording, one).fraction == 0


@pytest.mark.parametrize("rate", [0, -8000])
def test_a_sample_rate_that_is_none_is_refused(rate: int) -> None:
    with pytest.raises(MeasureError, match=f"a sample rate of {rate} Hz makes no sense"):
        measure(NOTICE, NOTICE, rate)


@pytest.mark.parametrize("milliseconds", [200, 220, 260, 300, 400])
def test_the_shortest_announcements_are_measured(milliseconds: int) -> None:
    word = NOTICE[RATE : RATE + RATE * milliseconds // 1000]
    assert measure(
        np.concatenate([np.zeros(RATE // 2, np.float32), word, np.zeros(RATE // 2, np.float32)]), word
    ).in_full

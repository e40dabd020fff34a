"""`hearout prepare`: made once, checked, stored whole or not at all."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest

from harness.ready import TEXT, Noises, NoiseTTS, ToldSTT, make, noises, samples
from hearout._local import tts as local_tts
from hearout._local.gateway import Gateway
from hearout.announcement import Announcement
from hearout.errors import AnnouncementError, MisspokenError
from hearout.prepare import main
from hearout.prepare._check import spoken
from hearout.prepare._make import Done
from hearout.prepare._models import LiveKitTextToSpeech, transcribed_by
from hearout.prepare._orders import Options, read
from hearout.prepare._sound import LEADING, SAMPLE_RATE, TRAILING, TRUE_PEAK, true_peak
from hearout.testing._clock import run


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files of a folder, with when they were written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


# --- Refused


def test_an_announcement_that_misspeaks_its_text_is_refused_and_not_stored(tmp_path: Path) -> None:
    folder = tmp_path / "announcements"
    with pytest.raises(MisspokenError, match=r"notice: 25% of its words.*10% are allowed.*Heard: “one two three”"):
        make(folder, "one two three four", hears="one two three")
    assert not folder.exists()
    assert make(folder, "one two three four", hears="one two three", wer_limit=0.25)[1].wer == 0.25


def test_what_was_there_before_stays_when_its_successor_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(MisspokenError):
        make(tmp_path, "A new text.", hears="An old one.")
    assert everything(tmp_path) == before


# --- Stored


def test_the_manifest_says_what_was_made(tmp_path: Path) -> None:
    done, made = make(tmp_path, voice=Noises(aligned=True))
    manifest = json.loads((tmp_path / "notice.json").read_text())

    assert done is Done.MADE
    assert (manifest["schema"], manifest["id"], manifest["text"]) == (1, "notice", TEXT)
    assert (manifest["voice"], manifest["model"], manifest["wer"]) == ("noise", "noises 1", 0.0)
    assert manifest["seconds"] == pytest.approx(len(samples(made.wav)) / 24_000, abs=0.001)
    assert manifest["lufs"] == pytest.approx(pyloudnorm.Meter(24_000).integrated_loudness(samples(made.wav)), abs=0.01)
    assert manifest["made_at"].endswith("+00:00")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["notice.json", manifest["wav"]])


def test_the_same_text_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path)
    before, voice = everything(tmp_path), Noises()
    done, made = make(tmp_path, f"  {TEXT.replace('. ', '.' + chr(10))}\n", voice=voice)

    assert (done, made.text, voice.asked) == (Done.KEPT, TEXT, [])
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Another text."},
        {"voice": Noises(name="other")},
        {"voice": Noises(model="noises 2")},
        {"lufs": -20.0},
        {"force": True},
    ],
)
def test_what_was_changed_is_made_again_and_the_old_audio_goes(tmp_path: Path, change: dict[str, Any]) -> None:
    make(tmp_path)
    (tmp_path / "notice.json").touch()
    before = (tmp_path / "notice.json").stat().st_mtime_ns
    done, made = make(tmp_path, **change)

    assert done is Done.MADE
    assert (tmp_path / "notice.json").stat().st_mtime_ns > before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["notice.json", made.wav.name])


def test_what_was_made_with_more_errors_than_are_allowed_now_is_made_again(tmp_path: Path) -> None:
    make(tmp_path, "one two three four", hears="one two three", wer_limit=0.5)
    assert make(tmp_path, "one two three four", wer_limit=0.1)[0] is Done.MADE


def test_files_that_were_changed_by_hand_are_overwritten_only_by_force(tmp_path: Path) -> None:
    wav = make(tmp_path)[1].wav
    wav.write_bytes(wav.read_bytes()[:-2])
    before = everything(tmp_path)
    with pytest.raises(AnnouncementError, match=r"the audio was changed.*--force"):
        make(tmp_path, "A new text.")
    assert everything(tmp_path) == before

    assert make(tmp_path, "A new text.", force=True)[0] is Done.MADE
    assert Announcement.load("notice", tmp_path).text == "A new text."


@pytest.mark.parametrize("full_at", [".json", ".wav"])
def test_a_crash_while_it_is_stored_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    before = make(tmp_path)[1]

    def crash(old: str, new: Path) -> None:
        if str(new).endswith(full_at):
            raise OSError(28, "No space left on device", str(new))
        os.rename(old, new)

    monkeypatch.setattr("hearout.prepare._make.os.replace", crash)
    with pytest.raises(AnnouncementError, match=rf"notice.*\{full_at}: cannot be written \(No space left on device\)"):
        make(tmp_path, "A new text.")
    assert Announcement.load("notice", tmp_path) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_another_announcements_audio_is_never_taken_away(tmp_path: Path) -> None:
    other = make(tmp_path, "Another one.", name="notice-2")[1]
    make(tmp_path)
    path = tmp_path / "notice.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"wav": other.wav.name}))
    make(tmp_path, "A new text.", force=True)
    assert Announcement.load("notice-2", tmp_path) == other


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnnouncementError, match=r"file.*cannot be (written|read)"):
        make(tmp_path / "file")


def test_a_text_without_words_or_sound_is_refused(tmp_path: Path) -> None:
    class Mute(Noises):
        async def speak(self, text: str) -> list[Any]:
            return []

    with pytest.raises(AnnouncementError, match="notice: the voice gives no sound"):
        make(tmp_path, ":-)", voice=Mute())
    with pytest.raises(AnnouncementError, match="notice: its text has no words"):
        make(tmp_path, "...")


# --- What is asked for

TOML = """
lufs = -20
[announcement]
short = "Short."
[announcement.long]
text = "Longer."
wer_limit = 0.3
lufs = -18.5
"""


def test_a_toml_file_has_ids_texts_and_options(tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text(TOML)
    (tmp_path / "one.txt").write_text("\ufeffOne.\n", encoding="utf-8")
    paths = [tmp_path / "all.toml", tmp_path / "one.txt"]
    orders = {order.id: order for order in read(paths, {})}

    assert {name: order.text.strip() for name, order in orders.items()} == {
        "short": "Short.",
        "long": "Longer.",
        "one": "One.",
    }
    assert orders["short"].choices == Options(lufs=-20.0)
    assert orders["long"].choices == Options(lufs=-18.5, wer_limit=0.3)
    assert orders["one"].choices == Options()
    assert {order.choices.lufs for order in read(paths, {"lufs": -30.0})} == {-30.0}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "announcement", "this is no TOML"),
        ("a.toml", "lufs = -20", "there is no announcement"),
        ("a.toml", "announcement = 1", "there is no announcement"),
        ("a.toml", "[announcement]\na = 1", "the announcement 'a' has no text"),
        ("a.toml", "[announcement.a]\nlufs = -20", "the announcement 'a' has no text"),
        ("a.toml", "loud = 1\n[announcement]\na = 'b'", "there is no option 'loud'; there are tts"),
        ("a.toml", "[announcement.a]\ntext = 'b'\nlufs = 'loud'", "lufs is 'loud', a float is needed"),
        ("a.toml", "whole = 1\n[announcement]\na = 'b'", "whole is 1, a bool is needed"),
        ("a.toml", "lufs = true\n[announcement]\na = 'b'", "lufs is True, a float is needed"),
        ("a.toml", "lufs = 3\n[announcement]\na = 'b'", "lufs 3 makes no sense"),
        ("a.toml", "wer_limit = 10\n[announcement]\na = 'b'", "wer_limit 10 makes no sense"),
        ("a.toml", "[announcement]\n'../a' = 'b'", "'../a' cannot be an id"),
        ("a b.txt", "text", "'a b' cannot be an id"),
        ("a.txt", " \n", "the announcement 'a' has no text"),
        ("a.txt", b"\xff\xfe", "no text in UTF-8"),
        ("a.txt", None, "No such file"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_file(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AnnouncementError, match=f"{name.replace('.', '[.]')}: .*{message}"):
        read([tmp_path / name], {})


def test_two_announcements_of_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "b.toml").write_text("[announcement]\na = 'Two.'")
    with pytest.raises(AnnouncementError, match=r"b\.toml: there is another announcement with the id 'a'"):
        read([tmp_path / "a.txt", tmp_path / "b.toml"], {})


# --- The command

NOISES = ("--tts", "harness.ready:aligned_voice", "--stt", "harness.ready:hearing_it_all")


@pytest.fixture
def notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notice.txt").write_text(TEXT)
    return tmp_path / "notice.txt"


def test_the_command_makes_them_with_any_of_livekits_voices(notice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notice.txt", *NOISES]) == 0
    assert capsys.readouterr().out.startswith("made     notice")
    made = Announcement.load("notice", "announcements")
    assert (made.model, made.voice, made.wer, made.lufs) == (
        "tests noise-2",
        "default",
        0.0,
        pytest.approx(-16, abs=0.5),
    )
    assert all(word.exact for word in made.words)
    assert np.abs(samples(made.wav))[round(made.words[4].begin * 24_000) :][:120].max() > 0.01

    assert main(["notice.txt", *NOISES, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["id"], told["what"], told["wer"]) == ("notice", "kept", 0.0)


def test_the_commands_exit_status_says_what_became_of_them(notice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notice.with_name("other.txt").write_text("Quite another text.")
    assert main(["notice.txt", "other.txt", *NOISES, "--out", "here", "--json"]) == 1
    printed = capsys.readouterr()
    assert [told["what"] for told in json.loads(printed.out)] == ["made", "refused"]
    assert printed.err.startswith("refused: other: ")
    assert sorted(path.suffix for path in notice.with_name("here").iterdir()) == [".json", ".wav"]

    assert main(["notice.txt", "--tts", "harness.ready:failing_voice", "--stt", "harness.ready:hearing_it_all"]) == 2
    assert "failed: the voice tests noise-2 failed: out of credit" in capsys.readouterr().err
    assert main(["notice.txt", *NOISES[:2], "--stt", "harness.ready:hearing_something_else"]) == 1


def test_a_model_that_cannot_be_used_stops_no_other_announcement(
    notice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [
        f'[announcement.{id}]\ntext = "{TEXT}"\ntts = "{model}"\n'
        for id, model in (
            ("first", "harness.ready:aligned_voice"),
            ("second", "nowhere:voice"),
            ("third", "harness.ready:aligned_voice"),
        )
    ]
    notice.with_name("three.toml").write_text("\n".join(tables))
    assert main(["three.toml", *NOISES[2:], "--json"]) == 2
    printed = capsys.readouterr()
    told = {one["id"]: one["what"] for one in json.loads(printed.out)}
    assert told == {"first": "made", "second": "failed", "third": "made"}
    assert printed.err.startswith("failed: second: nowhere:voice: cannot be used (ModuleNotFoundError: ")


def test_an_announcement_whose_audio_was_lost_is_made_again(notice: Path) -> None:
    assert main(["notice.txt", *NOISES]) == 0
    made = Announcement.load("notice", "announcements")
    made.wav.unlink()
    assert main(["notice.txt", *NOISES]) == 0
    assert Announcement.load("notice", "announcements").text == made.text


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (24_000, 2), (48_000, 1)])
def test_a_voice_of_any_rate_and_number_of_channels_will_do(rate: int, channels: int) -> None:
    (piece,) = asyncio.run(LiveKitTextToSpeech(NoiseTTS(rate=rate, channels=channels)).speak(TEXT))
    same = noises(TEXT, rate)[0]
    loud = [np.flatnonzero(np.abs(audio) > 0.05) / hertz for audio, hertz in ((piece.audio, 24_000), (same, rate))]

    # LiveKit 1.8.9 itself ends a stretch with 10 ms of silence
    assert len(piece.audio) / 24_000 == pytest.approx(len(same) / rate + 0.01, abs=0.002)
    assert loud[0][[0, -1]] == pytest.approx(loud[1][[0, -1]], abs=0.002)
    if rate <= 24_000:  # at a higher rate, noise loses what lies above 12 kHz
        assert np.sqrt((piece.audio**2).mean()) == pytest.approx(np.sqrt((same**2).mean()), rel=0.25)


def test_an_stt_that_leaves_its_stream_open_does_not_hang_the_command() -> None:
    async def transcribed(says: str) -> str:
        plugin = ToldSTT(lambda: says, streaming=True, stays_open=True)
        return await transcribed_by(plugin, np.zeros(SAMPLE_RATE, np.int16))

    assert spoken(run(lambda: transcribed(TEXT))) == spoken(TEXT)
    with pytest.raises(AnnouncementError, match="failed: no final transcript came"):
        run(lambda: transcribed(""))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "missing.txt: cannot be read"),
        (["notice.txt", "--lufs", "5"], "lufs 5 makes no sense"),
        (["notice.txt", "--tts", "cartesia/sonic-3"], "cartesia/sonic-3: cannot be used"),
        (["notice.txt", "--tts", "nowhere:voice"], "nowhere:voice: cannot be used"),
        (["notice.txt", "--tts", "harness.ready"], "harness.ready: cannot be used"),
        (["notice.txt", "--tts", "..ready:voice"], "..ready:voice: cannot be used (TypeError: "),
        (["notice.txt", "--tts", "harness.ready:TEXT"], "harness.ready:TEXT: cannot be used (TypeError: "),
        (["long.toml"], "cannot be an id"),
        (["notice.txt", "--tts", "harness.ready:no_voice"], "it returned a object, LiveKit's TTS is needed"),
        (["notice.txt", "--stt", "harness.ready:aligned_voice"], "it returned a NoiseTTS, LiveKit's STT is needed"),
        (["notice.txt", "--voice", "emma"], "the local voice has one voice, heart"),
        (["notice.txt", "--tts", "harness.ready:aligned_voice", "--voice", "x"], "chooses its voice itself"),
    ],
)
def test_a_call_of_the_command_that_makes_no_sense_says_why(
    notice: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    notice.with_name("long.toml").write_text(f'announcement.{"x" * 300} = "a text"')
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("announcements").exists()


# --- The real voice, and the real STT

REAL = "This call is recorded for training. You have 30 days to object, or press 9 now."


@pytest.mark.real
def test_the_local_voice_says_its_text_and_the_local_stt_hears_it(
    notice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notice.write_text(REAL)
    assert main(["notice.txt"]) == 0
    made = Announcement.load("notice", "announcements")
    audio = samples(made.wav)
    loud = np.flatnonzero(np.abs(audio) > 0.02 * np.abs(audio).max()) / SAMPLE_RATE

    assert made.wer == 0.0
    assert (made.voice, made.model.split()[0]) == ("heart", "hibari-tts")
    assert pyloudnorm.Meter(24_000).integrated_loudness(audio) == pytest.approx(-16, abs=0.5)
    assert true_peak(audio.astype(np.float32)) <= TRUE_PEAK
    assert loud[0] == pytest.approx(LEADING, abs=0.03)
    assert made.seconds - loud[-1] == pytest.approx(TRAILING, abs=0.03)
    assert [sentence.exact for sentence in made.sentences] == [True, True]
    assert " ".join(word.text for word in made.words) == REAL


@pytest.mark.real
def test_a_model_of_livekit_inference_speaks_and_checks(notice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notice.write_text(REAL)
    models = ["--tts", "cartesia/sonic-3", "--voice", "some-voice", "--stt", "deepgram/nova-3-general"]
    with Gateway.start() as gateway:
        for name, value in gateway.environment().items():
            monkeypatch.setenv(name, value)
        assert main(["notice.txt", *models]) == 0
    made = Announcement.load("notice", "announcements")

    assert (made.model, made.voice, made.wer) == ("livekit cartesia/sonic-3", "some-voice", 0.0)
    assert [sentence.exact for sentence in made.sentences] == [True, True]
    begins = [word.begin for word in made.words]
    assert begins == sorted(set(begins)), "the times of the sentence were taken for those of its words"


@pytest.mark.real
def test_audio_that_says_something_else_is_found_by_the_local_stt(
    notice: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notice.write_text(REAL)
    original = local_tts.parts
    monkeypatch.setattr(local_tts, "parts", lambda text: original(text.replace("recorded", "free")))
    assert main(["notice.txt", "--wer-limit", "0.05"]) == 1
    assert "refused: notice: 6% of its words were heard wrongly" in capsys.readouterr().err
    assert not Path("announcements").exists()

"""Ready-made announcements: synthesised once, checked against their text, kept. No TTS is needed when one is said."""

import asyncio
import hashlib
import io
import os
import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from livekit import rtc
from livekit.agents import tokenize

from ._text import read_json
from .errors import AnnouncementError

T = TypeVar("T")

SCHEMA = 1
"""The version of the manifest. A newer one is refused."""

FOLDER = Path("announcements")
"""Where announcements are, unless ``HEAROUT_ANNOUNCEMENTS`` or an argument says otherwise."""

FRAME = 0.05
"""Seconds of audio in a frame; what LiveKit's room output cuts its audio into, so that it copies nothing twice."""

AT_ONCE, SPEED, AHEAD = 1.0, 2.0, 5.0
"""How :meth:`Announcement.frames` feeds the session: so many seconds at once, then so many times as fast as it is
played, until it is so many seconds ahead. LiveKit 1.8.9 estimates the speaking rate of what it is fed on the event
loop, 11 ms for a second of audio: fed in one go, 30 s block every call of the process for a third of a second. The rate
is first estimated after 1 s of audio, so the first second costs no more than any later tenth. Less than 3 s ahead,
hearout would learn too late where the end is, and so prepare the answer too late."""

_FADE = 0.005  # seconds; begun in the middle of a sound, a loudspeaker would click


def default_folder() -> Path:
    """Where announcements are: what ``HEAROUT_ANNOUNCEMENTS`` says, or :data:`FOLDER`.

    Read here, not in cli.py: an agent file loads its announcements when it is imported, before the command line is
    read, and LiveKit's job processes import it and read none.
    """
    return Path(os.environ.get("HEAROUT_ANNOUNCEMENTS") or FOLDER)


@dataclass(frozen=True)
class Timed:
    """A stretch of an announcement.

    Attributes:
        begin: seconds from the start of the audio. A sentence begins with the little silence before it.
        end: seconds, where its sound ends.
        text: what is said in it.
        exact: whether the times come from the TTS; else they are estimated from the sound and the spelling.
    """

    begin: float
    end: float
    text: str
    exact: bool


class Sentence(Timed):
    """A sentence of an announcement."""


class Word(Timed):
    """A word of an announcement, with the punctuation that is written to it."""


@dataclass(frozen=True)
class Announcement:
    """An announcement as audio, with its text and the times of its sentences and words.

    Attributes:
        id: the name that receipts and redelivery go by.
        text: what is said, with single spaces.
        seconds: how long it is, the silence around it included.
        sample_rate: Hz; 24,000 as `hearout prepare` makes it.
        sentences: in order; together they are the text.
        words: in order; together they are the text.
        voice: who speaks.
        model: the TTS's model and version.
        lufs: its integrated loudness (ITU-R BS.1770), in LUFS.
        true_peak: its highest peak between the samples, in dB of full scale.
        wer: the share of its words that an STT heard wrongly when it was made.
        made_at: when, in UTC, ISO 8601.
        sha256: of the WAV file, in hexadecimal.
        wav: where the audio is.
    """

    id: str
    text: str
    seconds: float
    sample_rate: int
    sentences: tuple[Sentence, ...] = field(repr=False)
    words: tuple[Word, ...] = field(repr=False)
    voice: str
    model: str
    lufs: float
    true_peak: float
    wer: float
    made_at: str
    sha256: str = field(repr=False)
    wav: Path
    _pcm: bytes = field(repr=False)

    @classmethod
    def load(cls, name: str | Path, folder: str | Path | None = None) -> Self:
        """An announcement that `hearout prepare` made; reads its two files and checks their hashes.

        Args:
            name: its id, or the path of its manifest (it ends with ``.json``).
            folder: where ids are looked for; ``announcements``, or what ``HEAROUT_ANNOUNCEMENTS`` says.

        Raises:
            AnnouncementError: there is none, it was changed after it was made, or a newer hearout made it.
        """
        # LiveKit 1.8.9 builds its hyphenator with the first caption, on the event loop: 0.1–0.2 s, once in a process.
        tokenize.basic.hyphenate_word("announcement")
        path = Path(name) if str(name).endswith(".json") else Path(folder or default_folder()) / f"{name}.json"
        try:
            return cls._read(path)
        except FileNotFoundError:
            return cls._read_again(path)

    @classmethod
    def _read_again(cls, path: Path) -> Self:
        """A second look: `hearout prepare` may have exchanged it between the reading of its two files."""
        try:
            return cls._read(path)
        except FileNotFoundError as error:
            raise AnnouncementError(
                f"{error.filename}: there is no such file, so the announcement {path.stem!r} cannot be said; "
                "make it with `hearout prepare`, or name its folder in HEAROUT_ANNOUNCEMENTS"
            ) from error

    @classmethod
    def _read(cls, path: Path) -> Self:
        manifest = _Manifest.read(path)
        wav = path.parent / manifest.wav()
        pcm, rate = _audio(wav, manifest.get("wav_sha256", str))
        text = manifest.get("text", str)
        if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != manifest.get("text_sha256", str):
            raise AnnouncementError(f"{path}: its text was changed after the audio was made; {_AGAIN}")
        return cls(
            id=manifest.get("id", str),
            text=text,
            seconds=len(pcm) / 2 / rate,
            sample_rate=rate,
            sentences=manifest.times("sentences", Sentence),
            words=manifest.times("words", Word),
            voice=manifest.get("voice", str),
            model=manifest.get("model", str),
            lufs=manifest.number("lufs"),
            true_peak=manifest.number("true_peak_dbtp"),
            wer=manifest.number("wer"),
            made_at=manifest.get("made_at", str),
            sha256=manifest.get("wav_sha256", str),
            wav=wav,
            _pcm=pcm,
        )

    async def frames(self, begin: float = 0.0) -> AsyncIterator[rtc.AudioFrame]:
        """The audio for ``session.say(text, audio=announcement.frames())``; a new iterator for each use.

        The frames are fed ahead of time, but not in one go (:data:`AT_ONCE`); so a cut may leave up to :data:`AHEAD`
        seconds of them unplayed.

        Args:
            begin: seconds from the start of the audio at which to begin.
        """
        loop = asyncio.get_running_loop()
        began = None
        for number, frame in enumerate(self._cut(begin)):
            if began is not None:
                fed = number * FRAME
                ahead = began + max((fed - AT_ONCE) / SPEED, fed - AHEAD) - loop.time()
                if ahead > 0:
                    await asyncio.sleep(ahead)
                elif number % 2 == 0:
                    await asyncio.sleep(0)  # late: LiveKit estimates every tenth by itself, and others get their turn
            yield frame
            # The clock starts when the first frame was taken: a room's output waits with it for the first listener.
            began = loop.time() if began is None else began

    def _cut(self, begin: float) -> Iterator[rtc.AudioFrame]:
        """The frames from `begin` on, the last one as long as what is left."""
        size = 2 * round(FRAME * self.sample_rate)
        skipped = 2 * round(max(0.0, begin) * self.sample_rate)
        for position in range(skipped, len(self._pcm), size):
            piece = self._pcm[position : position + size]
            if position == skipped > 0:
                piece = _faded_in(piece, self.sample_rate)
            yield rtc.AudioFrame(piece, self.sample_rate, 1, len(piece) // 2)


_AGAIN = "make it again with `hearout prepare --force`, or restore the files"


class _Manifest:
    """A manifest's fields, each with the type that it must have."""

    def __init__(self, path: Path, fields: Mapping[str, Any]) -> None:
        self._path = path
        self._fields = fields

    @classmethod
    def read(cls, path: Path) -> Self:
        try:
            fields = read_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise AnnouncementError(f"{path}: this is no whole manifest ({error}); {_AGAIN}") from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise AnnouncementError(f"{path}: cannot be read ({error.strerror})") from error
        if not isinstance(fields, dict):
            raise AnnouncementError(f"{path}: this is no manifest of an announcement; {_AGAIN}")
        manifest = cls(path, fields)
        if (schema := manifest.get("schema", int)) > SCHEMA:
            raise AnnouncementError(
                f"{path}: a newer hearout made it (schema {schema}, this one reads {SCHEMA}); update hearout, or "
                "make it again with `hearout prepare --force`"
            )
        return manifest

    def get(self, name: str, kind: type[T]) -> T:
        value = self._fields.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(name)
        return value

    def number(self, name: str) -> float:
        return float(self.get(name, float | int))  # type: ignore[arg-type]

    def wav(self) -> str:
        """The WAV's name; a file beside the manifest, whatever the manifest says."""
        name = self.get("wav", str)
        if Path(name).name != name or name in ("", "..") or not name.isprintable():
            raise self._wrong("wav")
        return name

    def times(self, name: str, kind: type[T]) -> tuple[T, ...]:
        made = []
        for entry in self.get(name, list):
            if not isinstance(entry, dict):
                raise self._wrong(name)
            one = _Manifest(self._path, entry)
            if not isinstance(exact := entry.get("exact"), bool):
                raise self._wrong(name)
            made.append(kind(one.number("begin"), one.number("end"), one.get("text", str), exact))  # type: ignore[call-arg]
        return tuple(made)

    def _wrong(self, name: str) -> AnnouncementError:
        return AnnouncementError(f"{self._path}: the field {name!r} is missing or wrong; {_AGAIN}")


def _audio(path: Path, sha256: str) -> tuple[bytes, int]:
    """The samples of a WAV file (mono, 16 bit) and their rate in Hz."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AnnouncementError(f"{path}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise AnnouncementError(f"{path}: the audio was changed after it was checked against its text; {_AGAIN}")
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            pcm = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last of chunks that are longer than the file
        raise AnnouncementError(f"{path}: this is no WAV file of PCM samples ({error}); {_AGAIN}") from error
    if len(pcm) % (channels * width):
        raise AnnouncementError(f"{path}: its last sample is cut; {_AGAIN}")
    if (channels, width) != (1, 2) or not rate:
        raise AnnouncementError(
            f"{path}: mono with 16 bit is needed, it has {channels} channels of {8 * width} bit, {rate} Hz; {_AGAIN}"
        )
    return pcm, rate


def _faded_in(piece: bytes, rate: int) -> bytes:
    samples = np.frombuffer(piece, np.int16).astype(np.float32)
    ramp = min(len(samples), round(_FADE * rate))
    samples[:ramp] *= np.linspace(0, 1, ramp, dtype=np.float32)
    return samples.astype(np.int16).tobytes()

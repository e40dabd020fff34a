"""Makes one announcement: speaks, levels, checks and stores the audio."""

import contextlib
import datetime
import enum
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hibari import Hibari
from livekit import rtc

from .._text import read_json
from ..announcement import SCHEMA, Announcement, Sentence, Word
from ..errors import AnnouncementError, MisspokenError
from . import _check as check
from . import _timing as timing
from ._models import SpokenPiece, TextToSpeech, Transcribe
from ._orders import Order
from ._sound import SAMPLE_RATE, TRAILING, Levelled, Samples, levelled, trimmed

_DIGITS = 3  # of a second, in the manifest


class Done(enum.Enum):
    MADE = "made"
    KEPT = "kept"


@dataclass(frozen=True)
class SpokenDraft:
    """An announcement's audio before it is levelled, with its times."""

    audio: Samples
    sentences: tuple[Sentence, ...]
    words: tuple[Word, ...]


async def prepare(
    order: Order, voice: TextToSpeech, transcribe: Transcribe, folder: Path, *, force: bool = False
) -> tuple[Done, Announcement]:
    """Make an announcement, unless it is there already with the same text, voice, model and loudness.

    Args:
        order: what is to be said, and how.
        folder: where it is stored; made if it is missing.
        force: make it anew, whatever is there.

    Raises:
        MisspokenError: more of its words were heard wrongly than `order` allows. Nothing is stored.
        AnnouncementError: what is there was changed by hand; or the announcement cannot be made or stored.
    """
    sentences = split(order.text)
    before = None if force else _before(order, folder)
    if before is not None and _is_same(before, order, " ".join(sentences), voice):
        return Done.KEPT, before
    spoken = await _speak(sentences, voice, order)
    try:
        level = levelled(spoken.audio, order.choices.lufs)
        heard = await transcribe(level.pcm)
        wer = check.word_errors(" ".join(sentences), heard)
    except AnnouncementError as error:
        raise AnnouncementError(f"{order.id}: {error}") from error
    if wer > order.choices.wer_limit:
        raise MisspokenError(
            f"{order.id}: {wer:.0%} of its words were heard wrongly, and {order.choices.wer_limit:.0%} are "
            f"allowed; nothing was stored. Heard: “{heard}”. Reword it, choose another voice, or allow more "
            "with --wer-limit"
        )
    manifest = _manifest(order, " ".join(sentences), spoken, level, voice) | {"wer": round(wer, 4)}
    _store(folder, manifest, level.pcm)
    return Done.MADE, Announcement.load(order.id, folder)


def split(text: str) -> list[str]:
    """The sentences of a text, each with single spaces; an empty line ends one, a line break does not."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    return [" ".join(sentence.split()) for p in paragraphs for sentence in Hibari.split_sentences(p)]


def _before(order: Order, folder: Path) -> Announcement | None:
    """The announcement that is there; None where it, or its audio, is not."""
    path = folder / f"{order.id}.json"
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AnnouncementError(f"{path}: cannot be read ({error.strerror})") from error
    if (wav := _names_wav(path)) and not (folder / wav).exists():
        return None
    return Announcement.load(order.id, folder)


def _is_same(before: Announcement, order: Order, text: str, voice: TextToSpeech) -> bool:
    return (
        (before.text, before.voice, before.model) == (text, voice.name, voice.model)
        and abs(before.lufs - order.choices.lufs) <= 0.5
        and before.wer <= order.choices.wer_limit
    )


async def _speak(sentences: Sequence[str], voice: TextToSpeech, order: Order) -> SpokenDraft:
    audio: list[Samples] = [np.zeros(0, np.float32)]
    stretches: list[Sentence] = []
    words: list[Word] = []
    for stretch in [" ".join(sentences)] if order.choices.whole else sentences:
        at = sum(map(len, audio)) / SAMPLE_RATE
        made = [(piece, sound) for piece in await voice.speak(stretch) if len(sound := trimmed(piece.audio))]
        if not made:
            continue  # a smiley has no sound
        for piece, sound in made:
            words += _words(piece, sound, sum(map(len, audio)) / SAMPLE_RATE)
            audio.append(sound)
        end = sum(map(len, audio)) / SAMPLE_RATE - TRAILING
        stretches.append(Sentence(at, end, " ".join(piece.text for piece, _ in made), exact=True))
    if not words:
        raise AnnouncementError(f"{order.id}: the voice gives no sound for this text; look at the text and the voice")
    if order.choices.whole:
        stretches = _sentences(sentences, words)
    return SpokenDraft(np.concatenate(audio), tuple(stretches), tuple(words))


def _words(piece: SpokenPiece, sound: Samples, at: float) -> list[Word]:
    """The words of a piece, with times in the whole announcement."""
    words, shift = timing.estimated(piece.text, sound), at
    if piece.aligned and (aligned := timing.aligned(piece.text, piece.aligned)):
        words, shift = aligned, at + _cut_away(piece.audio, sound)
    return [replace(word, begin=word.begin + shift, end=word.end + shift) for word in words]


def _cut_away(audio: Samples, sound: Samples) -> float:
    """Seconds by which trimming moved the sound (negative: towards the start)."""
    return float(np.abs(sound).argmax() - np.abs(audio).argmax()) / SAMPLE_RATE


def _sentences(sentences: Sequence[str], words: Sequence[Word]) -> list[Sentence]:
    """The sentences of a text that was spoken in one go, by the times of their words."""
    made, at, begin = [], 0, 0.0
    for sentence in sentences:
        mine = words[at : at + len(sentence.split())]
        at += len(mine)
        if mine:
            made.append(Sentence(begin, mine[-1].end, sentence, exact=all(word.exact for word in mine)))
            begin = (mine[-1].end + words[at].begin) / 2 if at < len(words) else 0.0
    return made


def _manifest(order: Order, text: str, spoken: SpokenDraft, level: Levelled, voice: TextToSpeech) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": order.id,
        "text": text,
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "voice": voice.name,
        "model": voice.model,
        "seconds": round(len(level.pcm) / SAMPLE_RATE, _DIGITS),
        "sample_rate": SAMPLE_RATE,
        "lufs": round(level.lufs, 2),
        "true_peak_dbtp": round(level.true_peak, 2),
        "peaks_limited_db": round(level.limited, 1),
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "sentences": [_rounded(sentence) for sentence in spoken.sentences],
        "words": [_rounded(word) for word in spoken.words],
    }


def _rounded(stretch: Sentence | Word) -> dict[str, Any]:
    return asdict(stretch) | {"begin": round(stretch.begin, _DIGITS), "end": round(stretch.end, _DIGITS)}


def _store(folder: Path, manifest: dict[str, Any], pcm: npt.NDArray[np.int16]) -> None:
    """Write both files; whoever reads meanwhile finds the old announcement or the new one, and so after a crash.

    The audio's name has its hash in it, and the manifest is exchanged last; then the old audio goes.
    """
    content = rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, len(pcm)).to_wav_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{manifest['id']}-{sha256[:12]}.wav"
    path = folder / f"{manifest['id']}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = _names_wav(path)
        _write(folder / name, content)
        text = json.dumps(manifest | {"wav": name, "wav_sha256": sha256}, ensure_ascii=False, indent=1)
        _write(path, f"{text}\n".encode())
        if old not in ("", name):
            (folder / old).unlink(missing_ok=True)
    except OSError as error:
        raise AnnouncementError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def _names_wav(path: Path) -> str:
    """The audio that the manifest at `path` names, if it is one of ours; whatever state the manifest is in."""
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        name = str(read_json(path.read_text(encoding="utf-8")).get("wav", ""))
        if re.fullmatch(rf"{re.escape(path.stem)}-[0-9a-f]{{12}}\.wav", name):
            return name
    return ""


def _write(path: Path, content: bytes) -> None:
    """The whole file or nothing, and on the disk when this returns."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)  # a temporary file is its owner's alone; the agent may be another user
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

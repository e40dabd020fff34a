"""The local ear: how soon, and whether every word is heard."""

import asyncio
import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from harness import words
from hearout._local import stt
from hearout._local.stt import Listening, RecognizedLine, transcribe
from hearout._local.tts import SAMPLE_RATE, synthesise
from hearout.errors import LocalVoiceMissingError

pytestmark = pytest.mark.real


def silence(seconds: float) -> npt.NDArray[np.int16]:
    return np.zeros(int(seconds * SAMPLE_RATE), np.int16)


def bare(text: str) -> npt.NDArray[np.int16]:
    """The words of `text` without the silence around them."""
    audio = synthesise(text)
    loud = np.flatnonzero(np.abs(audio) > 330)
    return audio[loud[0] : loud[-1]]


async def listen(audio: npt.NDArray[np.int16], *, finish: bool = True) -> list[tuple[float, RecognizedLine]]:
    """The events that `audio` gives, each with the seconds of `audio` that had come by then."""
    listening = Listening(SAMPLE_RATE)
    heard = []
    for start in range(0, len(audio), SAMPLE_RATE // 20):
        piece = audio[start : start + SAMPLE_RATE // 20]
        heard += [((start + len(piece)) / SAMPLE_RATE, words) for words in await listening.feed(piece)]
    if finish:
        heard += [(len(audio) / SAMPLE_RATE, words) for words in await listening.finish()]
    await listening.close()
    return heard


def finals(audio: npt.NDArray[np.int16], *, finish: bool = True) -> list[tuple[float, RecognizedLine]]:
    return [(at, words) for at, words in asyncio.run(listen(audio, finish=finish)) if words.final]


def said(heard: Sequence[tuple[float, RecognizedLine]]) -> list[str]:
    return words(" ".join(words.text for _, words in heard))


@pytest.mark.parametrize("lead", [0.7, 0.8, 0.9])
@pytest.mark.parametrize("sentence", ["Where is the nearest office?", "I do not agree."])
def test_the_final_comes_soon_after_the_last_word_and_says_when_it_was(lead: float, sentence: str) -> None:
    speech = bare(sentence)
    audio = np.concatenate([silence(lead), speech, silence(1.0)])
    ((at, heard),) = finals(audio, finish=False)
    ended = lead + len(speech) / SAMPLE_RATE
    assert 0 < at - ended <= 0.6
    assert abs(heard.start - lead) < 0.15
    assert abs(heard.start + heard.duration - ended) < 0.15


@pytest.mark.parametrize("pause", [0.2, 0.35, 0.5, 1.1, 1.24, 1.3, 1.36])
def test_a_word_that_follows_a_pause_is_not_cut(pause: float) -> None:
    sentences = ["I do not agree.", "Please call me back.", "Can you repeat that, please?"]
    spoken = [part for sentence in sentences for part in (bare(sentence), silence(pause))]
    heard = finals(np.concatenate([silence(0.5), *spoken, silence(1.0)]))
    assert said(heard) == words(" ".join(sentences))
    assert all(one.start < two.start for (_, one), (_, two) in pairwise(heard))


def test_no_word_is_cut_where_one_native_stream_follows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout._local.stt._OLD", 5.0)  # seconds instead of 30: a talk without a long pause
    sentence = "I would like to change my address, please."
    heard = finals(np.concatenate([silence(0.5), *[bare(sentence), silence(0.45)] * 6]))
    assert said(heard) == words(sentence) * 6


def test_words_long_after_the_beginning_have_their_times() -> None:
    speech = bare("Where is the nearest office?")
    ((_, heard),) = finals(np.concatenate([silence(65.0), speech, silence(1.0)]))
    assert said([(0.0, heard)]) == words("Where is the nearest office?")
    assert abs(heard.start - 65.0) < 0.15


def test_interims_come_while_the_caller_talks_and_grow_into_the_final() -> None:
    audio = np.concatenate([silence(0.5), bare("I would like to change my address, please."), silence(1.0)])
    heard = asyncio.run(listen(audio))
    interims = [(at, words) for at, words in heard if not words.final]
    assert len(interims) >= 3
    assert interims[0][0] < 1.5
    assert heard[-1][1].final


def test_finish_makes_a_final_without_waiting_for_silence() -> None:
    heard = finals(np.concatenate([silence(0.5), bare("I do not agree.")]))
    assert said(heard) == words("I do not agree.")


def test_silence_is_nothing_heard() -> None:
    assert finals(silence(3.0)) == []
    transcribe(bare("I do not agree."), SAMPLE_RATE)  # a recording that ends within a word
    assert transcribe(silence(2.0), SAMPLE_RATE) == ""
    assert transcribe(silence(0), SAMPLE_RATE) == ""


def test_recorded_speech_is_made_text() -> None:
    assert words(transcribe(synthesise("I do not agree."), SAMPLE_RATE)) == words("I do not agree.")


def test_without_its_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    with pytest.raises(LocalVoiceMissingError, match=r"pip install 'hearout\[local\]'"):
        stt._model.__wrapped__()

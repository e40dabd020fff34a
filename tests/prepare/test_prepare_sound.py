"""The sound, the times and the words of an announcement: trimmed, levelled, word_errors, timed."""

import itertools
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest

from harness.ready import AFTER, BEFORE, COMMA, TEXT, Noises, make, noises, samples
from hearout.errors import AnnouncementError
from hearout.prepare._check import spoken, word_errors
from hearout.prepare._make import split
from hearout.prepare._sound import LEADING, SAMPLE_RATE, TRAILING, TRUE_PEAK, levelled, loudness, trimmed, true_peak
from hearout.prepare._timing import aligned, estimated

# --- Silence


@pytest.mark.parametrize(("before", "after"), [(BEFORE, AFTER), (0.0, 0.0), (0.1, 0.05), (3.0, 2.0)])
def test_the_silence_around_speech_is_brought_to_the_stated_length(before: float, after: float) -> None:
    speech = np.full(SAMPLE_RATE, 0.3, np.float32)
    around = [np.full(round(seconds * SAMPLE_RATE), 0.001, np.float32) for seconds in (before, after)]
    sound = trimmed(np.concatenate([around[0], speech, around[1]]))
    loud = np.flatnonzero(np.abs(sound) > 0.1)

    assert loud[0] == round(LEADING * SAMPLE_RATE)
    assert len(sound) - 1 - loud[-1] == round(TRAILING * SAMPLE_RATE)


def test_silence_has_no_sound_to_keep() -> None:
    assert len(trimmed(np.zeros(48_000, np.float32))) == len(trimmed(np.zeros(0, np.float32))) == 0


def test_an_announcement_has_the_stated_silence_around_its_sentences(tmp_path: Path) -> None:
    made = make(tmp_path)[1]
    loud = np.flatnonzero(np.abs(samples(made.wav)) > 0.01) / SAMPLE_RATE
    first, second = made.sentences

    assert loud[0] == pytest.approx(LEADING, abs=0.005)
    assert made.seconds - loud[-1] == pytest.approx(TRAILING, abs=0.005)
    assert (first.begin, second.begin) == (0.0, pytest.approx(first.end + TRAILING, abs=0.002))
    assert not np.any((loud > first.end + 0.005) & (loud < second.begin + LEADING - 0.005))


# --- Loudness


@pytest.mark.parametrize("lufs", [-30.0, -23.0, -16.0])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_loudness_is_the_one_that_was_asked_for(lufs: float, level: float) -> None:
    made = levelled(trimmed(noises(TEXT, level=level)[0]), lufs)
    again = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(made.pcm / 32768)

    assert again == pytest.approx(lufs, abs=0.5)
    assert made.lufs == pytest.approx(again, abs=0.05)


def test_no_peak_is_clipped_not_between_the_samples_either() -> None:
    sound = trimmed(noises(TEXT, level=0.05)[0])
    sound[30_000:30_010] = 0.9  # a plosive 15 dB above the rest
    made = levelled(sound, -16.0)

    assert made.limited > 6
    assert made.true_peak <= TRUE_PEAK
    assert true_peak(made.pcm.astype(np.float32) / 32768) <= TRUE_PEAK
    assert made.lufs == pytest.approx(-16, abs=0.5)


def test_what_the_limiter_takes_is_made_up_for() -> None:
    sound = trimmed(noises(TEXT, level=0.05)[0])
    for at in range(5_000, len(sound) - 5_000, 600):  # a voice's pulses, 40 in a second
        sound[at : at + 20] *= 5
    made = levelled(sound, -16.0)

    assert made.limited > 6
    assert made.lufs == pytest.approx(-16, abs=0.1)
    assert made.true_peak <= TRUE_PEAK


def test_only_what_is_near_a_peak_is_held_down() -> None:
    sound = trimmed(noises(TEXT, level=0.05)[0])
    sound[30_000:30_010] = 0.9
    made = levelled(sound, -16.0).pcm / 32767
    gain = made[np.abs(sound) > 0.01] / sound[np.abs(sound) > 0.01]

    assert (np.abs(gain / np.median(gain) - 1) > 0.01).mean() < 0.01


def test_a_true_peak_lies_between_the_samples() -> None:
    sine = np.sin(2 * np.pi * (np.arange(4800) / 4 + 1 / 8)).astype(np.float32)  # sampled at ±0.707 only
    assert np.abs(sine).max() < 0.708
    assert true_peak(sine) == pytest.approx(0.0, abs=0.3)


def test_a_text_shorter_than_the_meters_block_is_measured_by_itself() -> None:
    tone = (0.1 * np.sin(2 * np.pi * 997 / SAMPLE_RATE * np.arange(SAMPLE_RATE))).astype(np.float32)
    assert loudness(tone[:2400]) == pytest.approx(loudness(tone), abs=0.3)
    assert loudness(np.zeros(0, np.float32)) == loudness(np.zeros(24_000, np.float32)) == float("-inf")


def test_what_would_be_distorted_or_is_silent_is_refused() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[::6000] = 0.9
    with pytest.raises(AnnouncementError, match=r"-10 LUFS would need its peaks held down.*ask for less"):
        levelled(click, -10.0)
    quiet = trimmed(noises(TEXT, level=0.02)[0])
    quiet[30_000:30_002] = 0.99
    with pytest.raises(AnnouncementError, match=r"-16 LUFS would need its peaks held down by 1\d dB"):
        levelled(quiet, -16.0)
    with pytest.raises(AnnouncementError, match="silent"):
        levelled(np.zeros(SAMPLE_RATE, np.float32), -16.0)


# --- The check against the text


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("1,250 of 105 people", "one thousand two hundred fifty of one hundred and five people"),
        ("Press 9, or wait 30 days.", "press nine or wait thirty days"),
        ("On the 3rd of March 2024", "on the third of March twenty twenty-four"),
        ("It costs $9.99 or £1,250.", "It costs nine dollars and ninety nine cents or 1250 pounds"),
        ("12% by 7:05 pm", "twelve percent by seven oh five P.M."),
        ("Set HEAROUT_LLM_URL", "set hearout llm url"),
        ("Dr. Smith isn't here", "doctor smith isnt here"),
        ("Recognise the colour, organisation", "Recognize the color organization"),
        ("your voicemail", "your voice mail"),
        ("A café, O.K.?", "a cafe okay"),
        ("Step ❷", "step two"),
        ("3.5 hours and 007", "three point five hours and zero zero seven"),
        ("number 1234567890123456", "number 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6"),
    ],
)
def test_what_is_written_in_two_ways_is_the_same_word(text: str, heard: str) -> None:
    assert word_errors(text, heard) == 0.0, (spoken(text), spoken(heard))


@pytest.mark.parametrize(
    ("text", "heard", "wer"),
    [
        ("one two three four", "one two three", 0.25),
        ("one two three four", "one two three four five", 0.25),
        ("keep the big red door", "keep the pig red door", 0.2),
        ("press 9 now please", "press 5 now please", 0.25),
        ("do not agree to it", "do agree to it", 0.2),
        ("one two", "", 1.0),
        ("costs $9 a month", "costs $9.50 a month", 3 / 5),
        ("one", "two three four", 3.0),
    ],
)
def test_each_wrong_missing_or_added_word_counts(text: str, heard: str, wer: float) -> None:
    assert word_errors(text, heard) == pytest.approx(wer)


# --- Times


def test_a_line_break_does_not_end_a_sentence_and_an_empty_line_does() -> None:
    assert split("Opening\nhours\n\nWe open\n at nine. Dr. Smith is in!\n") == [
        "Opening hours",
        "We open at nine.",
        "Dr. Smith is in!",
    ]


def test_the_voices_own_word_times_are_kept(tmp_path: Path) -> None:
    made = make(tmp_path, voice=Noises(aligned=True))[1]
    audio = np.abs(samples(made.wav))
    assert all(word.exact for word in made.words)
    for word in made.words:
        begin, end = (round(at * SAMPLE_RATE) for at in (word.begin, word.end))
        assert audio[begin : begin + 60].max() > 0.01
        assert audio[begin - 300 : begin - 60].max() < 0.01
        assert audio[end - 60 : end].max() > 0.01


def test_times_of_syllables_or_characters_become_those_of_words() -> None:
    pieces = [("Hel", 0.0, 0.2), ("lo", 0.2, 0.4), (" ", 0.4, 0.5), ("there", 0.5, 0.8), (".", 0.8, 0.8)]
    words = aligned("Hello there.", pieces)
    assert [(word.text, word.begin, word.end) for word in words] == [("Hello", 0.0, 0.4), ("there.", 0.5, 0.8)]
    assert aligned("Hello here.", pieces) == ()
    assert aligned("Hello there.", [("Hello there.", 0.0, 0.8)]) == ()


def test_estimated_words_lie_in_order_in_the_sound_and_keep_to_the_pauses() -> None:
    text = "If you do not agree to this, please say so now, or hang up."
    audio, times = noises(text)
    words = estimated(text, audio)

    assert [word.text for word in words] == text.split()
    assert all(one.end <= other.begin + 1e-6 for one, other in itertools.pairwise(words))
    assert not any(word.exact for word in words)
    for word, (_, begin, end) in zip(words, times, strict=True):
        assert word.begin == pytest.approx(begin, abs=0.15)
        if word.text.endswith(","):
            assert word.end == pytest.approx(end, abs=0.011)
    after_commas = [words[i + 1].begin - words[i].end for i in (6, 10)]
    assert after_commas == [pytest.approx(COMMA, abs=0.03)] * 2


def test_a_text_that_is_spoken_whole_has_its_sentences_where_its_words_are(tmp_path: Path) -> None:
    for voice, exact in ((Noises(aligned=True), True), (Noises(), False)):
        made = make(tmp_path, voice=voice, whole=True, force=True)[1]
        first, second = made.sentences
        assert voice.asked == [TEXT]
        assert (first.exact, second.exact) == (exact, exact)
        assert " ".join(sentence.text for sentence in made.sentences) == TEXT
        assert first.end <= second.begin <= made.words[4].begin

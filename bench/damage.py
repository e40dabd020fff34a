"""Announcements in two voices, damaged in known ways, through telephone and WebRTC codecs, to try the judge on."""

import functools
import io
import itertools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

from hearout.measure import RATE

Samples = npt.NDArray[np.float32]
Pcm = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]

NOTICES = (
    "This call is recorded. Please stay on the line until you have heard the whole notice.",
    "Before we go on, I have to tell you how we use what you say. This conversation is recorded and kept for ninety "
    "days. You can ask for a copy, and you can ask us to delete it, at any time and without giving a reason. If you do "
    "not agree, say so now, and a person will call you back.",
    "You are about to sign a loan of four thousand five hundred euros, to be repaid in thirty-six monthly instalments "
    "of one hundred and forty-two euros and eighteen cents. The annual rate is eight point nine per cent. You may "
    "withdraw from this contract within fourteen days. If you miss two payments in a row, the whole sum falls due. "
    "We will check your record with the credit agency. The full terms are sent to you by letter today.",
    "Your doctor has prescribed two tablets, to be taken in the morning, with water and not with milk. Do not drive "
    "for six hours after the first dose. Stop at once and call us if your skin itches, if you feel dizzy, or if your "
    "heart beats fast. Keep the tablets away from children.",
    "Boarding for flight six one seven to Lisbon has moved to gate twenty-two. Please have your passport ready. The "
    "doors close fifteen minutes before departure, and late passengers cannot be let on board. Liquids over one "
    "hundred millilitres must be thrown away before the gate. Families with small children board first. We are sorry "
    "for the change, and we thank you for your patience.",
    "Hello.  The shop is closed on Sunday. Press one to leave a message.",
)
OTHER = (
    "Thank you. I have written that down. Is there anything else that you would like to know about your order, or "
    "shall I read the delivery address back to you? It was the blue house next to the old station, wasn't it?",
    "Yes, of course, give me a second while I look for that. The parcel left our warehouse on Thursday evening and "
    "should be with you by noon. The driver rings twice.",
)
SHORT = NOTICES[0], NOTICES[1]


@dataclass(frozen=True)
class Case:
    """A recording and the truth about it: `kept` is the share of speech in it, the rest is in ms."""

    kept: float
    front: float
    tail: float
    longest: float
    recording: Samples


# ---- voices


@functools.cache
def hibari(text: str) -> Samples:
    from hearout._local.tts import synthesise

    return at_rate(synthesise(text).astype(np.float32) / 32768, 24_000, RATE)


@functools.cache
def espeak(text: str) -> Samples:
    command = ["espeak-ng", "-v", "en-us", "-s", "165", "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    samples = np.frombuffer(wav[44:], "<i2").astype(np.float32) / 32768
    return at_rate(samples, 22_050, RATE)


VOICES = {"hibari": hibari, "espeak": espeak}


# ---- channels


def at_rate(audio: Samples, rate: int, wanted: int) -> Samples:
    resampler = av.AudioResampler("fltp", "mono", wanted)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[None].astype(np.float32)), "fltp", "mono")
    frame.sample_rate = rate
    return np.concatenate([f.to_ndarray()[0] for f in (*resampler.resample(frame), *resampler.resample(None))])


def _coded(audio: Samples, codec: str, rate: int, container: str, bit_rate: int = 0) -> Samples:
    """The audio encoded and decoded again."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
            stream.options = {"application": "voip", "vbr": "on", "compression_level": "5"}
        pcm = (np.clip(at_rate(audio, RATE, rate), -1, 1) * 32767).astype(np.int16)
        for start in range(0, len(pcm), rate // 50):
            piece = pcm[start : start + rate // 50]
            frame = av.AudioFrame.from_ndarray(np.pad(piece, (0, rate // 50 - len(piece)))[None], "s16", "mono")
            frame.sample_rate = rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as back:
        resampler = av.AudioResampler("fltp", "mono", RATE)
        frames = [f for frame in back.decode(audio=0) for f in resampler.resample(frame)]
        return np.concatenate([f.to_ndarray()[0] for f in (*frames, *resampler.resample(None))])


CODECS: dict[str, Callable[[Samples], Samples]] = {
    "opus16": lambda audio: _coded(audio, "libopus", 48_000, "ogg", 16_000),
    "opus24": lambda audio: _coded(audio, "libopus", 48_000, "ogg", 24_000),
    "opus32": lambda audio: _coded(audio, "libopus", 48_000, "ogg", 32_000),
    "g711u": lambda audio: _coded(audio, "pcm_mulaw", 8_000, "wav"),
    "g711a": lambda audio: _coded(audio, "pcm_alaw", 8_000, "wav"),
}


def drifted(audio: Samples, ppm: float) -> Samples:
    """The audio on a clock that is `ppm` slow: longer for a positive one."""
    size = 1 << len(audio).bit_length()  # a length that is quick to transform
    fine = np.fft.irfft(np.fft.rfft(audio, size), size * 4)[: len(audio) * 4] * 4
    at = np.arange(int(len(audio) * (1 + ppm * 1e-6))) * 4 / (1 + ppm * 1e-6)
    return np.interp(at, np.arange(len(fine)), fine).astype(np.float32)


def noisy(audio: Samples, snr: float, rng: np.random.Generator) -> Samples:
    level = np.sqrt(np.mean(audio[np.abs(audio) > 0.02 * np.abs(audio).max()] ** 2))
    noise = rng.standard_normal(len(audio)).astype(np.float32)
    noise = 0.5 * noise + 0.5 * np.convolve(noise, np.ones(8, np.float32) / 8**0.5, "same")  # a hiss and some hum
    return audio + noise / noise.std() * level * 10 ** (-snr / 20)


def warped(audio: Samples, rng: np.random.Generator) -> Samples:
    """As a jitter buffer starts: 20-40 ms taken out or put in within the first second of speech."""
    begin = int(np.argmax(np.abs(audio) > 0.05 * np.abs(audio).max()))
    return stretched(audio, begin + int(0.05 * RATE), begin + RATE, rng.choice([-1, 1]) * rng.uniform(0.02, 0.04), rng)


def stretched(audio: Samples, at: int, until: int, by: float, rng: np.random.Generator) -> Samples:
    """The audio longer by `by` seconds, or shorter: pitch periods repeated or left out between two samples."""
    left, out = abs(by) * RATE, audio
    while left > 0 and at < min(until, len(out) - 1000):
        piece = out[at : at + 480]
        alike = [float(np.dot(piece[:240], out[at + p : at + p + 240])) for p in range(40, 240)]
        period = 40 + int(np.argmax(alike))
        fade = np.linspace(0, 1, period, dtype=np.float32)
        if by < 0:  # two periods become one
            joined = out[at : at + period] * (1 - fade) + out[at + period : at + 2 * period] * fade
            out = np.concatenate([out[:at], joined, out[at + 2 * period :]])
        else:  # two become three
            joined = out[at + period : at + 2 * period] * (1 - fade) + out[at : at + period] * fade
            out = np.concatenate([out[: at + period], joined, out[at + period :]])
        left -= period
        at += int(rng.uniform(0.03, 0.12) * RATE)
    return out.astype(np.float32)


# ---- damage: each gives the sent audio and which samples of the announcement are in it

Damage = Callable[[Samples, Samples, np.random.Generator], tuple[Samples, Mask]]


def complete(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    return notice, np.ones(len(notice), bool)


def cut(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    least = max(0.1, 1.2 * RATE / len(notice))  # of less than half a second of speech nobody can tell what it is of
    end = int(rng.uniform(least, 0.97) * len(notice))
    return notice[:end], np.arange(len(notice)) < end


def cut_and_answered(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    sent, kept = cut(notice, other, rng)
    return np.concatenate([sent, np.zeros(int(rng.uniform(0, 0.4) * RATE), np.float32), other]), kept


def clipped(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    start = int(min(rng.uniform(0.2, 3.0) * RATE, 0.7 * len(notice)))
    return notice[start:], np.arange(len(notice)) >= start


def _holes(notice: Samples, rng: np.random.Generator, least: float = 0.7) -> Mask:
    """One to three holes, between them at least `least` seconds."""
    while True:
        kept = np.ones(len(notice), bool)
        for _ in range(rng.integers(1, 4)):
            size = int(min(rng.uniform(0.15, 2.5) * RATE, 0.3 * len(notice)))
            start = int(rng.uniform(0.05, 0.95) * (len(notice) - size))
            kept[start : start + size] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[0], kept.astype(np.int8), [0]])))
        if (np.diff(edges)[::2] >= least * RATE).all():
            return kept


def holed(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    kept = _holes(notice, rng)
    return notice * kept, kept


def spliced(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    kept = _holes(notice, rng)
    return notice[kept], kept


def filled(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    kept = _holes(notice, rng)
    return np.where(kept, notice, np.resize(other, len(notice))), kept


def twice(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    end = int(rng.uniform(0.2, 1.0) * len(notice))
    pause = np.zeros(int(rng.uniform(0, 0.6) * RATE), np.float32)
    return np.concatenate([notice[:end], pause, notice]), np.ones(len(notice), bool)


def stuttered(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    """Half the announcement is missing; the sound before the hole is heard again in its place."""
    size = len(notice) // 4
    start = int(rng.uniform(0.25, 0.7) * len(notice))
    size = min(size, start, len(notice) - start)
    kept = np.ones(len(notice), bool)
    kept[start : start + size] = False
    sent = np.concatenate([notice[:start], notice[start - size : start], notice[start + size :]])
    return sent, kept


def caught_up(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    """All of it, but for 0.15-0.3 s nothing came, and the receiver makes up for 0.1-0.15 s of it within 2 s."""
    at = int(rng.uniform(max(0.1, RATE / len(notice)), 0.7) * len(notice))
    late = np.concatenate([notice[:at], np.zeros(int(rng.uniform(0.15, 0.3) * RATE), np.float32), notice[at:]])
    begin = len(late) - len(notice) + at
    return stretched(late, begin, begin + 2 * RATE, -rng.uniform(0.1, 0.15), rng), np.ones(len(notice), bool)


def shredded(notice: Samples, other: Samples, rng: np.random.Generator) -> tuple[Samples, Mask]:
    """As with holes that are deleted, but what is left may be of any length, also shorter than a word."""
    kept = _holes(notice, rng, least=0.0)
    return notice[kept], kept


DAMAGES: dict[str, Damage] = {
    "complete": complete,
    "cut": cut,
    "cut, answered": cut_and_answered,
    "front clip": clipped,
    "hole, silent": holed,
    "hole, deleted": spliced,
    "hole, other speech": filled,
    "repeated": twice,
    "stuttered": stuttered,
    "late, caught up": caught_up,
    "shreds": shredded,
}


# ---- truth


def speech(notice: Samples) -> Mask:
    """Which frames of 20 ms are within 25 dB of the active level."""
    power = np.mean(np.pad(notice, (0, -len(notice) % 320)).reshape(-1, 320).astype(np.float64) ** 2, axis=1)
    level = np.mean(power[power > 1e-3 * power.max()])
    return power > level * 10**-2.5


def case(
    notice: Samples,
    other: Samples,
    damage: Damage,
    codec: str,
    rng: np.random.Generator,
    *,
    snr: float | None = 20.0,
    warp: bool = False,
) -> Case:
    sent, kept = damage(notice, other, rng)
    if warp:
        sent = warped(sent, rng)
    before, after = (np.zeros(int(rng.uniform(0.2, 4) * RATE), np.float32) for _ in range(2))
    if rng.random() < 0.3:
        before = np.concatenate([before, other[: int(rng.uniform(1, 4) * RATE)], before[: RATE // 2]])
    audio = drifted(np.concatenate([before, sent, after]), rng.uniform(-300, 300))
    audio = audio * np.float32(10 ** (rng.uniform(-6, 3) / 20))
    if snr is not None:
        audio = noisy(audio, snr, rng)
    return Case(*truth(notice, kept), CODECS[codec](audio))


def truth(notice: Samples, kept: Mask) -> tuple[float, float, float, float]:
    """The share of speech in the kept samples, the front and the tail clip and the longest gap in ms.

    As the judge defines it: only what is speech weighs, so a hole in a pause is none. What `stretched` leaves out or
    repeats is kept. A frame that is half kept counts by half here, and for the judge as there or not.
    """
    active = np.flatnonzero(speech(notice))
    share = np.pad(kept, (0, -len(kept) % 320), mode="edge").reshape(-1, 320).mean(axis=1)[active]
    there = np.flatnonzero(share > 0.5)
    if not len(there):
        whole = float(active[-1] - active[0] + 1) * 20
        return 0.0, whole, whole, 0.0
    gaps = [0.0]
    for a, b in itertools.pairwise(there):
        if b - a > 1:
            gaps.append(float(active[b - 1] - active[a + 1] + 1) * 20)
    front, tail = float(active[there[0]] - active[0]) * 20, float(active[-1] - active[there[-1]]) * 20
    return float(share.mean()), front, tail, max(gaps)

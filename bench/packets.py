"""Opus packets of a call without models: made once for all callers, and played at the end as a receiver plays them."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE = 48_000
"""Hz: Opus's own, and its RTP clock's (RFC 7587, 4.1)."""

PACKET = 960
"""Samples of a packet: 20 ms."""

BUFFER = 0.1
"""Seconds that the receiver holds a packet before it plays it. WebRTC's NetEq holds 0.02-0.2, as the network asks."""

_HEAD = struct.Struct("<dIIH")
"""Of a packet that was heard: when it came (seconds), its track, its RTP time, its length."""


def encode(samples: Samples, path: Path) -> None:
    """Write sound as packets, each behind its length.

    Args:
        samples: mono, :data:`RATE`.
        path: the file.
    """
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    encoder.bit_rate = 32_000
    whole = np.concatenate((samples, np.zeros(-len(samples) % PACKET, np.int16)))
    packets = []
    for number, piece in enumerate(whole.reshape(-1, PACKET)):
        frame = av.AudioFrame.from_ndarray(piece[np.newaxis], "s16", "mono")
        frame.sample_rate, frame.pts = RATE, number * PACKET
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    path.write_bytes(b"".join(struct.pack("<H", packet.size) + bytes(packet) for packet in packets))


@dataclass(frozen=True)
class Heard:
    """One packet as it came.

    Attributes:
        at: seconds.
        time: of its first sample, in samples since the first packet's.
        payload: Opus.
    """

    at: float
    time: int
    payload: bytes


def heard(path: Path) -> list[list[Heard]]:
    """The packets that one caller got, each track's in the order of their sound; the longest track first."""
    data, tracks, first = path.read_bytes(), dict[int, list[Heard]](), dict[int, int]()
    while data:
        at, track, time, length = _HEAD.unpack_from(data)
        payload, data = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
        since = time - first.setdefault(track, time)
        since = (since + 2**31) % 2**32 - 2**31  # RTP time is of 32 bits, and begins anywhere
        tracks.setdefault(track, []).append(Heard(at, since, payload))
    return sorted((sorted(one, key=lambda each: each.time) for one in tracks.values()), key=len, reverse=True)


def play(packets: Sequence[Heard]) -> tuple[Samples, float]:
    """What a receiver plays: each packet at its time. One that is later than the buffer makes a gap; the rest waits.

    Returns:
        The sound, mono, at :data:`RATE`; how many seconds it stood still in all.
    """
    pieces: list[Samples] = []
    delay, stood, played = BUFFER, 0.0, 0
    began = packets[0].at if packets else 0.0
    for packet, sound in zip(packets, _decoded(packets), strict=True):
        late = packet.at - began - packet.time / RATE - delay
        if late > 0:
            delay, stood = delay + late, stood + late
        place = round((packet.time / RATE + delay) * RATE)
        if place > played:
            pieces.append(np.zeros(place - played, np.int16))
            played = place
        pieces.append(sound)
        played += len(sound)
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16), stood


def _decoded(packets: Sequence[Heard]) -> Iterator[Samples]:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = RATE
    decoder.layout = "mono"
    for packet in packets:
        frames = decoder.decode(av.Packet(packet.payload))
        yield np.concatenate([_mono(frame) for frame in frames]) if frames else np.zeros(0, np.int16)


def _mono(frame: av.AudioFrame) -> Samples:
    """The first channel: what was sent has one."""
    sound = frame.to_ndarray()
    if sound.dtype.kind == "f":
        sound = np.clip(sound * 32768.0, -32768, 32767).astype(np.int16)
    channels = len(frame.layout.channels)
    packed = sound.reshape(-1, channels)[:, 0] if not frame.format.is_planar else sound[0]
    return np.ascontiguousarray(packed, np.int16)

"""The sound card: found or not, and the samples that move between card and line. PortAudio is a stand-in."""

import builtins
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hearout._console import card
from hearout._console.line import FRAME, SAMPLE_RATE


class PortAudioError(Exception):
    """As sounddevice has it."""


def port_audio(monkeypatch: pytest.MonkeyPatch, query: Callable[..., Any]) -> list[Any]:
    """Put a sounddevice in place that has what `query` says; the streams that were opened."""
    opened: list[Any] = []

    class Stream:
        def __init__(self, **options: Any) -> None:
            self.options, self.running = options, False
            opened.append(self)

        def start(self) -> None:
            self.running = True

        def stop(self) -> None:
            self.running = False

        def close(self) -> None:
            """Nothing is held."""

    fake = types.SimpleNamespace(Stream=Stream, query_devices=query, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    return opened


def test_a_card_with_both_ends_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    port_audio(monkeypatch, lambda kind: {"name": f"USB {kind}"})
    assert card.available() == "USB input"


def test_a_machine_without_a_microphone_has_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(kind: str) -> Any:
        raise PortAudioError("no default input device")

    port_audio(monkeypatch, query)
    assert card.available() is None


def test_a_machine_without_portaudio_has_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")  # as sounddevice does when it is imported
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert card.available() is None


def test_what_the_agent_says_goes_out_and_what_is_said_to_it_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    (opened,) = [port_audio(monkeypatch, lambda kind: {"name": kind})]
    used = card.Card()
    used.open()
    (stream,) = opened
    assert (stream.running, stream.options["samplerate"], stream.options["blocksize"]) == (True, SAMPLE_RATE, FRAME)
    tone = (8000 * np.sin(np.arange(FRAME * 50) / 8)).astype(np.int16)
    assert not np.any(used.exchange(tone[:FRAME]))
    spoken = np.zeros((FRAME, 1), np.int16)
    for start in range(0, len(tone), FRAME):
        stream.options["callback"](tone[start : start + FRAME].reshape(-1, 1), spoken, FRAME, None, None)
        if start == 0:
            assert np.array_equal(spoken[:, 0], tone[:FRAME])
    assert np.any(used.exchange(np.zeros(FRAME, np.int16)))
    used.close()
    used.close()
    assert not stream.running


def test_two_clocks_that_drift_apart_keep_a_bounded_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    port_audio(monkeypatch, lambda kind: {"name": kind})
    used = card.Card()
    for _ in range(100):
        used.exchange(np.ones(FRAME, np.int16))
    assert len(used._out) * FRAME / SAMPLE_RATE <= 0.2

"""Plays a call: the steps of a script at their times, typed lines, and the end of the call."""

import asyncio
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from .._local.tts import synthesise
from ..errors import ConsoleError
from ..policy import KEYS
from .call import CallLog
from .line import SAMPLE_RATE, Samples
from .script import Script, Step

LONGEST = 1000
"""Characters that a person may let the voice say at once: a minute of speech."""


def read_audio(path: str | Path) -> Samples:
    """The sound of a file, mono at 24 kHz.

    Raises:
        ConsoleError: it cannot be read, or holds no sound.
    """
    try:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
            frames += resampler.resample(None)
    except (OSError, av.FFmpegError, IndexError) as error:
        raise ConsoleError(f"{path}: is not a sound file that can be read; a WAV file is") from error
    if not frames:
        raise ConsoleError(f"{path}: holds no sound")
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16)


def cleaned(text: str) -> str:
    """What may be spoken of a typed text: no control characters, no runs of blanks.

    Raises:
        ConsoleError: it is longer than :data:`LONGEST`.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > LONGEST:
        raise ConsoleError(f"{len(text):,} characters are too many to say at once; {LONGEST:,} is the most")
    return text


class Player:
    """Does a call's steps, and knows when it is over.

    Args:
        ends_itself: whether the call ends after the script's quiet; a person's call does not.

    Raises:
        ConsoleError: a file is no sound, a text is too long, or there is no such key; its methods likewise.
    """

    def __init__(self, call: CallLog, script: Script, *, ends_itself: bool) -> None:
        self._call = call
        self._script = script
        self._ends_itself = ends_itself
        self._sounds: dict[Step, Samples] = {
            step: read_audio(step.what) for step in script.caller if step.act == "play"
        }
        self._due = list(script.caller)
        self._quiet_since = 0.0
        self.over = threading.Event()
        self.outcome = "open"
        call.tickers.append(self._tick)
        call.on_close = lambda: self.end("closed")

    def prepare(self) -> None:
        """Make the caller's speech while the call begins, so that it comes at its time; blocks."""
        for step in self._script.caller:
            if step.act == "say":
                self._sounds[step] = synthesise(cleaned(step.what))

    async def say(self, text: str) -> None:
        """Let the caller say a text that was typed just now."""
        if words := cleaned(text):
            samples = await asyncio.to_thread(synthesise, words)
            self._call.speak(words, samples)

    async def play(self, path: str) -> None:
        self._call.speak(f"[{Path(path).name}]", await asyncio.to_thread(read_audio, path))

    def press(self, keys: str) -> None:
        if not keys or set(keys) - set(KEYS):
            raise ConsoleError(f"{keys!r}: telephone keys are 0-9, *, # and A-D")
        self._call.pressed(keys)

    def end(self, outcome: str) -> None:
        """The call is over; the first reason counts."""
        if not self.over.is_set():
            self.outcome = outcome
            self.over.set()

    def _tick(self, now: float) -> None:
        for step in [step for step in self._due if self._is_due(step, now)]:
            self._due.remove(step)
            self._do(step)
        if now >= self._script.at_most and self._ends_itself:
            self.end("at_most")
        elif self._ends_itself:
            self._watch_for_quiet(now)

    def _is_due(self, step: Step, now: float) -> bool:
        reference = self._call.first_sound() if step.at is not None else self._call.first_end()
        offset = step.at if step.at is not None else step.from_end
        ready = step in self._sounds or step.act not in ("say", "play")
        return ready and reference is not None and offset is not None and now >= reference + offset

    def _do(self, step: Step) -> None:
        acts: dict[str, Callable[[str], Any]] = {
            "say": functools.partial(self._sound, step),
            "play": functools.partial(self._sound, step),
            "keys": self.press,
            "type": self._call.typed,
            "do": lambda _: self.end("hung up"),
        }
        acts[step.act](step.what)

    def _sound(self, step: Step, what: str) -> None:
        self._call.speak(what if step.act == "say" else f"[{Path(what).name}]", self._sounds[step])

    def _watch_for_quiet(self, now: float) -> None:
        session = self._call.line.session
        busy = (
            self._due
            or self._call.line.caller_talks
            or self._call.agent_speaks
            or self._call.first_sound() is None
            or session is None
            or session.agent_state == "thinking"
            or session.user_state == "speaking"
        )
        if busy:
            self._quiet_since = now
        elif now - self._quiet_since >= self._script.ends_after:
            self.end("finished" if self._call.finished() else "not finished")

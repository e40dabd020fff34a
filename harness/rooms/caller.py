"""A caller in a real room, in a process of its own: talks, listens, leaves, can be killed, and can come back.

All times are seconds of this machine's monotonic clock (:func:`time.monotonic`), the same in every process of it. The
process itself is `rooms.participant`; it takes orders on its stdin and says what happens on its stdout, as JSON lines.
"""

import contextlib
import dataclasses
import difflib
import functools
import json
import os
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from harness import alike
from harness.rooms.notes import Notes
from hearout import _text
from hearout._local.tts import SAMPLE_RATE, synthesise
from hearout.measure import Measured

if TYPE_CHECKING:
    from harness.rooms.server import Server

T = TypeVar("T")

Samples = npt.NDArray[np.int16]

ALIKE = 0.8
"""How alike an STT's words are to what was said, at least: it writes numbers and names as it likes."""

LOUD = 330
"""The sample value from which an agent speaks."""

JOINS, LEAVES = 20.0, 10.0
"""Seconds that joining and leaving may take at most."""


@dataclass(frozen=True)
class Transcript:
    """Words that the agent wrote to the room.

    Attributes:
        at: when it came, or, of the agent's own words, when the last of them came.
        who: whose words they are: an identity.
        text: the words.
        final: whether they will not change any more.
        segment: LiveKit's id of the piece: later transcripts of it replace earlier ones.
    """

    at: float
    who: str
    text: str
    final: bool
    segment: str


@dataclass(frozen=True)
class Lateness:
    """How late a call's processes were at its first sound, in seconds: a front that is missing for this is no fault.

    Attributes:
        missed: taken by the client before its recorder was there.
        process: by which the caller's or the agent's process was late then, at worst.
    """

    missed: float
    process: float = 0.0

    @classmethod
    def of(cls, late: Iterable[tuple[float, float]], since: float, began: float, missed: float) -> "Lateness":
        """The lateness of a call.

        Args:
            late: when a process looked at its clock late, and by how much.
            since: when it began to count.
            began: when the first sound was.
            missed: seconds before the recorder was there.
        """
        return cls(missed, max((seconds for at, seconds in late if since <= at <= began + 1.0), default=0.0))

    @property
    def of_recorder(self) -> "Lateness":
        """What is no fault of the line's either: the receipt of a late agent claims no more than was heard."""
        return Lateness(self.missed)

    def explains(self, found: Measured) -> Measured:
        """The judge's finding, but for the part of the missing front that is explained; a gap later is never."""
        front = min(found.front_ms / 1000, max(self.missed, self.process))
        share = min(1.0, found.fraction + front / found.speech_s)
        return dataclasses.replace(found, front_ms=found.front_ms - 1000 * front, fraction=share)


@dataclass(frozen=True)
class Recording:
    """What the caller heard, without a break from its first sample on.

    Attributes:
        samples: mono, at `sample_rate`.
        sample_rate: in Hz.
        began: when the first sample was heard; later ones by their number.
    """

    samples: Samples
    sample_rate: int
    began: float

    def between(self, start: float, end: float) -> Samples:
        """What was heard from `start` to `end`."""
        first, last = (max(0, round((at - self.began) * self.sample_rate)) for at in (start, end))
        return self.samples[first:last]


class Caller:
    """One participant, from joining to leaving. :meth:`join` makes it; as a context manager it leaves at the end.

    Attributes:
        identity: its name in the room.
        wav: what it heard, as a file: complete up to now, whatever happens to the process.
    """

    def __init__(self, process: subprocess.Popen[str], server: "Server", identity: str, wav: Path) -> None:
        self.identity, self.wav = identity, wav
        self._server = server
        self._process = process
        self._news = threading.Condition()
        self._happened: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, name=f"caller-{identity}", daemon=True)
        self._reader.start()

    @classmethod
    def join(
        cls,
        server: "Server",
        room: str,
        folder: Path,
        *,
        identity: str = "caller",
        token: str | None = None,
        alive: bool = False,
        pre_connect: bool = False,
    ) -> "Caller":
        """Join `room`, microphone on and silent; back when it is joined.

        Args:
            server: where the room is.
            room: its name; an agent is sent to a room when its first participant comes.
            folder: where the recording goes, under a name of its own.
            identity: a name in the room; whoever has it already is put out.
            token: what lets it in, if not the usual.
            alive: whether it answers heartbeats, as hearout's page does.
            pre_connect: whether it says that what its microphone took before the call was connected will come.
        """
        wav = folder / f"{identity}-{time.monotonic_ns()}.wav"
        program = [sys.executable, str(Path(__file__).with_name("participant.py")), str(wav)]
        access = {"ROOM_URL": server.url, "ROOM_TOKEN": token or server.token(room, identity)}
        access["ROOM_ALIVE"], access["ROOM_PRECONNECT"] = "1" if alive else "", "1" if pre_connect else ""
        with wav.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                program, env=os.environ | access, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        caller = cls(process, server, identity, wav)
        try:
            caller.wait_for("joined", JOINS)
        except BaseException:
            caller.kill()
            raise
        return caller

    def say(self, text: str, *, after: float | None = None) -> None:
        """Say `text` in the local voice, after what is being said: as :meth:`play`."""
        self.play(spoken(text), after=after)

    def play(self, samples: Samples, *, after: float | None = None) -> None:
        """Play `samples` (mono, 24 kHz) into the microphone: now, or `after` seconds after the agent's first sound.

        Both ends of it become known as events ``talk`` and ``talked``.
        """
        self._order(play=self._written(samples), after=after)

    def _written(self, samples: Samples) -> str:
        piece = self.wav.with_name(f"said-{time.monotonic_ns()}.wav")
        with wave.open(str(piece), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        return str(piece)

    def write(self, text: str) -> None:
        """Write `text` to the agent, as LiveKit's clients do."""
        self._order(type=text)

    def press(self, digit: str) -> None:
        """Press a key of the telephone."""
        self._order(press=digit)

    def attack(self, message: bytes) -> None:
        """Send `message` on the byte stream on which LiveKit's sessions take orders."""
        self._order(attack=message.hex())

    def speak_as(self, identity: str, text: str) -> None:
        """Send a text, spoken, as what the microphone of `identity` took before the call was connected."""
        self._order(speak_as=identity, path=self._written(spoken(text)))

    def set_attributes(self, **attributes: str) -> None:
        """Set the caller's own attributes, if the token allows; dots are written as two underscores."""
        self._order(attributes={name.replace("__", "."): value for name, value in attributes.items()})

    def happened(self, what: str) -> list[dict[str, Any]]:
        """The events of one kind so far, each with `at`.

        ``joined`` · ``sound``, ``quiet`` (the agent begins to be heard; has been silent for 0.5 s: `at` is the end of
        its sound) · ``talk``, ``talked`` (the caller) · ``here``, ``gone`` (`who`) · ``hearing`` (a track of `who` is
        subscribed) · ``text`` · ``ended`` (`reason`) · ``late`` (its process, by `seconds`) · ``unrecorded`` (`seconds`
        of a track that had been taken before its recorder was there).
        """
        with self._news:
            return [event for event in self._happened if event["what"] == what]

    def lateness(self, notes: Notes) -> Lateness:
        """Measure how late the recorder, its process and the agent's were: what comes late is left out."""
        began, since = self.wait_for("sound", 0.0)["at"], self.wait_for("hearing", 0.0)["at"] - 1.0
        missed = max((one["seconds"] for one in self.happened("unrecorded")[:1]), default=0.0)
        late = [(one["at"], one["seconds"]) for one in self.happened("late")] + notes.late
        return Lateness.of(late, since, began, missed)

    def wait_for(self, what: str, seconds: float, *, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of a kind, for which it waits.

        Raises:
            AssertionError: it did not come within `seconds`; the message says what came.
        """

        def there() -> dict[str, Any] | None:
            events = self.happened(what)
            return events[count - 1] if len(events) >= count else None

        return self._wait(there, seconds, f"{what} no. {count}")

    def wait_for_quiet(self, lasting: float, seconds: float) -> float:
        """Wait until the agent was heard, and then not for `lasting` seconds; when its last sound ended.

        Raises:
            AssertionError: that was not so within `seconds`.
        """

        def quiet() -> float | None:
            with self._news:
                turns = [event for event in self._happened if event["what"] in ("sound", "quiet")]
            if turns and turns[-1]["what"] == "quiet" and time.monotonic() - turns[-1]["at"] >= lasting:
                return float(turns[-1]["at"])
            return None

        return self._wait(quiet, seconds, f"silence of {lasting} s")

    def wait_for_words(self, begin: str, seconds: float) -> Transcript:
        """The first words of the agent's that begin so, once they are whole.

        Raises:
            AssertionError: they did not come within `seconds`.
        """

        def there() -> Transcript | None:
            return next((one for one in self.transcripts if one.final and one.text.startswith(begin)), None)

        return self._wait(there, seconds, f"words that begin with {begin!r}")

    def wait_until_known(self, text: str, seconds: float) -> None:
        """Wait until the agent's STT has given what the caller said; it may give one final or several.

        Raises:
            AssertionError: it had not within `seconds`.
        """
        self._wait(lambda: alike(self.said("caller"), text) >= ALIKE or None, seconds, f"the caller's words {text!r}")

    def wait_until(self, at: float) -> None:
        """Let time pass until `at`, as long as the process lives."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, at - time.monotonic()))

    @property
    def transcripts(self) -> list[Transcript]:
        """The words that came so far."""
        names = ("at", "who", "text", "final", "segment")
        return [Transcript(**{name: event[name] for name in names}) for event in self.happened("text")]

    def said(self, who: str) -> str:
        """The final words of `who` so far, in order."""
        return " ".join(one.text.strip() for one in self.transcripts if one.final and one.who == who)

    @property
    def heard(self) -> Recording:
        """What was heard so far. The first sample is that of the first track's first frame."""
        with wave.open(str(self.wav)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            return Recording(samples, file.getframerate(), self.wait_for("recording", 0.0)["at"])

    def leave(self) -> None:
        """Leave the room as one who hangs up; does nothing if it has gone."""
        if self._process.poll() is None:
            self._order(leave=True)
            self._end(LEAVES)

    def kill(self) -> None:
        """Kill the process: the room learns it some 20 s later."""
        self._process.kill()
        self._end(LEAVES)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is None:
            self.leave()
        else:
            self.kill()

    def _order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _end(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the caller did not leave within {seconds} s") from None
        finally:
            self._reader.join(seconds)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def _read(self) -> None:
        """Note each event as it comes; runs in a thread of its own until the process has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._happened.append(json.loads(line))
                self._news.notify_all()

    def _wait(self, found: Callable[[], T | None], seconds: float, wanted: str) -> T:
        until = time.monotonic() + seconds
        while (result := found()) is None:
            left = until - time.monotonic()
            if left <= 0 or (self._process.poll() is not None and not self._reader.is_alive()):
                own = self.wav.with_suffix(".log").read_text()[-1000:]
                came = f"{self.identity}: no {wanted}; what came: {self._summary()}"
                raise AssertionError(f"{came}\n{own}\n{self._server.last_words()}")
            with self._news:
                self._news.wait(min(left, 0.1))
        return result

    def _summary(self) -> str:
        with self._news:
            return ", ".join(f"{event['what']} at {event['at']:.1f}" for event in self._happened[-20:])


@functools.cache
def spoken(text: str) -> Samples:
    """`text` in the local voice: mono, 24 kHz, the same samples each time."""
    return synthesise(text)


def share_heard(wanted: Iterable[str], got: list[str]) -> float:
    """The share of the words `wanted` that are in `got`, in their order; what else is in `got` does not count."""
    words = list(wanted)
    blocks = difflib.SequenceMatcher(None, words, got, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(words)


def reached(found: Measured) -> float:
    """The second of a text to which a recording goes."""
    return (found.speech_to_ms - found.tail_ms) / 1000


def resumes(text: str, second: float) -> float:
    """When the speech of a text goes on after a second at which it pauses: a pause that was played leaves no trace."""
    loud = np.flatnonzero(np.abs(spoken(text).astype(np.int32)) > LOUD) / SAMPLE_RATE
    return float(loud[loud > second + 0.1][0])


def assert_resumed(text: str, before: Measured, after: Measured, *, twice: float = 0.0, unheard: float = 0.0) -> None:
    """No word is missing between what was heard before a break and after it, and one sentence is heard twice at most.

    Args:
        text: that was said, in the local voice.
        before, after: the judge's finding in each.
        twice: seconds more that may be heard twice.
        unheard: seconds before the break that came, and that the recorder had not given yet.
    """
    sentences = [text for _, text in _text.sentences(text)]
    longest = max(len(spoken(one)) for one in sentences) / SAMPLE_RATE
    began = (after.speech_from_ms + after.front_ms) / 1000
    assert began <= resumes(text, reached(before) + unheard) + 0.05, (before, after, unheard)
    assert reached(before) - began <= longest + twice, (before, after)

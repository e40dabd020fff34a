"""One try at saying a piece of text with a TTS: the text that the TTS was given, its audio, and how far that
reached."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np
from livekit import rtc
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString

from .. import _text as words
from .awake import Awake
from .given import GIVEN, Given
from .pace import Pace, letters, letters_at_least
from .pace import place as placed
from .replay import ReplayBuffer

ROUNDING = 0.02
"""Seconds that the times of a TTS and the length of its frames may be apart."""

WINDOW = 0.02
"""Seconds of sound that are looked at as one."""

SILENT = 100
"""Of 32768: the loudest sample of a window that is silent (-50 dB). A TTS pauses in zeros, or in noise far below."""


class Loudness:
    """The stretches of one synthesis that are not silent: pauses say nothing about how many letters were said."""

    def __init__(self) -> None:
        self._length = 0.0
        self._loud: list[tuple[float, float]] = []

    def add(self, frame: rtc.AudioFrame) -> None:
        samples = np.frombuffer(frame.data, dtype=np.int16)
        step = max(1, round(frame.sample_rate * WINDOW)) * frame.num_channels
        for begin in range(0, len(samples), step):
            window = samples[begin : begin + step]
            seconds = len(window) / frame.num_channels / frame.sample_rate
            if max(int(window.max()), -int(window.min())) > SILENT:
                self._sounds(seconds)
            self._length += seconds

    def _sounds(self, seconds: float) -> None:
        end = self._length + seconds
        if self._loud and self._loud[-1][1] >= self._length - 1e-9:
            self._loud[-1] = (self._loud[-1][0], end)
        else:
            self._loud.append((self._length, end))

    def seconds(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Seconds of speech between two seconds of the sound."""
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in self._loud)


@dataclass(frozen=True)
class PlacedText:
    """A word or a sentence that the TTS placed: its second in the try, and its characters in the text."""

    start: float
    end: float | None
    first: int
    last: int


class TtsAttempt:
    """One try.

    Args:
        speak: calls the node with the text.
        text: what the node is given, as far as it has come.
        begins: the character of the text at which this try begins; what is before has been said.
        cut: whether `begins` counts in the node's own text, because it uses no TTS of LiveKit.
        note: called with the text that the TTS was given, and with whether that is ``complete``.
    """

    def __init__(
        self,
        speak: Callable[[AsyncIterator[str]], AsyncGenerator[rtc.AudioFrame, None]],
        text: ReplayBuffer[str],
        *,
        begins: int,
        cut: bool,
        note: Callable[..., None],
        awake: Awake,
    ) -> None:
        self._awake = awake
        self._clock = asyncio.get_running_loop().time
        self._text = text
        self._note_text = note
        self._asked_at: float | None = None
        self._times: list[tuple[float, float | None, str]] = []
        self._loud = Loudness()
        self._lost_from: int | None = None
        self._measured = 0
        self.begins = begins
        self.began_at = self._clock()
        self.seconds = 0.0
        self.first_sound: float | None = None
        self.given = Given(self._noted, skip=0 if cut else begins)
        self._frames = speak(self._pieces(begins if cut else 0))
        self.upcoming = self.ask_next()

    @property
    def text(self) -> str:
        """The text of the try, with the text said before: as the TTS was given it, or else as the node was."""
        return self.given.text or "".join(self._text.items)

    @property
    def waits_for_text(self) -> bool:
        """Whether some of the text has not been given to the TTS, as far as can be told."""
        return bool(self.given.requests or (self.given.text and not self.given.complete))

    @property
    def knows_all(self) -> bool:
        return self.given.complete or not self.given.text

    def ask_next(self) -> asyncio.Future[rtc.AudioFrame]:
        """Ask the node for its next frame, in a task that notes what the TTS is given."""
        before = GIVEN.set(self.given)
        self.upcoming = asyncio.ensure_future(anext(self._frames))
        GIVEN.reset(before)
        return self.upcoming

    def came(self, frame: rtc.AudioFrame, before: float) -> rtc.AudioFrame:
        """Note a frame; with its times counted from the beginning of the piece, `before` seconds before this try."""
        if self.first_sound is None and self._asked_at is not None:
            self.first_sound = self._awake.since(self._asked_at)
        times = [one for one in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()) if isinstance(one, TimedString)]
        for one in times:
            if isinstance(one.start_time, float | int):
                end = float(one.end_time) if isinstance(one.end_time, float | int) else None
                self._times.append((float(one.start_time), end, str(one)))
        if before and times:
            frame.userdata[USERDATA_TIMED_TRANSCRIPT] = [_later(one, before) for one in times]
        self.seconds += frame.duration
        self._loud.add(frame)
        return frame

    @property
    def sounded(self) -> float:
        return self._loud.seconds()

    def sentences_said(self, pace: Pace) -> bool:
        """Measure the sentences that are through, of a TTS that places sentences; False, if the last one is not whole.

        To be asked when a frame has come, before it is heard.
        """
        text = self.text
        times = self._timed(text)
        while self._measured < len(times) - 1:
            one, following = times[self._measured : self._measured + 2]
            if one.end is not None:
                return True
            sentence, seconds = text[one.first : following.first], self._loud.seconds(one.start, following.start)
            if pace.is_cut(sentence, seconds):
                self._lost_from = one.first
                return False
            pace.said(sentence, seconds)
            self._measured += 1
        return True

    def measure(self, pace: Pace) -> None:
        """Note the pace of a try that said its text whole, as far as can be told."""
        times = self._timed(self.text)
        if self._measured:
            pace.said(self.text[times[-1].first :], self._loud.seconds(times[-1].start))
        else:
            pace.said(self.text[self.begins :], self.sounded)

    async def close(self) -> None:
        self.upcoming.cancel()
        await asyncio.gather(self.upcoming, return_exceptions=True)
        await self._frames.aclose()

    # How far it came

    def resumes_at(self, pace: Pace) -> int:
        """The character at which the next try begins: of the word or the sentence that broke off. Rather too early."""
        text = self.text
        if self._lost_from is not None:
            return self._lost_from
        if self.given.requests:
            return self.given.requests[-1]
        if self.seconds <= 0.0:
            return self.begins
        if times := self._timed(text):
            last = [one for one in times if one.start < self.seconds - ROUNDING]
            if not last:
                return self.begins
            ended = last[-1].end is not None and last[-1].end <= self.seconds + 1e-3  # else the word is said again
            return last[-1].last if ended else last[-1].first
        reached = self.begins + placed(text[self.begins :], pace.letters_in(self.sounded))
        return max([begin for begin, _ in words.sentences(text) if begin <= reached] + [self.begins])

    def lacks(self, pace: Pace) -> bool | None:
        """Whether a part of the text is not in the sound; None where that cannot be told."""
        text, since, begin = self.text, 0.0, self.begins
        if times := self._timed(text):
            if times[-1].end is not None:
                return self._lacks_words(text, times[-1])
            since, begin = times[-1].start, times[-1].first
        rest, seconds = text[begin:], self._loud.seconds(since)
        if since and pace.is_cut(rest, seconds):
            return True
        if not since and seconds < pace.least(rest) - ROUNDING:
            return True
        usual = pace.usual(rest)
        return False if usual is not None and seconds >= usual - ROUNDING else None

    def _lacks_words(self, text: str, last: PlacedText) -> bool:
        """Whether the sound ends before the words after the last one that was placed could be said at this pace."""
        assert last.end is not None
        if self.seconds < last.end - 5 * ROUNDING:
            return True
        rest = text[last.last :]
        if not words.has_words(rest):
            return False
        needed = last.end / max(1.0, letters(text[self.begins : last.last]))
        return self.seconds - last.end < letters_at_least(rest) * needed / 2

    def _timed(self, text: str) -> list[PlacedText]:
        found: list[PlacedText] = []
        at, spoken = self.begins, words.unmarked(text)
        for start, end, piece in self._times:
            said = words.unmarked(piece).strip()
            first = spoken.find(said, at)
            if said and first >= 0:
                at = first + len(said)
                found.append(PlacedText(start, end, first, at))
        return found

    def _noted(self, text: str, *, complete: bool) -> None:
        if self._asked_at is None and len(text) > self.begins:
            self._asked_at = self._clock()
        self._note_text(text, complete=complete)

    async def _pieces(self, begin: int) -> AsyncIterator[str]:
        left, before = begin, ""
        async for piece in self._text.read():
            before, rest, left = before + piece[:left], piece[left:], max(0, left - len(piece))
            if rest:
                yield words.open_tags(before) + rest
                before = ""


def _later(one: TimedString, seconds: float) -> TimedString:
    start = one.start_time + seconds if isinstance(one.start_time, float | int) else one.start_time
    end = one.end_time + seconds if isinstance(one.end_time, float | int) else one.end_time
    return TimedString(str(one), start_time=start, end_time=end)

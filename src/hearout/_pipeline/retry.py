"""Retries the LLM and the TTS of protected speech from the place where one broke off.

LiveKit 1.8.9 does not try a TTS again once audio was pushed (``tts/tts.py``), and says the first part twice when an
LLM's stream is retried in the middle (``llm/llm.py``). Both nodes are public extension points of the agent.

A TTS never makes the same sound twice. So what broke off is resumed by its text: from the word where the TTS gives
times, from the sentence otherwise; and which sentence that is, is told by what this TTS has needed so far in the call.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import APIError, FlushSentinel, ModelSettings, llm, tts
from livekit.agents.voice import SpeechHandle

from .. import _text as words
from .attempt import ROUNDING, TtsAttempt
from .awake import Awake
from .given import note_given
from .pace import Pace, letters
from .replay import ReplayBuffer, iterated, record

SPEECH: ContextVar[SpeechHandle | None] = ContextVar("hearout_speech", default=None)
"""Which speech a node works for. Set when LiveKit announces the speech, so that its tasks inherit it: LiveKit calls a
node without saying for which speech, and prepares one while another plays."""

STOOD_STILL = "stood still"
"""What is to blame where the event loop stood still during each of the tries that broke off."""

AT_ONCE = 0.05
"""Seconds within which LiveKit's fallback adapter ends its stream after it lost the TTS that was speaking."""

SAME = 0.1
"""Share by which two tries that hang after their last word may differ; two that hang in mid-text differ by more."""

TtsNode = Callable[[AsyncIterable[str], ModelSettings], Any]
LlmNode = Callable[[llm.ChatContext, list[llm.Tool], ModelSettings], Any]


class RetryWatcher(Protocol):
    """Who is told of failures, and of what the TTS was given."""

    def failed(self, handle: SpeechHandle, what: str) -> None:
        """The ``"voice"`` or the ``"model"`` broke off, and is asked again."""

    def given_up(self, handle: SpeechHandle, what: str) -> None:
        """A part of the speech will not be said; `what` may also be `STOOD_STILL`."""

    def waits(self, handle: SpeechHandle) -> None:
        """Its first sound is still waited for, since this TTS has needed as long before."""

    def spoken(self, handle: SpeechHandle, piece: int, text: str, *, complete: bool) -> None:
        """The TTS was given this text so far for one piece of the speech; all of the piece, when `complete`."""

    def sentence_placed(self, handle: SpeechHandle, seconds: float, text: str) -> None:
        """A sentence, or the rest of one, begins at this second of the piece."""


@dataclass(frozen=True)
class Patience:
    """How long a TTS may give no sound once it has all of its text, in seconds.

    Args:
        first: before its first sound.
        pause: in the middle, after what it gave has been played.
        end: the same, where it may have said all of it and only not closed its stream.
    """

    first: float
    pause: float
    end: float


def _protected() -> SpeechHandle | None:
    handle = SPEECH.get()
    return handle if handle is not None and not handle.allow_interruptions else None


@dataclass(eq=False)
class Retry:
    """Wraps an agent's nodes; speech that nothing owed depends on passes as it is, and shows how fast a TTS speaks.

    Args:
        tries: how often the TTS is asked for one piece, the first time included.
        patience: how long it may give no sound.
        left: seconds that have not left the audio output, of those of a speech that were made.
        awaited: whether something owed waits for speech that may be interrupted, or the speech answers held words.
        awake: tells how long the loop really ran: a try that broke off while it stood still has not failed.
    """

    tries: int
    patience: Patience
    left: Callable[[SpeechHandle, float], float]
    watcher: RetryWatcher
    awake: Awake
    awaited: Callable[[SpeechHandle], bool] = lambda _: False
    _paces: dict[int, Pace] = field(default_factory=dict, init=False)
    """By the TTS."""
    _made: dict[str, float] = field(default_factory=dict, init=False)
    """Seconds, by the speech."""
    _pieces: int = field(default=0, init=False)

    def tts_node(self, original: TtsNode, its_tts: Callable[[], Any] = lambda: None) -> TtsNode:
        """The node that resumes what TTS (`its_tts`, where that is one of LiveKit's) did not say."""

        async def speak(text: AsyncIterable[str], model: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
            used = its_tts()
            note_given(used)
            pace = self._paces.setdefault(id(used), Pace())
            # Read by a task of its own: the default node cancels its reader when its TTS fails (1.8.9, ``agent.py``),
            # and with it, while the LLM still writes, the text itself would end for the next try.
            kept: ReplayBuffer[str] = ReplayBuffer()
            reading = asyncio.create_task(record(lambda: text, kept))
            self._pieces += 1
            piece = _Piece(self, lambda given: iterated(original(given, model)), kept, pace, number=self._pieces)
            try:
                with self.awake.watching():
                    async with aclosing(piece.watched(used) if self._watches() else piece.plain()) as frames:
                        async for frame in frames:
                            yield frame
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

        return speak

    def _watches(self) -> bool:
        handle = SPEECH.get()
        return handle is not None and (not handle.allow_interruptions or self.awaited(handle))

    def made(self, handle: SpeechHandle, seconds: float) -> float:
        """So much more of a speech was made; how much in all."""
        if handle.id not in self._made:
            handle.add_done_callback(self._forget)
        self._made[handle.id] = total = self._made.get(handle.id, 0.0) + seconds
        return total

    def _forget(self, handle: SpeechHandle) -> None:
        self._made.pop(handle.id, None)

    def llm_node(self, original: LlmNode) -> LlmNode:
        """Wrap the LLM node: a retried stream's repeated text is left out, and a different text ends the speech."""

        async def think(
            chat_ctx: llm.ChatContext, tools: list[llm.Tool], model: ModelSettings
        ) -> AsyncIterator[llm.ChatChunk | str | FlushSentinel]:
            handle, said = _protected(), _Said()
            time = asyncio.get_running_loop().time
            with self.awake.watching():
                asked_at = time()
                try:
                    async for chunk in iterated(original(chat_ctx, tools, model)):
                        asked_at = time()
                        if handle is None or not isinstance(chunk, llm.ChatChunk) or said.is_new(chunk):
                            yield chunk
                        elif said.contradicted:
                            self.watcher.given_up(handle, "model")
                            return
                except APIError:
                    if handle is not None:
                        self.watcher.given_up(handle, STOOD_STILL if self.awake.stood_still(asked_at) else "model")
                    raise

        return think


class _BrokeOffError(Exception):
    """A try ended before its text."""


class _Piece:
    """A piece of speech while it is said: the text of one call of the node, in one try or more."""

    def __init__(
        self,
        retry: Retry,
        speak: Callable[[AsyncIterable[str]], AsyncGenerator[rtc.AudioFrame, None]],
        text: ReplayBuffer[str],
        pace: Pace,
        *,
        number: int,
    ) -> None:
        self._retry = retry
        self._speak = speak
        self._text = text
        self._pace = pace
        self._number = number
        self._handle = SPEECH.get()
        self._tries = 0
        self._begins = 0
        self._cut = False
        self._sent = 0.0
        self._made = 0.0
        self._known = 0
        self._is_said = False
        self._rate = 0.0
        self._lost_at = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._awake = retry.awake
        self._began_at = self._loop.time()
        self._forgiven = 0

    async def plain(self) -> AsyncGenerator[rtc.AudioFrame, None]:
        """The frames of one try, whatever becomes of it."""
        attempt = self._begin()
        try:
            while True:
                try:
                    frame = await attempt.upcoming
                except StopAsyncIteration:
                    break
                yield attempt.came(frame, 0.0)
                self._note_first_sound(attempt)
                attempt.ask_next()
            self._measure(attempt)
        finally:
            await attempt.close()

    async def watched(self, used: Any) -> AsyncGenerator[rtc.AudioFrame, None]:
        """The frames of as many tries as are needed and allowed."""
        if isinstance(used, tts.FallbackAdapter):
            used.on("tts_availability_changed", self._availability_changed)
        try:
            while True:
                try:
                    async with aclosing(self._try()) as frames:
                        async for frame in frames:
                            yield frame
                except _BrokeOffError:
                    if self._is_said:
                        return
                    self._forgive()
                    if self._tries < self._retry.tries:
                        self._retry.watcher.failed(self._speech, "voice")
                        continue
                    # Not raised: LiveKit would call the speech finished while its audio still plays (1.8.9, say()).
                    stood_still = self._awake.stood_still(self._began_at)
                    self._retry.watcher.given_up(self._speech, STOOD_STILL if stood_still else "voice")
                return
        finally:
            if isinstance(used, tts.FallbackAdapter):
                used.off("tts_availability_changed", self._availability_changed)

    def _availability_changed(self, event: tts.AvailabilityChangedEvent) -> None:
        if not event.available:
            self._lost_at = self._loop.time()

    def _begin(self) -> TtsAttempt:
        self._tries += 1
        self._began_at = self._loop.time()
        return TtsAttempt(
            self._speak, self._text, begins=self._begins, cut=self._cut, note=self._note, awake=self._awake
        )

    def _forgive(self) -> None:
        """A try during which the loop stood still does not count; as many as may be made are forgiven."""
        if self._forgiven < self._retry.tries and self._awake.stood_still(self._began_at):
            self._forgiven += 1
            self._tries -= 1
            self._began_at = self._loop.time()

    def _note(self, text: str, *, complete: bool) -> None:
        if self._handle is not None and len(text) >= self._known:
            self._known = len(text)
            self._retry.watcher.spoken(self._handle, self._number, text, complete=complete)

    async def _try(self) -> AsyncGenerator[rtc.AudioFrame, None]:
        """The frames of one try, or of the first of several that gives sound."""
        attempt = await self._first_that_sounds()
        before = self._sent
        try:
            if before:
                rest = words.sentences(attempt.text[self._begins :])
                self._retry.watcher.sentence_placed(self._speech, before, rest[0][1] if rest else "")
            while await self._goes_on(attempt):
                frame = attempt.came(attempt.upcoming.result(), before)
                self._note_first_sound(attempt)
                if not attempt.sentences_said(self._pace):
                    raise _BrokeOffError
                self._sent += frame.duration
                self._made = self._retry.made(self._speech, frame.duration)
                yield frame
                attempt.ask_next()
        except _BrokeOffError:
            self._resume_after(attempt)
            raise
        finally:
            await attempt.close()
        self._measure(attempt)

    async def _first_that_sounds(self) -> TtsAttempt:
        """Wait for the first sound; a try that is silent for long gets company, and whichever sounds first is heard."""
        trying = [self._begin()]
        winner: TtsAttempt | None = None
        try:
            while winner is None:
                if self._slow * self._retry.tries > self._retry.patience.first:
                    self._retry.watcher.waits(self._speech)
                await self._wait_for(trying)
                text = trying[-1].text[self._begins :]
                for one in [one for one in trying if one.upcoming.done()]:
                    if self._failed(one):
                        self._forgive()
                        trying.remove(one)
                        await one.close()
                    else:
                        winner = winner or one
                if winner is None and (not trying or self._silent_for(trying) >= self._patience_with_it()):
                    self._is_said = self._text.whole.is_set() and not words.has_words(text)
                    if self._is_said or self._tries >= self._retry.tries:
                        raise _BrokeOffError
                    self._retry.watcher.failed(self._speech, "voice")
                    trying.append(self._begin())
            self._tries -= len(trying) - 1  # one that was merely slower has not failed
            return winner
        finally:
            for one in trying:
                if one is not winner:
                    await one.close()

    async def _wait_for(self, trying: list[TtsAttempt]) -> None:
        """Wait until a try gives a frame, or has been silent for too long since its text was complete."""
        upcoming: set[asyncio.Future[Any]] = {one.upcoming for one in trying}
        if self._text.whole.is_set():
            patience = max(0.0, self._patience_with_it() - self._silent_for(trying))
            patience = min(patience, self._retry.patience.first / 2)
            await asyncio.wait(upcoming, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            return
        whole = asyncio.ensure_future(self._text.whole.wait())
        try:
            await asyncio.wait(upcoming | {whole}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            whole.cancel()
            await asyncio.gather(whole, return_exceptions=True)

    def _silent_for(self, trying: list[TtsAttempt]) -> float:
        """Seconds since the last try could have said all; 0 while the LLM writes: its silence is not the TTS's."""
        if self._text.whole_at is None:
            return 0.0
        return self._awake.since(max(self._text.whole_at, trying[-1].began_at)) + ROUNDING

    def _patience_with_it(self) -> float:
        patience = self._retry.patience
        if self._tries < self._retry.tries:
            return max(patience.pause, self._slow)
        # nobody is told that a greeting was given up, and LiveKit would wait for it
        return math.inf if self._speech.allow_interruptions else max(patience.first, self._slow)

    @property
    def _slow(self) -> float:
        """Seconds of silence before the first sound that this TTS may take, by what the call has shown."""
        return 1.5 * self._pace.first_sound

    def _failed(self, attempt: TtsAttempt) -> bool:
        """Whether a try that is through failed before its first sound. An error of the text is raised: the TTS is not
        at fault."""
        error = attempt.upcoming.exception()
        if error is None:
            return False
        if isinstance(error, StopAsyncIteration):
            return words.has_words(attempt.text[attempt.begins :])
        if error is self._text.error or not isinstance(error, Exception):
            raise error
        return True

    async def _goes_on(self, attempt: TtsAttempt) -> bool:
        """Whether there is another frame; False when all of the text has been said.

        Raises:
            _BrokeOffError: it has not, and there is none.
        """
        began, is_whole = self._loop.time(), self._text.whole.is_set()
        while not attempt.upcoming.done():
            if not self._text.whole.is_set():
                await self._wait_for([attempt])
            elif (left := self._left()) > 0:
                await asyncio.wait({attempt.upcoming}, timeout=max(0.05, left))
            elif await self._is_over(attempt):
                return False
        try:
            attempt.upcoming.result()
        except StopAsyncIteration:
            return self._ended(attempt)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if error is self._text.error:
                raise
            raise _BrokeOffError from error
        if is_whole:  # before that, it may have been the LLM's pause
            self._pace.pause = max(self._pace.pause, self._awake.since(began))
        return True

    async def _is_over(self, attempt: TtsAttempt) -> bool:
        """Wait for a TTS that gives nothing while nothing is left to play: whether it had said all of it."""
        lacks = attempt.lacks(self._pace)
        lacks = None if attempt.waits_for_text and not lacks else lacks
        patience = self._retry.patience
        seconds = max(patience.end if lacks is None else patience.pause, 1.5 * self._pace.pause)
        last = self._tries >= self._retry.tries and lacks is not False
        came = await self._awake.wait({attempt.upcoming}, max(seconds, patience.first) if last else seconds)
        if came or self._left() > 0:
            return False
        if lacks or attempt.waits_for_text or (lacks is None and not self._agrees(attempt)):
            raise _BrokeOffError
        return True

    def _agrees(self, attempt: TtsAttempt) -> bool:
        """Whether a try that may have said all took as long for each letter as the one before: neither broke off."""
        before, self._rate = self._rate, letters(attempt.text[attempt.begins :]) / max(ROUNDING, attempt.sounded)
        return abs(self._rate - before) < SAME * before

    def _left(self) -> float:
        return self._retry.left(self._speech, self._made)

    @property
    def _speech(self) -> SpeechHandle:
        assert self._handle is not None
        return self._handle

    def _ended(self, attempt: TtsAttempt) -> bool:
        """Its stream ended: False, if that was all."""
        lost = self._awake.since(self._lost_at) < AT_ONCE
        if attempt.seconds and (lost or not self._text.whole.is_set() or attempt.lacks(self._pace)):
            self._lost_at = float("-inf")
            raise _BrokeOffError
        return False

    def _resume_after(self, attempt: TtsAttempt) -> None:
        self._begins = attempt.resumes_at(self._pace)
        self._cut = not attempt.given.text
        rest = attempt.text[self._begins :]
        self._is_said = self._text.whole.is_set() and attempt.knows_all and not words.has_words(rest)

    def _note_first_sound(self, attempt: TtsAttempt) -> None:
        if attempt.first_sound is not None:
            self._pace.began(attempt.first_sound)

    def _measure(self, attempt: TtsAttempt) -> None:
        attempt.measure(self._pace)
        if attempt.given.text:
            self._note(attempt.given.text, complete=True)


class _Said:
    """What an LLM's stream has said, to recognise what a retried stream says again."""

    def __init__(self) -> None:
        self._text = ""
        self._stream: str | None = None
        self._keeps_its_id = False
        self._repeated = 0
        self.contradicted = False

    def is_new(self, chunk: llm.ChatChunk) -> bool:
        """Whether the chunk says something new; cuts off repeated text."""
        content = chunk.delta.content if chunk.delta else None
        if not content or chunk.delta is None:
            return True
        if chunk.id == self._stream:
            self._keeps_its_id = True
        elif self._keeps_its_id or self._text.startswith(content):
            self._repeated = 0  # a retried stream begins again, under another id
        # otherwise every chunk so far had an id of its own, as some servers that speak OpenAI's protocol give them
        self._stream = chunk.id
        due = self._text[self._repeated :]
        if due.startswith(content):
            self._repeated += len(content)
            return bool(chunk.delta.tool_calls)
        if not content.startswith(due):
            self.contradicted = True
            return False
        chunk.delta.content = content[len(due) :]
        self._text += chunk.delta.content
        self._repeated = len(self._text)
        return True

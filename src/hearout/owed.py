"""One protected utterance, from when it was asked for until it is over. It notes; `floor.py` decides."""

from dataclasses import dataclass, field

from . import events as e
from . import words
from .policy import After, Answer, CutIn, Keys, Phrases, Policy, ways
from .receipt import Outcome, Receipt
from .words import Fate, Held

STOP_GRACE = 6.0
"""Seconds after which an utterance that was told to stop counts as over: LiveKit cancels its tasks after 5 (1.8.9,
``speech_handle.py``)."""

SHORT = 0.25
"""Seconds that may be missing at the end of what was played before an utterance counts as cut: a sink rounds to its
frames, and a room's loses at most the 0.2 s that it queues."""

QUESTION_MARGIN = 0.5
"""Seconds that the place of a question, estimated from its text, is taken to be later: speech is not even."""

ECHO_MARGIN = 1.5
"""Seconds by which an echo may be off its moment: the loudspeaker's queue, the way and back, and uneven speech."""

ONSET = 0.3
"""Seconds by which a sound began before it was known as speech. Silero takes 0.05–0.2."""


@dataclass
class Owed:
    """What is known of an utterance. Times in seconds from the call's start, lengths in seconds."""

    id: str
    cut_in: CutIn
    answer: Answer
    asked_at: float
    text: str = ""
    question_at: float | None = None
    made: float = 0.0
    complete: bool = False
    played: float = 0.0
    started_at: float | None = None
    playing: bool = False
    suspended: bool = False
    failure: str = ""
    outcome: Outcome | None = None
    why: str = ""
    ended_at: float | None = None
    sounds: int = 0
    held: list[tuple[Held, Fate]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sign_of_life = self._queued_since = self.asked_at
        self._stretch_began = self.asked_at
        self._played_before = 0.0
        self._waits_for_tool = False
        self._more_follows = False
        self._told_at: float | None = None

    @classmethod
    def asked(cls, event: e.SpeechRequested, policy: Policy, at: float) -> "Owed":
        """The utterance that was asked for."""
        return cls(event.id, event.cut_in or policy.cut_in, event.answer or policy.answer, at)

    # What happened

    def note(self, event: e.Event, at: float) -> None:  # noqa: C901 - a table: one line an event
        """Note one fact about it."""
        self._sign_of_life = at
        match event:
            case e.SpeechQueued():
                pass
            case e.TextKnown():
                self._goes_on()
                self.text = event.text
            case e.QuestionPlaced():
                self.question_at = event.seconds
            case e.AudioMade():
                self._goes_on()
                self.made, self.complete = event.seconds, event.complete
            case e.PlayoutStarted():
                self._goes_on()
                self.playing, self._stretch_began, self._played_before = True, at, self.played
                self.started_at = at if self.started_at is None else self.started_at
            case e.PlayoutProgressed():
                self.played = max(self.played, event.seconds)
            case e.PlayoutFinished():
                self._waits_for_tool = True
                self.playing, self.played = False, event.seconds
            case e.ModelAsked():
                self._goes_on()
                self._more_follows = False
            case e.ToolCalled():
                self._waits_for_tool = self._more_follows = True
            case e.SpeechSuspended():
                self.suspended = True
            case e.VoiceFailed():
                self.failure = self.failure or f"the {event.what} gave up"
            case _:
                assert isinstance(event, e.SpeechEnded)
                self._end(at, interrupted=event.interrupted)

    def _goes_on(self) -> None:
        self._waits_for_tool = self.suspended = False

    def _end(self, at: float, *, interrupted: bool) -> None:
        self.ended_at, self.playing = at, False
        if self.outcome is not None:
            return
        if interrupted:
            self.outcome, self.why = Outcome.CUT_IN, "operator: the program stopped it"
        elif self.failure:
            self.outcome, self.why = Outcome.FAILED, self.failure
        elif self.text.strip() and not self.made:
            self.outcome, self.why = Outcome.FAILED, "the voice made no sound"
        elif self.played < self.made - SHORT:
            self.outcome, self.why = Outcome.FAILED, "the loudspeaker did not play all of it"
        else:
            self.outcome = Outcome.FINISHED

    # Stopping

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._told_at is not None

    def stop(self, outcome: Outcome, why: str) -> None:
        """It must stop, with this outcome; the first reason counts."""
        if self.outcome is None:
            self.outcome, self.why = outcome, why

    def must_be_told_to_stop(self, at: float) -> bool:
        """Whether it must be told now; when it was told and does not stop, it is given up as over."""
        if self.outcome is None:
            return False
        if self._told_at is None:
            self._told_at = at
            return True
        if at >= self._told_at + STOP_GRACE:
            self.ended_at, self.playing = at, False
        return False

    def gives_up_at(self, policy: Policy, *, free_since: float | None) -> float | None:
        """When it counts as stuck, unless something happens; None while it has all the time that it needs.

        Args:
            policy: how long to wait for what.
            free_since: since when no other protected speech stands before it; None while some does.
        """
        if self._told_at is not None:
            return self._told_at + STOP_GRACE
        if self.suspended:
            return None
        if self.playing:
            known = self._stretch_began + self.made - self._played_before
            return max(known, self._sign_of_life) + (policy.sink_grace if self.complete else policy.voice_grace)
        if self._waits_for_tool:
            return self._sign_of_life + policy.tool_grace
        if self.made > self.played:
            return self._sign_of_life + policy.listener_grace
        if free_since is None:
            return None
        return min(max(self._sign_of_life, free_since) + policy.voice_grace, self._queued_since + policy.queue_grace)

    def give_up(self, at: float, policy: Policy, *, free_since: float | None) -> None:
        """Notice that it is stuck, and why."""
        due = self.gives_up_at(policy, free_since=free_since)
        if due is None or at < due or self._told_at is not None:
            return
        if self.playing:
            what = "loudspeaker" if self.complete else "voice"
            self.stop(Outcome.FAILED, f"the {what} stalled")
        elif self._waits_for_tool:
            self.suspended = True  # the tool may run on; the caller need not wait for it
        elif self.made > self.played:
            self.stop(Outcome.FAILED, "nobody listened, or the loudspeaker is dead")
        else:
            self.stop(Outcome.FAILED, "the model or the voice did not begin")

    # Cutting in

    def cut_by_words(self, text: str, began: float, at: float, *, idle: bool) -> None:
        """The caller said this, or is saying it: if it is allowed to, it ends the utterance.

        Args:
            text: what was said.
            began, at: when it began, and when it is known.
            idle: whether it is a backchannel or an echo.
        """
        about = self._spoken_about(began, at)
        for way in ways(self.cut_in):
            match way:
                case Phrases():
                    for phrase in way.phrases:
                        if words.has_phrase(text, phrase) and not words.is_echo(text, about, at_least=1):
                            self.stop(Outcome.CUT_IN, f"phrase {phrase!r}")
                case After() if self.playing and self._position(at) >= way.seconds and not idle:
                    self.stop(Outcome.CUT_IN, f"after {way.seconds:g} s")

    def cut_by_keys(self, digits: str) -> bool:
        """Whether these keys end the utterance, which they then do."""
        allowed = "".join(way.keys for way in ways(self.cut_in) if isinstance(way, Keys))
        key = next((digit for digit in digits if digit in allowed), None)
        if key is not None:
            self.stop(Outcome.CUT_IN, f"key {key}")
        return key is not None

    # What the caller's words are to it

    def ends_at(self) -> float | None:
        """When its last sample will have left; None while that is not known."""
        if not self.playing or not self.complete or self._more_follows or self._told_at is not None:
            return None
        return self._stretch_began + self.made - self._played_before

    def is_early(self, at: float) -> bool:
        """Whether what was said from `at` on began before its question was put; False if it asks none."""
        share = words.question(self.text)
        if share is None:
            return False
        put = self.question_at if self.question_at is not None else share * self.made + QUESTION_MARGIN
        return self.started_at is None or at - ONSET < self.started_at + put

    def is_backchannel(self, text: str, began: float) -> bool:
        """Whether it only says "I am listening"."""
        asks = words.question(self.text) is not None
        return words.is_backchannel(text, asks=asks, put=asks and not self.is_early(began))

    def is_echo(self, text: str, began: float, at: float) -> bool:
        """Whether it is the utterance's own sound, come back."""
        return words.is_echo(text, self._spoken_about(began, at))

    def _spoken_about(self, began: float, at: float) -> list[str]:
        if self.started_at is None:
            return []
        first = self._position(began) - ECHO_MARGIN
        return words.about(self.text, first, self._position(at) + ECHO_MARGIN, self.made)

    def _position(self, at: float) -> float:
        """Which second of it was being said then: at most, since holes are not counted."""
        return 0.0 if self.started_at is None else min(max(0.0, at - self.started_at), self.made)

    # The record

    def receipt(self) -> Receipt:
        """The record of it, once it is over."""
        assert self.ended_at is not None
        assert self.outcome is not None
        return Receipt(
            id=self.id,
            outcome=self.outcome,
            why=self.why,
            asked_at=self.asked_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            played=self.played,
            made=self.made,
            text=self.text,
            held=tuple(self.held),
            sounds=self.sounds,
        )

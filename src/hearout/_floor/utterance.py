"""One protected utterance, from the request to its end. Notes facts; `floor.py` decides."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .. import _text as words
from ..policy import Policy, Redeliver
from ..receipts import Attempt, Cause, Fate, Held, Kind, Outcome, Receipt
from ..receipts._receipt import SHORT
from . import events as e
from .alignment import Alignment
from .playhead import Playhead

STOP_GRACE = 6.0
"""Seconds after which an utterance that was told to stop counts as over: LiveKit cancels its tasks after 5 (1.8.9,
``speech_handle.py``)."""

FRAME = 0.02
"""Seconds that must be missing between two reports of the audio output to be a hole: a frame."""

ECHO_MARGIN = 1.5
"""Seconds by which an echo may be off its moment: the audio output's queue, the way and back, and uneven speech."""

ASKED_MARGIN = 1.0
"""Seconds that a word of agreement may begin before a question and still be its answer: "do you ag-" "okay"."""

KEYS = 100
"""Keys, and whatever else came before them, that a receipt lists. Nobody presses so many over one utterance on
purpose."""

LEFT_OUT = 1_000
"""Characters that a receipt has of what was too much: enough to tell what it was."""

_UNANSWERED = (Fate.RECORDED, Fate.REPEATED, Fate.BACKCHANNEL, Fate.ECHO)
"""The fates of keys and buttons, and of words that no agent is given."""

ONSET = 0.3
"""Seconds by which a sound began before it was known as speech. Silero takes 0.05–0.2."""

LEFT: Mapping[Cause | None, tuple[Outcome, str]] = {
    None: (Outcome.CALLER_GONE, "the caller left"),
    Cause.TRANSFERRED: (Outcome.CALLER_GONE, "the caller's telephone was transferred"),
    Cause.REPLACED: (Outcome.CALLER_GONE, "another participant took the caller's identity"),
    Cause.REMOVED: (Outcome.CALLER_GONE, "the caller was taken out of the room"),
    Cause.REJECTED: (Outcome.NOT_ANSWERED, "the telephone was busy, or the call was declined"),
    Cause.NOT_ANSWERED: (Outcome.NOT_ANSWERED, "the telephone was not answered"),
    Cause.AGENT_REMOVED: (Outcome.SHUT_DOWN, "the agent was taken out of the room"),
    Cause.ROOM_DELETED: (Outcome.SHUT_DOWN, "the room was deleted"),
    Cause.AGENT_REPLACED: (Outcome.SHUT_DOWN, "another participant took the agent's identity"),
}
"""How an utterance ends when the caller cannot be reached, and in which words: by the cause."""


def gave_up(what: str) -> str:
    """What a `VoiceFailed` of this cause says, in words."""
    if what == Cause.STOOD_STILL.value:
        return "the agent's event loop stood still, and what was tried meanwhile broke off"
    return f"the {what} gave up"


class Utterance:
    """What is known of an utterance. Times in seconds from the call's start, lengths in seconds.

    Args:
        request: where it leaves a choice open, the policy's holds.
        at: when it was asked for.
    """

    def __init__(self, request: e.SpeechRequested, policy: Policy, at: float) -> None:
        self.id = request.id
        self.request, self._policy = request, policy
        self.repeats = request.repeats
        """The first utterance of an announcement that comes again; empty where it is this one."""
        self.cut_in = request.cut_in or policy.cut_in
        self.answer = request.answer or policy.answer
        self.redeliver = request.redeliver or policy.redeliver
        known = bool(request.text)
        self.alignment = Alignment(request.text, complete=known, language=policy.language, more_words=policy.more_words)
        self.asked_at = at
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.playing = self.suspended = False
        self.away = False
        """Broken off since the caller left; it is said again when the caller is back."""
        self.owed_again = False
        """Its end was missed by the caller, and is owed under another id."""
        self.failure: tuple[str, Cause] | None = None
        self.outcome: Outcome | None = None
        self.why = ""
        self.cause: Cause | None = None
        self.sounds, self.stood_still = 0, 0.0
        self.held: list[tuple[Held, Fate]] = []
        self.holes: list[tuple[float, float]] = []
        self.attempts: list[Attempt] = []
        self.begins_at = request.begins_at
        self._known_until: float | None = None
        self._begin(at)

    def __repr__(self) -> str:
        return f"<Utterance {self.id!r}>"

    def _begin(self, at: float) -> None:
        """An attempt at saying it begins, at this second of it."""
        self.made = self.played = self.begins_at
        self.complete = False
        self._sign_of_life = self._queued_since = at
        self._head = Playhead(self.begins_at)
        self._sure = self.begins_at
        self._earlier_holes = len(self.holes)  # before the stretch that plays
        self._stretch_ended: float | None = None
        self._waits_for_tool = False
        self._more_follows = self._as_text = False
        self._told_at: float | None = None

    @property
    def text(self) -> str:
        return self.alignment.text

    # What happened

    def note(self, event: e.OfSpeech, at: float) -> None:  # noqa: C901 - a table: one line an event
        self._sign_of_life = at
        match event:
            case e.SpeechQueued():
                pass
            case e.TextKnown():
                self._goes_on()
                self.alignment.is_known(event.text, complete=event.complete)
            case e.SentencePlaced():
                self.alignment.placed.append((event.seconds, event.text))
            case e.AudioMade():
                self._goes_on()
                if self.playing:  # where it ran dry, later audio leaves later
                    self._head.no_further(at, event.seconds)
                self.made = event.seconds
                if self.outcome is None:  # what is flushed when it is stopped is not all of it
                    self.complete = event.complete
            case e.PlayoutStarted():
                self._goes_on()
                self.playing = True
                self._head.begin(at, self.played)
                self.started_at = at if self.started_at is None else self.started_at
            case e.PlayoutProgressed():
                if event.since > self.played + FRAME:
                    self.holes.append((self.played, event.since))
                self.played = max(self.played, event.seconds)
                self._sure = max(self._sure, event.seconds if event.sure is None else min(event.sure, event.seconds))
                self._head.no_further(at, event.seconds + SHORT)
            case e.PlayoutFinished():
                self._waits_for_tool = True
                self.playing, self.played, self._stretch_ended = False, event.seconds, at
                self._sure, self._earlier_holes = event.seconds, len(self.holes)
            case e.ModelAsked():
                self._goes_on()
                self._more_follows = False
            case e.ToolCalled():
                self._waits_for_tool = self._more_follows = True
            case e.TextSent():
                self._goes_on()
                self._as_text = True
            case e.SpeechSuspended():
                self.suspended = True
            case e.VoiceFailed():
                self.failure = self.failure or (gave_up(event.what), Cause(event.what))
            case _:
                assert isinstance(event, e.SpeechEnded)
                self._end(at, interrupted=event.interrupted)

    @property
    def _attempt_at(self) -> float | None:
        return self._head.began

    def _goes_on(self) -> None:
        self._waits_for_tool = self.suspended = False

    def _end(self, at: float, *, interrupted: bool) -> None:
        if self.outcome is None:
            if interrupted:
                self.complete = False  # the flush of an interruption looks like the end
                self.stop(Outcome.CUT_IN, "operator: the program stopped it", Cause.OPERATOR)
            elif self._as_text and not self.failure and self.made == 0.0:
                self.stop(Outcome.SENT, "there is no audio output: its text was sent, and nothing played")
            elif (missing := self._missing()) is not None:
                self.stop(Outcome.FAILED, *missing)
            else:
                self.outcome = Outcome.FINISHED
        self._over(at)

    def _missing(self) -> tuple[str, Cause] | None:
        """What is known to be missing of what was said, and why; None, if nothing is."""
        if self.failure:
            return self.failure
        if words.has_words(self.text) and self.made <= self.begins_at:
            return "the voice made no sound", Cause.VOICE
        if self.played < self.made - SHORT:
            return "the audio output did not play all of it", Cause.SINK
        if self.made < (self.request.expected or 0.0) - SHORT:
            return "the voice stopped early: there is less sound than was prepared", Cause.VOICE
        return None

    def _over(self, at: float) -> None:
        """This attempt is over; and so is the utterance, unless it is said again when the caller is back."""
        ended_at = at if self._stretch_ended is None else self._stretch_ended
        if self._known_until is not None:  # what came after it was no attempt at saying it to anybody
            self.played = max(self.begins_at, min(self.played, self._position(self._known_until)))
            ended_at = max(self._attempt_at or 0.0, min(ended_at, self._known_until))
        self.playing = False
        if self._attempt_at is not None:
            holes = tuple(hole for hole in self.holes if hole[0] >= self.begins_at)
            played = self.played - self.begins_at
            self.attempts.append(Attempt(self._attempt_at, ended_at, played, self.begins_at, holes, self.why))
        known = self.alignment.complete or (self.complete and not self._more_follows)
        self.away = self.outcome is Outcome.CALLER_GONE and self.redeliver is not Redeliver.NEVER
        self.away = self.away and known and bool(self.text.strip())
        self.ended_at = None if self.away else at

    # Leaving and returning

    def leave(self, known_until: float | None, cause: Cause | None = None) -> None:
        """The caller is gone, and was last known to be there then: nobody is spoken to."""
        if self.outcome is None:
            self._known_until = known_until
            self.stop(*LEFT[cause], cause)

    def is_missed(self, known_until: float) -> bool:
        """Whether the utterance finished after the caller was last known to be there, by more than may be missing."""
        ended_at = self.ended_at if self._stretch_ended is None else self._stretch_ended
        finished = self.outcome is Outcome.FINISHED and not self.owed_again
        return finished and ended_at is not None and ended_at > known_until + SHORT

    def again(self, name: str, known_until: float, at: float, cause: Cause | None = None) -> "Utterance":
        """The same utterance under another id, as it was when the caller was last known to be there: broken off."""
        again = copy.copy(self)
        again.id, again.repeats = name, self.repeats or self.id
        again.asked_at, again.sounds, again.stood_still, again.held = at, 0, 0.0, []
        again.attempts, again.holes = self.attempts[:-1], list(self.holes)
        again.alignment = copy.deepcopy(self.alignment)
        again.outcome, again._told_at = None, None
        again.leave(known_until, cause)
        again._over(at)
        return again

    def resume(self, at: float) -> tuple[str, str]:
        """Begin another attempt for a caller who is back; the text before, and the text to be said now."""
        self.begins_at, characters = self.resumes_at()
        self.alignment.back_to(self.begins_at)
        self.holes = [hole for hole in self.holes if hole[1] <= self.begins_at]  # the others are said now
        self.away, self.outcome, self.why, self.cause = False, None, "", None
        self._known_until, self._told_at = None, None
        self.alignment.complete, self._waits_for_tool, self._more_follows = True, False, False
        self._begin(at)
        return self.text[:characters], self.text[characters:]

    def stay_away(self, at: float) -> None:
        """The caller did not return: it is over, and not finished."""
        self.away, self.ended_at = False, at

    def claimed(self) -> float:
        """Seconds of it that have left for sure, as far as the audio output has said; the holes are not counted."""
        holes = self.holes[self._earlier_holes :]
        return self._sure - sum(max(0.0, min(ends, self._sure) - begins) for begins, ends in holes)

    def resumes_at(self) -> tuple[float, int]:
        """The second and the character of the text at which the utterance would resume if it broke off now."""
        if self.redeliver is Redeliver.FROM_START:
            return 0.0, 0
        return self.alignment.sentence_at(
            min(self.played, self._sure), self.made if self.complete else self.request.expected
        )

    @property
    def waits_for_its_tool(self) -> bool:
        """Whether all audio made so far was played and the rest waits for a tool of the agent's."""
        return self._more_follows and not self.playing and self.played >= self.made - SHORT

    # Stopping

    @property
    def is_open(self) -> bool:
        return self.ended_at is None and not self.away

    @property
    def stopping(self) -> bool:
        return self._told_at is not None

    def stop(self, outcome: Outcome, why: str, cause: Cause | None = None) -> None:
        """It must stop, with this outcome; the first reason counts."""
        if self.outcome is None:
            self.outcome, self.why, self.cause = outcome, why, cause

    def must_be_told_to_stop(self, at: float) -> bool:
        """Whether the utterance must be told to stop now. One that was told and does not stop is given up as over."""
        if self.outcome is None:
            return False
        if self._told_at is None:
            self._told_at = at
            return True
        if at >= self._told_at + STOP_GRACE:
            self._over(at)
        return False

    def gives_up_at(self, *, free_since: float | None) -> float | None:
        """The second at which the utterance counts as stuck if nothing happens; None while it may take its time.

        Args:
            free_since: since when no other protected speech stands before it; None while some does.
        """
        timeouts = self._policy.timeouts
        if self._told_at is not None:
            return self._told_at + STOP_GRACE
        if self.suspended:
            return None
        if self.playing:
            known = max(self._head.when(self.made), self._sign_of_life)
            return known + (timeouts.output if self.complete else timeouts.voice)
        if self._waits_for_tool:
            return self._sign_of_life + timeouts.tool
        if self.made > self.played:
            return self._sign_of_life + timeouts.listener
        if free_since is None:
            return None
        return min(max(self._sign_of_life, free_since) + timeouts.voice, self._queued_since + timeouts.queue)

    def give_up(self, at: float, *, free_since: float | None) -> None:
        due = self.gives_up_at(free_since=free_since)
        if due is None or at < due or self._told_at is not None:
            return
        if self.playing:
            what = ("audio output", Cause.SINK) if self.complete else ("voice", Cause.VOICE)
            self.stop(Outcome.FAILED, f"the {what[0]} stalled", what[1])
        elif self._waits_for_tool:
            self.suspended = True  # the tool may run on; the caller need not wait for it
        elif self.made > self.played:
            self.stop(Outcome.FAILED, "nobody listened, or the audio output is dead", Cause.NOBODY_LISTENING)
        else:
            cause = Cause.VOICE if self.text.strip() else Cause.MODEL
            self.stop(Outcome.FAILED, "the model or the voice did not begin", cause)

    # Cutting in

    def cut_by_words(self, text: str, began: float, at: float, *, idle: bool) -> None:
        """End the utterance if the cut-in policy allows it for these words of the caller, final or interim.

        Args:
            began, at: when it began, and when it is known.
            idle: whether it is a backchannel or an echo.
        """
        about = self._spoken_about(began, at)
        for phrase in self.cut_in.phrases:
            if words.has_phrase(text, phrase) and not words.is_echo(text, about, at_least=1):
                self.stop(Outcome.CUT_IN, f"phrase {phrase!r}", Cause.PHRASE)
        after = self.cut_in.after
        if after is not None and self.playing and self._position(at) >= after and not idle:
            self.stop(Outcome.CUT_IN, f"after {after:g} s", Cause.TIME)

    def cut_by_keys(self, digits: str) -> bool:
        """Whether these keys end the utterance, which they then do."""
        key = next((digit for digit in digits if digit in self.cut_in.keys), None)
        if key is not None:
            self.stop(Outcome.CUT_IN, f"key {key}", Cause.KEY)
        return key is not None

    # What the caller's words are to it

    def ends_at(self) -> float | None:
        """When its last sample will have left; None while that is not known."""
        if not self.playing or not self.complete or self._more_follows or self._told_at is not None:
            return None
        return self._head.when(self.made)

    def is_early(self, at: float) -> bool:
        """Whether words from `at` on came before the utterance's question was asked; False where there is no
        question."""
        if (put := self.alignment.question_at(self.made)) is None:
            return False
        if self._attempt_at is None:
            return put >= self.begins_at
        return at - ONSET < self._attempt_at + put - self.begins_at

    @property
    def question_asked_at(self) -> float | None:
        """The second of the call at which its last question had been asked to its end; None before that.

        Rather too late: where no TTS says when the question's sentence ended, or a piece was missing, at its end.
        """
        if self.outcome is Outcome.SENT:
            return self.ended_at
        ended = self.attempts[-1].ended_at if self.attempts and self.outcome is Outcome.FINISHED else None
        inside = self.alignment.question_ends_at()
        if inside is None or self.holes or self._attempt_at is None or inside > self._so_far(self._sign_of_life):
            return ended
        said = self._head.when(inside)
        return said if ended is None else min(said, ended)

    @property
    def asks(self) -> bool:
        """Whether the part said so far has something that a caller may answer."""
        asked = self.alignment.answerable_at(self.made)
        return asked is not None and self.played >= asked

    def has_asked(self, at: float) -> bool:
        """Whether something that somebody may answer had been begun by then, or at most `ASKED_MARGIN` later."""
        if (asked := self.alignment.answerable_at(self.made)) is None:
            return False
        return self._attempt_at is not None and at + ASKED_MARGIN >= self._attempt_at + asked - self.begins_at

    @property
    def known_sound(self) -> tuple[object, ...]:
        """All that an echo is recognised by: as long as it stays the same, an echo is one, and what is none is none."""
        return self.text, self.made, self._attempt_at, self.begins_at

    def is_echo(self, text: str, began: float, at: float) -> bool:
        return words.is_echo(text, self._spoken_about(began, at))

    def _spoken_about(self, began: float, at: float) -> Sequence[str]:
        if self._attempt_at is None:
            return ()
        first = self._position(began) - ECHO_MARGIN
        return words.about(self.text, first, self._position(at) + ECHO_MARGIN, self.made)

    def _position(self, at: float) -> float:
        """Which second of it was being said then, at most."""
        return min(self._head.at(at), self.made)

    def _so_far(self, at: float) -> float:
        """Seconds of it that have left by then, by the clock less `SHORT`: between two reports of the audio output."""
        return max(self.played, self._position(at) - SHORT) if self.playing else self.played

    # The record

    def keep(self, held: Held, fate: Fate) -> None:
        """Note the fate of words for the receipt: `KEYS` unanswered pieces at most, and one that was too much."""
        if fate in _UNANSWERED and len(self.held) >= KEYS:
            fate = Fate.TOO_MUCH
        if fate is Fate.TOO_MUCH:
            held = replace(held, text=held.text[:LEFT_OUT])
        if fate is not Fate.TOO_MUCH or all(known is not fate for _, known in self.held):
            self.held.append((held, fate))

    def _marked(self, held: Held) -> Held:
        """Mark held words that were decided before the text was known: only now it tells whether they were early."""
        is_early = held.early or (held.kind is Kind.SPOKEN and self.is_early(held.at))
        return held if is_early is held.early else replace(held, early=is_early)

    def _length(self) -> float | None:
        """How long all of it is, where that is known: the TTS said that there is no more."""
        known = self.complete and self.failure is None and not self._more_follows and self.made > 0.0
        return self.request.expected or (self.made if known else None)

    def receipt(self) -> Receipt:
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
            held=tuple((self._marked(one), fate) for one, fate in self.held),
            sounds=self.sounds,
            stood_still=self.stood_still,
            attempts=tuple(self.attempts),
            holes=tuple(self.holes),
            expected=self._length(),
            cause=self.cause,
            cut_in_by="operator" if self.cause is Cause.OPERATOR else "",
        )

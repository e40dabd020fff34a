"""What happened in a call, as the floor is told: frozen, in the past tense.

Times are given beside the event, in seconds from the call's start. An utterance is named by its id, which is used once
in a call; everything said about another id than one that is open is late, and changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..policy import Answer, CutIn, Redeliver
from ..receipts import Cause
from .answering import YES_NO, Expected


class Event:
    """Something that happened."""


@dataclass(frozen=True)
class OfSpeech(Event):
    """A fact about an utterance that was asked for."""

    id: str


@dataclass(frozen=True)
class SpeechRequested(Event):
    """Protected speech was asked for.

    Args:
        cut_in: who may end it; the policy's where it is None.
        answer: what becomes of what the caller says meanwhile; the policy's where it is None.
        redeliver: where it is resumed after the caller was gone; the policy's where it is None.
        text: all of what is to be said, where that is known from the beginning.
        begins_at: the second of it at which this attempt begins: what was before has been played, by another agent.
        expected: how many seconds all of it lasts, where that is known from the beginning.
        question: the question of `QuestionAsked` that it asks; empty where it asks none.
        acknowledge: what the button says that acknowledges it once it was said to its end; empty for none.
        acknowledge_keys: keys, each of which does the same.
        every: seconds from its end to when it is said again; 0 for never.
        repeats: the utterance that it says again; empty where it is the first time.
    """

    id: str
    cut_in: CutIn | None = None
    answer: Answer | None = None
    redeliver: Redeliver | None = None
    text: str = field(default="", repr=False)
    begins_at: float = 0.0
    expected: float | None = None
    question: str = ""
    acknowledge: str = ""
    acknowledge_keys: str = ""
    every: float = 0.0
    repeats: str = ""


@dataclass(frozen=True)
class RepeatAsked(Event):
    """What another agent said, or began to say, comes again: for the first time so many seconds from now."""

    id: str
    due_in: float


@dataclass(frozen=True)
class AgentChanged(Event):
    """The agent begins to speak or think, or has stopped: what it says may be LiveKit's own."""

    busy: bool


@dataclass(frozen=True)
class QuestionAsked(Event):
    """A question is to be asked: after those before it have ended, and again until an answer comes.

    Args:
        version: of its wording.
        expected: what words it may be answered by.
        keys: keys that answer it, each with the choice that it makes.
        attempts: how often it is asked at most, without an aside between.
        wait: seconds that the caller has for beginning an answer, from when it had been asked.
        aside: whether the agent answers what the caller asks back.
        implied: the choice that silence makes; empty where it makes none.
        language: that it is asked in; empty for that of the call.
        narrow: told the words and the choice that the rules found; what it does not confirm is no choice.
    """

    id: str
    version: str = ""
    text: str = field(default="", repr=False)
    expected: Expected = YES_NO
    keys: tuple[tuple[str, str], ...] = ()
    attempts: int = 3
    wait: float = 6.0
    aside: bool = True
    implied: str = ""
    language: str = ""
    narrow: Callable[[str, str], bool] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class QuestionFailed(Event):
    """The question of this id could not be said: there is no TTS, or LiveKit's session is closing."""

    id: str


@dataclass(frozen=True)
class SpeechQueued(OfSpeech):
    """It still waits for what is not the floor's to decide about: other speech, or a telephone that rings.

    Args:
        alive_at: when the other speech last gave text or sound, in seconds of the call; None while it plays, and where
            there is none.
    """

    alive_at: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class TextKnown(OfSpeech):
    """The text to be said, as far as it is known; each time the whole text.

    Args:
        complete: the TTS was given this and no more; that counts, whatever was asked for.
    """

    text: str = field(repr=False)
    complete: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class SentencePlaced(OfSpeech):
    """The TTS says at which second of the utterance a sentence of it begins."""

    seconds: float
    text: str = field(repr=False)


@dataclass(frozen=True)
class AudioMade(OfSpeech):
    """So many seconds of it have been given to the audio output so far; `complete` when no more follows for now."""

    seconds: float
    complete: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class PlayoutStarted(OfSpeech):
    """Its first sample left; or that of another stretch of it."""


@dataclass(frozen=True)
class PlayoutProgressed(OfSpeech):
    """It has left, from one of its seconds to another, and can no longer be taken back.

    Args:
        sure: to which second it has for sure; to all of it, where that is None. LiveKit goes by its own clock.
    """

    seconds: float
    since: float = 0.0
    sure: float | None = None


@dataclass(frozen=True)
class PlayoutFinished(OfSpeech):
    """A stretch of it ended; so many seconds of the utterance have left in all. More may follow: a tool's answer."""

    seconds: float


@dataclass(frozen=True)
class TextSent(OfSpeech):
    """The utterance's text is sent, whole or in part; no sound will be made, because the session has no audio
    output."""


@dataclass(frozen=True)
class ModelAsked(OfSpeech):
    """The LLM is asked for it; or for what follows a tool."""


@dataclass(frozen=True)
class ToolCalled(OfSpeech):
    """The LLM called a tool in the middle of it; what is said next waits for the tool."""


@dataclass(frozen=True)
class SpeechSuspended(OfSpeech):
    """It waits for something that the caller must do first: an inline task of the agent has the floor."""


@dataclass(frozen=True)
class VoiceFailed(OfSpeech):
    """The TTS or the LLM gave up: a part of it will not be said.

    `what` is the `Cause`: ``"voice"``, ``"model"``, or ``"stood still"`` where that broke off whatever was tried.
    """

    what: str


@dataclass(frozen=True)
class SpeechEnded(OfSpeech):
    """It ended; `interrupted` when somebody stopped it."""

    interrupted: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class ReplyExpected(Event):
    """The agent is about to answer: its hook runs. Until the answer is asked for, nothing else may take the floor."""


@dataclass(frozen=True)
class ReplyCalledOff(Event):
    """The agent's hook is through: the answer has been asked for, or there will be none."""


@dataclass(frozen=True)
class CallerStarted(Event):
    """The caller began to make sound."""


@dataclass(frozen=True)
class CallerStopped(Event):
    """The caller fell silent."""


@dataclass(frozen=True)
class PhrasesExpected(Event):
    """The STT gives no guesses: its words come after the phrase, and nobody knows yet how late."""


@dataclass(frozen=True)
class WordsGuessed(Event):
    """An interim transcript. `language` is the STT's guess, empty where it makes none."""

    text: str = field(repr=False)
    language: str = ""


@dataclass(frozen=True)
class WordsHeard(Event):
    """A final transcript. `language` is the STT's guess, empty where it makes none.

    Args:
        confidence: of the STT, from 0 to 1; None where it does not say.
        stt: names the STT.
        began, ended: when the words were said, in seconds from the call's start; None where the STT does not tell.
    """

    text: str = field(repr=False)
    language: str = ""
    confidence: float | None = None
    stt: str = ""
    began: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class EarlierWords(Event):
    """The caller had said this, and nobody answered: the agent died, or LiveKit's turn was taken back."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class UnfinishedFound(Event):
    """An agent that died owed this, and the one in its place did not ask for it.

    Args:
        id: names it in the ledger.
        text: of it, as far as it is known.
        words: what the caller had said over it, oldest first.
        answer, redeliver: what was chosen for it; the policy's where they are None.
    """

    id: str
    text: str = field(repr=False)
    words: tuple[str, ...] = field(default=(), repr=False)
    answer: Answer | None = None
    redeliver: Redeliver | None = None


@dataclass(frozen=True)
class WordsLeftToLiveKit(Event):
    """A final transcript went to LiveKit, which will make a turn of it.

    Args:
        heard: all of it; None for what the floor gave back.
    """

    heard: WordsHeard | None = None


@dataclass(frozen=True)
class TurnTaken(Event):
    """LiveKit made a turn of what had been passed to it."""


@dataclass(frozen=True)
class TurnsByHand(Event):
    """From now on only the program ends the caller's turns (``turn_detection="manual"``), or no longer only it."""

    by_hand: bool


@dataclass(frozen=True)
class TurnsBySound(Event):
    """From now on the model hears the caller's sound, not LiveKit's transcripts; or no longer.

    Words that are given back to LiveKit reach no such model.
    """

    by_sound: bool


@dataclass(frozen=True)
class TurnCommitted(Event):
    """The program ended the caller's turn.

    Args:
        patience: seconds in which a final transcript of what was said before may still come.
        replies: whether the agent is to answer.
    """

    patience: float = 0.0
    replies: bool = True


@dataclass(frozen=True)
class TurnCleared(Event):
    """The program threw away what the caller said in this turn."""


@dataclass(frozen=True)
class TextTyped(Event):
    """The caller wrote."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class KeysPressed(Event):
    """The caller pressed keys of the telephone."""

    digits: str = field(repr=False)


@dataclass(frozen=True)
class AnsweredBy(Event):
    """An answering machine has been at the far end from the beginning; or a person is, from now on."""

    machine: bool


@dataclass(frozen=True)
class ChoicePressed(Event):
    """The caller pressed a button that `OfferChoices` named: of this question or utterance, and for this choice."""

    id: str
    choice: str


@dataclass(frozen=True)
class ReplyStarted(Event):
    """The first sample left of the answer to the turn that was delivered."""


@dataclass(frozen=True)
class CallerLeft(Event):
    """The caller is gone, or was never there, or cannot be reached any more.

    Args:
        known_until: when the caller was last known to be there, in seconds from the call's start; now, where it is
            None. What was played after it was played to nobody.
        cause: why, where it is known that they did not leave by themselves (`hearout._floor.utterance.LEFT`).
    """

    known_until: float | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class CallerReturned(Event):
    """The caller is back."""


@dataclass(frozen=True)
class StopAsked(Event):
    """The operator, or the program, stops an utterance; `id` None means the one that is being said."""

    reason: str
    id: str | None = None


@dataclass(frozen=True)
class ShutdownAsked(Event):
    """The session is to end.

    Args:
        drain: what is owed may be said to its end, however long that takes; else it has the policy's grace.
    """

    drain: bool = False


@dataclass(frozen=True)
class SessionClosed(Event):
    """The session is closed: nothing more will be said in it."""


@dataclass(frozen=True)
class StoodStill(Event):
    """The agent's event loop stood still for so many seconds until now, while something was waited for."""

    seconds: float


@dataclass(frozen=True)
class AlarmRang(Event):
    """The time that the floor asked for has come."""

"""What must be done, as the floor decided: frozen, in the imperative."""

from dataclasses import dataclass, field

from ..receipts import Fate, Held, Receipt
from ..receipts._question import QuestionReceipt


class Action:
    """Something that must be done."""


@dataclass(frozen=True)
class Hold(Action):
    """From now on keep the caller's words from LiveKit: it would drop a turn that ends while protected speech is owed.

    Args:
        leftover: LiveKit has words of the caller of which it has not made a turn; it must not make one now.
    """

    leftover: bool = False


@dataclass(frozen=True)
class Release(Action):
    """Nothing is owed and nothing is held: LiveKit hears the caller again, and takes turns as it always does.

    Args:
        commit: it may make a turn of the words that it has now: the caller is silent, or the program asked for it.
        patience: seconds in which it waits for a final transcript before.
        replies: whether the agent answers that turn.
    """

    commit: bool = False
    patience: float = 0.0
    replies: bool = True


@dataclass(frozen=True)
class PrepareAnswer(Action):
    """Let the LLM and the TTS answer these words, ahead of time and unheard."""

    number: int
    words: tuple[Held, ...]


@dataclass(frozen=True)
class DropAnswer(Action):
    """The prepared answer is out of date: nobody is to hear it."""

    number: int


@dataclass(frozen=True)
class DeliverTurn(Action):
    """Give the agent these words as one turn, and let it answer now.

    Args:
        words: in the order in which they were said; at least one.
        number: of the answer that was prepared for exactly these words, or None.
        over_noise: a sound without words goes on: LiveKit is not to wait for its end, or to let it stop the answer.
    """

    words: tuple[Held, ...]
    number: int | None = None
    over_noise: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class ReturnWords(Action):
    """Give these words to LiveKit's STT, to be joined with what the caller goes on to say."""

    words: tuple[Held, ...]


@dataclass(frozen=True)
class TurnKnown(Action):
    """Give the program the words of an ended turn: the STT is through with them, or had its time."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class AnswerTyped(Action):
    """Answer typed text as LiveKit does: at once, instead of the current reply. No protected speech is owed."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class AddToContext(Action):
    """Put these words into the chat context, unanswered."""

    words: tuple[Held, ...]


@dataclass(frozen=True)
class RecordFate(Action):
    """These words are settled, and this is what became of them."""

    words: Held
    fate: Fate


@dataclass(frozen=True)
class StopUtterance(Action):
    """Stop saying it, at once."""

    id: str
    why: str


@dataclass(frozen=True)
class Resume(Action):
    """The caller is back: say an utterance from this second on, under the same id.

    Args:
        begins_at: the second of it.
        before: its text before that.
        text: what is left of it.
    """

    id: str
    begins_at: float
    before: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True)
class Reopen(Action):
    """An utterance ended after the caller was last known to be there: what was missed is owed again, under a new id.

    Its receipt says what was played, and stays as it is; the one under the new id says what became of the rest.
    """

    id: str
    of: str


@dataclass(frozen=True)
class ResumeUnfinished(Action):
    """Say what is left of what a dead agent owed."""

    id: str


@dataclass(frozen=True)
class SkipUnfinished(Action):
    """Do not say a dead agent's unfinished utterance again: its ledger row says how much was played."""

    id: str


@dataclass(frozen=True)
class StopInterruptible(Action):
    """Stop speech that may be interrupted, behind which protected speech waits: the caller cut in, or it hangs."""


@dataclass(frozen=True)
class AskQuestion(Action):
    """Ask this question, as protected speech of its own.

    Args:
        brief: in its short form.
        why: the rule by which the last answer to it was none; empty where nothing was said.
    """

    id: str
    brief: bool = False
    why: str = ""


@dataclass(frozen=True)
class SayAgain(Action):
    """Say an announcement that comes again: this is a pause, and it is due; `id` is that of its first utterance."""

    id: str


@dataclass(frozen=True)
class OfferChoices(Action):
    """From now on the caller may choose: an answer to a question that has been asked, or an acknowledgement.

    Args:
        id: of the question, or of the utterance.
        choices: each with what a button says that makes it; none where no button makes one.
        keys: of a telephone that acknowledge the utterance.
        text: of the question; empty for an acknowledgement.
    """

    id: str
    choices: tuple[tuple[str, str], ...] = ()
    keys: str = ""
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class NoteAcknowledgement(Action):
    """The caller acknowledged this utterance now."""

    id: str


@dataclass(frozen=True)
class AnswerAside(Action):
    """Let the agent answer what the caller asked back; the question is asked again after that."""

    id: str
    words: tuple[Held, ...]


@dataclass(frozen=True)
class EndQuestion(Action):
    """End a question. The record is complete but for the evidence on its attempts."""

    receipt: QuestionReceipt


@dataclass(frozen=True)
class WriteReceipt(Action):
    """An utterance is over and its words are settled: this is the record of it."""

    receipt: Receipt


@dataclass(frozen=True)
class NoteGap(Action):
    """Note the gap from an utterance's end to the first sample of the answer to the words over it, in seconds of the
    call; its receipt is written."""

    id: str
    ended_at: float
    began_at: float

    @property
    def seconds(self) -> float:
        return self.began_at - self.ended_at


@dataclass(frozen=True)
class EndCall(Action):
    """The caller did not return: end the session."""


@dataclass(frozen=True)
class FinishShutdown(Action):
    """Nothing is owed any more, or the grace is over: the session may end."""

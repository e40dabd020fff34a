"""What passes at the agent's nodes and at the loudspeaker, said to the floor in its own words."""

import logging
from collections.abc import Callable

from livekit.agents.voice import SpeechHandle

from .._floor import events as e
from .._pipeline.prepared import PreparedAnswer
from .answers import Answers
from .call_ledger import CallLedger
from .speeches import Speeches

logger = logging.getLogger("hearout")


class Reports:
    """Translates: from LiveKit's speech to the floor's utterance, from an attempt's seconds to the utterance's.

    Args:
        feed: tells the floor.
        speeches: which speech is which utterance; speech that is none is nothing to the floor.
        answers: what was prepared.
    """

    def __init__(self, feed: Callable[[e.Event], None], speeches: Speeches, answers: Answers) -> None:
        self._feed = feed
        self._speeches = speeches
        self._answers = answers
        self.book: CallLedger | None = None
        """What is promised there may be heard."""

    def text_known(self, handle: SpeechHandle, text: str) -> None:
        if (speech := self._speeches[handle]) is not None:
            speech.text += text
            self._feed(e.TextKnown(speech.id, speech.text))

    def sentence_placed(self, handle: SpeechHandle, seconds: float, text: str) -> None:
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.SentencePlaced(speech.id, speech.begins_at + seconds, text))

    def model_asked(self, handle: SpeechHandle) -> None:
        if (speech := self._speeches[handle]) is not None:
            speech.model_asked()
            self._feed(e.ModelAsked(speech.id))

    def tool_called(self, handle: SpeechHandle) -> None:
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.ToolCalled(speech.id))

    def rehearsed(self, handle: SpeechHandle) -> PreparedAnswer | None:
        return self._answers.rehearsed(handle)

    async def may_play(self, handle: SpeechHandle) -> None:
        if self.book is not None and (speech := self._speeches[handle]) is not None:
            await self.book.promised(speech.id)

    def playout_made(self, handle: SpeechHandle, seconds: float, *, complete: bool) -> None:
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.AudioMade(speech.id, speech.begins_at + seconds, complete=complete))

    def playout_started(self, handle: SpeechHandle) -> None:
        if self._answers.begins(handle):
            self._feed(e.ReplyStarted())
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.PlayoutStarted(speech.id))

    def playout_progressed(self, handle: SpeechHandle, since: float, until: float) -> None:
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.PlayoutProgressed(speech.id, speech.begins_at + until, since=speech.begins_at + since))

    def playout_finished(self, handle: SpeechHandle, seconds: float) -> None:
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.PlayoutFinished(speech.id, speech.begins_at + seconds))

    def failed(self, handle: SpeechHandle, what: str) -> None:
        logger.warning("the %s broke off in protected speech %s; it is asked again", what, handle.id)

    def given_up(self, handle: SpeechHandle, what: str) -> None:
        logger.error("the %s gave up: a part of protected speech %s will not be said", what, handle.id)
        if (speech := self._speeches[handle]) is not None:
            self._feed(e.VoiceFailed(speech.id, what))

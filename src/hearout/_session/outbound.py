"""The floor's actions become calls to LiveKit."""

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.agents.voice import AgentSession

from .. import _text as words
from .._floor import actions as a
from .._floor import events as e
from .._pipeline.transcripts import TranscriptGate
from ..receipts import Held
from .announce import Announcer
from .answers import Answers
from .ask import Asker
from .call_receipts import CallReceipts
from .runner import Runner
from .takeover import Takeover


class Outbound:
    """Carries out what the floor decides. It decides nothing itself.

    Args:
        session: LiveKit's session.
        runner: runs what takes time.
        answers, announcer, takeover: make what the agent says.
        receipts: of the call.
        asker: asks questions.
        gate: where transcripts pass.
        call_off_soon: tells the floor, two steps of the loop later, that no reply is on its way any more.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        runner: Runner,
        answers: Answers,
        announcer: Announcer,
        takeover: Takeover,
        receipts: CallReceipts,
        *,
        asker: Asker,
        gate: TranscriptGate,
        call_off_soon: Callable[[], None],
    ) -> None:
        self.may_close = asyncio.Event()
        """Set when the session may close: nothing is owed any more."""
        self.leave_room: Callable[[], None] = lambda: None
        """Ends the call in its room, where there is one."""
        self._asker = asker
        self._session = session
        self._runner = runner
        self._gate = gate
        self._answers = answers
        self._announcer = announcer
        self._takeover = takeover
        self._speeches = receipts.speeches
        self._receipts = receipts
        self._call_off_soon = call_off_soon
        self._turn_detection: Any = None

    def perform(self, action: a.Action) -> None:  # noqa: C901 - a table: one line an action
        match action:
            case a.Hold():
                self._hold(action)
            case a.Release():
                self._release(action)
            case a.PrepareAnswer():
                self._answers.prepare(action.number, action.words)
            case a.DropAnswer():
                self._answers.drop(action.number)
            case a.DeliverTurn():
                self._runner.start(self._deliver(action))
            case a.ReturnWords():
                self._hand_back(action.words)
            case a.AnswerTyped():
                self._runner.start(self._answers.answer_now(action.text))
            case a.AddToContext():
                self._runner.start(self._answers.note(words.join(held.text for held in action.words)))
            case a.StopUtterance() if (speech := self._speeches.named(action.id)) is not None:
                speech.handle.interrupt(force=True)
            case a.Resume():
                self._announcer.resume(action)
            case a.Reopen():
                self._receipts.reopen(action.id, action.of)
            case a.ResumeUnfinished():
                self._takeover.resume_unfinished(action.id)
            case a.SkipUnfinished():
                self._takeover.skip_unfinished(action.id)
            case a.StopInterruptible():
                current = self._session.current_speech
                if current is not None and current.allow_interruptions and not current.interrupted:
                    current.interrupt()
            case a.AskQuestion():
                self._asker.say(action)
            case a.AnswerAside():
                self._asker.aside(action)
            case a.EndQuestion():
                self._asker.ended(action.receipt)
            case a.WriteReceipt():
                self._receipts.write(action.receipt)
            case a.NoteGap():
                self._receipts.note_gap(action.id, action.seconds)
            case a.EndCall():
                self.leave_room()
                self._session.shutdown(drain=False)
            case a.FinishShutdown():
                self.may_close.set()
            case _:
                pass

    def _hold(self, action: a.Hold) -> None:
        self._gate.take_back_the_guess()
        if action.leftover:
            self._turn_detection = self._session.turn_detection
            self._session.update_options(turn_detection="manual")

    def _release(self, action: a.Release) -> None:
        if self._turn_detection is not None:
            self._session.update_options(turn_detection=self._turn_detection)
            self._turn_detection = None
        if action.commit and not self._runner.closed:
            self._session.commit_user_turn(transcript_timeout=0.0)

    def _hand_back(self, held: tuple[Held, ...]) -> None:
        self._gate.hand_back(words.join(one.text for one in held), early=any(one.early for one in held))

    async def _deliver(self, action: a.DeliverTurn) -> None:
        self._runner.feed(e.ReplyExpected())
        try:
            await self._answers.deliver(action.words, action.number, over_noise=action.over_noise)
        finally:
            self._call_off_soon()

"""The floor's actions become calls to LiveKit."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent
from livekit.agents.utils import is_given
from livekit.agents.voice import AgentSession as LiveKitSession

from .. import _text as words
from .._floor import actions as a
from .._floor import events as e
from ..receipts import Held
from .answers import answer_typed

if TYPE_CHECKING:
    from .bridge import Bridge


@dataclass(eq=False)
class LiveKitsCommit:
    """A turn that LiveKit was told to end, and the future of its words."""

    known: asyncio.Future[str]
    patience: float
    replies: bool
    taken_over: bool = False


class Outbound:
    """Carries out the floor's actions, and decides nothing."""

    def __init__(self, call: "Bridge") -> None:
        self.may_close = asyncio.Event()
        """Set when the session may close: nothing is owed any more."""
        self._call, self._session, self._runner = call, call.session, call.runner
        self._gate, self._answers, self._receipts = call.gate, call.answers, call.receipts
        self._returned = asyncio.Event()
        """Set, unless words wait for the agent that they are returned to."""
        self._returned.set()
        self._turn: asyncio.Future[str] | None = None
        """The words of the turn that the program ended, until they are known."""
        self._committed: LiveKitsCommit | None = None
        """The last turn that LiveKit was told to end."""
        self._taken_over = False
        """Whether LiveKit has words that the floor holds."""
        self._switched: tuple[Agent | None, Any] | None = None
        """Whose turn detection is switched to manual, and what it was; None while none is."""

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
            case a.TurnKnown():
                self.turn_known(action.text)
            case a.AnswerTyped():
                self._runner.start(self._answer_typed(action.text))
            case a.AddToContext():
                self._runner.start(self._answers.note(words.join(held.text for held in action.words)))
            case a.StopUtterance() if (speech := self._call.speeches.named(action.id)) is not None:
                speech.handle.interrupt(force=True)
            case a.Resume():
                self._call.announcer.resume(action)
            case a.Reopen():
                self._receipts.reopen(action.id, action.of)
            case a.ResumeUnfinished():
                self._call.takeover.resume_unfinished(action.id)
            case a.SkipUnfinished():
                self._call.takeover.skip_unfinished(action.id)
            case a.StopInterruptible():
                current = self._session.current_speech
                if current is not None and current.allow_interruptions and not current.interrupted:
                    current.interrupt()
            case a.AskQuestion():
                self._call.asker.say(action)
            case a.AnswerAside():
                self._call.asker.aside(action)
            case a.SayAgain():
                self._call.announcer.say_again(action)
            case a.EndQuestion():
                self._call.asker.ended(action.receipt)
            case a.WriteReceipt():
                self._receipts.write(action.receipt)
            case a.NoteGap():
                self._receipts.note_gap(action.id, action.seconds)
            case a.EndCall():
                if self._call.room is not None:
                    self._call.room.end()
                self._session.shutdown(drain=False)
            case a.FinishShutdown():
                self.may_close.set()
            case _:
                pass

    def expect_turn(self) -> asyncio.Future[str]:
        """The words of the turn that the program ends now; as LiveKit's, an earlier one that waits is cancelled."""
        if self._turn is not None:
            self._turn.cancel()
        self._turn = asyncio.get_running_loop().create_future()
        return self._turn

    def livekit_commits(self, made: asyncio.Future[str], patience: float, *, replies: bool) -> asyncio.Future[str]:
        """Note that LiveKit ends the caller's turn now; give back the words of that turn.

        Args:
            made: LiveKit's own future.
            patience: seconds in which a final transcript may still come.
            replies: whether the agent is to answer.
        """
        asked = self._committed = LiveKitsCommit(asyncio.get_running_loop().create_future(), patience, replies)
        made.add_done_callback(lambda done: None if asked.taken_over else _passed_on(done, asked.known))
        return asked.known

    def _take_over_the_commit(self) -> None:
        """End a turn in LiveKit's place, which throws the turn away once protected speech is current (1.8.9).

        There is no public way to stop a commit and keep its words; a mode that changes to and fro stops half of it.
        """
        asked, self._committed = self._committed, None
        recognition = getattr(getattr(self._session, "_activity", None), "_audio_recognition", None)
        tasks = [getattr(recognition, name, None) for name in ("_commit_user_turn_atask", "_end_of_turn_task")]
        running = [task for task in tasks if task is not None and not task.done()]
        if asked is None or not running or not self.turns_end_by_hand() or self._session.hears_sound:
            return
        asked.taken_over = True
        for task in running:
            task.cancel()
        has = str(getattr(recognition, "_audio_transcript", ""))
        self.expect_turn().add_done_callback(lambda done: _passed_on(done, asked.known, before=has))
        self._runner.feed(e.TurnCommitted(asked.patience, asked.replies))

    def _take_over_the_turn(self) -> bool:
        """Hold the words of a turn that LiveKit has ended and not given to the agent yet; whether there is one.

        Such a turn waits until the tools of the reply before it are done, and is thrown away where protected speech is
        current by then (1.8.9, ``_user_turn_completed_impl``). There is no public way to take it back.
        """
        turn = getattr(getattr(self._session, "_activity", None), "_user_turn_completed_atask", None)
        inbound = self._call.inbound
        skips = self._committed is not None and not self._committed.replies
        if turn is None or turn.done() or turn in inbound.in_hook or not inbound.passed or skips:
            return False
        if self._session.hears_sound:
            return False
        turn.cancel()
        passed, inbound.passed = inbound.passed, []
        self._runner.feed(e.EarlierWords(words.join(passed)))
        self._runner.feed(e.TurnTaken())  # after the words: they may answer what was asked before
        return True

    def turn_known(self, text: str) -> None:
        """Give the program the words of the turn that it ended, if it waits for any."""
        turn, self._turn = self._turn, None
        if turn is not None and not turn.done():
            turn.set_result(text)

    def turns_end_by_hand(self) -> bool:
        """Whether only the program ends the caller's turns: so the agent says, otherwise the session."""
        switched = self._switched if self._switched is not None else self._chosen()
        return bool(switched[1] == "manual")

    def turn_detection_chosen(self, chosen: Any) -> bool:
        """Whether what the program chooses for the session has to wait until LiveKit may end turns again."""
        if self._switched is None or self._switched[0] is not None:
            return False
        self._switched = None, chosen
        return True

    def _chosen(self) -> tuple[Agent | None, Any]:
        """The agent with a turn detection of its own, or None for the session; and the turn detection."""
        agent = self._session.running_agent
        if agent is not None and is_given(own := agent.turn_detection):
            return agent, own
        return None, self._session.turn_detection

    def _hold(self, action: a.Hold) -> None:
        self._gate.take_back_the_guess()
        self._take_over_the_commit()
        leftover = action.leftover and not self._take_over_the_turn()
        self._taken_over = self._call.inbound.take_over()
        if (leftover or self._taken_over) and not self.turns_end_by_hand():
            switched = self._chosen()
            self._switch(switched[0], "manual")
            self._switched = switched

    def _release(self, action: a.Release) -> None:
        if self._switched is not None:
            (agent, chosen), self._switched = self._switched, None
            if agent is None or agent.turn_detection == "manual":  # otherwise the program chose meanwhile
                self._switch(agent, chosen)
        if self._taken_over and not self._runner.closed:
            self._taken_over = False
            LiveKitSession.clear_user_turn(self._session)
        # a realtime model has been given silence, and what was said as text
        if action.commit and not self._runner.closed and not self._session.hears_sound:
            self._runner.start(self._commit(action, self._turn))
            self._turn = None
        self.turn_known("")

    def _switch(self, agent: Agent | None, chosen: Any) -> None:
        if agent is None:
            LiveKitSession.update_options(self._session, turn_detection=chosen)
        else:
            agent.turn_detection = chosen

    async def _commit(self, action: a.Release, turn: asyncio.Future[str] | None) -> None:
        """Let LiveKit make a turn of its transcripts, the returned ones included; `turn` waits for the words."""
        await self._returned.wait()
        await self._gate.taken()
        made = self._session.commit_user_turn(transcript_timeout=action.patience, skip_reply=not action.replies)
        if turn is not None:
            made.add_done_callback(lambda done: _passed_on(done, turn))

    def _hand_back(self, held: tuple[Held, ...]) -> None:
        if self._answers.running_agent is None:
            self._returned.clear()
            self._runner.start(self._hand_back_to_the_next(held))
        else:
            self._give_back(held)

    async def _hand_back_to_the_next(self, held: tuple[Held, ...]) -> None:
        """While an agent hands over, LiveKit (1.8.9) drops the old one's transcripts: the next one gets the words."""
        with contextlib.suppress(TimeoutError):
            await self._answers.agent_runs()
        self._give_back(held)
        self._returned.set()

    def _give_back(self, held: tuple[Held, ...]) -> None:
        text = words.join(one.text for one in held)
        self._call.inbound.passed.append(text)
        self._gate.hand_back(text, early=any(one.early for one in held))

    async def _answer_typed(self, text: str) -> None:
        if self._runner.floor.holding:  # from the same step on: LiveKit would refuse to stop that speech for the text
            self._runner.feed(e.TextTyped(text))
        else:
            await answer_typed(self._session, text)

    async def _deliver(self, action: a.DeliverTurn) -> None:
        self._runner.feed(e.ReplyExpected())
        try:
            await self._answers.deliver(action.words, action.number, over_noise=action.over_noise)
        finally:
            self._call.inbound.call_off_soon()


def _passed_on(done: asyncio.Future[str], turn: asyncio.Future[str], *, before: str = "") -> None:
    if turn.done():
        return
    if done.cancelled():
        turn.cancel()
    elif (error := done.exception()) is not None:
        turn.set_exception(error)
    else:
        turn.set_result(words.join(filter(None, (before, done.result()))))

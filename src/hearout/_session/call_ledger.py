"""One call's utterances in the ledger: promised before they are heard, renewed while they are said, settled when over.

What a dead agent owed in the same call is taken over at the start; what it had finished is not said again.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from .._floor import actions as a
from .._floor import events as e
from .._floor.state import Progress
from .._text import unmarked
from ..errors import AlreadyOwedError, FloorClosedError
from ..ledger._calls import WatchedCall
from ..ledger._entries import Unfinished
from ..ledger._leases import mark, marks, told
from ..ledger._writer import LedgerWriter
from ..policy import Retention, choices_from_json, choices_to_json
from ..receipts import AskOutcome, Held, Outcome, QuestionReceipt, Receipt
from ..receipts._receipt import sha256
from .speeches import SpeechRequest

logger = logging.getLogger("hearout")

RENEW = 1.0
"""Seconds between two renewals of what is owed: a lease bears four that are missed."""

SOON = 0.2
"""Seconds between two renewals at least. Words that are held are written at once, so that a kill does not lose them; a
caller who types hundreds of texts costs the ledger five renewals a second."""

ANSWER_WAIT = 5.0
"""Seconds to wait with the row of what is over for its answer, whose gap goes on it. Until then it counts as owed:
should the process die within them, its last sentence is said again."""

UNCHANGED = 2.0
"""Seconds without news of who heard it, after which what came is added to what is over; longer than the second in which
presence grows (`heartbeat.BEAT`), so that it is one amendment and not one a second. A close waits for none of them."""


_ASKS = ("acknowledge", "acknowledge_keys")


@dataclass(frozen=True)
class UnfinishedUtterance:
    """What a dead agent owed.

    Args:
        owing: the ledger's word on it.
        begins_at: the second at which the sentence begins in which it broke off.
        characters: the character of its text there.
        held: what the caller had said, oldest first.
    """

    owing: Unfinished
    begins_at: float
    characters: int
    held: tuple[str, ...] = field(repr=False)

    @property
    def asked(self) -> SpeechRequest:
        """What was asked of the dead agent: all but its sound, where that was ready-made."""
        policy = self.owing.policy
        try:
            choices = choices_from_json(policy)
        except (TypeError, ValueError):  # a row of another version
            logger.warning("what was chosen for %r cannot be read; the session's policy holds", self.owing.id)
            choices = {}
        button, keys = (str(policy.get(name, "")) for name in _ASKS)
        return SpeechRequest(self.owing.id, acknowledge=button, acknowledge_keys=keys, **choices)

    def rest(self, asked: SpeechRequest) -> SpeechRequest:
        """The request for the part that was not said; for all of the text, where the text is another one now."""
        return self.after_mark(asked) if self.is_of(asked.text) else asked

    def is_of(self, text: str) -> bool:
        """Whether this is the text that the dead agent had to say."""
        return _same(text, self.owing.text, self.owing.text_sha256)

    def after_mark(self, asked: SpeechRequest) -> SpeechRequest:
        """What is left of a text that begins as the dead agent's did."""
        before, text = asked.text[: self.characters], asked.text[self.characters :]
        return replace(asked, text=text, before=before, begins_at=self.begins_at) if text.strip() else asked


class RowState(Enum):
    """Where one utterance's row stands."""

    OWED = "owed"
    """It is being said, or waits to be."""
    OVER = "over"
    """It ended, and its row waits for the gap to the answer."""
    SETTLED = "settled"
    """Its receipt is written; what becomes known later is added."""


@dataclass(eq=False)
class Row:
    """One utterance's row in the ledger.

    Args:
        id: of the utterance.
        is_untold: whether it was promised before its text was known: the renewals carry it, as far as it is.
        promise: writes the promise; None where it was taken over.
        progress: how far the utterance is.
        receipt: as it is known now; None until it is over.
        written: the receipt as the ledger has it; None until it is settled.
        entry: names the row that has the receipt.
        later: writes the receipt, or what was added to it, when nothing more comes.
    """

    id: str
    is_untold: bool
    promise: "asyncio.Task[None] | None" = None
    state: RowState = RowState.OWED
    progress: Progress = field(default_factory=Progress)
    receipt: Receipt | None = None
    written: Receipt | None = None
    entry: str = ""
    later: asyncio.TimerHandle | None = None

    def stop_waiting(self) -> None:
        """What waited is written now, or not at all."""
        if self.later is not None:
            self.later.cancel()
            self.later = None


class CallLedger:
    """Keeps the rows of one call."""

    def __init__(
        self, writer: LedgerWriter, call: str, *, agent: Callable[[], str], progress: Callable[[str], Progress]
    ) -> None:
        self.call = call
        self.inherited: dict[str, UnfinishedUtterance] = {}
        self.finished: dict[str, Receipt] = {}
        """What dead agents finished in this call, by its id."""
        self._said_at: dict[str, float] = {}
        """When dead agents ended what they finished, in seconds since 1970, by its id."""
        self.answers: dict[str, QuestionReceipt] = {}
        """The questions that were answered to dead agents in this call, by their ids."""
        self._writer = writer
        self._agent = agent
        self._progress_now = progress
        self._loop = asyncio.get_running_loop()
        self._rows: dict[str, Row] = {}
        """By the utterance's key, in the order in which they were promised."""
        self._renewal: asyncio.TimerHandle | None = None
        self._renewed_at = -math.inf
        self._is_watched = self._is_abandoned = False

    async def inherit(self) -> None:
        """Take over the utterances that dead agents owed in this call, and read which were finished."""
        for owing in await self._writer.owed(self.call):
            taken = await self._writer.take_over(self.call, owing.id, now=time.time())
            if taken is not None:
                self.inherited[taken.id] = _inherited(taken)
        if self.inherited:
            self._renew()
        elif not await self._writer.rescues(self.call):
            return  # an agent that comes second into a call of living ones begins at the beginning
        for entry in await self._writer.entries(self.call, now=time.time()):
            if entry.receipt is not None and entry.receipt.outcome is Outcome.FINISHED:
                self.finished[entry.id] = _with_words(entry.receipt, entry.said)
                self._said_at[entry.id] = entry.ended or 0.0
        for question in await self._writer.questions(self.call):
            self.answers.pop(question.id, None)  # it was asked again since
            if question.outcome is AskOutcome.ANSWERED and not question.revoked:
                self.answers[question.id] = question

    def answer(self, name: str, text: str, version: str) -> QuestionReceipt | None:
        """The record of a question that was answered to a dead agent in this call; asked once for each.

        Args:
            text, version: of what is to be asked now: another question is not answered.
        """
        known = self.answers.pop(name, None)
        same = known is not None and known.version == version and known.text_sha256 == sha256(text)
        return known if same else None

    def asked(self, receipt: QuestionReceipt) -> QuestionReceipt:
        if self._is_abandoned:
            return receipt
        receipt = replace(receipt, call=self.call, entry=secrets.token_hex(16))
        self._writer.asked(receipt, now=time.time())
        return receipt

    def revoked(self, receipt: QuestionReceipt) -> None:
        if receipt.entry:
            self._writer.revoked(receipt)

    def said(self, name: str, text: str | None = None) -> Receipt | None:
        """The receipt of what a dead agent said to its end, and was to say so; asked once for each.

        Args:
            text: what is to be said now; None where nobody knows it yet.
        """
        receipt = self.finished.get(name)
        if receipt is None or (text is not None and not _same(text, receipt.text, receipt.text_sha256)):
            return None
        return self.finished.pop(name)

    def due_in(self, name: str, every: float) -> float:
        """Seconds until what dead agents said again and again is due; 0 where it is overdue.

        Args:
            name: of its first utterance.
            every: seconds from its end to when it comes again.
        """
        repeats = [one for one in (*self._said_at, *self.inherited) if one == name or one.startswith(f"{name}#")]
        if not repeats or any(one in self.inherited for one in repeats):
            return every  # it is said now
        return min(every, max(0.0, every - (time.time() - max(self._said_at[one] for one in repeats))))

    def let_go(self, name: str) -> None:
        """Let an utterance of a dead agent lie: the ledger keeps the row, the words held over it are settled here."""
        old = self.inherited.pop(name)
        self._writer.renew(self.call, name, played=old.owing.played, now=time.time(), held=marks(old.owing.held))

    async def attend(self, watched: WatchedCall, *, is_sent: bool) -> None:
        """Let the call be looked after, until :meth:`close`: should this process die, it is sent another agent.

        Args:
            is_sent: whether this one was sent in a dead agent's place.

        Raises:
            FloorClosedError: another that was sent has the call: two would speak.
        """
        self._is_watched = await self._writer.attend(watched, is_sent=is_sent)
        if not self._is_watched:
            await self._writer.close()
            raise FloorClosedError(
                "another agent was sent to this call, and has it: this one came late, and says nothing"
            )

    def abandon(self) -> None:
        """This agent reaches nobody any more, and the call goes on: it leaves the book as one that died, for the next.

        What is owed is written a last time, with how far it was; nothing is settled. Where nobody looks after the call,
        none would come, and it is settled as ever.
        """
        if self._is_watched and not self._is_abandoned:
            self._renew()
            self._is_abandoned = True
            self._writer.release()

    def hear(self, _at: float, what: e.Event | a.Action) -> None:
        """Write down at once what the caller says over owed speech: a listener for `Runner.listeners`."""
        if isinstance(what, e.WordsHeard | e.TextTyped) and self._renewal is not None:
            due = max(self._loop.time(), self._renewed_at + SOON)  # the floor holds the words by then
            if due < self._renewal.when():
                self._renewal.cancel()
                self._renewal = self._loop.call_at(due, self._renew)

    def promise(self, key: str, asked: SpeechRequest) -> None:
        """It is owed from now on; what was taken over is owed already."""
        known = self._rows.get(key)
        if self._is_abandoned or (known is not None and known.state is not RowState.SETTLED):
            return
        for row in self._in_state(RowState.OVER):
            if row.id == asked.id:
                self._write(row)  # its row waits for its answer, and two of one id cannot be owed
        old = self.inherited.pop(asked.id, None)
        is_untold = not asked.text or (old is not None and told(old.owing.held) is not None)
        promise = self._loop.create_task(self._owe(asked)) if old is None else None
        self._rows[key] = Row(asked.id, is_untold, promise)
        if self._renewal is None:
            self._renewal = self._loop.call_later(RENEW, self._renew)

    def promise_again(self, key: str, of: str, asked: SpeechRequest) -> None:
        """The caller missed the end of an utterance: it is owed again, in a row of its own."""
        if (row := self._rows.get(of)) is not None and row.state is RowState.OVER:
            self._write(row)
        self.promise(key, asked)

    async def promised(self, key: str) -> None:
        """Wait until it is in the ledger that this is owed, or beside it: a bounded time."""
        row = self._rows.get(key)
        if row is not None and row.promise is not None and not row.promise.done():
            await asyncio.shield(row.promise)

    def settle(self, key: str, receipt: Receipt, *, answer: bool) -> None:
        """An utterance is over; where an answer follows, the row waits for the gap to it."""
        row = self._rows[key]
        row.state, row.receipt = RowState.OVER, receipt
        if answer:
            row.later = self._loop.call_later(ANSWER_WAIT, self._write, row)
        else:
            self._write(row)

    def answered(self, key: str, receipt: Receipt) -> None:
        if (row := self._rows.get(key)) is not None and row.state is RowState.OVER:
            row.receipt = receipt
            self._write(row)

    def amend(self, key: str, receipt: Receipt) -> None:
        """More is known of the listeners of an utterance; a written row gets an amendment when nothing more comes."""
        row = self._rows.get(key)
        if row is None or row.state is RowState.OWED:
            return
        row.receipt = receipt
        if row.state is RowState.SETTLED:
            row.stop_waiting()
            row.later = self._loop.call_later(UNCHANGED, self._add, row)

    async def close(self) -> None:
        """Write what waits, and stop. A call that was abandoned goes on to be looked after."""
        for row in self._in_state(RowState.OVER):
            self._write(row)
        for row in self._in_state(RowState.SETTLED):
            if row.later is not None:
                self._add(row)
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        promises = [row.promise for row in self._rows.values() if row.promise is not None]
        self._rows.clear()
        await asyncio.gather(*promises, return_exceptions=True)
        if not self._is_abandoned:
            self._writer.leave(self.call)
        await self._writer.close()

    def _in_state(self, *states: RowState) -> list[Row]:
        return [row for row in self._rows.values() if row.state in states]

    async def _owe(self, asked: SpeechRequest) -> None:
        try:
            await self._writer.owe(
                self.call, asked.id, asked.text, now=time.time(), agent=self._agent(), policy=_policy(asked)
            )
        except AlreadyOwedError:
            if await self._writer.take_over(self.call, asked.id, now=time.time()) is None:
                logger.warning("utterance %r is owed by another agent in this call, too", asked.id)

    def _write(self, row: Row) -> None:
        row.stop_waiting()
        row.state, progress = RowState.SETTLED, row.progress
        row.promise, row.progress = None, Progress()  # a long call keeps no words of what is over
        if self._is_abandoned or row.receipt is None:
            return
        if self._writer.words is Retention.OMIT and row.receipt.held:  # for an agent that takes the call over
            self._renew_row(row, progress, [held for held, _ in row.receipt.held])
        row.entry, row.written = secrets.token_hex(16), row.receipt
        self._writer.settle(row.receipt, call=self.call, now=time.time(), entry=row.entry)

    def _add(self, row: Row) -> None:
        row.stop_waiting()
        if self._is_abandoned or row.written is None or row.receipt is None:
            return
        before, row.written = row.written, row.receipt
        self._writer.amend(before, row.receipt, call=self.call, now=time.time(), settled=row.entry)

    def _renew(self) -> None:
        if self._is_abandoned:
            return
        self._renewed_at = self._loop.time()
        unsettled = self._in_state(RowState.OWED, RowState.OVER)
        self._renewal = self._loop.call_later(RENEW, self._renew) if unsettled or self.inherited else None
        for name, old in self.inherited.items():
            self._writer.renew(self.call, name, played=old.owing.played, now=time.time())
        for key, row in list(self._rows.items()):  # what the audio output says may end one, or begin another
            if row.state is RowState.OWED and (known := self._progress_now(key)) != Progress():
                row.progress = known  # the floor has let go of what ended, while the receipt waits for evidence
            if row.state is not RowState.SETTLED:
                self._renew_row(row, row.progress, row.progress.held)

    def _renew_row(self, row: Row, now: Progress, held: Sequence[Held]) -> None:
        text = now.text if row.is_untold else None
        so_far = mark(at=now.resumes_at, characters=now.characters, text=text, complete=now.complete)
        said = [{"kind": one.kind.value, "at": one.at, "text": one.text} for one in held]
        played = now.played if row.receipt is None else row.receipt.played
        self._writer.renew(self.call, row.id, played=played, now=time.time(), held=[so_far, *said])


def _same(text: str, known: str, known_sha256: str) -> bool:
    """Whether a text equals the known one; compares hashes where the policy keeps no more.

    What is known may be what the TTS was given: without markup and emoji.
    """
    return _plain(text) == _plain(known) if known else sha256(text) == known_sha256


def _plain(text: str) -> str:
    return "".join(one for one in unmarked(text) if one.isalnum())


def _policy(asked: SpeechRequest) -> Mapping[str, Any]:
    """The choices under which an utterance was asked for, as JSON, for the agent that resumes."""
    choices = {"cut_in": asked.cut_in, "answer": asked.answer, "redeliver": asked.redeliver}
    asks = {name: wanted for name in _ASKS if (wanted := getattr(asked, name))}
    return choices_to_json(choices) | asks


def _with_words(receipt: Receipt, said: Sequence[str]) -> Receipt:
    """A receipt that keeps no words, with those that are known as long as the call goes on."""
    if len(said) != len(receipt.held):
        return receipt
    held = zip(receipt.held, said, strict=True)
    return replace(receipt, held=tuple((replace(one, text=text), fate) for (one, fate), text in held))


def _inherited(owing: Unfinished) -> UnfinishedUtterance:
    at = marks(owing.held)
    seconds, characters = (at[-1]["at"], at[-1]["characters"]) if at else (0.0, 0)
    held = [one for one in owing.held if isinstance(one, Mapping)]
    said = tuple(str(one["text"]) for one in held if one.get("kind") in ("spoken", "typed") and one.get("text"))
    return UnfinishedUtterance(owing, float(seconds), int(characters), said)

"""A ledger that is written in the call's loop, and calls that die before their receipts."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.ledger_workers import SECRET, Opened
from harness.scenes import NOTICE, call, reading
from hearout import AgentSession, QuestionReceipt, Receipt, Retention
from hearout.ledger._calls import CallRegistry, WatchedCall
from hearout.ledger._entries import Entry, Unfinished, Written
from hearout.ledger._leases import LEASE
from hearout.ledger._questions import asked_record, questions, revoked_record
from hearout.ledger._read import entries
from hearout.testing import LLM, Do, first_sound


class InTheLoop:
    """A writer without a thread. Its clock is the call's."""

    def __init__(self, ledger: Opened, holder: str) -> None:
        self.ledger, self.holder = ledger, holder
        self.rescued = 1
        self.dies = self.left = self.released = False
        self.owed_at: list[float] = []

    @property
    def words(self) -> Retention:
        return self.ledger.words

    async def owe(
        self, call: str, id: str, text: str, *, now: float, agent: str = "", policy: Mapping[str, Any] | None = None
    ) -> Written:
        self.owed_at.append(now)
        self.ledger.owe(call, id, text, by=self.holder, now=now, agent=agent, policy=policy)
        return Written.LEDGER

    def renew(self, call: str, id: str, *, played: float, now: float, held: Sequence[Any] | None = None) -> None:
        if not self.dies:
            self.ledger.renew(call, id, by=self.holder, played=played, now=now, held=held)

    def settle(self, receipt: Receipt, *, call: str, now: float, entry: str = "") -> None:
        if not self.dies:
            self.ledger.settle(receipt, call=call, by=self.holder, now=now, entry=entry)

    def amend(self, before: Receipt, after: Receipt, *, call: str, now: float, settled: str) -> None:
        if not self.dies:
            self.ledger.amend(before, after, call=call, by=self.holder, now=now, settled=settled)

    def asked(self, receipt: QuestionReceipt, *, now: float) -> None:
        if not self.dies:
            self.ledger.append(asked_record(receipt, by=self.holder, now=now, text=self.ledger.text))

    def revoked(self, receipt: QuestionReceipt) -> None:
        self.ledger.append(revoked_record(receipt, by=self.holder))

    async def questions(self, call: str) -> tuple[QuestionReceipt, ...]:
        return tuple(receipt for _, receipt in questions(self.ledger, call=call))

    async def owed(self, call: str) -> tuple[Unfinished, ...]:
        return self.ledger.owed(call)

    async def entries(self, call: str, *, now: float) -> tuple[Entry, ...]:
        return tuple(entries(self.ledger, now=now, call=call))

    async def take_over(self, call: str, id: str, *, now: float) -> Unfinished | None:
        return self.ledger.take_over(call, id, by=self.holder, now=now + 60 + LEASE)  # a while later

    async def rescues(self, call: str) -> int:
        return self.rescued

    async def attend(self, watched: WatchedCall, *, is_sent: bool = False) -> bool:
        return True

    def release(self) -> None:
        self.released = True

    def leave(self, call: str) -> None:
        self.left = True
        if not self.dies:
            CallRegistry(self.ledger, SECRET).end(call, 1e12)

    async def close(self) -> None:
        pass


def kept(ledger: Opened, holder: str, *acts: Any, text: str = NOTICE, dies: bool = False, **more: Any) -> Any:
    """A call whose agent announces a notice, with its book."""
    writer = InTheLoop(ledger, holder)

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        session.announce(text, id="notice")

    def die(_: Any) -> None:
        writer.dies = dies

    result = call(Do(first_sound(5.6), die), *acts, agent=reading(read), **more)
    return result, writer


def in_the_book(ledger: Opened) -> list[Entry]:
    return list(entries(ledger, now=1e12, call="room/1"))


REPLY = (
    "Very well, this is the history of the paper clip. It is a short piece of wire. "
    "It was bent by somebody who had nothing else to do. Nobody has complained since. That was all."
)


def replying(writer: InTheLoop) -> Any:
    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        session.generate_reply(instructions="Tell something.", allow_interruptions=False)

    return reading(read)


def dying_reply(ledger: Opened, *acts: Any) -> None:
    """A reply of the model whose agent dies in the middle of it."""
    writer = InTheLoop(ledger, "a")

    def die(_: Any) -> None:
        writer.dies = True

    call(Do(first_sound(6.6), die), *acts, agent=replying(writer), llm=LLM(answers=(REPLY,)), ends_after=7.5)

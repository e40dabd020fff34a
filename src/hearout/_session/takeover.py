"""An agent that comes into the call of one that died goes on where that one was, instead of beginning anew.

LiveKit lets each agent begin with its `on_enter`. What is asked for in there is known by its text, or by what the LLM
was asked: what the dead agent had finished of it is not said again, and what it had begun is gone on with. What else
that one owed is said when `on_enter` is through.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, JobContext, ToolError
from livekit.agents.voice import SpeechHandle

from .. import _text as words
from .._floor import events as e
from .._pipeline.nodes import Enters
from ..ledger._calls import WORKER, WatchedCall
from ..receipts import Fate
from ..receipts._receipt import sha256
from .call_ledger import CallLedger, UnfinishedUtterance
from .speeches import SpeechRequest, name_of

if TYPE_CHECKING:
    from .bridge import Bridge

logger = logging.getLogger("hearout")

_ENTRIES: ContextVar[list[object]] = ContextVar("hearout_entries")
"""The agent's `on_enter` in which this is asked for, as long as it runs. A list, and not a flag: whatever it starts
inherits the context, and lives longer."""


def watched_call(job: JobContext, call: str, environ: Mapping[str, str]) -> WatchedCall | None:
    """The call of a job, as the worker that watches it for failover needs it; None where no worker does."""
    if (worker := environ.get(WORKER)) is None:
        return None
    asked, room = job.job, job.job.room
    identity = job.token_claims().identity
    return WatchedCall(call, room.name, room.sid, asked.id, identity, asked.agent_name, asked.metadata, worker)


class Takeover:
    """Goes on with what dead agents of one call left."""

    def __init__(self, call: "Bridge") -> None:
        self._call, self._feed = call, call.feed
        self._replies: dict[str, int] = {}
        self._asked_again: set[str] = set()
        """What is made afresh, for the dead agent had not got to the end of its text."""

    @property
    def _ledger(self) -> CallLedger | None:
        return self._call.receipts.ledger

    async def remind(self, agent: Agent) -> None:
        """Put the words of the dead agents and of their caller into the new agent's chat context."""
        if self._ledger is None or not (self._ledger.finished or self._ledger.inherited):
            return
        context = agent.chat_ctx.copy()
        for receipt in self._ledger.finished.values():
            if receipt.text:
                context.add_message(role="assistant", content=receipt.text)
            if said := words.join(held.text for held, fate in receipt.held if fate is Fate.DELIVERED):
                context.add_message(role="user", content=said)
        for old in self._ledger.inherited.values():
            if before := old.owing.text[: old.characters]:
                context.add_message(role="assistant", content=before)
        await agent.update_chat_ctx(context)

    def entering(self, on_enter: Enters) -> Enters:
        """An agent's `on_enter`, after which what is still owed is said.

        It is over, and not failed, where the call ended meanwhile: what an agent waits for in there (an answer, the end
        of an announcement) comes then, and what it does next LiveKit's session refuses, as ours does. LiveKit would
        log an error, and nobody awaits its task (1.8.9).
        """

        async def entered() -> None:
            entry: list[object] = [self]
            token = _ENTRIES.set(entry)
            try:
                await on_enter()
            except (RuntimeError, ToolError) as error:  # the latter ends an `AgentTask`
                if not self._call.is_ending:
                    raise
                logger.info("the call ended in on_enter; what that did next was refused (%s)", type(error).__name__)
            finally:
                entry.clear()
                _ENTRIES.reset(token)
                for old in list(self._ledger.inherited.values()) if self._ledger is not None else ():
                    if old.owing.id in self._asked_again:
                        asyncio.get_running_loop().call_soon(self._give_words, old)  # once its speech is the floor's
                    else:
                        self._hand_over(old, old.owing.text)

        return entered

    def reply(self, make: Callable[..., SpeechHandle], arguments: Mapping[str, Any]) -> SpeechHandle:
        """As LiveKit's ``generate_reply``; what is asked for on entering has the same id whichever agent asks."""
        if not _ENTRIES.get([]) or "chat_ctx" in arguments:  # with a context of its own, it is an answer of ours
            return make(**arguments)
        asked = SpeechRequest(id=self._name_of_reply(arguments))
        if (instead := self._instead(asked.id)) is not None:
            return instead
        with self._call.speeches.wished(asked):
            return make(**arguments)

    def saying(self, text: str) -> SpeechHandle | None:
        """The speech that takes the place of a text said on entering; None where the text is to be said."""
        return self._instead(name_of(text), text) if text and _ENTRIES.get([]) else None

    def _hand_over(self, old: UnfinishedUtterance, text: str) -> None:
        chosen = old.asked
        self._feed(e.UnfinishedFound(old.owing.id, text, old.held, chosen.answer, chosen.redeliver))

    def _give_words(self, old: UnfinishedUtterance) -> None:
        """Give the words over a reply that is made afresh to the new reply; answer them at once where no reply came."""
        if self._ledger is not None and old.owing.id in self._ledger.inherited:
            self._hand_over(old, "")
            return
        for text in old.held:
            self._feed(e.EarlierWords(text))

    def _instead(self, name: str, text: str | None = None) -> SpeechHandle | None:
        if self._ledger is None:
            return None
        if self._ledger.said(name, text) is not None:
            return self._call.session.say(_nothing(), allow_interruptions=True, add_to_chat_ctx=False)
        if (old := self._ledger.inherited.get(name)) is None:
            return None
        if text is not None and old.is_of(text):
            return self._go_on(old, text)
        if old.owing.complete and old.owing.text:
            return self._go_on(old, old.owing.text)
        self._asked_again.add(name)
        return None

    def resume_unfinished(self, name: str) -> None:
        """The floor's decision on what nobody asked for: the rest of it is said."""
        if self._ledger is None or (old := self._ledger.inherited.get(name)) is None:
            return
        try:
            self._go_on(old, old.owing.text if old.owing.complete else _whole_sentences(old.owing.text))
        except RuntimeError:  # LiveKit's session is closing
            logger.warning("the session closed before the rest of %r could be said; it stays owed", name)

    def skip_unfinished(self, name: str) -> None:
        """Leave a dead agent's utterance unsaid, as the floor decided; the words said over it are the floor's."""
        if self._ledger is not None:
            logger.warning("what the dead agent owed as %r is not said again; the ledger has it", name)
            self._ledger.let_go(name)

    def _go_on(self, old: UnfinishedUtterance, text: str) -> SpeechHandle:
        return self._call.announcer.go_on(old.after_mark(replace(old.asked, text=text)), held=old.held)

    def _name_of_reply(self, arguments: Mapping[str, Any]) -> str:
        given = (arguments.get(name) or "" for name in ("user_input", "instructions"))
        asked = "\0".join(str(getattr(one, "text_content", one)) for one in given)
        name = f"reply-{sha256(asked)[:12]}"
        number = self._replies[name] = self._replies.get(name, 0) + 1
        return name if number == 1 else f"{name}#{number}"


async def _nothing() -> AsyncIterator[str]:
    """A speech that is over before it began."""
    return
    yield


def _whole_sentences(text: str) -> str:
    """As much of a text that the LLM had not finished as can be said."""
    whole = "".join(sentence for _, sentence in words.sentences(text) if words.ends_a_sentence(sentence))
    return whole or text

"""The caller's web page: the news of the call for the page, and the page's reports.

The caller's page calls `hearout.hello`. It is told what its caller is asked, in small objects of JSON; nobody else in
the room is. The page of `web` is told all that the floor is told and decides.
"""

import asyncio
import contextlib
import json
import secrets
import textwrap
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from .._floor import actions as a
from .._floor import events as e
from .._text import read_json
from ..receipts import Held, Kind, Level, QuestionReceipt, Receipt
from . import rendered
from .channel import Channel, Refused
from .page_reports import PageReports

CHOOSE = "hearout.choose"
"""What a page asks of the agent: to note that its caller pressed a button."""

ASKED = frozenset({"choices", "asks", "acknowledged", "decided"})
"""Of the messages, those that any page needs, for its buttons."""

KEPT = 300
"""Messages kept for a page that comes late, or comes back."""

TEXT = 1_000
"""Characters of one text at most: a message must stay under 14 kB (LiveKit's limit for one)."""

TITLE = 80
"""Characters of an utterance's text by which its receipt is known."""

LAST_WORDS = 0.5
"""Seconds that a closing session may take to tell the last receipts."""

LENGTHS = 2.0
"""Seconds by which the known length must have grown to be told again."""

Message = dict[str, Any]


def told(at: float, what: e.Event | a.Action) -> Message | None:  # noqa: C901 - a table: one line an event
    """The message about an event or an action for the page; None where there is nothing to show.

    Every message has ``at`` (seconds of the call) and ``what``.
    """
    match what:
        case e.SpeechRequested():
            facts = {"what": "owed", "id": what.id, "expected": what.expected}
        case e.AudioMade():
            facts = {"what": "made", "id": what.id, "seconds": what.seconds, "complete": what.complete}
        case e.PlayoutStarted():
            facts = {"what": "playing", "id": what.id}
        case e.PlayoutFinished():
            facts = {"what": "played", "id": what.id, "seconds": what.seconds}
        case e.SpeechEnded():
            facts = {"what": "ended", "id": what.id}
        case e.CallerStarted():
            facts = {"what": "talks"}
        case e.CallerStopped():
            facts = {"what": "silent"}
        case e.WordsHeard() | e.TextTyped() | a.RecordFate() | a.AnswerTyped():
            facts = _words(what)
        case a.OfferChoices() if what.choices:
            buttons: list[Message] = [{"choice": choice, "label": label} for choice, label in what.choices]
            return {"at": round(at, 3), "what": "choices", "id": what.id, "text": what.text[:TEXT], "choices": buttons}
        case a.NoteAcknowledgement():
            facts = {"what": "acknowledged", "id": what.id}
        case a.AskQuestion():
            facts = {"what": "asks", "id": what.id, "why": what.why}
        case a.EndQuestion():
            facts = {"what": "decided", **decided(what.receipt)}
        case a.DeliverTurn() | a.ReturnWords():
            facts = {"what": "turn", "texts": len(what.words)}
        case _:
            return None
    return {"at": round(at, 3), **facts}


def _words(what: e.WordsHeard | e.TextTyped | a.RecordFate | a.AnswerTyped) -> Message:
    """The message about the caller's words; with their length, in characters, where not all of them are told."""
    match what:
        case e.WordsHeard(text=text):
            facts = {"what": "held", "kind": Kind.SPOKEN.value}
        case e.TextTyped(text=text):
            facts = {"what": "held", "kind": Kind.TYPED.value}
        case a.RecordFate(words=Held(text=text, kind=kind), fate=fate):
            facts = {"what": "fate", "kind": kind.value, "fate": fate.value}
        case a.AnswerTyped(text=text):
            facts = {"what": "fate", "kind": Kind.TYPED.value, "fate": "answered"}
    length = {"length": len(text)} if len(text) > TEXT else {}
    return {**facts, "text": text[:TEXT], **length}


def decided(receipt: QuestionReceipt) -> Message:
    """The outcome of a question, as the page shows it to its caller."""
    made = receipt.deciding
    return {
        "id": receipt.id[:TEXT],
        "text": textwrap.shorten(receipt.text, TITLE, placeholder=" …"),
        "outcome": receipt.outcome.value,
        "choice": receipt.choice,
        "basis": receipt.basis.value,
        "said": "" if made is None else made.text[:TEXT],
        "kind": None if made is None else made.kind.value,
        "rule": receipt.answers[-1].rule if receipt.answers else "",
    }


def shown(name: str, receipt: Receipt, identity: str) -> Message:
    """A receipt as the page shows it to its caller, without the words, which the page has shown before.

    Args:
        name: the utterance's id, as the floor knows it; the receipt's own may be used twice in a call.
    """
    heard = next((one for one in receipt.listeners if one.identity == identity), None)
    fates = Counter(fate.value for _, fate in receipt.held)
    levels = receipt.levels(identity)
    return {
        "at": round(receipt.ended_at, 3),
        "what": "receipt",
        "id": name,
        "name": receipt.id[:TEXT],
        "text": textwrap.shorten(receipt.text, TITLE, placeholder=" …"),
        "outcome": receipt.outcome.value,
        "why": receipt.why[:TEXT],
        "played": round(receipt.played, 2),
        "length": round(receipt.length, 2),
        "present": round(levels[Level.PRESENT], 2),
        "reported": None if heard is None or heard.reported is None else round(heard.reported, 2),
        "acknowledged_at": None if heard is None else heard.acknowledged_at,
        "level": str(receipt.level_of(identity)),
        "held": dict(fates),
        "gap": None if receipt.gap is None else round(receipt.gap, 3),
    }


class CallersPage:
    """Tells the caller's page of one call.

    Args:
        now: the second of the call.
        caller: the identity of the caller; None while there is none.
        receipt: the newest receipt of an utterance, by its id on the floor; None where none is written.
        feed: tells the floor what the caller pressed.
        shows_all: whether the page is told the whole call, as the one of `web` is, or only what its caller is asked.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        now: Callable[[], float],
        caller: Callable[[], str | None],
        receipt: Callable[[str], Receipt | None],
        feed: Callable[[e.Event], None],
        shows_all: bool = False,
    ) -> None:
        self._shows_all = shows_all
        self.reports = PageReports(channel, now=now, caller=caller)
        self.reports.on_page.append(self._came)
        self.reports.on_news.append(self.show_receipt)
        self._channel = channel
        self._caller = caller
        self._receipt = receipt
        self._feed = feed
        self._offered: dict[str, set[str]] = {}
        """What may be chosen by a button: choices, by the id of the question or utterance."""
        channel.answer(CHOOSE, self._choose)
        self._call = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._lengths: dict[str, float] = {}
        self._told_until = 0
        """The number of the last message that the page was sent: what is kept after it waits for its turn."""
        self._news, self._all_told = asyncio.Event(), asyncio.Event()
        self._all_told.set()
        self._sending = asyncio.get_running_loop().create_task(self._send())

    def hear(self, at: float, what: e.Event | a.Action) -> None:
        """Be told what the floor is told and decides: a listener for `AgentSession.on_floor`."""
        self.reports.hear(at, what)
        match what:
            case a.OfferChoices():
                self._offered[what.id] = {choice for choice, _ in what.choices}
            case a.NoteAcknowledgement(id=done) | a.EndQuestion(receipt=QuestionReceipt(id=done)):
                self._offered.pop(done, None)
        if isinstance(what, a.WriteReceipt):
            name = what.receipt.id
            asyncio.get_running_loop().call_soon(self.show_receipt, name)  # when it has been written
        elif isinstance(what, a.NoteGap):
            asyncio.get_running_loop().call_soon(self.show_receipt, what.id)
        elif (message := told(at, what)) is not None and not self._is_repeated(message):
            self._note(message)

    async def close(self) -> None:
        """Tell what is still to be told, and then nothing more."""
        await self.reports.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_told.wait(), LAST_WORDS)
        self._sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sending

    async def _choose(self, identity: str, said: str) -> str:
        """The caller pressed a button: what it is worth is the floor's to say."""
        name, choice = _pressed(said)
        if identity != self._caller() or choice not in self._offered.get(name, ()):
            self.reports.refused["choice"] += 1
            raise Refused("this was not asked of you")
        self._feed(e.ChoicePressed(name, choice))
        return ""

    def _is_repeated(self, message: Message) -> bool:
        """Lengths come every half second of audio: most of them need not be told."""
        if message["what"] != "made" or message["complete"]:
            return False
        before = self._lengths.get(message["id"], -LENGTHS)
        if message["seconds"] < before + LENGTHS:
            return True
        self._lengths[message["id"]] = message["seconds"]
        return False

    def show_receipt(self, name: str) -> None:
        """Tell its receipt as it is now: a listener for `CallReceipts.on_amended`."""
        if (receipt := self._receipt(name)) is not None:
            identity = self._caller() or receipt.caller
            self._note(shown(name, self.reports.completed(name, receipt), identity))

    def _note(self, message: Message) -> None:
        if not self._shows_all and message["what"] not in ASKED:
            return
        self._number += 1
        message |= {"n": self._number, "call": self._call}
        self._kept.append(message)
        if self.reports.page is not None:
            self._wake()

    def _came(self, _: str) -> None:
        """Send a page all messages that it may have missed; the page knows by the number which ones it had."""
        self._told_until = 0
        if self._kept:
            self._wake()

    def _wake(self) -> None:
        self._all_told.clear()
        self._news.set()

    async def _send(self) -> None:
        """Send what is kept, in order; a page that is slow, or says hello again and again, makes nothing pile up."""
        while True:
            message = next((one for one in self._kept if one["n"] > self._told_until), None)
            if message is None:
                self._news.clear()
                self._all_told.set()
                await self._news.wait()
                continue
            self._told_until = message["n"]
            if (page := self.reports.page) is not None:
                with contextlib.suppress(Refused):  # it is told again when it comes back
                    await self._channel.tell(page, json.dumps(message))


def _pressed(said: str) -> tuple[str, str]:
    """Of what a page says that a button was pressed, and which choice; empty where it says nothing of the kind."""
    try:
        told = read_json(said) if len(said) <= rendered.MOST else {}
        name, choice = told["id"], told["choice"]
    except (ValueError, TypeError, KeyError):
        return "", ""
    return (name, choice) if isinstance(name, str) and isinstance(choice, str) else ("", "")

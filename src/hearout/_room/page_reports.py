"""The reports of a caller's own web page: how much of protected speech was rendered, and the caller's acknowledgement.

The page is asked at both ends of each playout; between them it watches its loudspeaker. It may be late, wrong or
hostile: what cannot be true is counted in `PageReports.refused` and changes nothing.
"""

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from .._floor import actions as a
from .._floor import events as e
from ..errors import ReportError
from ..receipts import Listener, Receipt
from . import rendered
from .channel import Channel, Refused

logger = logging.getLogger("hearout")

HELLO = "hearout.hello"
"""What a page asks of the agent: to be told, since it is the caller's."""

BEGIN, END = "hearout.begin", "hearout.end"
"""What the agent asks of a page: to mark a begin; to mark an end and report. And `heartbeat.ALIVE`."""

ANSWERS = 2.5
"""Seconds within which a page must answer; it takes its jitter buffer's length (0.05 to 0.5 s) to report."""

Listening = Callable[[str], None]


def witnessed(receipt: Receipt, identity: str, *, reported: float | None, acknowledged_at: float | None) -> Receipt:
    """The receipt with what the page of `identity` said; as it was, where the page said nothing."""
    if reported is None and acknowledged_at is None:
        return receipt
    known = next((one for one in receipt.listeners if one.identity == identity), Listener(identity))
    said = dataclasses.replace(known, reported=reported, acknowledged_at=acknowledged_at)
    others = tuple(one for one in receipt.listeners if one.identity != identity)
    return dataclasses.replace(receipt, listeners=(*others, said))


@dataclass(eq=False)
class _Stretch:
    """One playout of an utterance, or the rest of one."""

    began_at: float
    ended: asyncio.Future[tuple[float, float]]
    """The seconds that were sent, and when the last was; cancelled where nobody is to be asked any more."""

    def end(self, sent: float, at: float) -> None:
        if not self.ended.done():
            self.ended.set_result((sent, at))


@dataclass
class _Known:
    """What is known of one utterance."""

    reached: float = 0.0
    """The second of it up to which it was played."""
    stretch: _Stretch | None = None
    offered: a.OfferChoices | None = None
    """How it may be acknowledged, since it was said to its end."""
    reported: float | None = None
    acknowledged_at: float | None = None


class PageReports:
    """Listens to one call's floor and asks the caller's page."""

    def __init__(self, channel: Channel, *, now: Callable[[], float], caller: Callable[[], str | None]) -> None:
        self.page: str | None = None
        """The identity of the page; None where the caller has none, as far as is known."""
        self.refused: Counter[str] = Counter()
        """How often which kind of thing was refused: "report", "late", "hello", "choice"."""
        self.on_page: list[Listening] = []
        """Called with the identity of a page that said hello; again, when it does so again."""
        self.on_news: list[Listening] = []
        """Called with an utterance's id, when more of it is reported, or the caller acknowledges it."""
        self.on_gone: list[Callable[[], None]] = []
        """Called when the caller is gone, and the page with it."""
        self._channel = channel
        self._now = now
        self._caller = caller
        self._of: dict[str, _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = self._gone = False
        channel.answer(HELLO, self._hello)

    def reported(self, name: str) -> float | None:
        """Seconds of an utterance that the page says it rendered; None where it says nothing that counts."""
        return self._of.get(name, _Known()).reported

    def acknowledged_at(self, name: str) -> float | None:
        """The second of the call at which the caller said that it got an utterance; None where it did not."""
        return self._of.get(name, _Known()).acknowledged_at

    def waits_for_acknowledgement(self, name: str) -> bool:
        """Whether the caller was asked to acknowledge an utterance, can do so, and has not yet."""
        known = self._of.get(name, _Known())
        if known.offered is None or known.acknowledged_at is not None or self._gone:
            return False
        return bool(known.offered.keys) or (bool(known.offered.choices) and self.page is not None)

    def completed(self, name: str, receipt: Receipt) -> Receipt:
        """The receipt of an utterance with what the page has said until now."""
        identity = receipt.caller or self._caller() or ""
        return witnessed(receipt, identity, reported=self.reported(name), acknowledged_at=self.acknowledged_at(name))

    def hear(self, at: float, what: e.Event | a.Action) -> None:  # noqa: C901 - a table: one line an event
        """Be told what the floor is told and decides: a listener for `AgentSession.on_floor`."""
        match what:
            case e.SpeechRequested(id=name, begins_at=begins_at):
                self._of[name] = _Known(begins_at)  # whatever had the id before
            case a.Resume(id=name, begins_at=begins_at):
                self._known(name).reached = begins_at
            case e.PlayoutStarted(id=name):
                self._begin(name, at)
            case e.PlayoutFinished(id=name, seconds=seconds):
                self._end(name, seconds - self._known(name).reached, at)
                self._known(name).reached = seconds
            case e.SpeechEnded(id=name):
                self._end_as_it_stands(name, at)
            case e.CallerLeft():
                self.page, self._gone = None, True
                for tell in self.on_gone:
                    tell()
            case e.CallerReturned():
                self._gone = False
            case a.OfferChoices(id=name, text="") as offered:
                self._known(name).offered = offered
            case a.NoteAcknowledgement(id=name):
                self._known(name).acknowledged_at = at
                self._tell(name)

    async def close(self) -> None:
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What the page is asked

    def _begin(self, name: str, at: float) -> None:
        known = self._known(name)
        known.stretch = _Stretch(at, asyncio.get_running_loop().create_future())
        if self.page is not None:
            self._start(self._watch(name, known, known.stretch, self.page))

    def _end(self, name: str, sent: float, at: float) -> None:
        known = self._known(name)
        if known.stretch is not None:
            known.stretch.end(sent, at)
            known.stretch = None

    def _end_as_it_stands(self, name: str, at: float) -> None:
        if (stretch := self._known(name).stretch) is not None:
            self._end(name, at - stretch.began_at, at)

    async def _watch(self, name: str, known: _Known, stretch: _Stretch, page: str) -> None:
        """Mark the begin and the end of a stretch at the page, and count what it reports."""
        try:
            await self._channel.call(page, BEGIN, self._mark(name, stretch.began_at), within=ANSWERS)
            sent, ended_at = await stretch.ended
            asking = self._channel.call(page, END, self._mark(name, ended_at), within=ANSWERS)
            report = await asyncio.wait_for(asking, ANSWERS)
        except TimeoutError:
            self._refuse("late", name, "the report did not come in time")
            return
        except Refused as refused:
            self._refuse("late", name, str(refused))
            return
        passed = ended_at - stretch.began_at
        try:
            seconds = rendered.seconds(report, sent=sent, passed=passed)
        except ReportError as error:
            self._refuse("report", name, str(error))
            return
        logger.debug("%s: %.2f s sent in %.2f s, %.2f s of them rendered", name, sent, passed, seconds)
        known.reported = (known.reported or 0.0) + seconds
        self._tell(name)

    def _tell(self, name: str) -> None:
        for tell in self.on_news:
            tell(name)

    def _mark(self, name: str, at: float) -> str:
        """The message to the page about a begin or an end, with its age: this event loop may have been held up.

        LiveKit's first call in a process (1.8.9) blocks it for up to 0.6 s, while the sound goes on.
        """
        return json.dumps({"id": name, "ago": round(max(0.0, self._now() - at), 3)})

    # What the page asks

    async def _hello(self, identity: str, _: str) -> str:
        """The caller has a page. What is being said is watched from now on."""
        if self._closed or identity != self._caller():
            self.refused["hello"] += 1
            raise Refused("only the caller's page is told of the call")
        new, self.page = self.page != identity, identity
        for name, known in self._of.items():
            if new and known.stretch is not None:
                known.stretch.ended.cancel()  # the page that began to watch it is gone
                self._begin(name, self._now())
        for tell in self.on_page:
            tell(identity)
        return ""

    def _refuse(self, what: str, name: str, why: str) -> None:
        self.refused[what] += 1
        logger.info("the caller's page and %s: %s", name, why)

    def _known(self, name: str) -> _Known:
        return self._of.setdefault(name, _Known())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

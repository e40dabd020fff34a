"""A caller's page that is a function, and the witness that asks it: for the tests of both."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from hearout import Outcome, Receipt
from hearout._floor import events as e
from hearout._room.channel import Answering
from hearout._room.page_reports import PageReports

Page = Callable[[str, dict[str, Any]], Awaitable[str]]
"""A page in these tests: answers calls of a method with fields."""

SAMPLES = {"received": 480_000, "concealed": 0, "allowed": True, "muted": False, "paused": False, "hidden": False}
"""A report of 10 s."""


def report(**changed: object) -> str:
    return json.dumps(SAMPLES | changed)


class Wire:
    """A wire to one page, which is a function; what is told to it is kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.methods: dict[str, Answering] = {}
        self.called: list[tuple[str, str]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []

    def answer(self, method: str, answering: Answering) -> None:
        self.methods[method] = answering

    async def call(self, identity: str, method: str, payload: str, *, within: float) -> str:
        self.called.append((identity, method))
        await asyncio.sleep(0)  # no page answers in the instant in which it is asked
        return await self.page(method, json.loads(payload))

    async def tell(self, identity: str, message: str) -> None:
        self.told.append((identity, json.loads(message)))


async def honest(method: str, _: dict[str, Any]) -> str:
    return report() if method == "hearout.end" else ""


def receipt(**changed: Any) -> Receipt:
    facts: dict[str, Any] = {
        "id": "notice",
        "outcome": Outcome.FINISHED,
        "why": "",
        "asked_at": 0.0,
        "started_at": 1.0,
        "ended_at": 11.0,
        "played": 10.0,
        "made": 10.0,
        "text": "Very well.",
        "held": (),
    }
    return Receipt(**facts | changed)


class Room:
    """A witness, the page that it asks, and a clock of its own."""

    def __init__(self, page: Page = honest, *, caller: str | None = "caller") -> None:
        self.now = 0.0
        self.wire = Wire(page)
        self.caller = caller
        self.reports = PageReports(self.wire, now=lambda: self.now, caller=lambda: self.caller)

    async def hello(self, identity: str = "caller") -> str:
        return await self.wire.methods["hearout.hello"](identity, "")

    async def say(self, *, seconds: float = 10.0, name: str = "notice", ended: bool = True) -> None:
        """One utterance from the first sample to the last, and the page's messages."""
        self.reports.hear(0.0, e.SpeechRequested(name))
        self.reports.hear(1.0, e.PlayoutStarted(name))
        await soon()
        self.reports.hear(1.0 + seconds, e.PlayoutFinished(name, seconds))
        if ended:
            self.reports.hear(1.0 + seconds, e.SpeechEnded(name))
        await soon()


async def soon() -> None:
    for _ in range(5):
        await asyncio.sleep(0)

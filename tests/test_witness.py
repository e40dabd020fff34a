"""What a caller's page may say of protected speech, what counts of it, and what the page is told."""

import asyncio
import dataclasses
import json
import logging
import types
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hearout import Level, Outcome, Receipt, rendered
from hearout import actions as a
from hearout import events as e
from hearout.errors import ReportError
from hearout.page import CallersPage, told
from hearout.receipt import Listener
from hearout.receipts import Receipts
from hearout.wire import Answering, Refused
from hearout.witness import Witness, witnessed
from hearout.words import Fate, Held

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
        self.witness = Witness(self.wire, now=lambda: self.now, caller=lambda: self.caller)

    async def hello(self, identity: str = "caller") -> str:
        return await self.wire.methods["hearout.hello"](identity, "")

    async def acknowledge(self, said: str, identity: str = "caller") -> str:
        return await self.wire.methods["hearout.acknowledged"](identity, said)

    async def say(self, *, seconds: float = 10.0, name: str = "notice", ended: bool = True) -> None:
        """One utterance from its first sample to its last, and what the page makes of it."""
        self.witness.hear(0.0, e.SpeechRequested(name))
        self.witness.hear(1.0, e.PlayoutStarted(name))
        await soon()
        self.witness.hear(1.0 + seconds, e.PlayoutFinished(name, seconds))
        if ended:
            self.witness.hear(1.0 + seconds, e.SpeechEnded(name))
        await soon()


async def soon() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_a_browser_rendered_is_what_it_took_without_what_it_made_up() -> None:
    assert rendered.seconds(report(concealed=48_000), sent=10.0, passed=10.0) == 9.0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("[" * 2_000, "no object"),
        ("", "no object"),
        ("[1]", "no object"),
        ("a" * 1_000_000, "longer than"),
        ('{"received": NaN}', "allowed is missing"),
        (report(received=float("nan")), "received is no number"),
        (report(received=float("inf")), "received is no number"),
        (report(received=True), "received is no number"),
        (report(received="480000"), "received is no number"),
        (report(received=-1), "received is no number"),
        (report(received=10**400), "more than was sent"),
        (report(concealed=480_001), "more samples were made up"),
        (report(received=492_480), "more than was sent"),
        (report(muted=True), "was muted"),
        (report(paused=True), "was paused"),
        (report(allowed=False), "blocked the sound"),
        (report(muted="no"), "muted is missing"),
        (report(muted=None), "muted is missing"),
    ],
)
def test_a_report_that_is_none_or_cannot_be_true_or_tells_of_no_sound_is_refused(said: str, why: str) -> None:
    with pytest.raises(ReportError, match=why):
        rendered.seconds(said, sent=10.0, passed=10.0)


def test_a_report_may_exceed_what_was_sent_by_what_its_two_marks_travel_and_counts_for_what_was_sent() -> None:
    assert rendered.seconds(report(received=480_000 + 12_000), sent=10.0, passed=10.0) == 10.0


def test_pauses_in_what_was_sent_are_not_counted_as_speech_that_was_rendered() -> None:
    assert rendered.seconds(report(received=576_000), sent=10.0, passed=12.0) == 10.0
    assert rendered.seconds(report(received=576_000, concealed=96_000), sent=10.0, passed=12.0) == 8.0
    assert rendered.seconds(report(received=1_000), sent=10.0, passed=12.0) == 0.0


def test_a_page_that_is_there_reports_and_never_more_than_was_sent() -> None:
    async def call() -> Room:
        room = Room()
        await room.hello()
        await room.say(seconds=9.9)
        return room

    room = asyncio.run(call())
    assert room.witness.reported("notice") == 9.9
    assert [method for _, method in room.wire.called] == ["hearout.begin", "hearout.end"]
    assert not room.witness.refused


def test_a_mark_that_is_sent_late_says_how_late() -> None:
    asked: list[dict[str, Any]] = []

    async def page(_: str, fields: dict[str, Any]) -> str:
        asked.append(fields)
        return report()

    async def call() -> None:
        room = Room(page)
        await room.hello()
        room.witness.hear(0.0, e.SpeechRequested("notice"))
        room.witness.hear(1.0, e.PlayoutStarted("notice"))
        room.now = 1.6
        await soon()
        room.now = 11.2
        room.witness.hear(11.0, e.PlayoutFinished("notice", 10.0))
        await soon()

    asyncio.run(call())
    assert asked == [{"id": "notice", "ago": 0.6}, {"id": "notice", "ago": 0.2}]


def test_a_caller_without_a_page_is_asked_nothing_and_nothing_is_reported() -> None:
    async def call() -> Room:
        room = Room()
        await room.say()
        return room

    room = asyncio.run(call())
    assert (room.witness.reported("notice"), room.wire.called) == (None, [])


def test_only_the_callers_page_is_a_witness() -> None:
    async def call() -> Room:
        room = Room()
        with pytest.raises(Refused):
            await room.hello("stranger")
        await room.say()
        return room

    room = asyncio.run(call())
    assert (room.witness.page, room.wire.called, room.witness.refused["hello"]) == (None, [], 1)


def test_whoever_comes_before_the_caller_is_linked_is_no_witness() -> None:
    async def call() -> None:
        with pytest.raises(Refused):
            await Room(caller=None).hello("stranger")

    asyncio.run(call())


@pytest.mark.parametrize("said", [report(received=10**9), report(muted=True), "a" * 1_000_000])
def test_an_absurd_report_changes_nothing_and_is_noted_without_its_text(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def page(method: str, _: dict[str, Any]) -> str:
        return said if method == "hearout.end" else ""

    async def call() -> Room:
        room = Room(page)
        await room.hello()
        await room.say()
        return room

    with caplog.at_level(logging.INFO, logger="hearout"):
        room = asyncio.run(call())
    assert (room.witness.reported("notice"), room.witness.refused["report"]) == (None, 1)
    assert "not counted" in caplog.text
    assert said not in caplog.text


def test_a_report_that_comes_late_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearout.witness.ANSWERS", 0.01)

    async def page(method: str, _: dict[str, Any]) -> str:
        if method == "hearout.end":
            await asyncio.sleep(0.05)
        return report()

    async def call() -> Room:
        room = Room(page)
        await room.hello()
        await room.say()
        await asyncio.sleep(0.1)
        return room

    room = asyncio.run(call())
    assert (room.witness.reported("notice"), room.witness.refused["late"]) == (None, 1)


def test_what_is_said_in_two_stretches_is_reported_in_two() -> None:
    heard: list[float] = []

    async def call() -> Room:
        room = Room()
        room.witness.told.on_report.append(lambda _, seconds: heard.append(seconds))
        await room.hello()
        await room.say(ended=False)
        room.witness.hear(12.0, e.PlayoutStarted("notice"))
        await soon()
        room.witness.hear(22.5, e.PlayoutFinished("notice", 20.5))
        await soon()
        return room

    assert asyncio.run(call()).witness.reported("notice") == 20.0
    assert heard == [10.0, 20.0]


def test_of_what_is_taken_up_again_only_the_rest_can_be_reported() -> None:
    async def call() -> Room:
        room = Room()
        await room.hello()
        room.witness.hear(0.0, e.SpeechRequested("notice"))
        room.witness.hear(1.0, a.SayAgain("notice", 15.0, "", ""))
        room.witness.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        room.witness.hear(6.0, e.PlayoutFinished("notice", 20.0))
        await soon()
        return room

    room = asyncio.run(call())
    # 10 s are reported of a stretch of 5 s.
    assert (room.witness.reported("notice"), room.witness.refused["report"]) == (None, 1)


def test_a_page_that_comes_in_the_middle_reports_from_then_on() -> None:
    async def call() -> Room:
        room = Room()
        room.witness.hear(0.0, e.SpeechRequested("notice"))
        room.witness.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        room.now = 3.0
        await room.hello()
        await soon()
        room.witness.hear(13.0, e.PlayoutFinished("notice", 12.0))
        await soon()
        return room

    assert asyncio.run(call()).witness.reported("notice") == 10.0


def test_speech_that_is_stopped_is_reported_as_far_as_it_came() -> None:
    async def call() -> Room:
        room = Room()
        await room.hello()
        room.witness.hear(0.0, e.SpeechRequested("notice"))
        room.witness.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        room.witness.hear(11.0, e.SpeechEnded("notice", interrupted=True))
        await soon()
        return room

    assert asyncio.run(call()).witness.reported("notice") == 10.0


def test_a_page_that_went_with_its_caller_is_asked_nothing_more() -> None:
    async def call() -> Room:
        room = Room()
        await room.hello()
        room.witness.hear(0.5, e.CallerLeft())
        await room.say()
        return room

    assert asyncio.run(call()).wire.called == []


def test_a_caller_who_presses_the_button_after_the_end_has_acknowledged() -> None:
    heard: list[tuple[str, float]] = []

    async def call() -> Room:
        room = Room()
        room.witness.told.on_acknowledged.append(lambda name, at: heard.append((name, at)))
        room.witness.ask("notice", "Press OK")
        await room.hello()
        await room.say()
        room.witness.hear(11.0, a.WriteReceipt(receipt()))
        await soon()
        room.now = 14.5
        assert await room.acknowledge('{"id": "notice"}') == ""
        return room

    room = asyncio.run(call())
    assert ("caller", "hearout.acknowledge") in room.wire.called
    assert room.witness.acknowledged_at("notice") == 14.5
    assert heard == [("notice", 14.5)]


@pytest.mark.parametrize(
    ("said", "identity"),
    [
        ('{"id": "notice"}', "stranger"),
        ('{"id": "another"}', "caller"),
        ('{"id": ["notice"]}', "caller"),
        ("[" * 1_500, "caller"),
        ('{"id": "notice"' + " " * 3_000 + "}", "caller"),
        ("", "caller"),
    ],
)
def test_an_acknowledgement_of_another_or_by_another_is_refused(said: str, identity: str) -> None:
    async def call() -> Room:
        room = Room()
        room.witness.ask("notice", "Press OK")
        await room.hello()
        await room.say()
        room.witness.hear(11.0, a.WriteReceipt(receipt()))
        with pytest.raises(Refused):
            await room.acknowledge(said, identity)
        return room

    room = asyncio.run(call())
    assert (room.witness.acknowledged_at("notice"), room.witness.refused["acknowledgement"]) == (None, 1)


@pytest.mark.parametrize("outcome", [None, Outcome.CUT_IN])
def test_what_is_not_over_or_was_not_said_to_its_end_cannot_be_acknowledged(outcome: Outcome | None) -> None:
    async def call() -> Room:
        room = Room()
        room.witness.ask("notice", "Press OK")
        await room.hello()
        await room.say()
        if outcome is not None:
            room.witness.hear(11.0, a.WriteReceipt(receipt(outcome=outcome)))
        with pytest.raises(Refused):
            await room.acknowledge('{"id": "notice"}')
        return room

    assert asyncio.run(call()).witness.acknowledged_at("notice") is None


def test_a_key_that_was_asked_for_acknowledges_like_the_button_and_no_other_key_does() -> None:
    async def call() -> Room:
        room = Room()
        room.witness.ask("notice", "Press 1", keys="1")
        room.witness.hear(0.0, e.KeysPressed("1"))
        await room.say()
        room.witness.hear(11.0, a.WriteReceipt(receipt()))
        room.witness.hear(12.0, e.KeysPressed("2"))
        assert room.witness.acknowledged_at("notice") is None
        room.witness.hear(13.0, e.KeysPressed("1"))
        return room

    assert asyncio.run(call()).witness.acknowledged_at("notice") == 13.0


def test_the_button_is_shown_to_a_page_that_comes_back() -> None:
    async def call() -> Room:
        room = Room()
        room.witness.ask("notice", "Press OK")
        await room.say()
        room.witness.hear(11.0, a.WriteReceipt(receipt()))
        await room.hello()
        await soon()
        return room

    assert ("caller", "hearout.acknowledge") in asyncio.run(call()).wire.called


def test_a_closed_witness_waits_for_no_page() -> None:
    async def page(method: str, _: dict[str, Any]) -> str:
        await asyncio.sleep(60)
        return report()

    async def call() -> Room:
        room = Room(page)
        await room.hello()
        await room.say()
        await asyncio.wait_for(room.witness.close(), 1.0)
        with pytest.raises(Refused):
            await room.hello()
        return room

    assert asyncio.run(call()).witness.reported("notice") is None


def test_what_was_reported_raises_the_level_of_a_caller_who_was_there() -> None:
    there = receipt(caller="caller", listeners=(Listener("caller", ((0.0, 20.0),)),))
    assert there.level is Level.PRESENT
    assert witnessed(there, "caller", reported=9.9, acknowledged_at=None).level is Level.REPORTED
    assert witnessed(there, "caller", reported=9.9, acknowledged_at=14.0).level is Level.ACKNOWLEDGED
    assert witnessed(there, "caller", reported=5.0, acknowledged_at=None).level is Level.PRESENT
    assert witnessed(there, "caller", reported=None, acknowledged_at=None) is there


# The page


def test_a_page_is_told_what_is_held_and_what_became_of_it() -> None:
    assert told(1.0, e.WordsHeard("How much?")) == {"at": 1.0, "what": "held", "text": "How much?", "kind": "spoken"}
    settled = a.RecordFate(Held("How much?", 1.0), Fate.DELIVERED)
    assert told(2.0, settled) == {
        "at": 2.0,
        "what": "fate",
        "text": "How much?",
        "kind": "spoken",
        "fate": "delivered",
    }


def test_what_is_nothing_to_look_at_is_not_told() -> None:
    assert told(1.0, e.AlarmRang()) is None
    assert told(1.0, e.TextKnown("notice", "Very well.")) is None


def test_a_page_is_told_the_receipt_and_again_when_its_report_came_and_a_late_page_is_told_all() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        written = receipt(caller="caller", listeners=(Listener("caller", ((0.0, 20.0),)),))
        page = CallersPage(wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: written)
        page.hear(0.0, e.SpeechRequested("notice"))
        await wire.methods["hearout.hello"]("caller", "")
        page.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        page.hear(11.0, e.PlayoutFinished("notice", 10.0))
        page.hear(11.0, a.WriteReceipt(written))
        await soon()
        await page.close()
        return wire

    wire = asyncio.run(call())
    assert {identity for identity, _ in wire.told} == {"caller"}
    messages = [message for _, message in wire.told]
    assert [message["what"] for message in messages] == ["owed", "playing", "played", "receipt", "receipt"]
    assert [message["n"] for message in messages] == [1, 2, 3, 4, 5]
    assert [message["level"] for message in messages[3:]] == ["present", "reported"]
    assert "Very well." in messages[-1]["text"]


def test_whoever_follows_the_receipts_is_told_of_what_becomes_known_after_the_end_and_only_then() -> None:
    async def call() -> tuple[list[tuple[str, Level]], Receipts]:
        speeches: Any = types.SimpleNamespace(written=lambda _: types.SimpleNamespace(id="notice"))
        receipts = Receipts(speeches, agent=lambda: "", start=lambda _: None)
        told: list[tuple[str, Level]] = []
        receipts.on_amended.append(lambda key: told.append((key, receipts.all[0].level)))
        receipts.write(receipt(id="speech_1"))
        listeners: tuple[Listener, ...] = ()
        witness: Any = types.SimpleNamespace(witnessed=lambda _, known: dataclasses.replace(known, listeners=listeners))
        receipts.witness = witness
        receipts.look_again()
        listeners = (Listener("caller", ((0.0, 20.0),)),)
        receipts.look_again()
        receipts.look_again()
        return told, receipts

    told, receipts = asyncio.run(call())
    assert told == [("speech_1", Level.PRESENT)]
    assert receipts.all[0].id == "notice"


def test_a_receipt_is_told_without_what_the_caller_said_and_a_message_stays_short() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        written = receipt(held=((Held("my secret", 2.0), Fate.DELIVERED),), text="long " * 10_000)
        page = CallersPage(wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: written)
        await wire.methods["hearout.hello"]("caller", "")
        page.hear(1.0, e.WordsHeard("w" * 100_000))
        page.hear(11.0, a.WriteReceipt(written))
        await soon()
        await page.close()
        return wire

    messages = [message for _, message in asyncio.run(call()).told]
    assert "my secret" not in json.dumps(messages)
    assert messages[-1]["held"] == {"delivered": 1}
    assert max(len(json.dumps(message)) for message in messages) < 14_000


def test_nothing_is_told_to_a_stranger_or_without_a_page() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        page = CallersPage(wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: None)
        with pytest.raises(Refused):
            await wire.methods["hearout.hello"]("stranger", "")
        page.hear(1.0, e.WordsHeard("How much?"))
        await soon()
        await page.close()
        return wire

    assert asyncio.run(call()).told == []

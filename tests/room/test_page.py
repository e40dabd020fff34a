"""What a caller's page is told."""

import asyncio
import dataclasses
import json
import types
from typing import Any

import pytest

from harness.fake_page import Wire, honest, receipt, soon
from hearout import Level
from hearout._floor import actions as a
from hearout._floor import events as e
from hearout._room.channel import Refused
from hearout._room.page import CallersPage, told
from hearout._session.call_receipts import CallReceipts
from hearout.receipts import AskOutcome, Basis, Fate, GivenAnswer, Held, Listener, QuestionReceipt


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


def test_a_page_is_told_that_text_typed_over_nothing_is_answered() -> None:
    message = {"at": 1.0, "what": "fate", "text": "Hello?", "kind": "typed", "fate": "answered"}
    assert told(1.0, a.AnswerTyped("Hello?")) == message


def test_a_page_is_told_how_long_the_words_are_that_are_too_long_to_tell() -> None:
    held, fate = e.WordsHeard("w" * 1_001), a.RecordFate(Held("w" * 1_002, 1.0), Fate.NOTED)
    messages = [message for what in (held, fate) if (message := told(1.0, what)) is not None]
    assert [(len(message["text"]), message["length"]) for message in messages] == [(1_000, 1_001), (1_000, 1_002)]


def test_what_is_nothing_to_look_at_is_not_told() -> None:
    assert told(1.0, e.AlarmRang()) is None
    assert told(1.0, e.TextKnown("notice", "Very well.")) is None


def test_a_page_gets_each_version_of_a_receipt_and_a_late_page_gets_all() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        written = receipt(caller="caller", listeners=(Listener("caller", ((0.0, 20.0),)),))
        page = CallersPage(
            wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: written, feed=print, shows_all=True
        )
        page.hear(0.0, e.SpeechRequested("notice"))
        await wire.methods["hearout.hello"]("caller", "")
        for halves in range(1, 6):
            page.hear(0.5, e.AudioMade("notice", halves / 2))
        page.hear(1.0, e.PlayoutStarted("notice"))
        await soon()
        page.hear(11.0, e.PlayoutFinished("notice", 10.0))
        page.hear(11.0, a.WriteReceipt(written))
        await soon()
        page.hear(12.0, a.NoteGap("notice", 11.0, 11.2))
        await soon()
        await page.close()
        return wire

    wire = asyncio.run(call())
    assert {identity for identity, _ in wire.told} == {"caller"}
    messages = [message for _, message in wire.told]
    assert [message["what"] for message in messages] == ["owed", "made", "made", "playing", "played", *["receipt"] * 3]
    assert [message["seconds"] for message in messages[1:3]] == [0.5, 2.5]  # each half second would be too often
    assert [message["n"] for message in messages] == list(range(1, 9))
    assert [message["level"] for message in messages[5:]] == ["present", "reported", "reported"]
    assert "Very well." in messages[-1]["text"]


def test_a_receipt_listener_is_told_of_later_evidence_and_only_then() -> None:
    async def call() -> tuple[list[tuple[str, Level]], CallReceipts]:
        speeches: Any = types.SimpleNamespace(written=lambda _: types.SimpleNamespace(id="notice"))
        receipts = CallReceipts(speeches, agent=lambda: "", start=lambda _: None)
        told: list[tuple[str, Level]] = []
        receipts.on_amended.append(lambda key: told.append((key, receipts.all[0].level)))
        receipts.write(receipt(id="speech_1"))
        listeners: tuple[Listener, ...] = ()
        seen: Any = types.SimpleNamespace(witnessed=lambda _, known: dataclasses.replace(known, listeners=listeners))
        receipts.evidence = seen
        receipts.look_again()
        listeners = (Listener("caller", ((0.0, 20.0),)),)
        receipts.look_again()
        receipts.look_again()
        return told, receipts

    told, receipts = asyncio.run(call())
    assert told == [("speech_1", Level.PRESENT)]
    assert receipts.all[0].id == "notice"


def test_a_receipts_message_is_short_and_without_the_callers_words() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        written = receipt(held=((Held("my secret", 2.0), Fate.DELIVERED),), text="long " * 10_000)
        page = CallersPage(
            wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: written, feed=print, shows_all=True
        )
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


def test_a_page_that_says_hello_again_and_again_makes_nothing_pile_up() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        page = CallersPage(
            wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: None, feed=print, shows_all=True
        )
        for number in range(20):
            page.hear(float(number), e.WordsHeard(f"word {number}"))
        for _ in range(500):
            await wire.methods["hearout.hello"]("caller", "")
        await soon()
        await page.close()
        return wire

    numbers = [message["n"] for _, message in asyncio.run(call()).told]
    assert numbers[-20:] == list(range(1, 21))
    assert len(numbers) < 600


def test_nothing_is_told_to_a_stranger_or_without_a_page() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        page = CallersPage(wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: None, feed=print)
        with pytest.raises(Refused):
            await wire.methods["hearout.hello"]("stranger", "")
        page.hear(1.0, e.WordsHeard("How much?"))
        await soon()
        await page.close()
        return wire

    assert asyncio.run(call()).told == []


def test_only_the_page_of_web_is_told_the_callers_words_and_receipts() -> None:
    async def call() -> Wire:
        wire = Wire(honest)
        page = CallersPage(wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: receipt(), feed=print)
        await wire.methods["hearout.hello"]("caller", "")
        page.hear(1.0, e.WordsHeard("my secret"))
        page.hear(2.0, e.SpeechRequested("notice"))
        page.hear(3.0, a.OfferChoices("consent", CHOICES, text="Dürfen wir?"))
        page.hear(4.0, a.WriteReceipt(receipt()))
        await soon()
        await page.close()
        return wire

    messages = [message for _, message in asyncio.run(call()).told]
    assert [message["what"] for message in messages] == ["choices"]


CHOICES = (("yes", "ja"), ("no", "nein"))
QUESTION = QuestionReceipt(
    "consent",
    "3",
    AskOutcome.ANSWERED,
    "yes",
    Basis.GIVEN,
    text="Dürfen wir?",
    answers=(GivenAnswer("perhaps", verdict="unclear", rule="doubt"), GivenAnswer("ja", verdict="yes", rule="agreed")),
)


def test_a_page_is_told_what_may_be_chosen_and_what_came_of_it() -> None:
    buttons = [{"choice": "yes", "label": "ja"}, {"choice": "no", "label": "nein"}]
    offered = a.OfferChoices("consent", CHOICES, text="Dürfen wir?")
    assert told(1.0, offered) == {
        "at": 1.0,
        "what": "choices",
        "id": "consent",
        "text": "Dürfen wir?",
        "choices": buttons,
    }
    assert told(1.0, a.OfferChoices("notice", keys="1")) is None
    again = told(2.0, a.AskQuestion("consent", brief=True, why="no answer in it"))
    assert again == {"at": 2.0, "what": "asks", "id": "consent", "why": "no answer in it"}
    assert told(3.0, a.NoteAcknowledgement("notice")) == {"at": 3.0, "what": "acknowledged", "id": "notice"}
    decided = told(4.0, a.EndQuestion(QUESTION))
    assert decided is not None
    assert (decided["choice"], decided["said"], decided["kind"], decided["rule"]) == ("yes", "ja", "spoken", "agreed")


@pytest.mark.parametrize(
    ("identity", "said", "counts"),
    [
        ("caller", '{"id": "consent", "choice": "yes"}', True),
        ("stranger", '{"id": "consent", "choice": "yes"}', False),
        ("caller", '{"id": "consent", "choice": "perhaps"}', False),
        ("caller", '{"id": "another", "choice": "yes"}', False),
        ("caller", '{"id": ["consent"], "choice": "yes"}', False),
        ("caller", '{"id": "consent"}', False),
        ("caller", "[" * 1_500, False),
        ("caller", '{"id": "consent", "choice": "yes"' + " " * 3_000 + "}", False),
        ("caller", "", False),
    ],
)
def test_a_button_counts_only_as_offered_and_by_the_caller(identity: str, said: str, counts: Any) -> None:
    fed: list[e.Event] = []

    async def call() -> CallersPage:
        wire = Wire(honest)
        page = CallersPage(wire, now=lambda: 0.0, caller=lambda: "caller", receipt=lambda _: None, feed=fed.append)
        page.hear(1.0, a.OfferChoices("consent", CHOICES, text="Dürfen wir?"))
        if counts:
            await wire.methods["hearout.choose"](identity, said)
            page.hear(2.0, a.EndQuestion(QUESTION))
        with pytest.raises(Refused):  # what is over is not chosen twice
            await wire.methods["hearout.choose"](identity, said)
        await page.close()
        return page

    page = asyncio.run(call())
    assert fed == ([e.ChoicePressed("consent", "yes")] if counts else [])
    assert page.reports.refused["choice"] == 1

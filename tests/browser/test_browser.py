"""A person at the page: Chromium with a fake microphone talks with the agent that `web` serves."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from harness import AGENT, alike
from harness.rooms.caller import LOUD, spoken
from harness.rooms.visitor import Hearing, browsing, join, ledger, microphone, need_everything, receipts, served
from hearout._local.llm import MONOLOGUE
from hearout._local.tts import SAMPLE_RATE
from hearout.ledger import Ledger
from hearout.ledger._read import entries
from hearout.measure import Measured

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

FIRST, SECOND = "Wait, can I change my address first?", "And how much does it cost?"

SPEAKS, ANNOUNCED, ANSWERED = 30_000, 60_000, 15_000
"""Milliseconds until the agent is heard at the latest, its announcement (27 s) is over, and its answer (5 s) is."""

BOTH_REPORTED = """() => [...document.querySelectorAll("#receipts .card")]
    .filter((card) => JSON.parse(card.dataset.receipt).reported !== null).length === 2"""


@pytest.fixture(scope="module", autouse=True)
def _everything_is_here() -> None:
    need_everything()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@dataclass(frozen=True)
class Shown:
    """What the page showed at the end of a call.

    Attributes:
        receipts: in the order of their ends.
        agent, caller: the captions of each lane.
        fates: what stands at the caller's.
        hosts: whom the page contacted.
        width: of the page, in pixels, in a window of 360.
        rendered: how much of the announcement its browser took from its jitter buffer.
        gap: seconds from the announcement's last sound to the answer's first, in what the browser took.
    """

    receipts: list[dict[str, Any]]
    agent: list[str]
    caller: list[str]
    fates: list[str]
    hosts: set[str]
    width: int
    rendered: Measured
    gap: float


@pytest.fixture(scope="module")
def talk_over(folder: Path) -> Shown:
    """A person joined, asked two questions over the announcement, and has heard the answer."""
    words = microphone(folder / "talk-over.wav", (9.0, FIRST), (16.0, SECOND))
    hosts: set[str] = set()
    with served(AGENT, folder / "talk-over.log") as url, browsing("--use-fake-ui-for-media-stream", words) as browser:
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
        page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).hostname or ""))
        hearing = Hearing(page)
        join(page, url)
        page.locator("#holder", has_text="will finish").wait_for(timeout=SPEAKS)
        page.locator("#lanes .caller .badge", has_text="held").first.wait_for(timeout=ANNOUNCED)
        page.locator("#receipts .card").first.wait_for(timeout=ANNOUNCED)
        page.locator("#receipts .card").nth(1).wait_for(timeout=ANSWERED)
        page.locator("#holder", has_text="The floor is yours").wait_for(timeout=ANSWERED)
        page.wait_for_function(BOTH_REPORTED, timeout=ANSWERED)  # its browser reports within 0.6 s
        page.wait_for_timeout(1_500)  # and that somebody was there to the end is known a second later
        return Shown(
            receipts(page),
            page.locator("#lanes .agent .text").all_inner_texts(),
            page.locator("#lanes .caller .text").all_inner_texts(),
            page.locator("#lanes .caller .badge").all_inner_texts(),
            hosts,
            page.evaluate("document.documentElement.scrollWidth"),
            (rendered := hearing.judged(MONOLOGUE)),
            gap_after(hearing, rendered),
        )


def gap_after(hearing: Hearing, announced: Measured) -> float:
    """Seconds of silence after the announcement; the first 0.3 s of what the voice says is its own."""
    assert announced.lag_s is not None
    ended = announced.lag_s + announced.speech_to_ms / 1000
    after = np.abs(hearing.samples[round((ended + 0.1) * hearing.sample_rate) :].astype(np.int32))
    return 0.1 + float(np.flatnonzero(after > LOUD)[0]) / hearing.sample_rate


def test_a_browser_renders_the_announcement_whole_and_reports_its_seconds(talk_over: Shown) -> None:
    announcement = talk_over.receipts[0]
    length = len(spoken(MONOLOGUE)) / SAMPLE_RATE
    assert announcement["outcome"] == "finished"
    assert announcement["reported"] == pytest.approx(length, abs=0.5)
    assert announcement["reported"] <= announcement["played"] + 0.01
    # What a busy machine did not play is missing: of up to a quarter of a second the whole was reported all the same.
    assert announcement["level"] == ("reported" if announcement["reported"] >= length - 0.25 else "present")


def test_the_browser_rendered_all_of_it_and_the_answer_right_after(
    talk_over: Shown,
) -> None:
    assert talk_over.rendered.fraction >= 0.95, talk_over.rendered  # 1.000 on a quiet machine
    assert talk_over.rendered.front_ms <= 60
    assert not talk_over.rendered.repeats
    assert talk_over.gap <= 1.5  # some 0.3 s of it is the voice's own silence; a machine that is busy takes its time


def test_the_ledger_keeps_what_the_browser_reported(talk_over: Shown, folder: Path) -> None:
    book = Ledger(ledger(folder / "talk-over.log"))
    kept = [entry.receipt for entry in entries(book, now=time.time()) if entry.receipt is not None]
    assert [str(one.level) for one in kept] == [one["level"] for one in talk_over.receipts]
    (listener,) = kept[0].listeners
    assert listener.reported == pytest.approx(talk_over.receipts[0]["reported"], abs=0.01)


def test_two_questions_over_the_announcement_are_one_turn_with_one_answer(talk_over: Shown) -> None:
    announcement, *answers = talk_over.receipts
    assert set(announcement["held"]) == {"delivered"}
    assert announcement["gap"] <= 0.5
    (answer,) = answers
    assert alike(answer["text"], f"You said: {FIRST} {SECOND}") >= 0.8


def test_the_lanes_show_both_sides_and_what_became_of_the_words(talk_over: Shown) -> None:
    announcement, answer = talk_over.agent
    assert alike(announcement, MONOLOGUE) >= 0.95
    assert alike(answer, f"You said: {FIRST} {SECOND}") >= 0.8
    assert alike(" ".join(talk_over.caller), f"{FIRST} {SECOND}") >= 0.8
    # Two questions, or more pieces where the STT hears a full stop in one.
    # A guess that came to nothing may stand there without a fate.
    assert 2 <= len(talk_over.fates) <= len(talk_over.caller)
    assert set(talk_over.fates) == {"held → answered"}


def test_the_page_contacts_this_machine_only_and_fits_a_phone(talk_over: Shown) -> None:
    assert talk_over.hosts == {"127.0.0.1"}
    assert talk_over.width == 360

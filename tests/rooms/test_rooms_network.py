"""Browser callers with bad connections: the receipt beside the judge's finding in the rendered sound."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import ROOT
from harness.rooms.network import HOUSE_ADDRESS, Network, NoNetworkError, network
from harness.rooms.notes import Notes
from harness.rooms.notice import NOTICE
from harness.rooms.visitor import Hearing, browsing, join, microphone, need_everything, running
from hearout.measure import Measured
from hearout.receipts import Level, Outcome, Receipt

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

SPEAKS, ANNOUNCED, REPORTED = 30_000, 40_000, 3_000
"""Milliseconds until the agent is heard at the latest, its notice (8 s) is over, and what is known of it is known."""

OUTAGE = 2.0
"""Seconds."""


@dataclass(frozen=True)
class Heard:
    """One call over a bad line.

    Attributes:
        receipt: of the notice.
        arrived: what the judge finds of it in what the page rendered, but for what its recorder missed.
        dropped: packets that did not pass.
    """

    receipt: Receipt
    arrived: Measured
    dropped: int

    @property
    def reported(self) -> float:
        """Seconds that the page reported; 0 where nothing counts."""
        return next((one.reported or 0.0 for one in self.receipt.listeners), 0.0)

    def __str__(self) -> str:
        found = self.arrived
        return (
            f"level {self.receipt.level}, reported {self.reported:.2f} of {self.receipt.played:.2f} s; judge "
            f"{found.fraction:.3f}, front {found.front_ms:.0f}, tail {found.tail_ms:.0f}, "
            f"longest gap {found.longest_gap_ms:.0f} ms; {self.dropped} packets dropped"
        )


@pytest.fixture(scope="module")
def line() -> Iterator[Network]:
    """The network of these calls: made before any of them begins, and taken away after the last."""
    need_everything()
    with contextlib.ExitStack() as held:
        try:
            made = held.enter_context(network())
        except NoNetworkError as reason:
            pytest.skip(f"no network namespaces here: {reason}")  # in CI too: some machines allow none
        yield made
        assert made.left() == []


@pytest.fixture(scope="module")
def calls(line: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Heard]:
    """The notice, said to a page over lines that lose packets or go dead."""
    folder = tmp_path_factory.mktemp("network")
    chromium = folder / "chromium"
    chromium.write_text(f'#!/bin/sh\nexec {" ".join(line.at_caller)} chromium "$@"\n')
    chromium.chmod(0o755)
    agent = ROOT / "harness" / "rooms" / "noting.py"
    given = {"ROOM_NOTES": str(folder)}
    given["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with running(agent, folder / "web.log", host=HOUSE_ADDRESS, within=line.in_house, **given) as url:
        # To the browser the house is another machine, whose page gets a microphone by https only.
        trusted = f"--unsafely-treat-insecure-origin-as-secure={url}"
        silent = microphone(folder / "silent.wav")
        with browsing("--use-fake-ui-for-media-stream", trusted, silent, program=chromium) as browser:
            return {name: called(browser.new_page(), url, line, folder, spoil) for name, spoil in LINES.items()}


def called(page: "Page", url: str, line: Network, folder: Path, spoil: Callable[["Page", Network], int]) -> Heard:
    """What is known of one call when its notice is over."""
    hearing = Hearing(page)
    join(page, url)
    dropped = spoil(page, line)
    page.locator("#receipts .card").wait_for(timeout=ANNOUNCED)
    dropped += line.mend()
    page.wait_for_timeout(REPORTED)
    notes = Notes(folder / f"{page.evaluate('window.hearout.room.name')}.json")
    late = hearing.lateness(notes)
    page.close()
    (receipt,) = notes.receipts
    heard = Heard(receipt, late.of_recorder.explains(hearing.judged(NOTICE)), dropped)
    print(f"{heard}; {late}")
    return heard


def loses(percent: int) -> Callable[["Page", Network], int]:
    """From before the page joins."""

    def lose(_: "Page", line: Network) -> int:
        line.lose(percent)
        return 0

    return lose


def goes_dead(page: "Page", line: Network) -> int:
    """In the middle of the notice; the packets that this cost."""
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.wait_for_timeout(2_500)
    line.cut()
    time.sleep(OUTAGE)
    return line.mend()


LINES = {"5 % loss": loses(5), "20 % loss": loses(20), "2 s outage": goes_dead}


@pytest.fixture(params=list(LINES))
def heard(request: pytest.FixtureRequest, calls: dict[str, Heard]) -> Heard:
    """Each of the calls."""
    return calls[request.param]


def test_a_receipt_is_not_reported_in_full_where_the_judge_finds_less(heard: Heard) -> None:
    assert heard.dropped > 0
    assert heard.receipt.outcome is Outcome.FINISHED
    assert heard.receipt.level < Level.REPORTED or heard.arrived.fraction >= 0.98, str(heard)


def test_an_outage_of_two_seconds_is_missing_in_recording_and_report(calls: dict[str, Heard]) -> None:
    heard = calls["2 s outage"]
    assert heard.arrived.longest_gap_ms == pytest.approx(1000 * OUTAGE, abs=500), str(heard)
    assert heard.arrived.fraction < 0.98, str(heard)
    assert heard.receipt.played - heard.reported == pytest.approx(OUTAGE, abs=0.5), str(heard)
    assert heard.receipt.level < Level.REPORTED

"""The page's lanes in Chromium, told what a floor is told and decides: each thing that was said gets its fate."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from harness.floors import ended, playing
from harness.rooms.visitor import browsing
from hearout._floor import events as e
from hearout._floor.floor import Floor
from hearout._room.page import told
from hearout._web.site import PAGE
from hearout.policy import Policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = [pytest.mark.in_real_time, pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")]

FIVE = ("Can I change my address?", "What does it cost?", "When do you open?", "How long is it kept?", "No.")

SHOWS = """async (steps) => {
  const view = new (await import("/view.js")).View(document);
  view.joining();
  view.joined();
  view.agentCame();
  view.agentSays("notice", "Good morning. This call is recorded.");
  for (const [said, what] of steps) {
    if (said === "told") view.told(what, "agent");
    else if (said === "typed") view.lanes.callerTyped(what);
    else view.callerSays(...what, said === "final");
  }
  view.agentIs("listening");
}"""
"""Lets the page show steps: a message of the agent's, what was typed here, and captions as ``[segment, text]``."""

Step = tuple[str, object]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with browsing() as found:
        yield found


def messages(floor: Floor, at: float, event: e.Event) -> Iterator[Step]:
    """What the page is told when the floor is told this."""
    for what in (event, *floor.apply(event, at)):
        if (message := told(at, what)) is not None:
            yield "told", message


def shown(browser: "Browser", steps: Sequence[Step], picture: Path | None = None) -> list[tuple[str, str]]:
    """The caller's lines on the page after these steps, each with what became of it; and a picture of the page."""
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    page.route("**", answer)
    page.goto("http://page.test/")
    page.evaluate(SHOWS, json.loads(json.dumps(list(steps))))
    if picture is not None:
        page.screenshot(path=picture, full_page=True)
    lines = page.locator("#lanes .caller").all()
    found = [(one.locator(".text").inner_text(), " ".join(one.locator(".badge").all_inner_texts())) for one in lines]
    page.close()
    return found


def answer(route: "Route") -> None:
    """Give the page its own files, but for the script that joins a call."""
    name = urlsplit(route.request.url).path.strip("/") or "index.html"
    if name in ("page.js", "livekit-client.umd.js"):
        route.fulfill(body="", content_type="text/javascript")
    else:
        route.fulfill(path=PAGE / name)


@pytest.mark.parametrize("plain", [False, True])
def test_five_things_said_over_an_announcement_are_five_answered_lines(
    browser: "Browser", tmp_path: Path, *, plain: bool
) -> None:
    floor, steps = playing(), list[Step]()
    for number, text in enumerate(FIVE):
        caption = text.lower().rstrip("?.") if plain else text  # LiveKit's captions may be written in another way
        steps.append(("guess", [f"s{number}", caption[:4]]))
        steps.append(("final", [f"s{number}", caption]))
        steps += messages(floor, 2.0 + number, e.WordsHeard(text))
    for at, event in ended():
        steps += messages(floor, at, event)
    found = shown(browser, steps, tmp_path / "five.png")
    assert [text.lower().rstrip("?.") for text, _ in found] == [text.lower().rstrip("?.") for text in FIVE]
    assert {fate for _, fate in found} == {"held → answered"}


def test_captions_that_come_after_the_fates_are_no_further_lines(browser: "Browser") -> None:
    floor, steps = playing(), list[Step]()
    for number, text in enumerate(FIVE):
        steps.append(("guess", [f"s{number}", text[:4]]))
        steps += messages(floor, 2.0 + number, e.WordsHeard(text))
        steps.append(("final", [f"s{number}", text]))
    for at, event in ended():
        steps += messages(floor, at, event)
    assert shown(browser, steps) == [(text, "held → answered") for text in FIVE]


def test_a_guess_that_the_floor_takes_for_what_was_said_gets_its_fate(browser: "Browser") -> None:
    floor, steps = playing(), list[Step]()
    for number, text in enumerate(FIVE[:4]):
        steps.append(("final", [f"s{number}", text]))
        steps += messages(floor, 2.0 + number, e.WordsHeard(text))
    steps.append(("guess", ["s4", "And one thing more"]))
    steps += messages(floor, 6.0, e.CallerStarted())
    steps += messages(floor, 6.2, e.WordsGuessed("and one thing more"))
    steps += messages(floor, 6.5, e.CallerStopped())
    for at, event in (*ended(), *((at, e.AlarmRang()) for at in (10.0, 20.0, 40.0))):
        steps += messages(floor, at, event)
    found = shown(browser, steps)
    assert [text for text, _ in found] == [*FIVE[:4], "And one thing more"]
    assert {fate for _, fate in found} == {"held → answered"}


def test_long_texts_that_are_typed_are_settled_though_their_fate_is_cut(browser: "Browser") -> None:
    floor, steps = playing(), list[Step]()
    texts = [f"{number} " + "and so on " * 80 for number in range(8)]  # of what is held as one, 1,000 signs are told
    for number, text in enumerate(texts):
        steps.append(("typed", text.strip()))
        steps += messages(floor, 2.0 + number / 4, e.TextTyped(text.strip()))
    for at, event in ended():
        steps += messages(floor, at, event)
    assert shown(browser, steps) == [(text.strip(), "held → answered") for text in texts]


def test_typed_signs_without_letters_are_lines_like_others(browser: "Browser") -> None:
    floor, steps = playing(), list[Step]()
    texts = ("Hello?", "?", "👍", "no", "nothing else", "!")
    for number, text in enumerate(texts):
        steps.append(("typed", text))
        steps += messages(floor, 2.0 + number / 4, e.TextTyped(text))
    for at, event in ended():
        steps += messages(floor, at, event)
    assert shown(browser, steps) == [(text, "held → answered") for text in texts]


def test_words_given_again_with_the_next_ones_make_no_line_of_their_own(browser: "Browser") -> None:
    floor, steps = playing(), list[Step]()
    texts = ("What does it cost?", "What does it cost? And when?")
    for number, text in enumerate(texts):
        steps.append(("final", [f"s{number}", text]))
        steps += messages(floor, 3.0 + number, e.WordsHeard(text, began=2.0))
    for at, event in ended():
        steps += messages(floor, at, event)
    assert shown(browser, steps) == [(text, "held → answered") for text in texts]


def test_words_that_the_recogniser_gives_twice_are_told_so_at_the_second(browser: "Browser") -> None:
    floor, steps = playing(), list[Step]()
    for number in range(2):
        steps.append(("final", [f"s{number}", "What does it cost?"]))
        steps += messages(floor, 3.0 + number, e.WordsHeard("What does it cost?", began=2.0))
    for at, event in ended():
        steps += messages(floor, at, event)
    assert [fate for _, fate in shown(browser, steps)] == ["held → answered", "said again by the recogniser"]


def test_text_that_is_typed_over_nothing_does_not_stay_held(browser: "Browser") -> None:
    steps: list[Step] = [("typed", "Hello?"), *messages(Floor(Policy()), 1.0, e.TextTyped("Hello?"))]
    assert shown(browser, steps) == [("Hello?", "answered")]

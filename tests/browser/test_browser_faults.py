"""The page tells of sound that is off, and of connections, microphones and agents that are lost, late or replaced."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest

from harness import ROOT
from harness.rooms.rescued import Calls
from harness.rooms.visitor import browsing, join, launched, ledger, microphone, need_everything, receipts, served
from hearout.ledger import Ledger

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PAGE_AGENT = ROOT / "harness" / "rooms" / "page_agent.py"

SPEAKS, SAID, SOON = 30_000, 20_000, 5_000
"""Milliseconds until the agent is heard at the latest, its notice (4 s) is over, and the page shows something."""

STANDARD, AGENT = 0, 4
"""Kinds of participants, as LiveKit's client numbers them."""

GRACE = 4.0
"""Seconds for which the agent waits for its caller's return."""

COMES, LOOKS_UP, LEAVES = 7.0, 3.5, 8.0
"""Seconds of an agent that takes its time, at a page in a hurry (`HURRIES`): that waits for it 5 s, not 20, and says
hello to it in quick succession for 2 s, not 9."""

HURRIES = {
    "call.js": {"AGENT_COMES = 20_000": "AGENT_COMES = 5_000", "HELLOS_SOON = 30": "HELLOS_SOON = 7"},
    "page.js": {"WAITS = 20_000": "WAITS = 5_000"},
}
"""What is shorter at a page in a hurry: nobody wants to wait for all of it in a test."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """With a microphone in which nobody speaks."""
    need_everything()
    silent = microphone(tmp_path_factory.mktemp("microphone") / "silent.wav")
    with browsing("--use-fake-ui-for-media-stream", silent) as found:
        yield found


@dataclass(frozen=True)
class Site:
    """The page of an agent that reads a short notice and asks for a button to be pressed.

    Attributes:
        url: of the page.
        folder: for what a test leaves to be looked at.
        calls: in its ledger.
    """

    url: str
    folder: Path
    calls: Calls


@pytest.fixture(scope="module")
def site(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert browser.is_connected()
    folder = tmp_path_factory.mktemp("faults")
    log = folder / "web.log"
    with served(PAGE_AGENT, log, ROOM_GRACE=str(GRACE)) as url:
        yield Site(url, folder, Calls(Ledger(ledger(log))))


def hurried(browser: "Browser") -> "Page":
    """A page of a phone's width that waits less than others do."""
    page = browser.new_page(viewport={"width": 360, "height": 740})

    def serve(route: "Route") -> None:
        answer = route.fetch()
        text = answer.text()
        for waits, less in HURRIES[route.request.url.rpartition("/")[2]].items():
            assert waits in text
            text = text.replace(waits, less)
        route.fulfill(response=answer, body=text)

    for name in HURRIES:
        page.route(f"**/{name}", serve)
    return page


def room(page: "Page") -> str:
    """The name of the room that a page is in."""
    return str(page.evaluate("window.hearout.room.name"))


def at_level(page: "Page", level: str) -> "Locator":
    """The receipts that rest on this: a receipt comes at once, and again when more of it is known."""
    return page.locator(f'#receipts .card[data-receipt*=\'"level":"{level}"\']')


def test_a_muted_page_reports_nothing_and_its_button_still_acknowledges(site: Site, browser: "Browser") -> None:
    page = browser.new_page()
    join(page, site.url)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.evaluate("document.getElementById('sound').muted = true")
    page.locator("#receipts .card").wait_for(timeout=SAID)
    page.locator(".asked button", has_text="Press OK").wait_for(timeout=SAID)
    (before,) = receipts(page)
    assert (before["outcome"], before["reported"], before["acknowledged_at"]) == ("finished", None, None)
    page.keyboard.press("Enter")  # the button has the focus
    at_level(page, "acknowledged").wait_for(timeout=SAID)
    (after,) = receipts(page)
    assert after["acknowledged_at"] >= before["at"]
    assert (after["reported"], after["level"]) == (None, "acknowledged")
    assert page.locator(".asked").count() == 0
    page.close()


BLOCKS = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  return window.allowed ? play.call(this) : Promise.reject(new DOMException("no gesture", "NotAllowedError"));
};
const allow = (event) => { window.allowed ||= event.target.textContent === "Play the sound"; };
document.addEventListener("click", allow, true);
"""
"""Chromium (156) never blocks the sound of a page that has the microphone; others do, in these words."""


def test_a_blocked_sound_is_named_and_reports_no_seconds(site: Site, browser: "Browser") -> None:
    page = browser.new_page()
    page.add_init_script(BLOCKS)
    join(page, site.url)
    alert = page.get_by_role("alert").get_by_text("Your browser blocks the sound")
    alert.wait_for(timeout=SPEAKS)
    page.locator("#receipts .card").wait_for(timeout=SAID + SPEAKS)
    at_level(page, "present").wait_for(timeout=SAID)
    (written,) = receipts(page)
    assert (written["reported"], written["level"]) == (None, "present")
    page.get_by_role("button", name="Play the sound").click()
    alert.wait_for(state="detached", timeout=SAID)
    page.close()


def test_a_browser_that_refuses_the_microphone_is_named_and_no_call_begins(site: Site, browser: "Browser") -> None:
    with launched(browser.browser_type, "--deny-permission-prompts") as refusing:
        page = refusing.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        join(page, site.url)
        page.get_by_role("alert").get_by_text("The browser refuses the microphone").wait_for(timeout=SAID)
        assert page.get_by_role("button", name="Join with microphone").is_enabled()
        assert not [url for url in asked if url.endswith("/token")]


STRANGER_SAYS = """async (kind) => {
  const { room, call } = window.hearout;
  const stranger = { identity: "stranger", kind, attributes: {} };
  room.remoteParticipants.set("stranger", stranger);
  const piece = async function* () { yield "I am the agent. Tell me your password."; };
  await call.caption({ info: { attributes: {}, id: "s1" }, [Symbol.asyncIterator]: piece }, "stranger");
  const told = { n: 1, call: "another", at: 1, what: "held", text: "Tell me your number.", kind: "typed" };
  room.emit("dataReceived", new TextEncoder().encode(JSON.stringify(told)), stranger, 0, "hearout");
  room.remoteParticipants.delete("stranger");
}"""


def test_captions_and_floor_events_of_a_stranger_are_not_shown(site: Site, browser: "Browser") -> None:
    page = browser.new_page()
    join(page, site.url)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.evaluate(STRANGER_SAYS, STANDARD)
    shown = page.locator("body").inner_text()
    assert "password" not in shown
    assert "your number" not in shown
    page.evaluate(STRANGER_SAYS, AGENT)  # the same, of an agent, is shown: this test can fail
    shown = page.locator("body").inner_text()
    assert "password" in shown
    assert "your number" in shown
    page.close()


STATUSES = """() => {
  window.statuses = [];
  const line = document.getElementById("status");
  new MutationObserver(() => window.statuses.push(line.textContent)).observe(line, { childList: true });
}"""


@pytest.mark.parametrize("outage", ["signal-reconnect", "full-reconnect"])
def test_who_is_muted_stays_so_over_an_outage_and_is_told_of_it(site: Site, browser: "Browser", outage: str) -> None:
    page = browser.new_page()
    join(page, site.url)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.get_by_role("button", name="Mute microphone").click()
    muted = page.get_by_role("button", name="Microphone is muted: unmute")
    muted.wait_for(timeout=SOON)
    page.evaluate(STATUSES)
    page.evaluate("(outage) => { window.hearout.room.simulateScenario(outage); }", outage)
    page.wait_for_function("() => window.statuses.at(-1) === 'You are in the call.'", timeout=SAID)
    assert "The connection is lost; trying again ..." in page.evaluate("window.statuses")
    page.wait_for_timeout(500)
    assert muted.is_visible()
    assert page.evaluate("window.hearout.call.microphone.track.isMuted")
    page.close()


UNPLUG = """() => {
  window.plugged = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
  const track = window.hearout.call.microphone.track.mediaStreamTrack;
  track.stop();
  track.dispatchEvent(new Event("ended")); // of stop() a browser says nothing
}"""

PLUG_IN = "() => { navigator.mediaDevices.getUserMedia = window.plugged; }"


def test_a_lost_microphone_is_told_and_unmuting_opens_the_next(site: Site, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    join(page, site.url)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.evaluate(UNPLUG)
    alerts = page.get_by_role("alert")
    alerts.get_by_text("The microphone is lost: the agent does not hear you.").wait_for(timeout=SOON)
    unmute = page.get_by_role("button", name="Microphone is muted: unmute")
    page.screenshot(path=site.folder / "lost.png")
    unmute.click()
    alerts.get_by_text("This machine has no microphone").wait_for(timeout=SOON)
    page.evaluate(PLUG_IN)
    unmute.click()
    page.get_by_role("button", name="Mute microphone").wait_for(timeout=SOON)
    assert page.locator("#alerts .alert").count() == 0
    assert page.evaluate("window.hearout.call.microphone.track.mediaStreamTrack.readyState") == "live"
    page.close()


def test_a_visitor_who_returns_after_the_agent_left_is_in_a_new_call(site: Site, browser: "Browser") -> None:
    context = browser.new_context()
    first = context.new_page()
    join(first, site.url)
    first.locator("#playing progress").wait_for(timeout=SPEAKS)
    left = room(first)
    kept = json.loads(first.evaluate("sessionStorage.getItem('hearout.call')"))
    lives = jwt.decode(kept["token"], options={"verify_signature": False})["exp"] - time.time()
    assert lives > 5 * 60 + 30  # until LiveKit renews it again
    assert 0 < kept["until"] / 1000 - time.time() <= 20
    first.close()
    time.sleep(GRACE + 4.0)
    page = context.new_page()
    back = json.dumps(kept | {"until": 1000 * (time.time() + 20)})
    page.add_init_script(f"sessionStorage.setItem('hearout.call', {back!r})")
    join(page, site.url)
    page.get_by_text("The agent did not wait any longer: this is a new call.").wait_for(timeout=SAID)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    assert room(page) != left
    page.close()


def test_a_visitor_removed_by_the_server_is_told_so_and_begins_a_new_call(site: Site, browser: "Browser") -> None:
    page = browser.new_page()
    join(page, site.url)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.evaluate("() => { window.hearout.room.simulateScenario('server-leave'); }")
    page.get_by_role("status").get_by_text("The call is over.").wait_for(timeout=SOON)
    page.get_by_role("button", name="Join with microphone").wait_for(timeout=SOON)
    assert page.evaluate("sessionStorage.getItem('hearout.call')") is None
    page.close()


def test_who_does_not_return_in_time_is_offered_a_new_call(site: Site, browser: "Browser") -> None:
    page = hurried(browser)
    join(page, site.url)
    page.locator("#playing progress").wait_for(timeout=SPEAKS)
    page.evaluate("() => { window.hearout.room.disconnect(); }")  # nobody hung up: as when the line is given up
    page.get_by_role("status").get_by_text("Return at once").wait_for(timeout=SOON)
    page.get_by_role("button", name="Return to the call").wait_for(timeout=SOON)
    page.screenshot(path=site.folder / "lost-line.png")
    page.get_by_role("status").get_by_text("Joining begins a new call.").wait_for(timeout=25_000)
    assert page.get_by_role("button", name="Join with microphone").is_visible()
    page.close()


REPLACED = """async () => {
  const { View } = await import("/view.js");
  const view = new View(document);
  const holder = document.getElementById("holder");
  const shown = [];
  const show = (does) => { does(); shown.push(holder.textContent); };
  view.joined();
  view.agentCame();
  view.told({ what: "owed", id: "notice", expected: 9 }, "first");
  view.told({ what: "playing", id: "notice" }, "first");
  show(() => view.told({ what: "talks" }, "first"));
  show(() => view.agentCame()); // the next one, before LiveKit has noticed that the first is dead
  show(() => view.agentLeft("first", { another: true }));
  show(() => view.agentIs("listening"));
  show(() => view.agentIs("speaking"));
  show(() => view.agentLeft("second", { another: false }));
  return shown;
}"""


def test_what_was_an_agents_goes_with_it_and_not_with_the_one_before(site: Site, browser: "Browser") -> None:
    page = browser.new_page()
    page.goto(site.url)
    assert page.evaluate(REPLACED) == [
        "The agent speaks, and will finish. You speak over it: you are heard.",
        "The agent speaks, and will finish. You speak over it: you are heard.",
        "The agent is coming.",
        "The floor is yours.",
        "The agent speaks.",
        "Waiting for the agent.",
    ]
    page.close()


REFUSES = """() => {
  const mine = window.hearout.room.localParticipant;
  window.performRpc = mine.performRpc;
  mine.performRpc = () => Promise.reject(new Error("nobody is there"));
}"""

ANSWERS = "() => { window.hearout.room.localParticipant.performRpc = window.performRpc; }"


def test_a_button_passes_to_the_next_agent_and_a_failed_press_is_told(site: Site, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    join(page, site.url)
    page.locator(".asked button", has_text="Press OK").wait_for(timeout=SPEAKS + SAID)
    first = page.locator(".asked").get_attribute("data-by")
    page.evaluate(REFUSES)
    page.locator(".asked button").press("Enter")
    page.get_by_text("This did not reach the agent. Please press again.").wait_for(timeout=SOON)
    page.screenshot(path=site.folder / "asked.png")
    page.evaluate(ANSWERS)
    site.calls.kill(room(page))
    page.locator(f".asked:not([data-by={first}]) button").wait_for(timeout=SPEAKS + SAID)
    assert page.locator(".asked").count() == 1
    page.locator(".asked button").press("Enter")
    page.locator("#receipts .card dt", has_text="acknowledged").wait_for(timeout=SOON)
    page.locator(".asked").wait_for(state="detached", timeout=SOON)  # the receipt may come first
    assert errors == []
    page.close()


def test_an_agent_that_comes_late_looks_things_up_and_leaves_is_told_truly(browser: "Browser", tmp_path: Path) -> None:
    given = {"ROOM_COMES": str(COMES), "ROOM_LOOKS_UP": str(LOOKS_UP), "ROOM_LEAVES": str(LEAVES)}
    with served(PAGE_AGENT, tmp_path / "web.log", **given) as url:
        page = hurried(browser)
        join(page, url)
        alerts = page.get_by_role("alert")
        alerts.get_by_text("No agent has come.").wait_for(timeout=25_000)
        assert page.locator("#holder").inner_text() == "No agent is here."
        page.locator("#holder", has_text="The agent is coming.").wait_for(timeout=SAID)
        assert page.locator("#alerts .alert").count() == 0
        page.get_by_role("status").get_by_text("tells this page nothing so far").wait_for(timeout=SAID)
        page.locator("#receipts .card").wait_for(timeout=SPEAKS)
        page.get_by_role("status").get_by_text("You are in the call.").wait_for(timeout=SOON)
        page.locator(".asked").wait_for(timeout=SOON)
        page.locator("#holder", has_text="Waiting for the agent.").wait_for(timeout=SPEAKS)
        assert page.locator(".asked").count() == 0
        alerts.get_by_text("The agent has left, and no other has come.").wait_for(timeout=25_000)
        page.screenshot(path=tmp_path / "left.png")
        assert page.locator("#holder").inner_text() == "No agent is here."
        page.close()

"""A question on the page that `web` serves: the choices are buttons, and the verdict is shown."""

import json
from pathlib import Path

import pytest

from harness import ROOT
from harness.rooms.visitor import browsing, join, microphone, need_everything, served

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

SPEAKS, ASKED, SOON = 40_000, 15_000, 8_000
"""Milliseconds until the agent is heard at the latest, its question (2 s) had been asked, and a press is noted."""


def test_a_caller_answers_by_a_button_and_sees_the_verdict(tmp_path: Path) -> None:
    need_everything()
    agent = ROOT / "harness" / "rooms" / "asking_agent.py"
    given = {"PYTHONPATH": str(ROOT), "ROOM_WAIT": "20", "ROOM_STAYS": "4"}
    silent = microphone(tmp_path / "silent.wav")
    with (
        served(agent, tmp_path / "web.log", **given) as url,
        browsing("--use-fake-ui-for-media-stream", silent) as browser,
    ):
        page = browser.new_page(viewport={"width": 320, "height": 700})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        join(page, url)
        page.locator("#playing progress").wait_for(timeout=SPEAKS)
        assert page.locator(".asked").count() == 0  # nothing answers it before it was asked
        page.locator(".asked button").nth(1).wait_for(timeout=ASKED)
        assert page.locator(".asked button").all_inner_texts() == ["yes", "no"]
        assert "May we record this call?" in page.locator(".asked").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.screenshot(path=tmp_path / "asked-320.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.screenshot(path=tmp_path / "asked-1280.png")
        page.locator(".asked button", has_text="no").click()
        verdict = page.locator("#receipts .card[data-decided]")
        verdict.wait_for(timeout=SOON)
        assert page.locator(".asked").count() == 0
        decided = json.loads(verdict.get_attribute("data-decided") or "")
        assert (decided["choice"], decided["kind"], decided["rule"]) == ("no", "button", "a button")
        assert "your answer: no" in verdict.inner_text()
        page.screenshot(path=tmp_path / "decided-1280.png")
        page.set_viewport_size({"width": 320, "height": 700})
        page.screenshot(path=tmp_path / "decided-320.png", full_page=True)
        page.get_by_role("status").get_by_text("The call is over.").wait_for(timeout=SPEAKS)  # the agent hung up
        assert errors == []
        page.close()

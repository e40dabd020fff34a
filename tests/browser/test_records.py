"""A person at the page of `hearout receipts serve`, in Chromium."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from harness.records_served import records_served
from harness.rooms.visitor import browsing
from harness.shown_book import DEMO, HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.in_real_time, pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with records_served(tmp_path_factory.mktemp("records")) as served:
        yield served


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wide", [320, 1280])
def test_a_call_is_found_and_read_by_the_keyboard_alone(browser: "Browser", url: str, wide: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": wide, "height": 800}, color_scheme=scheme)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(url)
    page.locator("#verdict.good").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    page.locator("[name=call]").focus()
    page.keyboard.type("08-20")
    page.locator("#count", has_text="1 call.").wait_for()
    for _ in range(12):
        if page.evaluate("document.activeElement.hash?.startsWith('#call=')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#picture img").wait_for()
    page.locator("#picture img").evaluate("image => image.decode()")  # it has come, and is a picture
    assert page.evaluate("document.activeElement.id") == "call-title"
    assert page.locator("#questions .badge.good").inner_text() == "decides"
    assert page.locator("#lanes .caller").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    page.locator("#strip div[style*='%']").first.wait_for(state="attached")
    left = page.evaluate("parseFloat(document.querySelector('#strip div').style.left)")
    assert left == pytest.approx(100 * (1.0 + 1.5) / 30, abs=0.5)
    page.keyboard.press("Escape")
    page.locator("a:focus").wait_for()
    assert unquote(page.evaluate("document.activeElement.hash")) == f"#call={DEMO}"
    assert hosts == {url.split("/")[2]}
    page.close()


def test_hostile_names_and_words_are_text(browser: "Browser", url: str) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(url)
    page.locator("#calls a", has_text="<script>").click()
    page.locator("#picture img").wait_for()
    page.locator("summary").first.click()
    assert page.locator("#one script, #one [onerror]").count() == 0
    assert page.evaluate("window.hacked") is None
    shown = page.locator("#call-title").inner_text()
    assert shown.startswith(HOSTILE[:20])
    assert "\u202e" not in page.locator("main").inner_text()
    assert errors == []
    page.close()


def test_no_text_of_the_picture_is_beyond_its_card(browser: "Browser", url: str) -> None:
    page = browser.new_page()
    for call in (DEMO, "dental-4413", "لوحة-الاستقبال-7"):
        page.goto(url)
        drawn = page.evaluate(
            "async (call) => (await fetch('picture.svg?' + new URLSearchParams({call}))).text()", call
        )
        # beside the page, whose policy would refuse the picture's own colours
        beyond = page.evaluate(
            """(drawn) => {
              document.body.replaceChildren(document.importNode(
                new DOMParser().parseFromString(drawn, "image/svg+xml").documentElement, true));
              return [...document.querySelectorAll("svg svg")].filter((card) =>
                card.firstElementChild.getComputedTextLength() > card.width.baseVal.value - 6).length;
            }""",
            drawn,
        )
        assert beyond == 0, call
    page.close()

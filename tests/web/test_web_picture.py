"""The picture of a call that its visitor's page asks for: drawn from what that page saw, and for no other page."""

from typing import Any

import aiohttp
import pytest

from hearout._web import drawing
from tests.web.test_web import visit

AGENT = {"lane": "agent", "start": 0.5, "end": 4.0, "text": "Do you agree?", "kind": "question", "note": "asked → no"}
CALLER = {"lane": "caller", "start": 1.0, "end": 2.0, "text": "<b>wait", "kind": "held", "note": "held → answered"}
CALL = {"wide": 700, "said": [AGENT, CALLER], "moments": [{"at": 4.0, "text": "cut in"}]}


def drawn(told: Any, origin: str = "") -> tuple[int, str]:
    async def asks(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
        headers = {"Origin": origin or url}
        async with session.post(f"{url}/picture.svg", json=told, headers=headers) as answer:
            return answer.status, await answer.text()

    status, text = visit(asks)
    return int(status), str(text)


def test_what_the_page_saw_is_drawn_with_words_questions_and_cuts() -> None:
    status, svg = drawn(CALL)
    assert status == 200
    assert all(text in svg for text in ("Do you agree?", "asked → no", "&lt;b&gt;wait", "held → answered", "cut in"))


def test_no_other_page_gets_a_picture() -> None:
    assert drawn(CALL, "http://evil.example")[0] == 403


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        CALL | {"wide": float("inf")},
        CALL | {"wide": "700"},
        CALL | {"said": [AGENT | {"lane": "nobody"}]},
        CALL | {"said": [AGENT | {"kind": "paper"}]},
        CALL | {"said": [AGENT | {"start": -1}]},
        CALL | {"said": [AGENT | {"end": 1e9}]},
        CALL | {"said": [AGENT | {"text": None}]},
        CALL | {"said": 3},
        CALL | {"moments": [{}]},
    ],
)
def test_what_is_no_call_is_refused(told: Any) -> None:
    assert drawn(told)[0] == 400


def test_no_page_can_ask_for_more_than_is_drawn_in_a_moment() -> None:
    moments = [{"at": n / 200, "text": f"{n:03}" + "z" * 600} for n in range(drawing.MOST + 1)]
    svg = drawing.drawn(CALL | {"moments": moments})
    longest = "z" * (drawing.LONGEST - 3)
    assert f"{drawing.MOST - 1}{longest}" in svg
    assert f"{drawing.MOST}{longest}" not in svg
    assert longest + "z" not in svg
    assert drawn(CALL | {"said": [AGENT | {"text": "x" * drawing.LARGEST}]})[0] == 413

"""The server of `hearout receipts serve`: answers, refusals, and that nothing is written."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from harness.ledger_workers import NOW
from harness.shown_book import DEMO, FIRST, HOSTILE, filled, recorded
from hearout._web.records import Recordings, ShownCall
from hearout._web.records_site import RecordsSite
from hearout.ledger import Ledger, Mode
from hearout.receipts._picture import NARROWEST

Visit = Callable[[aiohttp.ClientSession, str], Awaitable[Any]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = f"sqlite:///{tmp_path_factory.mktemp('shown') / 'book.db'}"
    filled(made).close()
    return made


def visit(url: str, visit: Visit, *, recordings: Path | None = None) -> Any:
    """Serve the page of this book to one visitor; what the visitor brings back."""

    async def main() -> Any:
        ledger = Ledger(url, mode=Mode.READ)
        site = RecordsSite(ledger, recordings=Recordings(recordings), clock=lambda: NOW + 7200)
        try:
            async with TestServer(site.app()) as server, aiohttp.ClientSession() as session:
                return await visit(session, str(server.make_url("")).rstrip("/"))
        finally:
            ledger.close()

    return asyncio.run(main())


def told(url: str, path: str, *, recordings: Path | None = None, **values: str) -> Any:
    async def ask(session: aiohttp.ClientSession, where: str) -> Any:
        async with session.get(where + path, params=values) as answer:
            return (
                await answer.json()
                if answer.content_type == "application/json"
                else (answer.status, await answer.text())
            )

    return visit(url, ask, recordings=recordings)


@pytest.mark.parametrize(
    ("like", "found"),
    [
        ({}, 9),
        ({"outcome": "caller gone"}, 3),
        ({"outcome": "unknown"}, 1),
        ({"level": "reported"}, 4),
        ({"call": "DENTAL-44"}, 6),
        ({"since": str(NOW + 5000)}, 3),
        ({"until": str(NOW + 2000)}, 1),
        ({"outcome": "cut in", "level": "reported"}, 0),
    ],
)
def test_calls_are_chosen_by_time_outcome_and_level(url: str, like: dict[str, str], found: int) -> None:
    listed = told(url, "/calls", **like)
    assert len(listed["calls"]) == found
    assert [one["at"] for one in listed["calls"]] == sorted((one["at"] for one in listed["calls"]), reverse=True)


def test_a_call_says_what_was_held_and_what_became_of_it(url: str) -> None:
    call = told(url, "/call", call=DEMO)
    first = [(one["who"], one["text"], one["note"]) for one in call["said"]][1:3]
    assert first == [("caller", FIRST, "delivered"), ("caller", "mm-hm", "backchannel")]
    (question,) = call["questions"]
    assert [(one["verdict"], one["decides"]) for one in question["held"]][1:] == [("hold-off", False), ("yes", True)]
    assert [one["note"] for one in call["said"]][-3:] == ["judged: unclear", "judged: hold-off", "judged: yes"]


def test_words_that_were_not_kept_are_said_so(url: str) -> None:
    call = told(url, "/call", call="dental-4413")
    assert {one["text"] for one in call["said"] if one["note"] == "delivered"} == {""}
    assert "words not kept" in told(url, "/picture.svg", call="dental-4413")[1]


def test_two_agents_of_a_call_are_shown_on_one_clock(url: str) -> None:
    name = "dental-4415-a-name-that-is-much-longer-than-any-column-of-a-table-should-be"
    call = told(url, "/call", call=name)
    assert [one["at"] for one in call["said"]] == pytest.approx([0.0, 25.5], abs=1.0)


def test_a_name_is_text_in_the_picture(url: str) -> None:
    status, drawn = told(url, "/picture.svg", call=HOSTILE, wide="1")
    assert status == 200
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert f'width="{NARROWEST}"' in drawn


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("/call", {"call": "nobody"}, 404),
        ("/picture.svg", {"call": "nobody"}, 404),
        ("/recording", {"call": "../../etc/passwd"}, 404),
        ("/calls", {"since": "yesterday"}, 400),
        ("/picture.svg", {"call": DEMO, "wide": "nan"}, 400),
        ("/../site.py", {}, 404),
    ],
)
def test_a_wrong_request_is_refused(url: str, path: str, values: dict[str, str], status: int) -> None:
    assert told(url, path, **values)[0] == status


def test_other_names_than_this_machines_reach_nothing(url: str) -> None:
    async def rebound(session: aiohttp.ClientSession, where: str) -> list[int]:
        got = []
        for path in ("/", "/calls", "/call?call=x", "/recording?call=x", "/verify"):
            async with session.get(where + path, headers={"Host": "evil.example"}) as answer:
                got.append(answer.status)
        return got

    assert visit(url, rebound) == [421] * 5


def test_every_answer_forbids_other_hosts_and_nothing_is_posted(url: str) -> None:
    async def look(session: aiohttp.ClientSession, where: str) -> list[Any]:
        seen = []
        for path in ("/", "/records.js", "/calls", "/nothing", f"/picture.svg?call={DEMO}"):
            async with session.get(where + path) as answer:
                seen.append(answer.headers["Content-Security-Policy"])
        async with session.post(f"{where}/calls") as answer:
            return [*seen, answer.status]

    *policies, status = visit(url, look)
    assert status == 405
    assert all("default-src 'none'" in one and "http" not in one for one in policies)
    assert all("unsafe" not in one for one in policies[:-1])


def test_a_recording_is_found_by_the_calls_name_and_marked(url: str, tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    assert told(url, "/call", recordings=folder, call=DEMO)["recording"] == {"session_at": 1.5}
    assert "recording" not in told(url, "/call", recordings=folder, call="dental-4412")
    (folder / "dental-4412.wav").write_bytes(b"RIFF")
    assert told(url, "/call", recordings=folder, call="dental-4412")["recording"] == {"session_at": None}


def test_the_chain_is_checked(url: str) -> None:
    verdict = told(url, "/verify")
    assert (verdict["fault"], verdict["rows"]) == (None, 31)


def test_the_picture_of_a_call_is_drawn_with_its_cut(url: str) -> None:
    ledger = Ledger(url, mode=Mode.READ)
    drawn = ShownCall.read(ledger, "dental-4412", now=NOW + 7200).drawn(800)
    ledger.close()
    assert {"cut in", "cut in: key 0"} <= {one.text for one in drawn.labels}


def test_the_command_serves_and_changes_nothing(url: str) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    before = file.read_bytes()
    command = [sys.executable, "-m", "hearout", "receipts", "serve", "--ledger", url, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            where = serving.stdout.readline().split()[1]
            with urllib.request.urlopen(f"{where.rstrip('.')}/calls") as answer:
                assert len(json.load(answer)["calls"]) == 9
        finally:
            serving.send_signal(signal.SIGINT)
        assert serving.wait(20) == 0
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["book.db"]


def test_a_ledger_that_is_not_there_is_said_so_at_once(tmp_path: Path) -> None:
    missing = ["receipts", "serve", "--ledger", f"sqlite:///{tmp_path}/none.db", "--port", "0"]
    done = subprocess.run([sys.executable, "-m", "hearout", *missing], capture_output=True, text=True, timeout=60)
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr.startswith("error: ")

"""The page's server: files and tokens, who gets them, and refusals."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import psutil
import pytest
from aiohttp.test_utils import TestServer
from livekit import api

from harness import ROOT, run
from harness.rooms.server import Server, serving
from hearout._web import rooms as room_server
from hearout._web import site
from hearout._web.loopback import listening
from hearout._web.rooms import Rooms
from hearout._web.site import Site
from hearout._web.tokens import LIVES, RETURNS, Allowance, token
from hearout.errors import WebError
from hearout.policy import Policy

ROOMS = Rooms("ws://127.0.0.1:7880", "key", "secret" * 8, 7880)
CLOUD = Rooms("wss://x.livekit.cloud", "key", "secret" * 8)

Visit = Callable[[aiohttp.ClientSession, str], Awaitable[Any]]


def visit(visit: Visit, rooms: Rooms = ROOMS, *, host: str = "127.0.0.1", clock: Callable[[], float] = float) -> Any:
    """Serve the page to one visitor; what the visitor brings back."""

    async def main() -> Any:
        server = TestServer(Site(rooms, host=host, clock=clock).app())
        async with server, aiohttp.ClientSession() as session:
            return await visit(session, str(server.make_url("")).rstrip("/"))

    return asyncio.run(main())


async def asked(session: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, Any]:
    async with session.post(f"{url}/token", headers={"Origin": url} | headers) as answer:
        return answer.status, await answer.json() if "json" in answer.content_type else await answer.text()


def claims(given: str, rooms: Rooms = ROOMS) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(given, rooms.secret, algorithms=["HS256"], issuer=rooms.key)
    return read


def test_a_token_lets_one_visitor_into_one_room_for_a_short_time() -> None:
    first, second = claims(token(ROOMS)), claims(token(ROOMS))
    assert first["exp"] - first["nbf"] <= 600
    grants = first["video"]
    room = grants.pop("room")
    assert {name: value for name, value in grants.items() if value} == {
        "roomJoin": True,
        "canPublish": True,
        "canPublishSources": ["microphone"],
        "canSubscribe": True,
        "canPublishData": True,
    }
    assert room != second["video"]["room"]
    assert first["sub"] != second["sub"]
    assert not {"metadata", "attributes", "sip", "agents"} & {name for name, value in first.items() if value}


def test_a_room_outlives_the_agent_that_waits_for_a_return_by_little() -> None:
    stays = claims(token(ROOMS))["roomConfig"]
    assert stays["departureTimeout"] == RETURNS
    assert 1 <= RETURNS - Policy().timeouts.caller_return <= 3


def test_the_page_gets_a_token_for_the_rooms_under_its_own_name() -> None:
    status, given = visit(asked)
    assert (status, given["seconds"]) == (200, LIVES.total_seconds())
    assert given["url"] == "ws://127.0.0.1:7880"
    assert claims(given["token"])["video"]["roomJoin"]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_another_page_gets_no_token(headers: dict[str, str]) -> None:
    status, _ = visit(lambda session, url: asked(session, url, **headers))
    assert status == 403


def test_a_name_that_somebody_lets_point_here_reaches_nothing() -> None:
    async def rebound(session: aiohttp.ClientSession, url: str) -> list[int]:
        evil = {"Host": "evil.example", "Origin": "http://evil.example"}
        got = []
        for method, path in (("GET", "/"), ("POST", "/token")):
            async with session.request(method, url + path, headers=evil) as answer:
                got.append(answer.status)
        return got

    assert visit(rebound) == [421, 421]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_token_is_given_for_a_post_only(method: str) -> None:
    async def other(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
        async with session.request(method, f"{url}/token", headers={"Origin": url}) as answer:
            return answer.status, answer.headers["Allow"]

    assert visit(other) == (405, "POST")


def test_tokens_are_given_out_slowly_and_the_refusal_says_so() -> None:
    now = [0.0]

    async def many(session: aiohttp.ClientSession, url: str) -> tuple[list[int], Any, int]:
        got = [(await asked(session, url))[0] for _ in range(60)]
        refused = await asked(session, url)
        now[0] = 61.0
        return got, refused, (await asked(session, url))[0]

    got, (status, said), later = visit(many, clock=lambda: now[0])
    assert (got, status, later) == ([200] * 60, 429, 200)
    assert "Wait a little" in said["error"]


def test_many_addresses_together_do_not_get_more_than_all_may() -> None:
    allowance = Allowance(each=2, together=3)
    assert [allowance.take(address, 0.0) for address in "aaabbcd"] == [True, True, False, True, False, False, False]
    assert allowance.take("a", 60.0)


def test_a_visitor_from_this_machine_counts_only_toward_the_total() -> None:
    allowance = Allowance(each=2, together=5)
    assert [allowance.take(address, 0.0) for address in (None, None, None, "a", "a", None)] == [True] * 5 + [False]


def test_the_page_may_contact_only_its_server_and_the_rooms() -> None:
    async def policy(session: aiohttp.ClientSession, url: str) -> tuple[str, str]:
        async with session.get(f"{url}/") as page, session.get(f"{url}/no-such") as nothing:
            assert (page.status, nothing.status) == (200, 404)
            return page.headers["Content-Security-Policy"], nothing.headers["Content-Security-Policy"]

    on_page, on_error = visit(policy)
    assert on_page == on_error
    rules = dict(rule.strip().split(" ", 1) for rule in on_page.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["connect-src"] == "'self' ws://127.0.0.1:7880 http://127.0.0.1:7880"
    assert "'unsafe" not in on_page
    rules = dict(rule.strip().split(" ", 1) for rule in visit(policy, CLOUD)[0].split(";"))
    assert "wss://x.livekit.cloud https://x.livekit.cloud" in rules["connect-src"]


def test_every_file_of_the_page_names_only_files_that_are_served() -> None:
    async def files(session: aiohttp.ClientSession, url: str) -> None:
        for path in site.PAGE.iterdir():
            text = path.read_text()
            named = re.findall(r'(?:src|href)="([^"]+)"|from "\./([^"]+)"', text)
            assert "http://" not in text.replace("http://127.0.0.1", "")
            for name in [one or other for one, other in named if not one.startswith("data:")]:
                if name == site.CLIENT.name and not site.CLIENT.is_file():
                    continue
                async with session.get(f"{url}/{name}") as answer:
                    assert answer.status == 200, name
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"

    visit(files)


def test_nothing_outside_the_page_is_served() -> None:
    async def climb(session: aiohttp.ClientSession, url: str) -> list[int]:
        got = []
        for path in ("/../site.py", "/%2e%2e/site.py", "/page/index.html", "/vendor/", "/..%2fsite.py"):
            async with session.get(url + path) as answer:
                got.append(answer.status)
        return got

    assert visit(climb) == [404] * 5


def test_without_livekits_client_web_says_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "CLIENT", tmp_path / "livekit-client.umd.js")
    with pytest.raises(WebError, match="make page"):
        site.check()


def test_without_a_livekit_server_web_says_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WebError, match="make livekit"):
        room_server.program()
    (tmp_path / ".tools").mkdir()
    (tmp_path / ".tools" / "livekit-server").touch()
    assert room_server.program() == str(tmp_path / ".tools" / "livekit-server")


def test_a_livekit_server_that_does_not_start_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "livekit-server"
    broken.write_text("#!/bin/sh\necho first; echo out of order; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(WebError, match="out of order"), room_server.serving("127.0.0.1", tmp_path / "log"):
        pass


@pytest.mark.parametrize("who", ["web", "tests"])
def test_a_running_server_has_its_secret_on_no_command_line(
    tmp_path: Path, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = subprocess.run([ROOT / ".ci" / "livekit-server"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("livekit-server is not here (make livekit)")
    monkeypatch.setenv("PATH", f"{Path(found.stdout.strip()).parent}:{os.environ['PATH']}")
    with contextlib.ExitStack() as held:
        server: room_server.Rooms | Server = (
            held.enter_context(room_server.serving("127.0.0.1", tmp_path / "log"))
            if who == "web"
            else held.enter_context(serving(found.stdout.strip(), tmp_path))
        )
        known = _administrator(server.key, server.secret)
        headers = {"Authorization": f"Bearer {known}", "Content-Type": "application/json"}
        url = f"{server.url.replace('ws', 'http', 1)}/twirp/livekit.RoomService/ListRooms"
        with urllib.request.urlopen(urllib.request.Request(url, b"{}", headers), timeout=5) as answer:
            assert answer.status == 200  # it knows the secret
        children = psutil.Process().children(recursive=True)
        lines = [(Path("/proc") / str(one.pid) / "cmdline").read_text().replace("\0", " ") for one in children]
    assert any("livekit-server" in line for line in lines)
    assert [line for line in lines if server.secret in line] == []


def _administrator(key: str, secret: str) -> str:
    return api.AccessToken(key, secret).with_grants(api.VideoGrants(room_list=True)).to_jwt()


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(WebError, match=f"port {port} cannot be used .*--port 0"),
            listening("127.0.0.1", port),
        ):
            pass


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99999), ("127.0.0.1", -1), ("x" * 70, 0)])
def test_a_port_or_a_host_that_is_none_is_named_with_what_to_do(host: str, port: int) -> None:
    with pytest.raises(WebError, match=f"port {port} cannot be used .*--port 0"), listening(host, port):
        pass


@pytest.mark.skipif(not site.CLIENT.is_file(), reason="LiveKit's client for browsers is not here (make page)")
def test_web_on_a_port_that_is_taken_ends_with_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("web", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, "choose another with --port" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_livekits_client_is_taken_from_npm_only_if_it_is_the_expected_file(tmp_path: Path) -> None:
    script = ROOT / ".ci" / "livekit-client"
    (tmp_path / ".ci").mkdir()
    shutil.copy(script, tmp_path / ".ci" / script.name)
    changed = tmp_path / "package" / "dist" / "livekit-client.umd.js"
    changed.parent.mkdir(parents=True)
    changed.write_text("alert()")
    (tmp_path / "package" / "LICENSE").touch()
    subprocess.run(["tar", "-czf", "changed.tgz", "package"], cwd=tmp_path, check=True)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp {tmp_path}/changed.tgz "$4/livekit-client-0.tgz"\n')
    npm.chmod(0o755)
    path = f"{npm.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [tmp_path / ".ci" / script.name], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "is not the file that it was" in done.stderr) == (1, True)
    assert not list(tmp_path.glob("src/**/*.js"))


@pytest.mark.skipif(not site.CLIENT.is_file(), reason="LiveKit's client for browsers is not here (make page)")
def test_the_wheel_carries_the_page_and_livekits_client_with_its_licence(tmp_path: Path) -> None:
    made = subprocess.run(
        ["hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    carried = {"page/index.html", "page/page.js", "page/page.css", "vendor/livekit-client.umd.js"}
    assert {f"hearout/_web/{name}" for name in {*carried, "vendor/livekit-client.LICENSE"}} <= names

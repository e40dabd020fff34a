"""Anchors: what a book is, told to a place outside its database; and checkpoints that other tools can check."""

import base64
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness.databases import SLOW, locked, until
from harness.ledger_workers import MINE, NOTICE, NOW, Opened, receipt, writing
from hearout.errors import LedgerError
from hearout.ledger import Ledger
from hearout.ledger import _anchors as anchoring
from hearout.ledger import _tables as tables
from hearout.ledger import _writer as writer_module
from hearout.ledger._checkpoint import Checkpoint, anchors
from hearout.ledger._command import main
from hearout.ledger._entries import Written
from hearout.ledger._environment import ledger_from
from hearout.ledger._merkle import EMPTY, Tree
from hearout.ledger._read import verify
from hearout.ledger._signing import Signer
from hearout.ledger._writer import LedgerWriter


class Endpoint(HTTPServer):
    """Takes what is posted to it."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.posted, self.entered = status, list[Any](), list[str]()
        super().__init__(("127.0.0.1", 0), _Takes)

    @property
    def url(self) -> str:
        return f"http://ann:s3cr%C3%A9t%E2%82%AC@127.0.0.1:{self.server_port}/anchors?token=s3cret"


class _Takes(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        self.server.entered.append(known)
        if known == "ann:s3crét€":
            self.server.posted.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    with Endpoint(getattr(request, "param", 200)) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/receipts.db"


def call(url: str, where: str, utterances: int = 1) -> None:
    """A call, from its first word to its end."""

    async def hold(writer: LedgerWriter) -> None:
        for number in range(utterances):
            await writer.owe("room", f"u{number}", NOTICE, now=NOW)
            assert await writer.settle(receipt(f"u{number}"), call="room", now=NOW) is Written.LEDGER

    writing(Ledger(url, anchors=where), hold, patience=SLOW)


def test_each_calls_end_is_anchored_in_a_file_that_is_its_owners(url: str, tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    call(url, str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)  # by the team, for an auditor
    call(url, str(path))
    assert [one.size for one in anchors(path, "main")] == [2, 4]
    assert path.stat().st_mode & 0o777 == 0o640
    assert MINE not in path.read_text()
    verdict = verify(Opened(url), anchors=anchors(path))
    assert (verdict.fault, verdict.anchored) == (None, 4)


def test_an_anchor_may_be_a_line_of_the_log(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hearout.ledger"):
        call(url, "log")
    path = tmp_path / "agent.log"
    path.write_text("".join(f"2027-01-15 08:00:00 INFO {record.message}\n" for record in caplog.records) + "{ other\n")
    assert verify(Opened(url), anchors=anchors(path)).anchored == 2


def test_an_anchor_may_be_posted_to_an_endpoint(url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    call(url, endpoint.url)
    (posted,) = endpoint.posted
    path = tmp_path / "anchors.jsonl"
    path.write_text(json.dumps(posted))
    assert verify(Opened(url), anchors=anchors(path)).anchored == 2


def test_who_enters_is_whom_the_url_names_and_never_of_netrc(
    url: str, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    call(url, endpoint.url)
    call(url, f"http://127.0.0.1:{endpoint.server_port}/anchors")
    assert endpoint.entered == ["ann:s3crét€", ""]


def test_anchors_go_by_the_proxy_of_the_environment(
    url: str, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{endpoint.server_port}")
    monkeypatch.setenv("no_proxy", "")
    call(url, endpoint.url.replace(f"127.0.0.1:{endpoint.server_port}", "anchors.invalid"))
    assert len(endpoint.posted) == 1


@pytest.mark.parametrize("where", ["http://[s3cret/x", "http://:99999/s3cret"])
def test_a_place_that_is_no_url_is_said_so(url: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    call(url, where)
    assert "HEAROUT_ANCHORS is no URL" in caplog.text


@pytest.mark.parametrize("endpoint", [302, 500], indirect=True)
def test_an_endpoint_that_fails_is_logged_without_its_password(
    url: str, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    call(url, endpoint.url)
    assert len(endpoint.posted) == 1  # and not a second one, elsewhere
    assert "the anchor of 2 rows of book 'main' could not be kept: the endpoint answered" in caplog.text
    assert not {part for part in ("s3cret", "s3cr", "%C3%A9") if part in caplog.text}


def test_a_folder_that_is_not_there_is_logged_and_no_receipt_waits(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call(url, str(tmp_path / "nowhere" / "anchors.jsonl"))
    assert "could not be kept: No such file or directory" in caplog.text
    assert verify(Opened(url)).rows == 2


def test_while_rows_are_written_an_anchor_goes_out_at_an_interval(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "EVERY", 0.0)
    monkeypatch.setattr(writer_module, "RETRY", 0.05)
    path = tmp_path / "anchors.jsonl"

    async def hold(writer: LedgerWriter) -> None:
        await writer.settle(receipt(), call="room", now=NOW)
        await until(lambda: path.exists() and path.read_text() and [one.size for one in anchors(path)] == [1])
        await writer.owed("room")  # nothing was written, so nothing is told

    writing(Ledger(url, anchors=str(path)), hold, patience=SLOW)
    assert [one.size for one in anchors(path)] == [1]


def test_a_ledger_that_is_down_at_the_end_has_no_anchor(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "WAIT", 0.2)
    path = tmp_path / "anchors.jsonl"
    Opened(url).owed("room")

    async def hold(writer: LedgerWriter) -> None:
        with locked(tmp_path / "receipts.db"):
            assert await writer.settle(receipt(), call="room", now=NOW) is Written.SPOOLED
            await writer.close()

    writing(Ledger(url, anchors=str(path)), hold, patience=SLOW)
    assert not path.exists()


def test_while_one_is_on_its_way_another_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    told, go_on = list[str](), threading.Event()

    async def hangs(_url: str, line: str) -> None:
        told.append(line)
        go_on.wait(SLOW)

    monkeypatch.setattr(anchoring, "_post", hangs)
    one = anchoring.Anchors("https://anywhere.example")
    for size in range(3):
        one.tell(Checkpoint("main", size, EMPTY.hex(), EMPTY.hex(), NOW))
    go_on.set()
    one.wait(SLOW)
    assert len(told) == 1


def test_the_environment_says_where_anchors_go(url: str) -> None:
    ledger = ledger_from({"HEAROUT_LEDGER": url, "HEAROUT_ANCHORS": "log"})
    assert ledger is not None
    assert ledger.anchors == "log"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nothing", "has no anchor of book 'main'; HEAROUT_ANCHORS says where"),
        ('{"schema": "hearout.anchor"', "line 1 of .* is a damaged anchor: it cannot be read"),
        ('{"schema": "hearout.anchor"}', "is a damaged anchor: its field book is missing or wrong"),
        ('{"x": "hearout.anchor"}', "is a damaged anchor: it is no anchor"),
        ({"size": True}, "its field size is missing or wrong"),
        ({"size": -1}, "its root, head or size is wrong"),
        ({"root": "00"}, "its root, head or size is wrong"),
        ({"book": "other"}, "has no anchor of book 'main'"),
    ],
)
def test_a_file_without_anchors_or_with_damaged_ones_is_one_sentence(tmp_path: Path, line: Any, says: str) -> None:
    path = tmp_path / "anchors.jsonl"
    whole = Checkpoint("main", 1, EMPTY.hex(), EMPTY.hex(), NOW).to_json()
    path.write_text(line if isinstance(line, str) else json.dumps(whole | line))
    with pytest.raises(LedgerError, match=says):
        anchors(path, "main")
    with pytest.raises(LedgerError, match="cannot be read: No such file"):
        anchors(tmp_path / "nowhere", "main")


def test_the_command_prints_an_anchor_and_checks_against_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, path = Opened(url), tmp_path / "anchors.jsonl"
    where = ["--ledger", url]
    ledger.owed("room")
    assert main(["anchor", *where]) == 1
    assert "has no row, so there is nothing to anchor" in capsys.readouterr().err
    ledger.settle(receipt("first"), call="room", by="a", now=NOW)
    assert main(["anchor", *where]) == 0
    path.write_text(capsys.readouterr().out)
    ledger.settle(receipt("second"), call="room", by="a", now=NOW)
    assert main(["verify", "--anchors", str(path), *where]) == 0
    told = capsys.readouterr().out
    assert "Anchored: 1." in told
    assert "Not shown: who wrote rows 2 to 2, and whether others were there before" in told
    forged = json.loads(path.read_text()) | {"root": "00" * 32}
    path.write_text(json.dumps(forged))
    assert main(["verify", "--anchors", str(path), *where]) == 1
    assert "row 1 (settled: utterance 'first' in call 'room'): what was anchored at" in capsys.readouterr().out


# The checkpoint, as tools that are not ours read it


def test_a_signed_checkpoint_is_a_note_that_others_can_check(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As C2SP's signed-note and tlog-checkpoint have it, by nothing of ours but the text."""
    signer = Signer(Ed25519PrivateKey.generate())
    ledger = Opened(url, "my book", signer=signer)
    ledger.settle(receipt(), call="room", by="a", now=NOW)
    checkpoint = ledger.checkpoint()
    assert checkpoint is not None

    text, _, signatures = checkpoint.note.partition("\n\n")
    origin, size, root, *extensions = text.split("\n")
    assert (origin, size, len(base64.b64decode(root)), all(extensions)) == ("hearout/my_book", "1", 32, True)
    dash, name, encoded = signatures.removesuffix("\n").split(" ")
    key = signer.verifier.public
    key_hash = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
    signature = base64.b64decode(encoded)
    assert (dash, signature[:4]) == ("—", key_hash)
    Ed25519PublicKey.from_public_bytes(key).verify(signature[4:], f"{text}\n".encode())

    tree = Tree()
    tree.append(bytes.fromhex(checkpoint.head))
    assert base64.b64decode(root) == tree.root


def test_a_note_of_another_checkpoint_or_key_is_not_taken() -> None:
    signer, other = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    one = Checkpoint("main", 3, "00" * 32, "11" * 32, NOW)
    signed = replace(one, note=one.signed(signer))
    assert signed.is_signed(signer.verifier)
    assert not signed.is_signed(other.verifier)
    for changed in ({"size": 2}, {"root": "22" * 32}, {"head": "22" * 32}, {"at": NOW + 1}, {"book": "b"}):
        assert not replace(signed, **changed).is_signed(signer.verifier)
    for note in ("", one.text, f"{one.text}\n", f"{one.text}\n— main !", signed.note.replace("— main", "— other")):
        assert not replace(one, note=note).is_signed(signer.verifier)

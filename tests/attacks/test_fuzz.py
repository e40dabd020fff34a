"""Hostile documents: each reader gives a value, or says in a sentence what is wrong."""

import asyncio
import hashlib
import io
import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.hostile import EXAMPLES, attack
from harness.ledger_workers import NOTICE, NOW, Opened, receipt
from harness.questions import CONSENT_GIVEN
from hearout._console import script
from hearout._local import chat, llm, smollm2, streams, upstream
from hearout._local.choice import answers, choose
from hearout._room import page, rendered
from hearout._session import call_ledger
from hearout._text import language
from hearout._web.records import Recordings
from hearout.announcement import Announcement
from hearout.errors import (
    AnnouncementError,
    ConsoleError,
    LedgerError,
    PolicyError,
    ReceiptError,
    ReportError,
    ScriptError,
)
from hearout.ledger import Ledger
from hearout.ledger._chain import GENESIS, row_hash
from hearout.ledger._checkpoint import anchors
from hearout.ledger._entries import promise, settlement
from hearout.ledger._questions import asked_record, questions
from hearout.ledger._read import entries, rows, verify
from hearout.ledger._signing import Signer
from hearout.ledger._spool import ASIDE, Spool
from hearout.ledger._verify import verify_export
from hearout.measure import MeasureError
from hearout.measure._audio import read as read_audio
from hearout.policy import Policy, Retention
from hearout.prepare import _orders as orders
from hearout.receipts import Listener, Receipt
from hearout.receipts._codec import from_json, question_from_json, question_to_json, sha256, to_json

KEPT = {"words": Retention.KEEP, "text": Retention.KEEP}


def reads(read: Callable[[bytes], object], *refuses: type[Exception]) -> Callable[[bytes], None]:
    """The reader, which may refuse with these errors alone, and with a sentence."""

    def reading(content: bytes) -> None:
        try:
            read(content)
        except refuses as error:
            said = str(error)
        else:
            return
        assert said

    return reading


def as_json(content: bytes) -> Any:
    """A document as the reader's caller has parsed it; bytes that are none are not the reader's."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def make_key() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def filled(url: str) -> Opened:
    """A book with a row of each kind that is written while a call goes on."""
    ledger = Opened(url)
    owed = ledger.owe("room-1", "notice", NOTICE, by="a", now=NOW)
    said = [{"kind": "mark", "at": 1.0, "characters": 4}, {"kind": "spoken", "at": 1.0, "text": "hello"}]
    ledger.renew("room-1", "notice", by="a", now=NOW, played=1.0, held=said)
    before = receipt(call="room-1", caller="ann", listeners=())
    after = replace(before, listeners=(Listener("ann", ((0.0, 20.0),)),))
    row = ledger.settle(before, call="room-1", by="a", now=NOW + 8, owed=owed.entry)
    ledger.amend(before, after, call="room-1", by="a", now=NOW + 20, settled=row.entry)
    ledger.append(asked_record(CONSENT_GIVEN, by="a", now=NOW + 30, text=Retention.KEEP))
    ledger.owe("room-2", "notice", NOTICE, by="a", now=NOW)
    ledger.renew("room-2", "notice", by="a", now=NOW, played=1.0, held=said)
    return ledger


# What a participant sends


REPORT = {"received": 48_000, "concealed": 0, "allowed": True, "muted": False, "paused": False}


def test_a_report_is_between_nothing_and_what_was_sent() -> None:
    def read(content: bytes) -> None:
        assert 0.0 <= rendered.seconds(content.decode(errors="surrogateescape"), sent=1.0, passed=1.0) <= 1.0

    attack(REPORT, reads(read, ReportError))


def test_a_button_is_pressed_or_nothing_is() -> None:
    def read(content: bytes) -> None:
        name, choice = page._pressed(content.decode(errors="surrogateescape"))
        assert isinstance(name, str)
        assert isinstance(choice, str)

    attack({"id": "terms", "choice": "yes"}, read)


# Receipts


def test_a_receipt_is_one_or_says_which_field_is_wrong() -> None:
    def read(content: bytes) -> None:
        made = from_json(as_json(content))
        assert isinstance(made, Receipt)
        json.dumps(to_json(made))

    attack(to_json(receipt()), reads(read, ReceiptError))


def test_a_questions_record_is_one_or_says_which_field_is_wrong() -> None:
    def read(content: bytes) -> None:
        json.dumps(question_to_json(question_from_json(as_json(content))))

    attack(question_to_json(CONSENT_GIVEN), reads(read, ReceiptError))


# Files


def in_file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Reads the bytes from a file."""

    def reading(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return reading


def sound(samples: int = 800, rate: int = 16_000) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(b"\x01\x02" * samples)
    return content.getvalue()


def test_an_announcements_manifest_is_whole_or_is_named(tmp_path: Path) -> None:
    wav, text = sound(), "Hello."
    (tmp_path / "hello-0.wav").write_bytes(wav)
    stretch = {"begin": 0.0, "end": 0.05, "text": text, "exact": True}
    manifest = {
        **{"schema": 1, "id": "hello", "text": text, "text_sha256": sha256(text), "wav": "hello-0.wav"},
        **{"wav_sha256": hashlib.sha256(wav).hexdigest(), "sentences": [stretch], "words": [stretch], "voice": "one"},
        **{"model": "two", "lufs": -16.0, "true_peak_dbtp": -1.0, "wer": 0.0, "made_at": "2027-01-31"},
    }

    def read(path: Path) -> None:
        made = Announcement.load(path)
        assert all(isinstance(frame.samples_per_channel, int) for frame in made._cut(0.0))

    attack(manifest, reads(in_file(tmp_path / "hello.json", read), AnnouncementError))

    def with_wav(content: bytes) -> None:
        (tmp_path / "hello-0.wav").write_bytes(content)
        changed = manifest | {"wav_sha256": hashlib.sha256(content).hexdigest()}
        (tmp_path / "hello.json").write_text(json.dumps(changed))
        read(tmp_path / "hello.json")

    attack(wav, reads(with_wav, AnnouncementError))
    for changed in (
        wav[:12] + b"\0" + wav[12:],
        wav[:24] + bytes(4) + wav[28:],
        wav[:-1],
    ):  # a chunk, the rate, a sample
        with pytest.raises(AnnouncementError):
            with_wav(changed)


ORDERS = b'lufs = -18.0\n[announcement.notice]\ntext = "This call is recorded."\nvoice = "two"\nwhole = true\n'


def test_what_is_to_be_prepared_is_read_or_named(tmp_path: Path) -> None:
    attack(ORDERS, reads(in_file(tmp_path / "all.toml", lambda path: orders.read([path], {})), AnnouncementError))
    attack(b"Hello.\n", reads(in_file(tmp_path / "one.txt", lambda path: orders.read([path], {})), AnnouncementError))


SCRIPT = b"""
[call]
ends_after = 2.0
expect = "yes"
[[caller]]
at = 1.5
say = "hi"
[[caller]]
from_end = -1
keys = "1"
"""


def test_a_scripted_call_is_read_or_its_line_is_named(tmp_path: Path) -> None:
    attack(SCRIPT, reads(in_file(tmp_path / "call.toml", script.read), ScriptError))


def test_a_recording_is_read_or_named(tmp_path: Path) -> None:
    attack(sound(200), reads(in_file(tmp_path / "call.wav", read_audio), MeasureError))


def test_where_a_session_begins_in_a_recording_is_known_or_not(tmp_path: Path) -> None:
    attack({"session_at": 1.5}, in_file(tmp_path / "timeline.json", Recordings.session_at))


def test_more_words_are_a_languages_or_are_refused() -> None:
    def read(content: bytes) -> None:
        more = as_json(content)
        policy = Policy(more_words=more)
        language("en", policy.more_words).lexicon.clauses("yes righto no")

    attack({"yes": ["aye", "aye aye*"], "backchannels": ["righto."]}, reads(read, PolicyError))


# The ledger


def test_of_a_spool_no_line_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    aside = folder / ASIDE / "dead.jsonl"
    owed = promise(
        "room", "notice", NOTICE, agent="a", policy={}, by="a", now=NOW, words=Retention.KEEP, keep=Retention.KEEP
    )
    over = settlement(receipt(call="room"), "room", by="a", now=NOW, **KEPT)

    def read(content: bytes) -> None:
        aside.unlink(missing_ok=True)
        (folder / "dead.jsonl").write_bytes(content + b"\n")
        spool = Spool(folder, "me")
        found = [record for left in spool.orphans() for record in left]
        kept = aside.read_bytes().split(b"\n")[:-1] if aside.exists() else []
        assert len(found) + len(kept) == sum(bool(line) for line in content.split(b"\n"))
        for record in found:
            record.to_json()

    for record in (owed, over):
        attack(record.to_json(), read)
    assert caplog.records


def test_an_anchor_is_read_or_its_line_is_named(tmp_path: Path) -> None:
    book = Opened(f"sqlite:///{tmp_path}/receipts.db")
    book.owe("room", "notice", NOTICE, by="a", now=NOW)
    anchor = book.checkpoint()
    assert anchor is not None
    key = make_key()

    def read(path: Path) -> None:
        for one in anchors(path):
            assert not one.is_signed(key.verifier)

    attack(anchor.to_json(), reads(in_file(tmp_path / "anchors", read), LedgerError))
    attack(
        anchor.signed(key).encode(),
        lambda note: replace(anchor, note=note.decode(errors="replace")).is_signed(key.verifier),
    )


def test_an_export_is_right_or_its_first_wrong_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    for call in (None, "room-2"):
        lines = list(rows(filled(f"sqlite:///{tmp_path}/{call}.db"), call=call))

        def read(content: bytes, lines: list[Any] = lines) -> None:
            others = [json.dumps(line).encode() for line in lines[1:]]
            path.write_bytes(b"\n".join([content, *others]))
            _, verdict = verify_export(path)
            assert verdict.fault is None or verdict.fault.what

        attack(lines[0], reads(read, LedgerError))


def test_a_row_that_somebody_wrote_anew_is_judged_and_breaks_nothing(tmp_path: Path) -> None:
    lines = list(rows(filled(f"sqlite:///{tmp_path}/receipts.db")))
    path = tmp_path / "book.jsonl"
    for line in lines[:-1]:
        content = json.loads(line["content"])

        def read(content: bytes, line: dict[str, Any] = line) -> None:
            text = content.decode(errors="replace")
            anew = line | {
                "seq": 1,
                "before": GENESIS,
                "content": text,
                "hash": row_hash(line["book"], 1, GENESIS, text),
            }
            path.write_text(json.dumps(anew) + "\n")
            verify_export(path)

        attack(content, reads(read, LedgerError), times=EXAMPLES // 4)


COLUMNS = {
    "hearout_rows": ("content", "hash", "signature"),
    "hearout_said": ("caller", "text", "names", "salt"),
    "hearout_leases": ("held", "played", "until"),
    "hearout_heads": ("peaks", "hash", "note", "seq", "at"),
}


@pytest.mark.parametrize(("table", "column"), [(table, one) for table, columns in COLUMNS.items() for one in columns])
def test_a_changed_column_is_named_and_breaks_nothing(tmp_path: Path, table: str, column: str) -> None:
    url = f"sqlite:///{tmp_path}/receipts.db"
    ledger = filled(url)
    with ledger.transaction() as connection:
        before = connection.exec_driver_sql(f"SELECT rowid, {column} FROM {table}").all()
    number, value = next(((one, value) for one, value in before if value not in (None, "")), before[0])

    def read(content: bytes) -> None:
        put(content.decode(errors="replace"))
        for look in (look_at_all, look_at_what_is_owed):
            reads(lambda _, look=look: look(ledger), LedgerError)(content)  # type: ignore[misc]

    def put(text: object) -> None:
        with ledger.transaction() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (text, number))

    try:
        document = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        document = value
    attack(document, read, times=EXAMPLES // 4)


def look_at_all(ledger: Ledger) -> None:
    verify(ledger)
    list(rows(ledger))
    list(questions(ledger))
    for entry in entries(ledger, now=NOW + 1000):
        if entry.receipt is not None:
            to_json(entry.receipt)


def look_at_what_is_owed(ledger: Ledger) -> None:
    for call in ("room-1", "room-2", "room-3"):
        for owed in ledger.owed(call):
            assert call_ledger._inherited(owed).asked.id == owed.id


# Models' servers


def streamed(content: bytes) -> upstream.Server:
    """A model's server that answers so."""

    class Answer:
        headers: ClassVar = {"content-type": "text/event-stream"}

        async def iter_lines(self) -> AsyncIterator[str]:
            for line in content.decode(errors="replace").splitlines():
                yield line

    class Fake(upstream.Server):
        @asynccontextmanager
        async def _asked(self, body: object) -> AsyncIterator[Answer]:
            yield Answer()

    return Fake(upstream.Upstream("http://127.0.0.1:1/v1"))


PIECE = {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}], "created": 1}


@pytest.mark.parametrize("small", [False, True])
def test_an_answer_is_streamed_or_the_trouble_is_told(*, small: bool) -> None:
    def read(content: bytes) -> None:
        server = streamed(b"data: " + content + b"\n\ndata: [DONE]\n\n")
        asked = smollm2.SmolLM2(server) if small else server

        async def main() -> list[bytes]:
            return [one async for one in asked.events({"messages": [{"role": "user", "content": "Hi"}]})]

        assert asyncio.run(main())

    attack(PIECE, reads(read, upstream.Trouble))


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Who are you?"}]},
]


def test_a_chat_request_is_answered_whatever_is_in_it() -> None:
    def read(content: bytes) -> None:
        messages = as_json(content)
        if isinstance(messages, list) and all(isinstance(one, dict) for one in messages):
            body = {"messages": messages, "model": messages and messages[0].get("role")}
            assert b"".join(chat._events(body, [llm.reply(messages)]))
            smollm2.request(messages)

    attack(MESSAGES, read)


def test_sound_for_the_local_stt_is_samples_or_is_refused() -> None:
    def read(content: bytes) -> None:
        message = as_json(content)
        if isinstance(message, dict):
            streams._sample_rate(message, 16_000)
            assert streams._samples(message).dtype == np.int16

    attack({"audio": "AAAA", "sample_rate": 16_000, "encoding": "pcm_s16le"}, reads(read, streams._Refused))


ENVIRONMENT = {"HEAROUT_LLM": "http://127.0.0.1:8080/v1", "HEAROUT_LLM_MODEL": "qwen", "LIVEKIT_URL": "ws://127.0.0.1"}


def test_an_environment_makes_sense_or_the_variable_is_named() -> None:
    def read(content: bytes) -> None:
        given = as_json(content)
        if isinstance(given, dict) and all(isinstance(one, str) for one in given.values()):
            answers(given)
            choose(given | {"LIVEKIT_API_KEY": "a", "LIVEKIT_API_SECRET": "b"})

    attack(ENVIRONMENT, reads(read, ConsoleError))

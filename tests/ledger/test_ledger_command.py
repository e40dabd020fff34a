"""`hearout receipts`: tables for a person, JSON for a program, and one clear sentence for what is wrong."""

import getpass
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness import ROOT
from harness.ledger_workers import MINE, NOTICE, NOW, Opened, cut_in, receipt, receipts_command
from hearout.ledger import Ledger
from hearout.ledger import _tables as tables
from hearout.ledger._command import COMMANDS, FLAGS, main
from hearout.receipts import Attempt, Cause, Fate, Held, Kind, Level, Listener, Outcome
from hearout.receipts._codec import from_json

DAY = "2027-01-15"
DOCUMENTATION = (ROOT / "docs" / "receipts.md").read_text()
assert datetime.fromtimestamp(NOW, UTC).isoformat().startswith(DAY)


@pytest.fixture
def book(url: str) -> Opened:
    """A call that went well and one that did not, an hour later."""
    ledger = Opened(url)
    ledger.owe("room-1", "recording-notice", NOTICE, by="a", now=NOW, agent="Front desk")
    present = (Listener("ann", ((0.0, 20.0),), reported=7.0),)
    finished = receipt("recording-notice", caller="ann", listeners=present, gap=0.017, sounds=2)
    ledger.settle(finished, call="room-1", by="a", now=NOW + 8)
    ledger.owe("room-2", "recording-notice", NOTICE, by="b", now=NOW + 3600, agent="Front desk")
    ledger.settle(cut_in("recording-notice"), call="room-2", by="b", now=NOW + 3604)
    ledger.owe("room-2", "farewell", "Goodbye.", by="b", now=NOW + 3610)
    ledger.renew("room-2", "farewell", by="b", played=0.4, now=NOW + 3611)
    return ledger


def listed(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], *filters: str, **options: Any
) -> list[tuple[str, str, str]]:
    assert receipts_command(ledger, "list", "--json", *filters, **options) == 0
    return [(one["call"], one["id"], one["standing"]) for one in json.loads(capsys.readouterr().out)]


def test_the_list_is_the_table_of_80_columns_that_the_documentation_shows(
    book: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receipts_command(book) == 0
    printed = capsys.readouterr().out
    assert f"```text\n{printed}```" in DOCUMENTATION
    assert printed.splitlines() == [
        "promised (UTC)      call           utterance      outcome     level        played",
        "2027-01-15 08:00:00 room-1         recording-not… finished    reported      7.0 s",
        "2027-01-15 09:00:00 room-2         recording-not… cut in      synthesised   3.0 s",
        "2027-01-15 09:00:10 room-2         farewell       unknown     nothing       0.4 s",
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--call", "room-2"], ["cut in", "unknown"]),
        (["--since", f"{DAY}T09:00"], ["cut in", "unknown"]),
        (["--until", f"{DAY}T09:00:00Z"], ["finished"]),
        (["--since", f"{DAY}T09:30+01:00", "--until", f"{DAY}T09:00:05"], ["cut in"]),
        (["--outcome", "finished,unknown"], ["finished", "unknown"]),
        (["--level", "reported"], ["finished"]),
        (["--level", "nothing, synthesised"], ["cut in", "unknown"]),
        (["--call", "room-9"], []),
    ],
)
def test_the_list_is_filtered(
    book: Opened, capsys: pytest.CaptureFixture[str], filters: list[str], expected: list[str]
) -> None:
    assert [standing for _, _, standing in listed(book, capsys, *filters)] == expected


def test_what_is_being_said_is_playing(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(book, capsys, "--outcome", "playing", after=3612.0) == [("room-2", "farewell", "playing")]
    assert receipts_command(book, "show", "farewell", after=3612.0) == 0
    assert "standing    playing, 0.4 s played" in capsys.readouterr().out


def test_a_list_without_utterances_says_so(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "--call", "room-9") == 0
    assert capsys.readouterr().out == "No utterance in book 'main' is like that.\n"


def test_show_says_all_that_is_known(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "show", "recording-notice", "--call", "room-1") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        "utterance   recording-notice",
        "call        room-1",
        "agent       Front desk",
        "promised    2027-01-15 08:00:00 UTC",
        "over        2027-01-15 08:00:08 UTC",
        "rows        1 and 2",
        "outcome     finished",
        "level       reported",
        f"text        “{NOTICE}”",
        f"SHA-256     {receipt().text_sha256}",
        "played      7.00 of 7.00 s; 7.00 s were made",
        "attempt     1.00–8.00 s of the call: 7.00 s, from its second 0.00",
        "listener    ann: reported (present 7.00 s, reported 7.00 s, acknowledged 0.00 s)",
        f"caller      3.00 s: “{MINE}” (spoken) → delivered",
        "sounds      2 without words",
        "gap         0.017 s to the answer",
    ]


def test_what_became_known_later_is_shown_listed_and_exported(
    book: Opened, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = receipt("poll", caller="ann", listeners=(Listener("ann", ((0.0, 20.0),)),))
    after = receipt("poll", caller="ann", listeners=(Listener("ann", ((0.0, 20.0),), acknowledged_at=60.0),))
    row = book.settle(before, call="room-3", by="a", now=NOW)
    book.amend(before, after, call="room-3", by="a", now=NOW + 61, settled=row.entry)
    assert receipts_command(book, "show", "poll") == 0
    printed = capsys.readouterr().out.splitlines()
    assert "amended     2027-01-15 08:01:01 UTC: more became known of who heard it" in printed
    assert "rows        6 and 7" in printed
    assert "level       acknowledged" in printed
    assert listed(book, capsys, "--level", "acknowledged") == [("room-3", "poll", "finished")]
    assert receipts_command(book, "export", "--call", "room-3") == 0
    exported = json.loads(capsys.readouterr().out)
    assert (exported["amended"], exported["rows"]) == ("2027-01-15T08:01:01+00:00", [6, 7])
    assert from_json(exported["receipt"]).listeners == after.listeners
    assert receipts_command(book, "export", "--chain", "--call", "room-3") == 0
    *lines, _ = capsys.readouterr().out.splitlines()
    assert [json.loads(json.loads(line)["content"])["kind"] for line in lines] == ["settled", "amended"]
    assert receipts_command(book, "forget", "room-3") == receipts_command(book, "verify") == 0


def test_show_says_what_went_wrong(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Opened(url)
    told = receipt(
        outcome=Outcome.CUT_IN,
        why="key 0",
        cut_in_by="ann",
        played=3.0,
        expected=None,
        attempts=(Attempt(1.0, 5.0, 3.0, holes=((1.0, 2.0),), ended_why="key 0"),),
        holes=((1.0, 2.0),),
        held=((Held("0", 4.0, Kind.PRESSED), Fate.CUT_IN),),
    )
    ledger.settle(told, call="room", by="a", now=NOW)
    ledger.forget("room", by="ann", now=NOW, text=True)
    assert receipts_command(ledger, "show", "notice") == 0
    printed = capsys.readouterr().out
    for line in (
        "agent       –",
        "promised    never",
        "outcome     cut in: ~",
        "cut in by   ~",
        "text        not kept",
        "played      3.00 s of an unknown length; 7.00 s were made",
        "attempt     1.00–5.00 s of the call: 3.00 s, from its second 0.00;",
        "hole        1.00–2.00 s of it were not played",
        "caller      4.00 s: words that are not kept (pressed) → cut in",
    ):
        assert line in re.sub("~[0-9a-f]{24}", "~", printed).splitlines()


def test_show_says_nothing_of_what_a_dead_agent_had_made(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    """It said that 0.00 s were made, beside more that was played: nobody knows."""
    book.owe("room-9", "safety", "Leave now.", by="a", now=NOW)
    book.renew("room-9", "safety", by="a", played=2.5, now=NOW + 3)
    assert receipts_command(book, "show", "safety") == 0
    assert "played      2.50 s of an unknown length" in capsys.readouterr().out.splitlines()


def test_show_gives_json_that_is_a_receipt_again(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "show", "recording-notice", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["promised"] == "2027-01-15T08:00:00+00:00"
    assert from_json(first["receipt"]).held[0][0].text == MINE
    assert from_json(second["receipt"]).outcome is Outcome.CUT_IN


def test_words_cannot_move_the_cursor(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Opened(url)
    ledger.settle(receipt("a\x1b[2Jb", text="\x1b[31mred\ud83d"), call="room\r", by="a", now=NOW)
    assert receipts_command(ledger) == receipts_command(ledger, "show", "a\x1b[2Jb") == 0
    assert not {"\x1b", "\r"} & set(capsys.readouterr().out)


def test_verify_finds_a_whole_book_whole_and_gives_its_head(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "verify") == 0
    printed = capsys.readouterr().out
    assert "Book 'main': each row is as it was written, after the one before.\nRows: 5. Signed: 0. " in printed
    assert "\nNot shown: who wrote the rows, and whether others were there before: no row is signed.\n" in printed
    assert receipts_command(book, "verify", "--json") == 0
    verdict = json.loads(capsys.readouterr().out)
    known = {"book": "main", "rows": 5, "head": verdict["head"], "signed": 0, "fault": None, "anchored": 0}
    assert verdict == known | {"unknown": verdict["unknown"]}
    assert verdict["unknown"] == [
        "who wrote the rows, and whether others were there before: no row is signed",
        "whether an agent wrote what was so",
    ]
    assert verdict["head"] in printed
    assert receipts_command(book, "verify", "--head", verdict["head"]) == 0
    assert receipts_command(book, "verify", "--head", "0123") == 1


def test_verify_names_the_first_bad_row_and_fails(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    with book.transaction() as connection:
        changed = sa.func.replace(tables.ROWS.c.content, "synthesised", "played")
        connection.execute(tables.ROWS.update().where(tables.ROWS.c.seq == 4).values(content=changed))
    assert receipts_command(book, "verify") == 1
    assert capsys.readouterr().out == (
        "Book 'main': row 4 (settled: utterance 'recording-notice' in call 'room-2'): its content is not the "
        "one that its hash was made of: it was changed.\nGood before it: 3.\n"
    )
    assert receipts_command(book, "verify", "--json") == 1
    assert json.loads(capsys.readouterr().out)["fault"]["seq"] == 4


def test_a_byte_that_was_changed_in_the_file_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "receipts.db"
    ledger = Opened(f"sqlite:///{path}")
    ledger.settle(cut_in(), call="room", by="a", now=NOW)
    ledger.close()
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"outcome":"cut in"', b'"outcome":"cut un"'))
    assert path.read_bytes() != before
    assert receipts_command(ledger, "verify") == 1
    assert "row 1 (settled: utterance 'notice' in call 'room')" in capsys.readouterr().out


def test_a_signed_book_is_checked_with_its_key_and_forgotten_with_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hearout.ledger._signing import load_signer

    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    ledger = Opened(url, signer=load_signer(private))
    ledger.settle(cut_in(), call="room", by="a", now=NOW)
    assert receipts_command(ledger, "verify") == 0
    assert "Signed: 1, not checked (--key). Anchored: 0." in capsys.readouterr().out
    assert receipts_command(ledger, "forget", "room") == 1
    assert "give the private key with --sign" in capsys.readouterr().err
    assert receipts_command(ledger, "forget", "room", "--sign", str(private)) == 0
    assert receipts_command(ledger, "verify", "--key", str(public)) == 0
    assert "Signed: 2, checked." in capsys.readouterr().out


def test_forget_removes_what_was_said_and_the_chain_stays_whole(
    book: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receipts_command(book, "forget", "room-1") == 0
    assert "Call 'room-1': the caller's words, the names were removed (rows: 1)." in capsys.readouterr().out
    assert receipts_command(book, "verify") == receipts_command(book, "export") == 0
    printed = capsys.readouterr().out
    assert printed.count(MINE) == 1  # the other call's
    assert receipts_command(book, "forget", "room-2", "--text") == 0
    assert receipts_command(book, "export") == receipts_command(book, "export", "--chain") == 0
    assert MINE not in (printed := capsys.readouterr().out)
    assert "Goodbye" not in printed
    assert receipts_command(book, "forget", "room-9") == 1
    assert "there is no call 'room-9' in book 'main'; nothing was changed" in capsys.readouterr().err


def test_export_prints_each_utterance_or_each_row(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "export", "--outcome", "cut in") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["receipt"]["why"] == "key 0"
    assert receipts_command(book, "export", "--chain") == 0
    *rows, end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (end["size"], end["head"]) == (5, rows[-1]["hash"])
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(after["before"] == before["hash"] for before, after in pairwise(rows))
    assert receipts_command(book, "export", "--chain", "--level", "played") == 1
    assert "only --call goes with it" in capsys.readouterr().err


def test_anchors_prove_nothing_without_the_chain(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ((), ("--vcon",)):
        assert receipts_command(book, "export", "--anchors", "anchors.log", *options) == 1
        assert capsys.readouterr().err.startswith("error: --")


def test_a_user_without_a_name_may_forget(
    book: Opened, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert receipts_command(book, "forget", "room-1") == 0
    with book.transaction() as connection:
        last = connection.execute(sa.select(tables.ROWS.c.content).order_by(tables.ROWS.c.seq.desc())).scalar()
    assert json.loads(last or "")["by"].startswith(f"{os.getuid()}@")


def test_the_environment_says_where_the_ledger_is(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"HEAROUT_LEDGER": book.url, "HEAROUT_BOOK": "other"}
    assert main(["verify", "--json"], environ) == 0
    assert json.loads(capsys.readouterr().out)["book"] == "other"
    assert main(["verify", "--json", "--book", "main"], environ) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 5


@pytest.mark.parametrize(
    "wrong",
    [
        ["--outcome", "heard"],
        ["--level", "7"],
        ["--since", "yesterday"],
        ["show"],
        ["forget"],
        ["list", "everything"],
        ["--colour"],
        ["expire", "--older-than", "999999999w"],
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_wrong(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong) == 2
    assert "error:" in capsys.readouterr().err


def test_help_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main(["list", "--help"]) == 0
    assert "hearout receipts" in capsys.readouterr().out


def test_an_utterance_that_is_not_there_is_an_error(book: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts_command(book, "show", "notice", "--call", "room-1") == 1
    assert "there is no utterance 'notice' in call 'room-1' in book 'main'" in capsys.readouterr().err


# A ledger that cannot be read: one sentence, and nothing is made or changed


@pytest.mark.parametrize(
    "command", [["list"], ["show", "x"], ["verify"], ["export"], ["export", "--chain"], ["forget", "x"]]
)
@pytest.mark.parametrize("sort", ["missing", "broken", "newer", "foreign", "cut short"])
def test_a_ledger_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sort: str, command: list[str]
) -> None:
    path = tmp_path / "receipts.db"
    ledger = Opened(f"sqlite:///{path}")
    if sort == "broken":
        path.write_bytes(b"nonsense" * 1000)
    elif sort == "foreign":
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE recipes (name TEXT)")
        engine.dispose()
    elif sort in ("newer", "cut short"):
        with monkeypatch.context() as newer:
            newer.setattr(tables, "VERSION", 9 if sort == "newer" else 1)
            ledger.owe("room", "x", NOTICE * 100, by="a", now=NOW)
        ledger.close()
    if sort == "cut short":
        path.write_bytes(path.read_bytes()[:6000])
    before = path.read_bytes() if path.exists() else None

    assert receipts_command(ledger, *command) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    says = {
        "missing": "no ledger at",
        "broken": "no database",
        "newer": "version 9",
        "foreign": "no ledger in that database",
    }
    assert says.get(sort, "damaged") in error
    assert [one.name for one in tmp_path.iterdir()] == ([] if before is None else ["receipts.db"])
    assert before is None or path.read_bytes() == before


def test_a_copy_that_nobody_may_write_to_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Opened(f"sqlite:///{tmp_path}/receipts.db")) as ledger:
        ledger.settle(receipt("notice"), call="room", by="a", now=NOW)
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)  # root may write everywhere
    if os.getuid() != 0:
        tmp_path.chmod(0o500)
    connect = sqlite3.dbapi2.connect
    made: list[str] = []

    def connected(name: str, *arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(name)
        connection = connect(name, *arguments, **options)
        assert connection.execute("SELECT count(*) FROM hearout_rows").fetchone() == (1,)
        assert [one.name for one in tmp_path.iterdir()] == ["receipts.db"]  # side files, while it is read
        return connection

    monkeypatch.setattr(sqlite3.dbapi2, "connect", connected)
    for command in ("list", "verify", "export"):
        assert receipts_command(ledger, command) == 0
    assert len(made) >= 3
    tmp_path.chmod(0o700)


def test_a_server_that_is_not_there_is_one_sentence_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ledger", "postgresql://ann:s3cret@127.0.0.1:9/receipts"]) == 1
    error = capsys.readouterr().err
    assert "cannot be used now" in error
    assert "s3cret" not in error
    assert error.count("\n") == 1


def test_a_url_that_makes_no_sense_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ledger", "receipts.db"]) == 1
    assert "for a file write sqlite:///receipts.db" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    book = Opened(f"sqlite:///{tmp_path}/receipts.db")
    for index in range(80):  # more than a pipe holds
        book.settle(receipt(f"u{index}"), call="room", by="a", now=NOW)
    script = (
        f"import sys; from hearout.ledger._command import main; sys.exit(main(['export', '--ledger', {book.url!r}]))"
    )
    shown = subprocess.run(
        ["bash", "-o", "pipefail", "-c", '"$0" -c "$1" | head -n 1', sys.executable, script],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (shown.returncode, shown.stderr, shown.stdout.count("\n")) == (0, "", 1)


@pytest.mark.parametrize("member", [*Level, *Outcome, *Cause], ids=str)
def test_the_documentation_says_what_each_level_outcome_and_cause_is(member: Enum) -> None:
    assert f"`{member if isinstance(member, Level) else member.value}`" in DOCUMENTATION


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documentation_names_each_command(command: str) -> None:
    assert f"\n| `{command}" in DOCUMENTATION


ORDERS = [
    (["--ledger", "URL", "verify"], ["verify", "--ledger", "URL"]),
    (["--ledger=URL", "--book", "main", "verify", "--json"], ["verify", "--ledger", "URL", "--json"]),
    (["--json", "--ledger", "URL", "list"], ["list", "--json", "--ledger", "URL"]),
    (["--call", "verify", "--ledger", "URL"], ["list", "--call", "verify", "--ledger", "URL"]),
    (["--ledger", "URL", "show", "notice", "--json"], ["show", "--json", "--ledger", "URL", "notice"]),
    (["--chain", "--ledger", "URL", "export"], ["export", "--chain", "--ledger", "URL"]),
    (["--led", "URL", "anchor"], ["anchor", "--led", "URL"]),
    (["--ledger", "URL", "--older-than", "90d", "expire"], ["expire", "--older-than", "90d", "--ledger", "URL"]),
    (["--text", "--ledger", "URL", "forget", "room"], ["forget", "room", "--text", "--ledger", "URL"]),
    (["--nothing", "--ledger", "URL", "verify"], ["verify", "--nothing", "--ledger", "URL"]),
    (["--ledger", "URL", "nothing"], ["list", "--ledger", "URL", "nothing"]),
]


@pytest.mark.parametrize(("one", "other"), ORDERS, ids=lambda words: " ".join(words))
def test_options_may_stand_before_the_command_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: list[str], other: list[str]
) -> None:
    told = []
    for number, words in enumerate((one, other)):
        book = Opened(f"sqlite:///{tmp_path}/{number}.db")
        book.settle(receipt("notice", call="room"), call="room", by="a", now=NOW, entry="e" * 32)
        status = main([word.replace("URL", book.url) for word in words], clock=lambda: NOW)
        out = capsys.readouterr()
        told.append((status, len(out.out.splitlines()), out.err.replace(f"{number}.db", "")))
    assert told[0] == told[1]
    assert told[0][0] == (2 if "nothing" in " ".join(one) else 0)


def test_no_option_without_a_value_is_taken_for_one_with(capsys: pytest.CaptureFixture[str]) -> None:
    found = set()
    for command in COMMANDS:
        main([command, "--help"])
        found |= set(re.findall(r"\[(--?[a-z-]+)\]|\| (--[a-z-]+)\]", capsys.readouterr().out))
    assert {one for pair in found for one in pair if one} == set(FLAGS) - {"--help"}

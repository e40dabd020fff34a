"""A book that was exported is checked without its database, by the same rules; the first bad row is named."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger_workers import MINE, NOTICE, NOW, Opened, cut_in, receipt
from hearout.errors import LedgerError
from hearout.ledger._chain import GENESIS, row_hash
from hearout.ledger._command import main
from hearout.ledger._merkle import Forest, Tree
from hearout.ledger._read import entries, rows
from hearout.ledger._read import verify as verify_in_the_database
from hearout.ledger._signing import load_signer, load_verifier
from hearout.ledger._verify import verify_export as verify
from hearout.receipts import Listener

Rows = list[dict[str, Any]]

NO_ROW = "of the file is no row of an export"

PINNED = ("schema", "book", "size", "root", "head")
"""Of an unsigned checkpoint, what its rows show; its time is what somebody wrote."""


def filled(url: str, **options: Any) -> Opened:
    """A book with a row of each kind: owed, settled, amended, owed, taken over, late, forgotten, owed."""
    ledger = Opened(url, **options)
    ledger.owe("room-1", "notice", NOTICE, by="a", now=NOW)
    before = receipt(call="room-1", caller="ann", listeners=())
    after = receipt(call="room-1", caller="ann", listeners=(Listener("ann", ((0.0, 20.0),)),))
    row = ledger.settle(before, call="room-1", by="a", now=NOW + 8)
    ledger.amend(before, after, call="room-1", by="a", now=NOW + 20, settled=row.entry)
    promise = ledger.owe("room-2", "notice", NOTICE, by="a", now=NOW)
    ledger.take_over("room-2", "notice", by="b", now=NOW + 60)
    ledger.settle(cut_in(), call="room-2", by="a", now=NOW + 61, owed=promise.entry)
    ledger.forget("room-1", by="ann", now=NOW + 100)
    ledger.owe("room-3", "notice", NOTICE, by="a", now=NOW + 200)
    return ledger


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "book.jsonl"
    write(path, list(rows(filled(f"sqlite:///{tmp_path}/receipts.db"))))
    return path


def write(path: Path, exported: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in exported))


def read(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def fault(path: Path, **options: Any) -> tuple[int, str]:
    found = verify(path, **options)[1].fault
    assert found is not None
    return found.seq, found.what


def test_what_the_command_exports_is_found_whole_without_the_database(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, path = filled(url), tmp_path / "book.jsonl"
    assert main(["export", "--chain", "--ledger", url]) == 0
    path.write_text(capsys.readouterr().out)
    name, verdict = verify(path)
    assert (name, verdict) == ("main", verify_in_the_database(ledger))
    assert (verdict.rows, verdict.fault) == (8, None)
    assert main(["verify", "--file", str(path), "--ledger", "sqlite:////nowhere/at/all.db"]) == 0
    assert "Book 'main': each row is as it was written" in capsys.readouterr().out
    assert main(["verify", "--file", str(path), "--head", verdict.head]) == 0


@pytest.mark.parametrize(
    ("number", "field", "value", "what"),
    [
        (3, "content", "{}", "its content is not the one that its hash was made of"),
        (4, "hash", "0" * 64, "its content is not the one"),
        (5, "before", "0" * 64, "its content is not the one"),
        (5, "seq", 6, "row 5 before it is missing"),
        (5, "book", "other", "it is of another book ('other')"),
        (1, "said", {"text": "Nothing is recorded."}, "the announcement's text beside it is not the one"),
        (4, "said", {}, "what was kept beside it (text) is gone, and no row says that it was forgotten"),
        (6, "said", {"salt": None, "caller": [MINE], "text": NOTICE}, "what was kept beside it (names) is gone"),
        (4, "call", {"salt": "0", "name": "room-2"}, "the name of its call beside it is not the one"),
        (8, "call", None, "the name of its call is gone, and no row says that it was forgotten"),
        (8, "call", {"name": "room-3"}, "line 8 of the file is no row of an export: its field call is wrong"),
        (8, "proof", ["zz"], "line 8 of the file is no row of an export: it cannot be read"),
        (2, "said", {"caller": 5}, "it, or what is beside it, cannot be read"),
        (2, "said", None, "line 2 of the file is no row of an export: its field said is missing or wrong"),
        (2, "seq", True, "line 2 of the file is no row of an export: its field seq is missing or wrong"),
        (2, "key", 7, "line 2 of the file is no row of an export: its field key is wrong"),
    ],
)
def test_a_change_in_any_field_of_a_row_is_found_there(
    export: Path, number: int, field: str, value: Any, what: str
) -> None:
    changed = read(export)
    changed[number - 1][field] = value
    write(export, changed)
    assert fault(export)[1].startswith(what)
    assert verify(export)[1].rows == number - 1


def test_the_first_bad_row_is_named_and_the_command_fails(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export.write_text(export.read_text().replace("1800000061.0", "1800000062.0"))
    assert main(["verify", "--file", str(export)]) == 1
    assert capsys.readouterr().out == (
        "Book 'main': row 6 (late: utterance 'notice' in call 'room-2'): its content is not the one that its hash was "
        "made of: it was changed.\nGood before it: 5.\n"
    )
    assert main(["verify", "--file", str(export), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fault"]["seq"] == 6


def forged(rows_: Rows, number: int, old: str, new: str) -> None:
    """Change a row and write all later ones anew."""
    rows_[number - 1]["content"] = rows_[number - 1]["content"].replace(old, new)
    before = rows_[number - 2]["hash"] if number > 1 else GENESIS
    *rows_, end = rows_
    for row in rows_[number - 1 :]:
        row["before"] = before
        row["hash"] = before = row_hash(row["book"], row["seq"], before, row["content"])
    tree = Tree()
    for row in rows_:
        tree.append(bytes.fromhex(row["hash"]))
    end |= {"head": before, "root": tree.root.hex()}


def test_a_rewritten_chain_is_found_by_a_noted_hash_or_by_signatures(tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    ledger, path = filled(f"sqlite:///{tmp_path}/receipts.db", signer=load_signer(private)), tmp_path / "book.jsonl"
    write(path, exported := list(rows(ledger)))
    head = verify(path)[1].head
    assert verify(path, verifier=load_verifier(public))[1].fault is verify(path, head=head)[1].fault is None
    assert verify(path)[1].signed == 8

    forged(exported, 2, '"played":7.0', '"played":6.9')
    write(path, exported)
    assert verify(path)[1].fault is None  # the chain alone cannot tell
    assert fault(path, head=head) == (9, "the hash that was noted before is in no row")
    assert fault(path, verifier=load_verifier(public)) == (2, "its signature is not of this row")
    exported[1]["signature"] = None
    write(path, exported)
    assert main(["verify", "--file", str(path), "--key", str(public)]) == 1


@pytest.mark.parametrize(
    ("cut", "found"),
    [
        (lambda rows_: rows_[1:], (2, "row 1 before it is missing")),
        (lambda rows_: rows_[:4] + rows_[5:], (6, "row 5 before it is missing")),
        (lambda rows_: rows_[:7] + rows_[8:], (8, "the export does not end with its checkpoint")),
        (lambda rows_: rows_[:8], (9, "the export does not end with its checkpoint")),
        (lambda rows_: [*rows_[:4], rows_[8], *rows_[4:]], (5, f"line 5 {NO_ROW}: the checkpoint is not at its end")),
        (lambda rows_: [*rows_[:4], rows_[2], *rows_[4:]], (3, "row 5 before it is missing")),
    ],
)
def test_rows_that_are_missing_or_out_of_place_are_found(
    export: Path, cut: Callable[[Rows], Rows], found: tuple[int, str]
) -> None:
    write(export, cut(read(export)))
    assert fault(export) == found


def test_what_was_cut_off_at_the_end_is_missed_by_the_hash_that_was_noted(export: Path) -> None:
    head = verify(export)[1].head
    *kept, _, end = read(export)
    tree = Tree()
    for row in kept:
        tree.append(bytes.fromhex(row["hash"]))
    write(export, [*kept, end | {"size": 7, "head": kept[-1]["hash"], "root": tree.root.hex()}])
    assert verify(export)[1].fault is None  # it was made to fit, and nothing is signed
    assert fault(export, head=head) == (8, "the hash that was noted before is in no row")


@pytest.mark.parametrize("line", ["{", "[]", "7", "null", "[" * 100_000, "\x00", '{"book": "main"}', "“"])
def test_a_line_that_is_no_row_is_a_fault_and_no_crash(export: Path, line: str) -> None:
    lines = export.read_text().splitlines()
    export.write_text("\n".join([*lines[:2], line, *lines[2:]]))
    seq, what = fault(export)
    assert seq == 3
    assert what.startswith("line 3 of the file is no row of an export")


@pytest.mark.parametrize("content", ["[]", "7", '{"kept": 5}', "[" * 100_000])
def test_a_content_that_was_forged_beyond_reading_is_a_fault_and_no_crash(export: Path, content: str) -> None:
    exported = read(export)
    exported[3]["content"] = content
    forged(exported, 4, "", "")
    write(export, exported)
    assert fault(export)[0] == 4


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_no_byte_can_be_changed_unseen(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    whole = _exported_once(tmp_path_factory)
    content = bytearray(whole.read_bytes())
    place %= len(content)
    changed = content[place] != byte
    content[place] = byte
    path = whole.with_name("changed.jsonl")
    path.write_bytes(content)
    try:
        found = verify(path)[1]
    except LedgerError:
        return
    if changed and found.fault is None:
        # what the chain does not hold: the layout of JSON, names of keys without a signature, what is absent anyway
        same = [json.loads(line) for line in content.decode(errors="surrogateescape").splitlines() if line.strip()]
        end = same.pop()
        whole_rows = read(whole)
        assert {name: end[name] for name in PINNED} == {name: whole_rows[-1][name] for name in PINNED}
        known = [{name: row[name] for name in ("book", "seq", "before", "hash", "content")} for row in same]
        assert known == [{name: row[name] for name in known[0]} for row in whole_rows[:-1]]
        kept = [{name: text for name, text in row["said"].items() if text is not None} for row in whole_rows[:-1]]
        for row, said in zip(same, kept, strict=True):
            assert said == {name: text for name, text in row["said"].items() if text is not None}


def _exported_once(factory: pytest.TempPathFactory) -> Path:
    path = factory.getbasetemp() / "exported" / "book.jsonl"
    if not path.exists():
        path.parent.mkdir()
        ledger = filled(f"sqlite:///{path.parent}/receipts.db")
        write(path, list(rows(ledger)))
        ledger.close()
    return path


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read: No such file"), ("", "has no rows"), ("\n", "has no rows")]
)
def test_a_file_that_is_not_there_or_empty_is_one_sentence(
    tmp_path: Path, content: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "book.jsonl"
    if content is not None:
        path.write_text(content)
    assert main(["verify", "--file", str(path)]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


# One call


def one_call(tmp_path: Path, call: str = "room-2", **options: Any) -> tuple[Path, Opened]:
    ledger, path = filled(f"sqlite:///{tmp_path}/receipts.db", **options), tmp_path / "call.jsonl"
    write(path, list(rows(ledger, call=call)))
    return path, ledger


def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def test_one_call_is_checked_without_the_others_by_its_proofs(tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    path, _ = one_call(tmp_path, signer=load_signer(private))
    assert [json.loads(row["content"])["kind"] for row in read(path)[:-1]] == ["owed", "taken over", "late"]
    assert "room-1" not in path.read_text()
    name, verdict = verify(path, verifier=load_verifier(public))
    assert (name, verdict.rows, verdict.signed, verdict.fault) == ("main", 3, 3, None)
    assert verdict.unknown == ("what else book 'main' holds",)
    assert "whose book had that checkpoint" in verify(path)[1].unknown[0]


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("content", "{}", "its content is not the one that its hash was made of"),
        ("hash", "0" * 64, "its content is not the one"),
        ("seq", 2, "its content is not the one"),
        ("proof", [], "its proof does not show that it is in the book"),
        ("proof", ["00" * 32] * 3, "its proof does not show that it is in the book"),
        ("book", "other", "it is of another book"),
        ("call", None, "the name of its call is gone"),
        ("signature", None, "it is not signed"),
    ],
)
def test_a_change_in_the_export_of_one_call_is_found(tmp_path: Path, field: str, value: Any, what: str) -> None:
    private, public = keys(tmp_path)
    path, _ = one_call(tmp_path, signer=load_signer(private))
    changed = read(path)
    changed[0] |= {field: value} | ({"key": None} if field == "signature" else {})
    write(path, changed)
    found = verify(path, verifier=load_verifier(public))[1].fault
    assert found is not None
    assert found.what.startswith(what)


def test_a_forged_call_whose_proofs_fit_is_found_by_the_checkpoint(tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    path, ledger = one_call(tmp_path, signer=load_signer(private))
    anchor = ledger.checkpoint()
    assert anchor is not None
    whole = list(rows(ledger))
    forged(whole, 4, "owed", "owes")
    forest = Forest([bytes.fromhex(row["hash"]) for row in whole[:-1]])
    proofs = [row | {"proof": [one.hex() for one in forest.inclusion(row["seq"] - 1)]} for row in whole[3:6]]
    write(path, [*proofs, whole[-1]])
    assert verify(path)[1].fault is None  # nothing is signed or anchored
    found = verify(path, verifier=load_verifier(public))[1].fault
    assert found is not None
    found = verify(path, anchors=[anchor])[1].fault
    assert found is not None
    assert found.what == "the book that was anchored is not the beginning of this one"


def test_the_export_of_a_call_shows_that_the_book_began_as_it_was_anchored(tmp_path: Path) -> None:
    ledger, path = Opened(f"sqlite:///{tmp_path}/receipts.db"), tmp_path / "call.jsonl"
    ledger.owe("room-1", "notice", NOTICE, by="a", now=NOW)
    anchors = [ledger.checkpoint()]
    for number in range(20):
        ledger.settle(receipt(), call=f"room-{number}", by="a", now=NOW)
        anchors.append(ledger.checkpoint())
    write(path, list(rows(ledger, call="room-7", anchors=anchors)))
    for number, anchor in enumerate(anchors, 1):
        verdict = verify(path, anchors=[anchor])[1]
        assert (verdict.fault, verdict.anchored) == (None, number)
        elsewhere = replace(anchor, root="00" * 32)
        assert verify(path, anchors=[elsewhere])[1].fault is not None


def test_what_was_forgotten_of_a_call_is_no_fault_in_its_export(tmp_path: Path) -> None:
    path, ledger = one_call(tmp_path)
    ledger.forget("room-2", by="ann", now=NOW + 300)
    (owing,) = [entry for entry in entries(ledger, now=NOW) if entry.rows == (4,)]
    write(path, list(rows(ledger, call=owing.call)))
    assert MINE not in path.read_text()
    assert verify(path)[1].fault is None
    ledger.expire(before=NOW + 1000, by="ann", now=NOW + 2000)
    write(path, list(rows(ledger, call=next(one.call for one in entries(ledger, now=NOW) if one.rows == (8,)))))
    assert verify(path)[1].fault is None

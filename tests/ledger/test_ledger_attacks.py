"""Attacks on a ledger's database: the table of docs/receipts.md, row by row."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness import ROOT
from harness.ledger_workers import MINE, NOTICE, NOW, Opened, receipt
from hearout.errors import LedgerError
from hearout.ledger import _tables as tables
from hearout.ledger._chain import GENESIS, canonical, digest, row_hash
from hearout.ledger._checkpoint import Checkpoint
from hearout.ledger._merkle import Tree
from hearout.ledger._read import entries, verify
from hearout.ledger._signing import Signer, load_signer
from hearout.policy import Retention
from hearout.receipts import Level, Listener

DOCUMENTATION = (ROOT / "docs" / "receipts.md").read_text()
FOUND = {"found": True, "not found": False}
TABLE = {
    row[0]: [FOUND[cell] for cell in row[1:]]
    for row in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DOCUMENTATION, re.MULTILINE)
    if set(row[1:]) <= set(FOUND)
}
"""What the document says: of each thing that is done, whether it is found by the four ways of looking."""

COLUMNS = ("kind", "call", "utterance", "at", "entry", "of")
BOOK, ALL = "main", (tables.ROWS, tables.SAID, tables.NAMES, tables.HEADS)


@dataclass
class Stolen:
    """A book as somebody has it who can write to the database."""

    rows: list[dict[str, Any]]
    said: dict[int, dict[str, Any]]
    names: list[dict[str, Any]]
    heads: list[dict[str, Any]]
    before: "Stolen | None" = field(default=None, repr=False)

    def content(self, seq: int, **changes: Any) -> None:
        row = self.rows[seq - 1]
        row["content"] = canonical(json.loads(row["content"]) | changes)

    def fit(self) -> None:
        """Compute anew whatever can be computed without a key."""
        before, tree = GENESIS, Tree()
        for seq, row in enumerate(self.rows, 1):
            row |= {"seq": seq, "before": before}
            before = row["hash"] = row_hash(BOOK, seq, before, row["content"])
            row |= {
                name: json.loads(row["content"])[name] for name in ("kind", "call", "utterance", "at", "entry", "of")
            }
            tree.append(bytes.fromhex(before))
        for head in self.heads:
            head |= {"seq": tree.size, "hash": before, "peaks": canonical([peak.hex() for peak in tree.peaks])}


def stolen(ledger: Opened) -> Stolen:
    with ledger.transaction() as connection:
        found = [
            [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for table in ALL
        ]
    rows, said, names, heads = found
    return Stolen(rows, {one["seq"]: one for one in said}, names, heads)


def put_back(ledger: Opened, book: Stolen) -> None:
    with ledger.transaction() as connection:
        for table, rows in zip(ALL, (book.rows, list(book.said.values()), book.names, book.heads), strict=True):
            connection.execute(table.delete())
            if rows:
                connection.execute(table.insert(), rows)


def changed(book: Stolen) -> None:
    document = json.loads(book.rows[1]["content"])
    book.content(2, receipt=document["receipt"] | {"played": 7.1})


def inserted(book: Stolen) -> None:
    book.rows.insert(4, book.rows[3] | {"entry": "forged"})
    book.content(5, entry="forged")
    for seq, row in enumerate(book.rows, 1):
        row["seq"] = seq
    beside = {seq + (seq > 4): one | {"seq": seq + (seq > 4)} for seq, one in book.said.items()}
    book.said = beside | {5: book.said[4] | {"seq": 5}}


def appended(book: Stolen) -> None:
    """Somebody says that the caller pressed the button: a row that follows, by its own hash, and nobody's head."""
    settled = json.loads(book.rows[1]["content"])
    people = [settled["receipt"]["listeners"][0] | {"acknowledged_at": 30.0, "level": "acknowledged"}]
    content = {name: settled[name] for name in ("call", "utterance", "at", "by")} | {"kind": "amended", "of": 2}
    last = book.rows[-1]
    written = canonical(content | {"entry": "forged", "listeners": people, "level": "acknowledged", "kept": ["names"]})
    seq = len(book.rows) + 1
    columns = {"seq": seq, "before": last["hash"], "hash": row_hash(BOOK, seq, last["hash"], written)}
    book.rows.append(last | columns | {"content": written, "kind": "amended", "entry": "forged", "of": 2})
    book.rows[-1] |= {"call": settled["call"], "utterance": settled["utterance"], "at": settled["at"]}
    book.said[seq] = book.said[2] | {"seq": seq, "salt": None, "caller": None, "text": None}


def cut_off(book: Stolen) -> None:
    for row in book.rows[4:]:
        book.said.pop(row["seq"], None)
    del book.rows[4:]


def emptied(book: Stolen) -> None:
    book.rows, book.said, book.names, book.heads = [], {}, [], []


def reordered(book: Stolen) -> None:
    for name in ("content", *COLUMNS):
        book.rows[3][name], book.rows[4][name] = book.rows[4][name], book.rows[3][name]
    third, fourth = book.said.pop(4), book.said.pop(5)
    book.said |= {4: fourth | {"seq": 4}, 5: third | {"seq": 5}}


def salt_changed(book: Stolen) -> None:
    book.said[2]["salt"] = "00" * 16
    rehash(book, 2)


def salt_removed(book: Stolen) -> None:
    book.said[2] |= {"salt": None, "caller": None}
    document = json.loads(book.rows[1]["content"])
    book.content(2, kept=[one for one in document["kept"] if one != "caller"])


def words_put_in(book: Stolen) -> None:
    book.said[3] |= {"salt": "00" * 16, "caller": canonical([MINE])}
    rehash(book, 3)


def rehash(book: Stolen, seq: int) -> None:
    document = json.loads(book.rows[seq - 1]["content"])
    held = [one | {"sha256": digest(book.said[seq]["salt"], MINE)} for one in document["receipt"]["held"]]
    book.content(seq, receipt=document["receipt"] | {"held": held}, kept=sorted({*document["kept"], "caller"}))


def head_set_back(book: Stolen) -> None:
    tree = Tree()
    for row in book.rows[:4]:
        tree.append(bytes.fromhex(row["hash"]))
    peaks = canonical([peak.hex() for peak in tree.peaks])
    book.heads[0] |= {"seq": 4, "hash": book.rows[3]["hash"], "peaks": peaks}


def older_copy(book: Stolen) -> None:
    assert book.before is not None
    book.rows, book.said, book.names, book.heads = (
        book.before.rows,
        book.before.said,
        book.before.names,
        book.before.heads,
    )


BESIDE = (salt_changed, salt_removed, words_put_in)
"""What is done to it beside the chain: there the content is part of making the rest fit."""
ATTACKS: dict[str, Callable[[Stolen], None]] = {
    "a row changed": changed,
    "a row inserted": inserted,
    "a row appended that says *acknowledged*": appended,
    "rows cut off at the end": cut_off,
    "the whole book emptied": emptied,
    "two rows exchanged": reordered,
    "the salt of words changed": salt_changed,
    "the words and their salt removed": salt_removed,
    "words put beside a row that kept none": words_put_in,
    "the head set back": head_set_back,
    "an older copy of the whole book put back": older_copy,
}


def attack(book: Stolen, name: str, *, fits: bool) -> None:
    """Attack a book; unless the rest is made to fit, the contents of rows that the attack is not about stay."""
    contents = [row["content"] for row in book.rows]
    ATTACKS[name](book)
    if fits and name == "the head set back":
        cut_off(book)
    elif fits and ATTACKS[name] not in (emptied, older_copy):
        book.fit()
    elif not fits and ATTACKS[name] in BESIDE:
        for row, content in zip(book.rows, contents, strict=True):
            row["content"] = content


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    path = tmp_path_factory.mktemp("keys") / "private.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, capture_output=True)
    return load_signer(path)


def filled(tmp_path: Path, signer: Signer | None) -> tuple[Opened, Stolen, list[Checkpoint]]:
    """A book of six rows, one of which keeps no words, as it may be stolen, and its anchors."""
    url = f"sqlite:///{tmp_path}/receipts.db"
    ledger, silent = Opened(url, signer=signer), Opened(url, signer=signer, words=Retention.OMIT)
    there = {"caller": "ann", "listeners": (Listener("ann", ((0.0, 20.0),), reported=7.0),)}
    ledger.owe("room", "first", NOTICE, by="a", now=NOW)
    ledger.settle(receipt("first", **there), call="room", by="a", now=NOW + 8)
    before = stolen(ledger)
    silent.settle(receipt("second", **there), call="room", by="a", now=NOW + 16)
    for number, id in enumerate(("third", "fourth", "fifth")):
        ledger.settle(receipt(id, **there), call="room", by="a", now=NOW + 24 + 8 * number)
    anchor = ledger.checkpoint()
    assert anchor is not None
    book = stolen(ledger)
    book.before = before
    return ledger, book, [anchor]


def test_the_document_says_of_each_attack_what_finds_it() -> None:
    assert set(TABLE) == set(ATTACKS) | {"the whole book emptied, and agents write on"}


WAYS = ("verify", "verify, made to fit", "verify --key", "verify --anchors")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ATTACKS)
def test_what_the_document_says_of_an_attack_is_so(tmp_path: Path, signer: Signer, name: str, way: str) -> None:
    is_signed = way == "verify --key"
    for fits in [False] if way == "verify" else [True] if way == "verify, made to fit" else [False, True]:
        folder = tmp_path / str(fits)
        folder.mkdir()
        ledger, book, anchors = filled(folder, signer if is_signed else None)
        options: dict[str, Any] = {"verifier": signer.verifier} if is_signed else {}
        options |= {"anchors": anchors} if way == "verify --anchors" else {}
        assert verify(ledger, **options).fault is None
        attack(book, name, fits=fits)
        put_back(ledger, book)
        found = verify(ledger, **options)
        is_found = found.fault is not None
        if way == "verify --anchors" and not fits and ATTACKS[name] is appended:
            assert is_found  # it is after the head
        else:
            assert is_found is TABLE[name][WAYS.index(way)], found
        assert is_found or found.unknown  # and then it says what it cannot know


def test_words_that_stand_beside_no_row_are_found(tmp_path: Path) -> None:
    ledger, book, _ = filled(tmp_path, None)
    book.said[7] = book.said[2] | {"seq": 7}
    put_back(ledger, book)
    assert str(verify(ledger).fault).count("row 7") == 1


def test_an_emptied_book_that_agents_write_on_is_found_by_anchors_alone(tmp_path: Path, signer: Signer) -> None:
    ledger, book, anchors = filled(tmp_path, signer)
    emptied(book)
    put_back(ledger, book)
    other = Opened(ledger.url, signer=signer)
    other.settle(receipt(), call="room", by="a", now=NOW)
    ways = (verify(other), verify(other), verify(other, verifier=signer.verifier), verify(other, anchors=anchors))
    assert [one.fault is not None for one in ways] == TABLE["the whole book emptied, and agents write on"]
    with pytest.raises(LedgerError, match="this process wrote row 6: some were cut off"):
        ledger.settle(receipt(), call="room", by="a", now=NOW)


def test_a_forged_acknowledgement_counts_and_the_verdict_warns(
    tmp_path: Path,
) -> None:
    ledger, book, _ = filled(tmp_path, None)
    attack(book, "a row appended that says *acknowledged*", fits=True)
    put_back(ledger, book)
    first = next(iter(entries(ledger, now=NOW)))
    assert first.receipt is not None
    assert first.receipt.level is Level.ACKNOWLEDGED
    assert "who wrote the rows, and whether others were there before: no row is signed" in verify(ledger).unknown


@pytest.mark.parametrize(
    "name", ["rows cut off at the end", "a row appended that says *acknowledged*", "a row changed"]
)
def test_who_has_the_key_signs_nothing_over_what_somebody_else_did(tmp_path: Path, signer: Signer, name: str) -> None:
    ledger, book, _ = filled(tmp_path, signer)
    attack(book, name, fits=True)
    put_back(ledger, book)
    with pytest.raises(LedgerError, match="is not signed with this key, so nothing is added to it"):
        Opened(ledger.url, signer=signer).settle(receipt(), call="room", by="a", now=NOW)
    assert verify(ledger, verifier=signer.verifier).fault is not None


def test_a_signed_book_takes_no_row_from_who_has_no_key(tmp_path: Path, signer: Signer) -> None:
    ledger, _, _ = filled(tmp_path, signer)
    with pytest.raises(LedgerError, match="book 'main' is signed; set HEAROUT_LEDGER_KEY"):
        Opened(ledger.url).settle(receipt(), call="room", by="a", now=NOW)
    assert verify(ledger, verifier=signer.verifier).rows == 6


def test_peaks_of_the_head_that_were_changed_stop_the_next_row(tmp_path: Path) -> None:
    ledger, book, _ = filled(tmp_path, None)
    book.heads[0]["peaks"] = "[]"
    put_back(ledger, book)
    with pytest.raises(LedgerError, match="the head of book 'main' was changed"):
        ledger.settle(receipt(), call="room", by="a", now=NOW)
    fault = verify(ledger).fault
    assert fault is not None
    assert (fault.seq, fault.what) == (6, "the book's head, which is to fit it, was changed")

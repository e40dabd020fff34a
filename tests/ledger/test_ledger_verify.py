"""The chain shows what was changed: in any column, of any row, beside it, or cut off."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger_workers import MINE, NOTICE, NOW, Opened, cut_in, receipt
from harness.strategies import receipts
from hearout.errors import HearoutError, LedgerError
from hearout.ledger import _read as read
from hearout.ledger import _signing as signing
from hearout.ledger import _tables as tables
from hearout.ledger._chain import Plaintext, canonical, mismatch, redacted, restored, row_hash
from hearout.ledger._entries import settlement
from hearout.ledger._environment import ledger_from
from hearout.ledger._merkle import Tree
from hearout.ledger._read import ChainVerdict, entries, verify
from hearout.policy import Retention
from hearout.receipts._codec import to_json

ROWS, SAID, HEADS = tables.ROWS, tables.SAID, tables.HEADS


@pytest.fixture
def book(url: str) -> Opened:
    """Three utterances: rows 1 to 6, the settled ones at 2, 4 and 6."""
    ledger = Opened(url)
    for number, id in enumerate(("first", "second", "third")):
        ledger.owe("room", id, NOTICE, by="a", now=NOW + 10 * number)
        ledger.settle(receipt(id), call="room", by="a", now=NOW + 10 * number + 8)
    return ledger


def change(ledger: Opened, *statements: sa.Executable) -> ChainVerdict:
    with ledger.transaction() as connection:
        for statement in statements:
            connection.execute(statement)
    return verify(ledger)


def fault(verdict: ChainVerdict) -> tuple[int, str]:
    assert verdict.fault is not None
    return verdict.fault.seq, verdict.fault.what


def test_a_book_that_nobody_touched_is_whole(book: Opened) -> None:
    verdict = verify(book)
    assert (verdict.rows, verdict.fault, verdict.signed) == (6, None, 0)
    assert verify(book, head=verdict.head).fault is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("content", '{"outcome":"finished"}'),
        ("hash", "0" * 64),
        ("kind", "late"),
        ("call", "another room"),
        ("utterance", "another"),
        ("at", NOW + 1),
        ("entry", "1234"),
        ("of", 1),
    ],
)
def test_a_change_in_any_column_of_a_row_is_found_there(book: Opened, column: str, value: Any) -> None:
    seq, _ = fault(change(book, ROWS.update().where(ROWS.c.seq == 4).values({column: value})))
    assert seq == 4


def test_one_byte_of_the_content_is_enough(book: Opened) -> None:
    changed = sa.func.replace(ROWS.c.content, '"played":7.0', '"played":7.1')
    verdict = change(book, ROWS.update().where(ROWS.c.seq == 2).values(content=changed))
    assert fault(verdict) == (2, "its content is not the one that its hash was made of: it was changed")
    assert verdict.rows == 1
    assert verdict.fault is not None
    assert verdict.fault.row == "row 2 (settled: utterance 'first' in call 'room')"


def test_a_row_that_was_changed_with_its_hash_does_not_fit_the_next_one(book: Opened) -> None:
    with book.transaction() as connection:
        row = connection.execute(sa.select(ROWS).where(ROWS.c.seq == 2)).one()
    forged = row.content.replace('"played":7.0', '"played":7.1')
    values = {"content": forged, "hash": row_hash("main", 2, row.before, forged)}
    seq, what = fault(change(book, ROWS.update().where(ROWS.c.seq == 2).values(values)))
    assert (seq, what) == (3, "it was not written after row 2 as that is now: one of them was changed")


@pytest.mark.parametrize("content", ["[]", "{}", "null", '"x"', '{"kind": 1', '{"kept": 5}'])
def test_what_was_forged_beyond_reading_is_a_fault_and_no_crash(book: Opened, content: str) -> None:
    with book.transaction() as connection:
        row = connection.execute(sa.select(ROWS).where(ROWS.c.seq == 2)).one()
    values = {"content": content, "hash": row_hash("main", 2, row.before, content)}
    assert fault(change(book, ROWS.update().where(ROWS.c.seq == 2).values(values)))[0] == 2
    with pytest.raises(HearoutError):
        list(entries(book, now=NOW))


def test_a_row_that_was_removed_from_the_middle_is_missed(book: Opened) -> None:
    assert fault(change(book, ROWS.delete().where(ROWS.c.seq == 3))) == (4, "row 3 before it is missing")


def test_a_row_that_was_put_in_is_found(book: Opened) -> None:
    with book.transaction() as connection:
        row = connection.execute(sa.select(ROWS).where(ROWS.c.seq == 6)).one()
    forged = dict(row._mapping) | {"seq": 7, "entry": "1234", "content": row.content}
    assert fault(change(book, ROWS.insert().values(forged)))[0] == 7


def test_rows_that_were_cut_off_at_the_end_are_missed(book: Opened) -> None:
    assert fault(change(book, ROWS.delete().where(ROWS.c.seq >= 5))) == (5, "it is missing: the book had 6 rows")


def test_rows_cut_off_with_the_head_are_missed_by_the_noted_hash(book: Opened) -> None:
    noted = verify(book).head
    with book.transaction() as connection:
        hashes = connection.execute(sa.select(ROWS.c.hash).where(ROWS.c.seq <= 4).order_by(ROWS.c.seq)).scalars().all()
    tree = Tree()
    for one in hashes:
        tree.append(bytes.fromhex(one))
    head = {"seq": 4, "hash": hashes[-1], "peaks": canonical([peak.hex() for peak in tree.peaks])}
    rows, beside = ROWS.delete().where(ROWS.c.seq >= 5), SAID.delete().where(SAID.c.seq >= 5)
    verdict = change(book, rows, beside, HEADS.update().values(head))
    assert verdict.fault is None  # the chain alone cannot tell
    assert fault(verify(book, head=noted)) == (5, "the hash that was noted before is in no row")


def test_words_that_were_changed_are_found(book: Opened) -> None:
    changed = SAID.update().where(SAID.c.seq == 4).values(caller=canonical([MINE + "!"]))
    assert fault(change(book, changed)) == (4, "the caller's words beside it are not the ones it has the hashes of")


@pytest.mark.parametrize("caller", ['["a", "b"]', "[]"])
def test_words_that_were_added_or_taken_away_are_found(book: Opened, caller: str) -> None:
    changed = SAID.update().where(SAID.c.seq == 4).values(caller=caller)
    assert fault(change(book, changed)) == (4, "the caller's words beside it are not as many as it says")


def test_a_text_that_was_changed_is_found(book: Opened) -> None:
    seq, what = fault(change(book, SAID.update().where(SAID.c.seq == 1).values(text=canonical("Nothing is recorded."))))
    assert (seq, what) == (1, "the announcement's text beside it is not the one it has the hash of")


@pytest.mark.parametrize("column", ["text", "caller"])
def test_what_is_gone_though_nobody_forgot_it_is_found(book: Opened, column: str) -> None:
    seq, what = fault(change(book, SAID.update().where(SAID.c.seq == 2).values({column: None})))
    assert (seq, what) == (2, f"what was kept beside it ({column}) is gone, and no row says that it was forgotten")


def test_what_is_beside_it_and_cannot_be_read_is_found(book: Opened) -> None:
    assert fault(change(book, SAID.update().where(SAID.c.seq == 2).values(caller="[")))[0] == 2


# Signatures


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public one, made as docs/receipts.md says."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "private.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def test_signed_rows_are_known_as_such_and_a_forged_one_is_found(url: str, keys: tuple[Path, Path]) -> None:
    signer, verifier = signing.load_signer(keys[0]), signing.load_verifier(keys[1])
    ledger = Opened(url, signer=signer)
    for id in ("first", "second"):
        ledger.settle(cut_in(id), call="room", by="a", now=NOW)
    assert verify(ledger, verifier=verifier).fault is verify(ledger).fault is None
    assert verify(ledger).signed == 2

    with ledger.transaction() as connection:
        row = connection.execute(sa.select(ROWS).where(ROWS.c.seq == 2)).one()
    forged = row.content.replace('"played":3.0', '"played":7.0')
    values = {"content": forged, "hash": row_hash("main", 2, row.before, forged)}
    change(ledger, ROWS.update().where(ROWS.c.seq == 2).values(values))  # the last row: it fits the one before
    assert fault(verify(ledger, verifier=verifier)) == (2, "its signature is not of this row")


def test_a_session_signs_with_the_key_that_the_environment_names(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    ledger = ledger_from({"HEAROUT_LEDGER": f"sqlite:///{tmp_path}/receipts.db", "HEAROUT_LEDGER_KEY": str(private)})
    assert ledger is not None
    try:
        kept = {"words": Retention.KEEP, "text": Retention.KEEP}
        ledger.append(settlement(receipt("notice"), "room", by="a", now=NOW, **kept))
        verdict = verify(ledger, verifier=signing.load_verifier(public))
    finally:
        ledger.close()
    assert (verdict.rows, verdict.signed, verdict.fault) == (1, 1, None)


def test_a_row_that_is_not_signed_or_by_another_is_found(url: str, keys: tuple[Path, Path]) -> None:
    verifier = signing.load_verifier(keys[1])
    Opened(url, signer=signing.load_signer(keys[0])).settle(cut_in(), call="room", by="a", now=NOW)
    ledger = Opened(url)
    change(ledger, ROWS.update().where(ROWS.c.seq == 1).values(key=None, signature=None))
    assert fault(verify(ledger, verifier=verifier)) == (1, "it is not signed")
    change(ledger, ROWS.update().where(ROWS.c.seq == 1).values(key="another", signature="00"))
    assert fault(verify(ledger, verifier=verifier)) == (1, "it is not signed with that key")
    change(ledger, ROWS.update().where(ROWS.c.seq == 1).values(key=verifier.key, signature="no hex"))
    assert fault(verify(ledger, verifier=verifier)) == (1, "its signature is not of this row")


@pytest.mark.parametrize(
    ("load", "what", "says"),
    [
        (signing.load_signer, "nonsense", "holds no private key in PEM"),
        (signing.load_verifier, "nonsense", "holds no public key in PEM"),
        (signing.load_signer, "rsa", "is not Ed25519; make one: openssl genpkey"),
        (signing.load_verifier, "rsa", "is not Ed25519, so it signed nothing"),
        (signing.load_signer, "missing", "cannot be read: No such file"),
    ],
)
def test_a_key_that_does_not_do_is_refused(
    load: Callable[[Path], object], what: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    if what == "nonsense":
        path.write_text("nonsense")
    elif what == "rsa":
        subprocess.run(["openssl", "genrsa", "-out", tmp_path / "rsa.pem", "2048"], check=True, capture_output=True)
        path = tmp_path / "rsa.pem"
        if load is signing.load_verifier:
            public = ["openssl", "rsa", "-in", path, "-pubout", "-out", tmp_path / "key.pem"]
            subprocess.run(public, check=True, capture_output=True)
            path = tmp_path / "key.pem"
    with pytest.raises(LedgerError, match=says):
        load(path)


# Sealing: the content has no words, and what is beside it brings them back


@given(receipts, st.sampled_from(Retention), st.sampled_from(Retention))
def test_what_is_redacted_has_no_words_and_what_is_kept_comes_back(one: Any, words: Retention, text: Retention) -> None:
    document = json.loads(json.dumps(to_json(one)))
    left, said = redacted(document, "c0ffee", words=words, text=text)
    assert "text" not in left
    assert all("text" not in entry for entry in left["held"])
    assert mismatch({"receipt": left, "kept": said.kept}, said, None) == ""
    back = restored(left, said)
    if words is Retention.KEEP:
        assert back["held"] == document["held"]
    if text is Retention.KEEP:
        assert back.get("text") == document.get("text")
    assert restored(left, Plaintext(None)) == left


def test_no_two_rows_have_the_same_hash_by_where_their_parts_meet() -> None:
    parts = [("a", 11, "b", "c"), ("a1", 1, "b", "c"), ("a", 1, "1b", "c"), ("a", 11, "", "bc"), ("a", 11, "bc", "")]
    assert len({row_hash(*row) for row in parts}) == len(parts)


def test_a_book_longer_than_a_page_is_read_to_its_end(book: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "CHUNK", 2)
    assert verify(book).rows == 6
    assert [entry.id for entry in entries(book, now=NOW)] == ["first", "second", "third"]
    assert fault(change(book, SAID.update().where(SAID.c.seq == 6).values(caller="[")))[0] == 6

"""Rows that make a worker act: a row counts only if a worker wrote it."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from harness.ledger_workers import SECRET, Opened
from hearout.ledger._calls import NOBODY, CallRegistry, WatchedCall
from hearout.ledger._tables import CALLS, WORKERS

CALL = WatchedCall("room/RM_1", "room", "RM_1", "job-1", "agent-1", "desk", "as before", worker="a", holder="a-job")
FORGED: dict[str, Any] = {
    "room": "another",
    "sid": "RM_2",
    "job": "job-2",
    "identity": "the caller",
    "name": "another agent",
    "metadata": "the attacker's",
    "worker": NOBODY,
    "holder": "b-job",
    "rescues": -5,
    "mac": "",
}


def seen(registry: CallRegistry) -> tuple[WatchedCall, ...]:
    return registry.look(worker="b", beat=1).calls


@pytest.mark.parametrize("column", FORGED)
def test_a_row_in_which_anything_was_changed_is_nobodys(
    url: str, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Opened(url)
    registry = CallRegistry(ledger, SECRET)
    registry.attend(CALL)
    assert seen(registry) == (CALL,)
    with ledger.transaction() as connection:
        connection.execute(CALLS.update().values({column: FORGED[column]}))
    assert seen(registry) == seen(registry) == ()
    assert caplog.text.count("was written by none of these workers") == 1
    assert registry.rescues(CALL.call) == 0
    registry.release(CALL, by=FORGED["worker"])
    assert seen(registry) == ()


def test_a_row_of_another_call_or_book_or_secret_is_nobodys(url: str) -> None:
    ledger = Opened(url)
    CallRegistry(ledger, SECRET).attend(CALL)
    for changed in ({"call": "room/RM_9"}, {"book": "other"}):
        with ledger.transaction() as connection:
            row = dict(connection.execute(sa.select(CALLS)).mappings().first() or {})
            connection.execute(CALLS.insert().values(row | changed))
    assert seen(CallRegistry(ledger, SECRET)) == (CALL,)
    assert seen(CallRegistry(Opened(url, "other"), SECRET)) == ()
    assert seen(CallRegistry(ledger, "another secret")) == ()


def test_what_the_workers_do_to_a_row_each_other_believe(url: str) -> None:
    ledger = Opened(url)
    one, other = CallRegistry(ledger, SECRET), CallRegistry(ledger, SECRET)
    one.attend(CALL)
    assert other.claim(CALL, by="b")
    claimed = replace(CALL, job="", worker="b", rescues=1)
    assert seen(one) == (claimed,)
    assert not one.claim(CALL, by="c")
    other.release(claimed, by="b")
    assert seen(one) == (replace(claimed, worker=NOBODY),)
    one.attend(replace(CALL, job="job-2"))
    assert seen(other) == (replace(CALL, job="job-2", rescues=1),)
    assert other.leave(CALL.call, job="job-2")
    assert seen(one) == ()


@pytest.mark.parametrize("forged", [{"beat": 8}, {"worker": "c"}, {"mac": ""}, {"book": "other"}])
def test_a_beat_that_no_worker_wrote_is_no_sign_of_life(
    url: str, forged: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Opened(url)
    registry = CallRegistry(ledger, SECRET)
    registry.look(worker="a", beat=7)
    assert registry.look(worker="b", beat=1).beats == {"a": 7, "b": 1}
    with ledger.transaction() as connection:
        connection.execute(WORKERS.update().where(WORKERS.c.worker == "a").values(forged))

    assert registry.look(worker="b", beat=2).beats == {"b": 2}
    if "book" not in forged:
        assert "hearout_workers was written by none of these workers" in caplog.text
    assert CallRegistry(Opened(url, "other"), SECRET).look(worker="b", beat=1).beats == {"b": 1}
    assert CallRegistry(ledger, "another secret").look(worker="d", beat=1).beats == {"d": 1}

"""The words of a call that goes on: an agent that takes it over finds them, and nobody does when the call is over."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from harness.databases import SLOW
from harness.ledger_workers import HELD, MINE, NOTICE, NOW, SECRET, Opened, owing, receipt, writing
from hearout.ledger import Ledger, Mode
from hearout.ledger._calls import CallRegistry, WatchedCall
from hearout.ledger._command import main
from hearout.ledger._leases import LEASE, TAKEN_UP, mark
from hearout.ledger._read import entries, verify
from hearout.ledger._writer import LedgerWriter
from hearout.policy import Retention

SO_FAR = mark(at=1.5, characters=11, text="So I said that", complete=False)
CALL = WatchedCall("room", "room", "RM_1", "a-job", "agent", "", "", "a-worker", "dead")


def held(ledger: Ledger) -> Any:
    (one,) = ledger.owed("room")
    return one.held


def test_words_that_are_not_kept_are_there_while_the_call_goes_on(url: str) -> None:
    ledger = owing(url, SO_FAR)
    ledger.settle(receipt(), call="room", by="dead", now=NOW)
    (entry,) = entries(ledger, now=NOW)
    assert entry.said == (MINE,)
    assert entry.receipt is not None
    assert [one.text for one, _ in entry.receipt.held] == [""]

    CallRegistry(ledger, SECRET).end("room", NOW)

    (entry,) = entries(ledger, now=NOW)
    assert entry.said == ()
    assert verify(ledger).fault is None


@pytest.mark.parametrize("command", [["list", "--json"], ["show", "notice"], ["export"], ["export", "--chain"]])
def test_no_command_shows_the_words_of_a_call_that_goes_on(
    url: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = owing(url, SO_FAR)
    ledger.settle(receipt(), call="room", by="dead", now=NOW)
    ledger.owe("room", "second", NOTICE, by="dead", now=NOW)
    ledger.renew("room", "second", by="dead", played=2.0, now=NOW, held=[HELD])
    assert main(command, {"HEAROUT_LEDGER": url}, clock=lambda: NOW) == 0
    assert MINE not in capsys.readouterr().out


def test_a_call_of_a_dead_agent_loses_its_words_when_its_room_is_gone(url: str) -> None:
    ledger = owing(url, SO_FAR)
    registry = CallRegistry(ledger, SECRET)
    registry.attend(CALL)
    assert registry.leave("room", job="a-job")
    assert held(ledger) == (SO_FAR,)  # how far it was, and the agent's own text


def test_the_agents_text_goes_too_where_it_is_not_kept(url: str) -> None:
    ledger = owing(url, SO_FAR, text=Retention.OMIT)
    CallRegistry(ledger, SECRET).end("room", NOW + 2 * LEASE)
    assert held(ledger) == ({name: value for name, value in SO_FAR.items() if name != "text"},)
    assert ledger.owed("room")[0].text == ""
    assert verify(ledger).fault is None


def test_words_that_the_policy_keeps_stay(url: str) -> None:
    ledger = owing(url, SO_FAR, words=Retention.KEEP)
    CallRegistry(ledger, SECRET).end("room", NOW + 2 * LEASE)
    assert held(ledger) == (SO_FAR, HELD)


def test_a_call_that_another_agent_still_holds_keeps_its_words(url: str) -> None:
    ledger = owing(url, SO_FAR)
    CallRegistry(ledger, SECRET).end("room", NOW + LEASE - 1)
    assert held(ledger) == (SO_FAR, HELD)


def test_words_of_a_call_that_nobody_took_up_go_with_the_next_call(url: str) -> None:
    ledger = owing(url, SO_FAR)
    registry = CallRegistry(ledger, SECRET)
    assert not registry.end_stale(NOW + LEASE + TAKEN_UP - 1)
    assert held(ledger) == (SO_FAR, HELD)
    assert registry.end_stale(NOW + LEASE + TAKEN_UP + 1)
    assert held(ledger) == (SO_FAR,)
    assert not registry.end_stale(NOW + LEASE + TAKEN_UP + 1)


def test_a_call_that_waits_for_another_agent_is_not_stale(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, late = owing(url, SO_FAR), NOW + LEASE + TAKEN_UP + 1
    registry = CallRegistry(ledger, SECRET)
    registry.attend(CALL)
    monkeypatch.setattr("hearout.ledger._calls.time.time", lambda: late)
    registry.look(worker="a-worker", beat=1)
    assert not registry.end_stale(late)
    assert held(ledger) == (SO_FAR, HELD)


def test_forgetting_a_call_takes_the_words_that_waited_for_a_takeover(url: str) -> None:
    ledger = owing(url, SO_FAR)
    ledger.settle(receipt(), call="room", by="dead", now=NOW)
    ledger.forget("room", by="me", now=NOW + 2 * LEASE)
    assert [one.said for one in entries(ledger, now=NOW)] == [()]


@pytest.mark.parametrize("ends", [True, False])
def test_no_file_has_the_words_of_a_call_that_has_ended(tmp_path: Path, *, ends: bool) -> None:
    url = f"sqlite:///{tmp_path}/receipts.db"
    reader = Opened(url)  # another process has it open, too, so that SQLite's side file stays

    def found() -> bool:
        return any(MINE.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    async def call(one: LedgerWriter) -> None:
        await one.owe("room", "notice", NOTICE, now=NOW)
        reader.owed("room")
        one.renew("room", "notice", played=2.0, now=NOW, held=[SO_FAR, HELD])
        await one.settle(receipt(), call="room", now=NOW)
        assert found()  # for whoever takes it over
        if ends:
            one.leave("room")

    writing(Ledger(url), call, patience=SLOW)
    assert found() is not ends
    (entry,) = entries(Ledger(url, mode=Mode.READ), now=NOW)
    assert entry.receipt == dataclasses.replace(
        receipt(), call="room", held=tuple((dataclasses.replace(one, text=""), fate) for one, fate in receipt().held)
    )


def test_what_the_sessions_policy_keeps_is_kept(tmp_path: Path) -> None:
    for words, kept in ((Retention.KEEP, MINE), (Retention.OMIT, "")):
        url = f"sqlite:///{tmp_path}/{words.value}.db"

        async def settled(one: LedgerWriter) -> None:
            await one.settle(receipt(), call="room", now=NOW)

        writing(Ledger(url), settled, patience=SLOW, words=words)
        (entry,) = entries(Ledger(url, mode=Mode.READ), now=NOW)
        assert entry.receipt is not None
        assert [one.text for one, _ in entry.receipt.held] == [kept]

"""The benchmark: tables are made, limits that need no clock hold, and a verdict can be FAIL."""

import asyncio
import dataclasses
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bench import (
    cost,
    document,
    ledger,
    ledger_load,
    load,
    local_voice,
    packets,
    peers,
    processor,
    rescue,
    scenarios,
    soak,
    start,
    virtual,
    zoo,
)
from bench.__main__ import main
from bench.peers import HEAROUT, PEERS, STOCK, STRONGEST
from bench.table import FAIL, OK, WIDTH, Row, Table, percentile
from harness import ROOT
from hearout.measure import Measured

GOOD = virtual.Played(
    "question in the middle", HEAROUT, 0, delivered=1.0, kept=1.0, answers=(1,), ordered=True, gap=0.0, in_time=True
)
MIDDLE = scenarios.named(GOOD.scenario)


def test_the_tables_fit_100_columns() -> None:
    names = [one.name for one in scenarios.ALL]
    assert len(set(names)) == len(names)
    slow = dataclasses.replace(GOOD, twice=1.0, gap=10.7)
    full = virtual.kept_table([dataclasses.replace(slow, scenario=name, peer=peer) for name in names for peer in PEERS])
    assert max(map(len, str(full).splitlines())) <= WIDTH


def test_stock_loses_words_that_its_strongest_form_answers_late() -> None:
    played = {one.peer: one for one in virtual.play([MIDDLE.name], 1, processes=1)}
    assert (played[STOCK].kept, played[STOCK].answers) == (0.0, (0,))
    assert (played[STRONGEST].kept, played[STRONGEST].answers) == (1.0, (1,))
    assert played[STRONGEST].gap > 0.4
    assert played[HEAROUT] == dataclasses.replace(GOOD, gap=played[HEAROUT].gap)
    assert played[HEAROUT].gap < virtual.P50


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"delivered": 0.99}, "not delivered once and whole"),
        ({"twice": 0.1}, "not delivered once and whole"),
        ({"kept": 0.9}, "words lost"),
        ({"answers": (0,)}, "not exactly one answer"),
        ({"answers": (2,)}, "not exactly one answer"),
        ({"false": 1}, "answers to nothing"),
        ({"ordered": False}, "out of order"),
        ({"error": "stuck"}, "could not be played: stuck"),
    ],
)
def test_one_call_that_does_not_keep_a_limit_fails_its_row(changed: dict[str, object], fault: str) -> None:
    calls = [GOOD, dataclasses.replace(GOOD, seed=1, **changed)]
    assert virtual.faults(MIDDLE, [GOOD]) == []
    assert fault in virtual.faults(MIDDLE, calls)
    made = virtual.kept_table([*calls, *(dataclasses.replace(GOOD, peer=peer) for peer in (STOCK, STRONGEST))])
    assert [row.verdict for row in made.rows] == ["", "", FAIL]


@pytest.mark.parametrize(
    ("gaps", "verdict"), [([0.0, 0.03, 0.05], OK), ([0.0, 0.05, 0.06], FAIL), ([0.0, 0.0, 0.2], FAIL)]
)
def test_a_reply_gap_over_its_limit_fails(gaps: list[float], verdict: str) -> None:
    table = virtual.gap_table([dataclasses.replace(GOOD, seed=seed, gap=gap) for seed, gap in enumerate(gaps)])
    assert next(row.verdict for row in table.rows if row.cells[:2] == ("", HEAROUT)) == verdict


@pytest.mark.parametrize(("later", "verdict"), [(0.04, OK), (0.06, FAIL), (-1.0, OK)])
def test_an_answer_across_the_end_may_come_50_ms_later_than_the_strongest(later: float, verdict: str) -> None:
    strongest = dataclasses.replace(GOOD, scenario="across the end", peer=STRONGEST, gap=2.0, in_time=False)
    table = virtual.gap_table([strongest, dataclasses.replace(strongest, peer=HEAROUT, gap=2.0 + later)])
    assert table.rows[-1].verdict == verdict


def test_cost_over_its_limit_fails() -> None:
    def made(core: float, memory: float, lag: float) -> dict[str, cost.Cost]:
        cheap = cost.Cost([0.005], [0.5], [0.001] * 99, [0.001], 20)
        return {STOCK: cheap, STRONGEST: cheap, HEAROUT: cost.Cost([core], [memory], [lag] * 99, [lag], 20)}

    assert cost.table(made(0.006, 0.6, 0.002), "idle").failed == []
    assert len(cost.table(made(0.016, 0.6, 0.002), "idle").failed) == 2  # over both peers
    assert len(cost.table(made(0.006, 1.6, 0.002), "idle").failed) == 2
    assert len(cost.table(made(0.006, 0.6, 0.006), "idle").failed) == 1


def test_the_ledgers_cost_is_measured_on_each_database_and_shown(url: str, tmp_path: Path) -> None:
    taken = ledger.measure("here", url, tmp_path, rounds=3, rows=20)
    assert {what: len(seconds) for what, seconds in taken.seconds.items()} == {
        "promise": 3,
        "renewal": 3,
        "settlement": 3,
    }
    assert (taken.verified[0], taken.listed[0]) == (20, 10)
    written, read = ledger.tables([taken], "idle")
    assert written.failed == []
    assert [row.cells[:2] for row in (*written.rows, *read.rows)] == [
        ("here", what) for what in (*taken.seconds, "rows verified", "utterances listed")
    ]
    assert max(map(len, f"{written}\n{read}".splitlines())) <= WIDTH


def test_a_promise_that_holds_an_announcement_up_fails() -> None:
    slow = ledger.Cost("here", {"promise": [0.01] * 98 + [0.6] * 2, "settlement": [0.6]}, (1, 1.0), (1, 1.0))
    assert [row.cells[1] for row in ledger.tables([slow], "idle")[0].failed] == ["promise"]


def test_a_session_costs_what_one_session_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SESSIONS", 2)
    taken = cost.Cost()
    cost.memory(HEAROUT, taken)
    assert taken.answers == 0  # counted in real time only
    assert 0.1 < taken.memory[0] < 20


def test_local_calls_that_are_not_answered_or_are_late_fail() -> None:
    def row(*gaps: float | None) -> str:
        done = subprocess.CompletedProcess([], 0, "", "")
        held = [local_voice.Held("middle", HEAROUT, done, {}, gap, 0.3) for gap in gaps]
        return next(row for row in local_voice.table(held, "idle").rows if row.cells[1] == HEAROUT).verdict

    assert row(0.0, 0.02) == OK
    assert row(0.0, None) == FAIL
    assert row(0.05, 0.05) == FAIL


def test_the_local_calls_are_there() -> None:
    for call in (*local_voice.IN_TIME, *local_voice.AT_THE_END, local_voice.MAIN):
        assert (local_voice.CALLS / f"{call}.toml").is_file()


@pytest.mark.parametrize(
    ("heard", "verdict"),
    [([4.0, 5.0, 5.0], OK), ([4.0, 4.0, 5.2], FAIL), ([4.0, 4.0, None], FAIL), ([None, None, None], FAIL)],
)
def test_calls_that_are_silent_for_long_after_their_agent_was_killed_fail(
    heard: list[float | None], verdict: str
) -> None:
    whole = rescue.CASES[-1]
    made = rescue.table([rescue.Kill(whole, 1.0, 2.0, one) for one in heard], "idle")
    assert [(row.cells[1], row.verdict) for row in made.rows] == [("claimed", ""), ("attended", ""), ("heard", verdict)]
    assert made.rows[-1].cells[2] == f"{sum(one is not None for one in heard)}/3"
    assert max(map(len, str(made).splitlines())) <= WIDTH


WHOLE = Measured(1.0, 0.0, 0.0, 0.0, (), (), None, 0.5, 8.0, 0.0, 9000.0)


def at_once(peer: str, number: int, **of_the_last: object) -> load.Round:
    """So many calls in which all went well; but in the last of them, what is named."""
    fine = load.Said(WHOLE, is_receipted=peer == HEAROUT, is_answered=peer == HEAROUT, gap=0.12, late=0.002)
    cores = {"jobs": 0.3 * number, "worker": 0.05, "server": 0.04, "callers": 0.1, "all": 1.9}
    return load.Round(peer, [fine] * (number - 1) + [dataclasses.replace(fine, **of_the_last)], cores, 150.0)


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ({"found": dataclasses.replace(WHOLE, fraction=0.97)}, "4 of 5 delivered in full"),
        ({"found": dataclasses.replace(WHOLE, longest_gap_ms=200.0)}, "4 of 5 delivered in full"),
        ({"found": None}, "4 of 5 delivered in full"),
        ({"is_receipted": False}, "4 of 5 with a receipt that says so"),
        ({"is_answered": False}, "4 of 5 answered"),
    ],
)
def test_the_first_number_of_calls_that_fails_is_named_with_what_failed(fault: dict[str, object], how: str) -> None:
    rounds = [at_once(HEAROUT, 10, found=None), at_once(HEAROUT, 5, **fault), at_once(HEAROUT, 1), at_once(STOCK, 1)]
    assert load.first_that_fails(rounds, HEAROUT) == (
        f"hearout: the first number that fails is 5: {how}; jobs took 1.50 of 1.90 cores"
    )
    assert load.first_that_fails(rounds, STOCK) == "stock: none failed"  # of it no receipt and no answer is asked
    assert load.first_that_fails([at_once(HEAROUT, 1), at_once(HEAROUT, 5)], HEAROUT) == "hearout: none failed"


def test_the_tables_of_calls_at_once_show_failures_and_cores() -> None:
    rounds = [at_once(peer, number) for peer in load.PEERS for number in load.CALLS]
    rounds[-1] = at_once(HEAROUT, 40, found=None)
    delivered, shares = load.tables(rounds, "idle")
    assert (delivered.failed, shares.failed) == ([], [])
    assert delivered.end.splitlines() == [
        "stock: none failed.",
        "hearout: the first number that fails is 40: 39 of 40 delivered in full; jobs took 12.00 of 1.90 cores.",
    ]
    assert shares.rows[0].cells == ("stock", "1", "30.0", "150", "0.30", "0.05", "0.04", "0.10", "1.41", "1.90")
    assert max(map(len, f"{delivered}\n{shares}".splitlines())) <= WIDTH


def test_the_share_of_the_local_models_is_shown_where_they_serve() -> None:
    one = at_once(HEAROUT, 2)
    served = dataclasses.replace(one, cores={**one.cores, "models": 0.7})
    delivered, shares = load.tables([served], "idle", with_models=True)
    assert "with the local models" in delivered.title
    assert shares.rows[0].cells[shares.heads.index("models")] == "0.70"
    assert "models" not in load.tables([one], "idle")[1].heads


def test_a_start_that_takes_over_3_s_fails() -> None:
    verdicts = [start.table(seconds, "idle").rows[0].verdict for seconds in ([2.0, 3.0, 9.0], [2.0, 3.1, 3.2])]
    assert verdicts == [OK, FAIL]


def test_a_single_call_that_is_not_delivered_fails() -> None:
    made, _ = load.tables([at_once(STOCK, 1, found=None), at_once(HEAROUT, 1, found=None)], "idle")
    assert [row.verdict for row in made.rows] == ["", FAIL]


def heard(*, late: float) -> list[packets.Heard]:
    """A second and a half of a tone, of which the second half comes late."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tone.packets"
        tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(1.5 * packets.RATE) / packets.RATE)
        packets.encode(tone.astype(np.int16), path)
        data, found = path.read_bytes(), list[packets.Heard]()
    while data:
        length = int.from_bytes(data[:2], "little")
        at = 100.0 + 0.02 * len(found) + (late if len(found) >= 38 else 0.0)
        found.append(packets.Heard(at, packets.PACKET * len(found), data[2 : 2 + length]))
        data = data[2 + length :]
    return found


@pytest.mark.parametrize(("late", "stood"), [(0.0, 0.0), (0.09, 0.0), (0.5, 0.4)])
def test_a_receiver_stands_still_for_what_is_later_than_its_buffer(late: float, stood: float) -> None:
    sound, still = packets.play(heard(late=late))
    assert still == pytest.approx(stood)
    assert len(sound) / packets.RATE == pytest.approx(0.1 + 76 * 0.02 + stood)
    quiet = np.abs(sound.astype(np.int32)).reshape(-1, packets.PACKET).max(axis=1) < 1000
    assert quiet[8:74].sum() == round(stood / 0.02)


def test_what_a_caller_wrote_is_read_in_the_order_of_its_sound(tmp_path: Path) -> None:
    path = tmp_path / "room.packets"
    times = [2**32 - 960, 960, 0]  # the clock of RTP goes round, and the network turns two around
    of = [7, 7, 8, 7]  # a second track, of another clock
    data = [
        struct.pack("<dIIH", 1.0 + n, of[n], time, 1) + bytes([n]) for n, time in enumerate([*times[:2], 5, times[2]])
    ]
    path.write_bytes(b"".join(data))
    found, other = packets.heard(path)
    assert [(one.time, one.payload) for one in found] == [(0, b"\0"), (960, b"\3"), (1920, b"\1")]
    assert [(one.time, one.payload) for one in other] == [(0, b"\2")]


def test_a_call_in_which_two_agents_spoke_is_not_whole() -> None:
    fine = load.Said(WHOLE, is_receipted=True, is_answered=True)
    assert fine.in_full
    assert not dataclasses.replace(fine, agents=2).in_full


def test_the_replys_gap_is_the_silence_behind_the_announcement() -> None:
    whole = dataclasses.replace(WHOLE, lag_s=0.5, speech_to_ms=1000.0)
    sound = np.zeros(4000, np.int16)
    sound[500:1500], sound[1740:] = 5000, 5000  # at 1,000 Hz
    assert load.reply_gap(sound, 1000, whole) == pytest.approx(0.24, abs=0.021)
    assert load.reply_gap(sound[:1600], 1000, whole) is None


def test_a_process_that_grows_or_keeps_files_fails_the_soak() -> None:
    def kept(growth: float, files: int) -> soak.Kept:
        calls = list(range(50, 2050, 50))
        memory = [100_000 + growth * call + (call // 50 % 3) for call in calls]
        return soak.Kept(HEAROUT, calls, memory, [9] * (len(calls) - 1) + [9 + files], 2000, 8000)

    assert [row.verdict for row in soak.table([kept(0.1, 0), kept(3.0, 0), kept(0.1, 1)]).rows] == [OK, FAIL, FAIL]
    slope, half = kept(3.0, 0).growth()
    assert slope == pytest.approx(3.0, abs=half)


def test_a_few_calls_leave_nothing_behind(tmp_path: Path) -> None:
    found = soak.hold(HEAROUT, 4, tmp_path, lambda _: None)
    assert (found.whole, found.rows) == (4, 4 * 2)


def test_a_promise_that_waits_or_is_spooled_fails() -> None:
    good = ledger_load.Loaded("SQLite, 1 book", 20, [0.01] * 100, 0, 4.0)
    slow, spooled = dataclasses.replace(good, promises=[0.6] * 100), dataclasses.replace(good, spooled=1)
    many = dataclasses.replace(slow, calls=320)
    made = ledger_load.table([good, slow, spooled, many], "idle")
    assert [row.verdict for row in made.rows] == [OK, FAIL, FAIL, ""]
    assert max(map(len, str(made).splitlines())) <= WIDTH


def test_the_cores_that_were_taken_are_those_between_two_looks() -> None:
    before = processor.Used({"jobs": {"old": 5.0, "ended": 3.0}}, 100.0)  # type: ignore[dict-item]
    after = processor.Used({"jobs": {"old": 7.0, "new": 1.0}}, 108.0)  # type: ignore[dict-item]
    assert after.since(before, 2.0) == {"jobs": 1.5, "all": 4.0}


def test_a_broken_limit_is_the_exit_status_only_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table("t", ("peer",), rows=[Row(("hearout",), FAIL)])
    monkeypatch.setattr("bench.__main__.PARTS", {"virtual": ("title", lambda _: [table])})
    monkeypatch.setattr("logging.disable", lambda _: None)
    assert main(["--only", "virtual"]) == 0
    assert main(["--only", "virtual", "--strict"]) == 1
    assert "1 limit not kept" in capsys.readouterr().out


def test_make_bench_prints_all_of_it() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.rstrip().endswith("-m bench --doc docs/benchmarks.md")


# The zoo


def test_a_member_takes_the_place_of_the_usual_one_and_faults_stay() -> None:
    broken = scenarios.named("voice fails at 40 %")
    slow = zoo.arguments("TTS", "first sound after 9 s", broken, 0)["tts"]
    assert (slow.first_audio, [fault.after for fault in slow.faults]) == (9.0, [0.4])
    late = scenarios.named("final transcript never")
    assert dict(zoo.arguments("STT", "doubles", late, 0)["stt"].finals) == {0: None}


def test_the_zoo_plays_2000_calls_but_none_of_which_no_word_is_left() -> None:
    calls = zoo.drawn([one.name for one in scenarios.ALL], 1)

    assert len(calls) >= 2000
    assert not [one for one in calls if one[:2] == (("STT", "finals only"), "STT reconnects")]
    assert [one for one in calls if one[:2] == (("STT", "usual"), "STT reconnects")]


def test_a_table_of_the_zoo_shows_what_each_peer_lost() -> None:
    member = ("TTS", "breaks off")
    met = [zoo.meet(*member, MIDDLE, peer, 0) for peer in PEERS]
    (table,) = zoo.tables(met)
    (row,) = table.rows
    assert row.cells[:4] == ("breaks off", "1", "1", "0")
    assert (row.cells[6], row.cells[9], row.verdict) == ("100", "0/0", OK)
    assert max(map(len, str(table).splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("changed", "more", "less", "fault"),
    [
        ({"delivered": 0.99}, 0, 0, "not whole"),
        ({"kept": 0.9}, 0, 0, "words lost"),
        ({"answers": (2,)}, 0, 0, "not one answer"),
        ({"false": 1}, 0, 0, "an answer to nothing"),
        ({"error": "stuck"}, 0, 0, "could not be played: stuck"),
        ({}, 1, 0, "a receipt says more"),
        ({}, 0, 1, "a receipt says less"),
    ],
)
def test_a_call_of_the_zoo_that_keeps_a_limit_not_is_named(
    changed: dict[str, object], more: int, less: int, fault: str
) -> None:
    assert zoo.faults([zoo.Met("TTS", "usual", GOOD)]) == []
    bad = zoo.Met("TTS", "usual", dataclasses.replace(GOOD, **changed), more, less)
    assert zoo.faults([bad]) == [f"{MIDDLE.name}, 0: {fault}"]


def test_a_section_is_written_in_its_place_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("# Benchmarks\n\nbefore\n")
    for name, about in (("zoo", "old"), ("load", "other"), ("zoo", "new")):
        document.write(path, name, "a command", document.section("Title", about, [Table("t", ("where",))]))
    text = path.read_text()
    assert text.startswith("# Benchmarks\n\nbefore\n\n<!-- zoo: written by a command -->\n## Title\n\nnew\n\n```\nt\n")
    assert "<!-- zoo: end -->\n\n<!-- load: written by a command -->" in text
    assert "old" not in text


def test_percentiles_are_of_the_values() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 95) == 3.0
    assert percentile([float(n) for n in range(101)], 95) == 95.0


def test_a_share_is_shown_as_whole_only_where_nothing_is_missing() -> None:
    from bench.table import milliseconds, thousandths

    assert (thousandths(1.0), thousandths(0.9999)) == ("1.000", "0.999")
    assert milliseconds(-1e-9) == "0"


def test_the_strongest_peer_is_livekits_own_session() -> None:
    async def made() -> tuple[type, type]:
        return type(peers.SESSIONS[STRONGEST]()), type(peers.SESSIONS[HEAROUT]())

    strongest, hearout = asyncio.run(made())
    assert not issubclass(strongest, hearout)

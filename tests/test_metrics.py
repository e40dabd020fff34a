"""Metrics for Prometheus: counted by many processes, served by one, without words or names."""

import multiprocessing
import os
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from harness import run
from harness.ledger_workers import receipt
from harness.metrics_jobs import one_call, one_call_for_nobody
from harness.scenes import QUESTION, call, receipts
from hearout import _metrics as metrics
from hearout.errors import MetricsError
from hearout.testing import Do, Say, first_sound

Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]

CONTEXT = multiprocessing.get_context("forkserver")  # as LiveKit's jobs are made
CONTEXT.set_forkserver_preload(["harness.metrics_jobs"])


@dataclass
class Job:
    """A process that counts one call."""

    process: BaseProcess
    line: Connection

    def finish(self) -> None:
        self.line.send("go on")
        self.process.join(60)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        """As when a machine is short of memory."""
        self.process.kill()
        self.process.join(60)


class Jobs:
    """The processes of one worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Job] = []

    def begin(self) -> Job:
        """One more, once it owes something."""
        ours, its = CONTEXT.Pipe()
        job = Job(CONTEXT.Process(target=one_call, args=(str(self._folder), its)), ours)
        self._all.append(job)
        job.process.start()
        its.close()
        assert ours.recv() == "owes"
        return job

    def end(self) -> None:
        """No process is left."""
        for job in self._all:
            job.kill()
            job.process.close()
            job.line.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def jobs(folder: Path) -> Iterator[Jobs]:
    made = Jobs(folder)
    yield made
    made.end()


def scraped(url: str) -> Numbers:
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def finished(numbers: Numbers) -> float:
    level = str(receipt("notice").level)
    return numbers["hearout_receipts_total", (("level", level), ("outcome", "finished"))]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_call_counts_its_receipt_its_held_words_and_its_gap() -> None:

    def numbers() -> list[float]:
        return [
            counted("hearout_receipts_total", outcome="finished", level="played"),
            counted("hearout_held_words_total", fate="delivered"),
            counted("hearout_held_words_total", fate="backchannel"),
            counted("hearout_reply_gap_seconds_bucket", le="0.1"),
            counted("hearout_owed"),
        ]

    before = numbers()
    owed: list[float] = []

    result = call(
        Do(first_sound(0.5), lambda _: owed.append(counted("hearout_owed") - before[4])),
        Say(first_sound(1.0), "mm-hm"),
        Say(first_sound(2.5), QUESTION),
    )

    assert [one.outcome.value for one in receipts(result)] == ["finished"]
    assert [new - old for new, old in zip(numbers(), before, strict=True)] == [1, 1, 1, 1, 0]
    assert owed == [1]


def test_speech_broken_off_by_a_leaving_caller_is_counted_once() -> None:
    gone = {"outcome": "caller gone", "level": "synthesised"}
    before = counted("hearout_receipts_total", **gone), counted("hearout_owed")

    result = call(Do(first_sound(2.0), lambda session: session.user_left()))

    assert [(one.outcome.value, str(one.level)) for one in receipts(result)] == [("caller gone", "synthesised")]
    assert counted("hearout_receipts_total", **gone) - before[0] == 1
    assert counted("hearout_owed") == before[1]


def test_the_numbers_of_ended_jobs_stay_on_one_page(jobs: Jobs) -> None:
    with metrics.serving("127.0.0.1", "0") as url:
        first, second = jobs.begin(), jobs.begin()
        meanwhile = scraped(url)
        first.finish()
        second.finish()
        after = scraped(url)
    assert (meanwhile["hearout_owed", ()], after.get(("hearout_owed", ()), 0.0)) == (2, 0)
    assert (finished(meanwhile), finished(after)) == (0, 2)
    assert after["hearout_reply_gap_seconds_bucket", (("le", "0.05"),)] == 2
    assert after["hearout_reply_gap_seconds_bucket", (("le", "0.025"),)] == 0


def test_what_a_killed_job_owed_is_not_shown_as_owed(jobs: Jobs) -> None:
    with metrics.serving("127.0.0.1", "0") as url:
        job, alive = jobs.begin(), jobs.begin()
        job.kill()
        jobs.begin()  # takes the slot of the dead one over
        assert scraped(url)["hearout_owed", ()] == 2
        alive.kill()
        assert scraped(url)["hearout_owed", ()] == 1


def test_a_thousand_calls_leave_no_more_files_than_there_were_at_once(jobs: Jobs, folder: Path) -> None:
    for _ in range(3):
        jobs.begin().finish()
    kinds = sorted(path.name for path in folder.iterdir())
    assert kinds == ["counter_slot0.db", "gauge_livesum_slot0.db", "histogram_slot0.db", "slot0.lock"]
    with metrics.serving("127.0.0.1", "0") as url:
        assert sum(value for (name, _), value in scraped(url).items() if name == "hearout_receipts_total") == 3


def test_a_job_whose_numbers_nobody_can_read_counts_nothing() -> None:
    ours, its = CONTEXT.Pipe()
    job = CONTEXT.Process(target=one_call_for_nobody, args=(its,))
    job.start()
    its.close()
    assert ours.recv() is None
    job.join(60)
    assert job.exitcode == 0


def test_no_label_says_who_or_what_was_said(jobs: Jobs) -> None:
    with metrics.serving("127.0.0.1", "0") as url:
        jobs.begin().finish()
        ours = {labels for name, labels in scraped(url) if name.startswith("hearout_")}
    assert {name for labels in ours for name, _ in labels} == {"outcome", "level", "fate", "le"}
    assert len(ours) < 100


def test_a_port_that_cannot_be_had_is_refused_with_the_reason(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(MetricsError, match=rf"127\.0\.0\.1:{port}: Address already in use"),
            metrics.serving("127.0.0.1", str(port)),
        ):
            pass


@pytest.mark.parametrize("port", ["", "http", "-1", "65536", "8000.0"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(MetricsError, match="give a number from 0 to 65535"), metrics.serving("127.0.0.1", port):
        pass


def test_a_worker_does_not_start_without_the_metrics_that_were_asked_for() -> None:
    done = run("start", HEAROUT_METRICS_PORT="http")
    assert done.returncode == 1
    assert done.stderr == "error: HEAROUT_METRICS_PORT is 'http'; give a number from 0 to 65535, or leave it out\n"


def test_a_folder_of_our_own_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with metrics.serving("127.0.0.1", "0"):
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.is_dir()
    assert not folder.exists()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ

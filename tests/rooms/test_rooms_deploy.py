"""The services of docs/deploy.md, by its commands: calls across nodes, and workers that are replaced."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import alike
from harness.rooms.caller import Caller, spoken
from harness.rooms.cluster import SHORT_DRAIN, Cluster, deployed
from harness.rooms.server import Server
from hearout._local.llm import MONOLOGUE
from hearout.measure import measure

# The first test may have to build the server (3-5 min), and calls run in real time.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

QUESTION = "Wait, can I change my address first?"

ANSWERED, ANNOUNCED = 60.0, 90.0
"""Seconds within which the agent must be heard, and its announcement (27 s) be over."""


@dataclass
class Story:
    """Two workers are replaced while they speak.

    Attributes:
        first, second: the callers: of the worker that was told to end first, and of the one that was left.
        told: when each worker was told to end.
        taken: when the other worker was known to have taken the second caller's job.
        status: its exit status.
        metrics: what was served on each port.
        rooms: the names of the callers' rooms.
        receipts: what `hearout receipts export` printed afterwards, by room.
        verified: what `hearout receipts verify` printed.
        listens: the addresses on which the first worker listened.
    """

    first: Caller
    second: Caller
    told: dict[str, float]
    taken: float
    rooms: tuple[str, str]
    status: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    receipts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    verified: str = ""
    listens: set[tuple[str, int]] = field(default_factory=set)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with deployed(tmp_path_factory.mktemp("deploy")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def story(cluster: Cluster) -> Story:
    """A caller at each node; the agent of each is a worker at the other, and ends while it speaks."""
    rooms = Server.new_room(), Server.new_room()
    told: dict[str, float] = {}
    with Caller.join(cluster.node("7890"), rooms[0], cluster.folder, identity="first") as first:
        first.say(QUESTION, after=8.0)
        sound = first.wait_for("sound", ANSWERED)["at"]
        (cluster.folder / "load").write_text("0")  # which LiveKit learns within 3 s
        first.wait_until(sound + 4.0)
        end(cluster, "worker-a", told)
        with Caller.join(cluster.node("7880"), rooms[1], cluster.folder, identity="second") as second:
            cluster.wait("worker-b", lambda: rooms[1] in log_of(cluster, "worker-b"))
            taken = time.monotonic()
            second.wait_until(second.wait_for("sound", ANSWERED)["at"] + 1.0)
            story = Story(first, second, told, taken, rooms)
            story.listens = listening(cluster.processes["worker-a"].pid)
            story.metrics = {port: cluster.page(port, "/metrics") for port in ("9102", "lk")}
            end(cluster, "worker-b", told)
            first.wait_for_quiet(2.0, ANNOUNCED)
            story.metrics["9101"] = cluster.page("9101", "/metrics")
            first.leave()
            story.status["worker-b"] = cluster.processes["worker-b"].wait(ANNOUNCED)
    story.status["worker-a"] = cluster.processes["worker-a"].wait(ANNOUNCED)
    for line in cluster.run("hearout receipts export").splitlines():
        one = json.loads(line)
        story.receipts.setdefault(one["call"].split("/")[0], []).append(one)
    story.verified = cluster.run("hearout receipts verify")
    return story


def end(cluster: Cluster, worker: str, told: dict[str, float]) -> None:
    told[worker] = time.monotonic()
    cluster.processes[worker].send_signal(signal.SIGTERM)


def listening(process: int) -> set[tuple[str, int]]:
    """Where a process accepts connections."""
    lines = psutil.Process(process).net_connections("inet")
    return {(line.laddr.ip, line.laddr.port) for line in lines if line.status == psutil.CONN_LISTEN}


def numbers(page: str) -> dict[str, float]:
    """The sums of what is counted, by name."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def log_of(cluster: Cluster, name: str) -> str:
    return (cluster.folder / f"{name}.log").read_text()


def share_of_the_announcement(caller: Caller) -> float:
    return measure(caller.heard.samples, spoken(MONOLOGUE), caller.heard.sample_rate).fraction


def test_a_caller_at_one_node_talks_with_an_agent_at_the_other(cluster: Cluster, story: Story) -> None:
    for room, worker, node in ((story.rooms[0], "worker-a", "7880"), (story.rooms[1], "worker-b", "7890")):
        assert room in log_of(cluster, worker)
        assert f'"url": "ws://127.0.0.1:{cluster.ports[node]}"' in log_of(cluster, worker)
    assert alike(story.first.said("first"), QUESTION) >= 0.8
    announcement, *answers = [one.text for one in story.first.transcripts if one.final and one.who != "first"]
    assert announcement.strip() == MONOLOGUE
    assert alike(" ".join(answers), f"You said: {QUESTION}") >= 0.8


def test_a_worker_told_to_end_finishes_its_announcement_and_its_call(story: Story) -> None:
    began = story.first.happened("sound")[0]["at"]
    assert began + 3.0 < story.told["worker-a"] < began + 20.0  # of 27 s
    assert story.first.happened("talk")[0]["at"] > story.told["worker-a"]  # what is asked later is answered, too
    assert share_of_the_announcement(story.first) >= 0.95
    assert story.status["worker-a"] == 0


def test_while_a_worker_drains_the_other_takes_the_new_call(cluster: Cluster, story: Story) -> None:
    assert story.rooms[1] not in log_of(cluster, "worker-a")
    assert story.told["worker-a"] < story.taken < story.first.happened("quiet")[-1]["at"]


def test_an_announcement_outlives_the_time_that_a_worker_has_for_its_calls(cluster: Cluster, story: Story) -> None:
    assert "drain timed out" in log_of(cluster, "worker-b")
    assert story.second.happened("quiet")[-1]["at"] > story.told["worker-b"] + SHORT_DRAIN + 5.0
    assert share_of_the_announcement(story.second) >= 0.95
    assert story.status["worker-b"] == 0


def test_the_receipts_of_all_workers_are_in_one_book_that_verifies(story: Story) -> None:
    found = {room: [(one["receipt"]["outcome"], one["level"]) for one in story.receipts[room]] for room in story.rooms}
    assert found == {story.rooms[0]: [("finished", "present")] * 2, story.rooms[1]: [("finished", "present")]}
    assert {held["fate"] for held in story.receipts[story.rooms[0]][0]["receipt"]["held"]} == {"delivered"}
    assert "each row is as it was written" in story.verified
    rows = [row for room in story.rooms for one in story.receipts[room] for row in one["rows"]]
    assert len(rows) >= 6  # more, where a receipt was amended
    assert f"Rows: {len(rows)}." in story.verified


def test_a_workers_page_of_metrics_counts_its_calls_also_while_it_drains(story: Story) -> None:
    page = numbers(story.metrics["9101"])
    counted = [page[f"hearout_{name}"] for name in ("receipts_total", "held_words_total", "reply_gap_seconds_count")]
    held = story.receipts[story.rooms[0]][0]["receipt"]["held"]  # in one piece, or in two, as the STT hears it
    assert [*counted, page["hearout_owed"]] == [2, len(held), 1, 0]
    assert page["lk_agents_active_job_count"] == 1  # LiveKit's own are on it, too


def test_a_worker_listens_on_this_machine_only(cluster: Cluster, story: Story) -> None:
    assert {ip for ip, _ in story.listens} == {"127.0.0.1"}
    assert {cluster.ports[port] for port in ("8081", "9101")} <= {port for _, port in story.listens}


def test_livekits_own_page_of_metrics_has_hearouts_numbers(story: Story) -> None:
    ours, livekits = numbers(story.metrics["9102"]), numbers(story.metrics["lk"])
    assert (ours["hearout_owed"], livekits["hearout_owed"]) == (1, 1)  # in the middle of an announcement
    assert ours.keys() == livekits.keys()

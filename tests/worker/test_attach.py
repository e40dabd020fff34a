"""What `hearout.attach` hangs on a worker; real calls are in `tests/rooms/test_rooms_start.py`."""

import asyncio
import logging
import os
from collections.abc import Iterator
from unittest import mock

import pytest
from livekit.agents import AgentServer, WorkerOptions

import hearout
from hearout._session import process
from hearout._session.process import ATTACHED
from hearout.cli import run_app

JOINED = {"LIVEKIT_URL": "ws://127.0.0.1:9", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s", "HEAROUT_LEDGER": "off"}
GIVEN = JOINED | {"LIVEKIT_INFERENCE_URL": "http://127.0.0.1:9/v1"}


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


def ran(server: AgentServer, *, unregistered: bool = False, logs: str = "") -> dict[str, str]:
    """The environment in which LiveKit's own `run` was called; it logs something."""
    seen: list[dict[str, str]] = []

    async def run(*, devmode: bool, unregistered: bool) -> None:
        seen.append(dict(os.environ))
        logging.getLogger("livekit.agents").warning("ignoring %s", logs, extra={"participant": logs})

    server.run = run  # type: ignore[method-assign]
    hearout.attach(server)
    hearout.attach(server)
    asyncio.run(server.run(devmode=True, unregistered=unregistered))
    (environment,) = seen
    return environment


def test_an_attached_worker_tells_its_jobs_so_and_cleans_up_behind_itself() -> None:
    os.environ.update(GIVEN)
    assert ran(AgentServer())[ATTACHED]
    assert ATTACHED not in os.environ


def test_metrics_are_served_while_the_worker_runs_and_only_then(caplog: pytest.LogCaptureFixture) -> None:
    os.environ.update(GIVEN | {"HEAROUT_METRICS_PORT": "0"})
    with caplog.at_level(logging.INFO, "hearout"):
        assert "PROMETHEUS_MULTIPROC_DIR" in ran(AgentServer())
    assert "metrics: http://127.0.0.1:" in caplog.text
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_no_line_of_livekits_own_acts_on_who_reads_the_log(caplog: pytest.LogCaptureFixture) -> None:
    os.environ.update(GIVEN)
    ran(AgentServer(), logs="\x1b[2J\u202eroom\n12:00 forged")
    (record,) = [one for one in caplog.records if one.name == "livekit.agents"]
    assert record.getMessage() == "ignoring \ufffd[2J\ufffdroom 12:00 forged"
    assert vars(record)["participant"] == "\ufffd[2J\ufffdroom\n12:00 forged"


def test_a_worker_that_joins_no_server_has_no_metrics() -> None:
    os.environ.update(GIVEN | {"HEAROUT_METRICS_PORT": "0"})
    assert "PROMETHEUS_MULTIPROC_DIR" not in ran(AgentServer(), unregistered=True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"HEAROUT_METRICS_PORT": "http"}, "HEAROUT_METRICS_PORT is 'http'"),
        ({"LIVEKIT_API_KEY": ""}, "LIVEKIT_API_KEY missing beside"),
        (dict.fromkeys(JOINED, ""), "LIVEKIT_URL is not set"),
        ({"HEAROUT_LEDGER": "nonsense"}, "URL makes no sense"),
        ({"LIVEKIT_URL": "ws://user:s3cret@127.0.0.1:9"}, "LIVEKIT_URL must be"),
        ({"LIVEKIT_URL": "ws://user:s3cret@127.0.0.1:port"}, "LIVEKIT_URL must be"),
        ({"LIVEKIT_URL": "ws://[s3cret"}, "LIVEKIT_URL must be"),
        ({"LIVEKIT_URL": "s3cret"}, "LIVEKIT_URL must be"),
    ],
)
def test_an_environment_that_makes_no_sense_ends_the_process(
    changed: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ.update(GIVEN | changed)
    with pytest.raises(SystemExit, match="1"):
        ran(AgentServer())
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert "Traceback" not in error
    assert "s3cret" not in error


def test_what_the_server_was_given_counts_as_the_environment_does() -> None:
    os.environ["LIVEKIT_INFERENCE_URL"] = GIVEN["LIVEKIT_INFERENCE_URL"]
    os.environ["HEAROUT_LEDGER"] = "off"
    assert ran(AgentServer(ws_url="ws://127.0.0.1:9", api_key="k", api_secret="s"))[ATTACHED]


def test_an_agent_needs_no_local_models_where_their_packages_are_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from hearout import LocalVoiceMissingError
    from hearout._local import gateway

    def missing(_upstream: object) -> object:
        raise LocalVoiceMissingError("run: pip install 'hearout[local]'")

    monkeypatch.setattr(gateway, "answering", missing)
    os.environ.update(JOINED)
    assert "LIVEKIT_INFERENCE_URL" not in ran(AgentServer())
    assert "pip install 'hearout[local]'" in caplog.text


@pytest.mark.parametrize(
    ("environment", "off"),
    [
        (GIVEN, []),
        (JOINED, ["the local models"]),
        (JOINED | {"LIVEKIT_URL": "wss://x.livekit.cloud"}, []),
        (GIVEN | {"HEAROUT_LEDGER": "sqlite:///r.db"}, ["failover"]),
        (GIVEN | {"HEAROUT_LEDGER": "sqlite:///r.db", "HEAROUT_RESCUE": "off"}, []),
        (GIVEN | {"HEAROUT_METRICS_PORT": "9101"}, ["hearout's metrics"]),
    ],
)
def test_a_worker_that_is_not_attached_names_what_it_would_have(environment: dict[str, str], off: list[str]) -> None:
    assert [one.partition(" (")[0] for one in process._left_off(environment)] == off


def test_the_old_worker_options_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def entrypoint(_: object) -> None: ...

    run: list[AgentServer] = []
    monkeypatch.setattr("hearout.cli.livekit_cli.run_app", run.append)
    monkeypatch.setattr("sys.argv", ["agent.py", "start"])
    with pytest.raises(SystemExit) as ended:
        run_app(WorkerOptions(entrypoint_fnc=entrypoint))
    assert ended.value.code == 0
    assert isinstance(run[0], AgentServer)

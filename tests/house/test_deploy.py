"""The files of deploy/ say what docs/deploy.md says. There is no Docker here: they are read, not run."""

import itertools
import re
import shlex
import subprocess
from typing import Any

import pytest
import yaml

from harness import ROOT
from harness.rooms.cluster import DOCUMENT, commands, only

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LINES = commands(DOCUMENT.read_text())


def in_compose(name: str) -> list[str]:
    """A service's command, with its variables as a shell has them."""
    return shlex.split(re.sub(r"\$\{(\w+)[^}]*\}", r"$\1", SERVICES[name]["command"]))


def in_the_document(program: str) -> list[list[str]]:
    """The commands that run a program, without what is assigned before them."""
    assigned = re.compile(r"\w+=").match
    return [list(itertools.dropwhile(assigned, shlex.split(line))) for line in only(LINES, program)]


def test_the_compose_file_runs_the_documents_commands() -> None:
    (redis,) = in_the_document("redis-server")
    (postgres,) = in_the_document("postgres")
    assert in_compose("redis") == redis
    assert [*in_compose("postgres"), "-k", "$PGDATA"] == postgres  # the image has its sockets elsewhere
    nodes = [["livekit-server", *in_compose(name)] for name in ("livekit-a", "livekit-b")]  # the image's entry point
    assert nodes == in_the_document("livekit-server")
    assert [in_compose(name) for name in ("worker-a", "worker-b")] == in_the_document("deploy.agent")


@pytest.mark.parametrize(("name", "number"), [("worker-a", 0), ("worker-b", 1)])
def test_a_worker_has_the_environment_that_the_document_gives_it(name: str, number: int) -> None:
    words = shlex.split(only(LINES, "deploy.agent")[number])
    assigned = dict(word.split("=", 1) for word in words if re.match(r"\w+=", word))
    given = SERVICES[name]["environment"]
    assert assigned.items() <= given.items()
    assert set(given) - set(assigned) == {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "HEAROUT_LEDGER"}


def test_variables_that_the_compose_file_reads_are_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "deploy" / "compose.yaml").read_text()))
    example = (ROOT / "deploy" / "env.example").read_text()
    assert asked <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    assert not re.findall(r"^\w+=[^\"\n]", example, re.MULTILINE)  # nobody's key is the same as another's


def test_the_example_is_put_together_by_a_shell() -> None:
    filled = re.sub(r"^(\w+)=$", r"\1=my-\1", (ROOT / "deploy" / "env.example").read_text(), flags=re.MULTILINE)
    shown = f'set -a\n{filled}\nset +a\necho "$LIVEKIT_KEYS"\necho "$HEAROUT_LEDGER"'
    done = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "my-LIVEKIT_API_KEY: my-LIVEKIT_API_SECRET",
        "postgresql://hearout:my-POSTGRES_PASSWORD@127.0.0.1:5432/hearout",
    ]


def test_services_volumes_and_folders_of_the_compose_file_are_there() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", [])) <= set(SERVICES), name
        assert "image" in service, name
        for volume in service.get("volumes", []):
            where = volume.split(":")[0]
            assert (ROOT / "deploy" / where).exists() if where.startswith(".") else where in COMPOSE["volumes"], volume
        if "build" in service:
            build = service["build"]
            assert ((ROOT / "deploy" / build["context"]).resolve() / build["dockerfile"]).is_file()
    assert f"livekit-server:{_version()}" in SERVICES["livekit-a"]["image"]


def test_no_two_services_of_the_compose_file_have_a_port_in_common() -> None:
    assert {service["network_mode"] for service in SERVICES.values()} == {"host"}
    own = [re.findall(r"port\w*[ =](\d+)|-p (\d+)", SERVICES[name]["command"]) for name in SERVICES]
    ports = [first or second for found in own for first, second in found]
    for name in ("worker-a", "worker-b"):
        ports += [SERVICES[name]["environment"][port] for port in ("HEALTH_PORT", "HEAROUT_METRICS_PORT")]
    assert len(ports) == len(set(ports)) == 12


def test_compose_waits_for_a_worker_longer_than_the_worker_for_its_calls() -> None:
    drain = int(in_compose("worker-a")[-1])
    minutes = int(SERVICES["worker-a"]["stop_grace_period"].removesuffix("m"))
    shutdown_grace, rest = 30, 15
    assert minutes * 60 >= drain + shutdown_grace + rest


def test_what_the_image_copies_is_there_and_not_kept_from_it() -> None:
    let_in = {line[1:] for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    copied = set()
    for line in (ROOT / "deploy" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            copied |= set(line.split()[1:-1])
    assert copied == let_in
    assert all((ROOT / path).exists() for path in copied)


def _version() -> str:
    (version,) = re.findall(r"^version=(\S+)", (ROOT / ".ci" / "livekit-server").read_text(), re.MULTILINE)
    return str(version)

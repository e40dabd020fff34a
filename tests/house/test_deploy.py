"""The files of deploy/ say what docs/deploy.md says. There is no Docker here: they are read, not run."""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from livekit.protocol import sip

from harness import ROOT
from harness.rooms.cluster import DOCUMENT, commands, only
from harness.telephone import MEDIA_TIMEOUT, MEDIA_TIMEOUT_INITIAL

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SIP: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "sip.yaml").read_text())
SOCKET = "/redis/redis.sock"
"""Of Redis, in its containers; the document has it in a variable."""
LINES = commands(DOCUMENT.read_text())


def in_compose(name: str) -> list[str]:
    """A service's command, with its variables as a shell has them."""
    return shlex.split(re.sub(r"\$\{(\w+)[^}]*\}", r"$\1", SERVICES[name]["command"]))


def with_socket(words: list[str]) -> list[str]:
    return [word.replace(SOCKET, "$REDIS") for word in words]


def in_the_document(program: str) -> list[list[str]]:
    """The commands that run a program, without what is assigned before them."""
    assigned = re.compile(r"\w+=").match
    return [list(itertools.dropwhile(assigned, shlex.split(line))) for line in only(LINES, program)]


def test_the_compose_file_runs_the_documents_commands() -> None:
    (redis,) = in_the_document("redis-server")
    (postgres,) = in_the_document("postgres")
    assert with_socket(in_compose("redis")) == redis
    assert [*in_compose("postgres"), "-k", "$PGDATA"] == postgres  # the image has its sockets elsewhere
    nodes = [
        ["livekit-server", *with_socket(in_compose(name))] for name in ("livekit-a", "livekit-b")
    ]  # the image's entry point
    assert nodes == in_the_document("livekit-server")
    assert [in_compose(name) for name in ("worker-a", "worker-b")] == in_the_document("deploy.agent")


@pytest.mark.parametrize(("name", "number"), [("worker-a", 0), ("worker-b", 1)])
def test_a_worker_has_the_environment_that_the_document_gives_it(name: str, number: int) -> None:
    words = shlex.split(only(LINES, "deploy.agent")[number])
    assigned = dict(word.split("=", 1) for word in words if re.match(r"\w+=", word))
    given = SERVICES[name]["environment"]
    assert assigned.items() <= given.items()
    assert set(given) - set(assigned) == {
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
        "HEAROUT_LEDGER",
        "HEAROUT_LEDGER_KEY",
    }


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
    commands = [service["command"] for service in SERVICES.values() if "command" in service]
    own = [re.findall(r"port\w*[ =](\d+)|-p (\d+)", command) for command in commands]
    ports = [port for found in own for port in map("".join, found) if port != "0"]
    for name in ("worker-a", "worker-b"):
        ports += [SERVICES[name]["environment"][port] for port in ("HEALTH_PORT", "HEAROUT_METRICS_PORT")]
    ports += [str(SIP["sip_port"]), str(SIP["health_port"])]
    first_of_sound, last_of_sound = map(int, SIP["rtp_port"].split("-"))
    assert len(ports) == len(set(ports)) == 13
    assert not [port for port in ports if first_of_sound <= int(port) <= last_of_sound]


def test_the_sip_bridge_finds_a_node_and_its_redis() -> None:
    node = in_compose("livekit-a")
    assert SIP["ws_url"] == f"ws://127.0.0.1:{node[node.index('--port') + 1]}"
    assert SIP["redis"]["address"] == node[node.index("--redis-host") + 1] == SOCKET
    assert {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"} == set(SERVICES["sip"]["environment"])
    assert not set(SIP) & {"api_key", "api_secret"}


def test_redis_listens_on_no_port_and_its_socket_is_the_nodes_only() -> None:
    redis, (folder, name) = in_compose("redis"), SOCKET.rsplit("/", 1)
    told = dict(zip(redis[1::2], redis[2::2], strict=True))
    assert (told["--port"], told["--unixsocket"], told["--unixsocketperm"]) == ("0", f"{folder}/{name}", "600")
    users = {
        one: service["user"] for one, service in SERVICES.items() if f"redis:{folder}" in service.get("volumes", ())
    }
    assert users == dict.fromkeys(("redis", "livekit-a", "livekit-b", "sip"), "65534:65534")
    assert COMPOSE["volumes"]["redis"]["driver_opts"]["o"] == "uid=65534,gid=65534,mode=0700"


def test_the_trunk_and_the_dispatch_rule_are_what_the_server_takes() -> None:
    trunk = json_format.ParseDict(_json("sip-trunk.json"), sip.CreateSIPInboundTrunkRequest()).trunk
    assert trunk.allowed_addresses  # not the whole internet
    rule = json_format.ParseDict(_json("sip-dispatch.json"), sip.CreateSIPDispatchRuleRequest()).dispatch_rule
    assert rule.rule.dispatch_rule_individual.room_prefix


def test_the_document_has_the_bridges_ports_and_time_outs() -> None:
    document = (ROOT / "docs" / "telephony.md").read_text()
    for said in (SIP["sip_port"], SIP["rtp_port"], SIP["health_port"]):
        assert f"| {said} " in document
    assert SIP["media_timeout"] == f"{MEDIA_TIMEOUT:g}s"
    assert SIP["media_timeout_initial"] == f"{MEDIA_TIMEOUT_INITIAL:g}s"


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
    assert {path if path in let_in else path.split("/")[0] for path in copied} == let_in
    assert all((ROOT / path).exists() for path in copied)


def test_every_container_is_read_only_and_of_a_user_without_rights() -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (.+)$", image, re.MULTILINE)
    for name, service in SERVICES.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add"} & set(service), name
        assert service.get("user", user if "build" in service else "root").split(":")[0] not in ("root", "0"), name
        assert "/tmp" in service["tmpfs"], name


def test_workers_sign_with_a_key_that_compose_hands_them() -> None:
    for name in ("worker-a", "worker-b"):
        (secret,) = SERVICES[name]["secrets"]
        assert SERVICES[name]["environment"]["HEAROUT_LEDGER_KEY"] == f"/run/secrets/{secret}"
        assert COMPOSE["secrets"][secret]["file"].startswith("${HEAROUT_LEDGER_KEY:?")


def test_compose_starts_nothing_before_the_secrets_are_checked() -> None:
    for name, service in SERVICES.items():
        if name != "check":
            assert service["depends_on"]["check"] == {"condition": "service_completed_successfully"}, name
    text = (ROOT / "deploy" / "compose.yaml").read_text()
    assert re.findall(r"\$\{\w+(?!:\?|\w)", text) == []  # compose refuses what is not set, or empty


GOOD = {
    "LIVEKIT_API_KEY": "any",
    "LIVEKIT_API_SECRET": "5fd1a09b27c34e86" * 4,
    "POSTGRES_PASSWORD": "90b7c1d4e2fa8635" * 4,
}


def checked(**changed: str) -> subprocess.CompletedProcess[str]:
    """Run `deploy.check` in the environment that compose gives it from a `.env` with these values."""
    values = GOOD | changed
    text = (ROOT / "deploy" / "env.example").read_text()
    for name, value in values.items():
        text = text.replace(f"{name}=\n", f"{name}='{value}'\n", 1)
    command = f"set -a\n{text}\nset +a\nexec {sys.executable} -m deploy.check"
    bare = {"PATH": os.environ["PATH"]}
    return subprocess.run(["sh", "-c", command], cwd=ROOT, env=bare, capture_output=True, text=True, check=False)


def test_secrets_of_ones_own_pass() -> None:
    done = checked()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["LIVEKIT_API_SECRET", "POSTGRES_PASSWORD"])
@pytest.mark.parametrize(
    "value",
    ["", "secret", "APIsecret", "devkey", "changeme" * 8, "a" * 64, "abcd" * 16, "my-very-own-password-0123456789ab"],
)
def test_a_secret_that_can_be_guessed_is_refused_and_not_shown(name: str, value: str) -> None:
    done = checked(**{name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert not value or value not in done.stderr


def test_the_database_and_the_rooms_have_different_secrets() -> None:
    done = checked(POSTGRES_PASSWORD=GOOD["LIVEKIT_API_SECRET"])
    assert (done.returncode, "POSTGRES_PASSWORD is LIVEKIT_API_SECRET" in done.stderr) == (1, True)


def test_the_agent_of_deploy_loads_with_the_environment_of_a_worker() -> None:
    given = {name: str(value) for name, value in SERVICES["worker-a"]["environment"].items()}
    done = subprocess.run(
        [sys.executable, "-c", "import deploy.agent"],
        cwd=ROOT,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def _json(name: str) -> Any:
    return json.loads((ROOT / "deploy" / name).read_text())


def _version() -> str:
    (version,) = re.findall(r"^version=(\S+)", (ROOT / ".ci" / "livekit-server").read_text(), re.MULTILINE)
    return str(version)

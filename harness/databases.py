"""The databases that the ledger is tested on: SQLite's file, and a real PostgreSQL of the tests' own."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness.ledger_workers import Opened

CONNECTIONS = 500
"""That the server takes, in place of PostgreSQL's 100: a call holds one, and a benchmark has 320 calls at once."""


class Postgres:
    """A server on a socket of its own, without a port; killed and started again by some tests.

    It does not wait for the disk: what outlives the server's death, and not the machine's, is what tests can see.

    PostgreSQL does not run as root, so there it runs as `nobody`.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        self._numbers = itertools.count(1)
        self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(folder, "nobody", "nogroup")
        self._run("initdb", "-D", "data", "-U", "hearout", "-A", "trust", "--locale=C", "-E", "UTF8", "-N")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            **self._as,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        self._server = subprocess.Popen(
            [
                *(self._binaries / "postgres", "-D", "data", "-k", self._folder, "-F"),
                *("-c", "listen_addresses=", "-c", f"max_connections={CONNECTIONS}"),
            ],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.execute("SELECT 1")
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        self._server.send_signal(signal.SIGQUIT)  # as when the machine dies: what was promised is on disk
        self._server.wait(timeout=60)

    def execute(self, statement: str) -> None:
        engine = sa.create_engine(
            f"postgresql+psycopg://hearout@/postgres?host={self._folder}", isolation_level="AUTOCOMMIT"
        )
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        finally:
            engine.dispose()

    def database(self) -> str:
        """The URL of an empty schema: as good as a database of its own, and made in no time."""
        name = f"ledger{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"postgresql://hearout@/postgres?host={self._folder}&options=-csearch_path%3D{name}"


def binaries() -> Path | None:
    """Where PostgreSQL's programs are: in the path, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    where = binaries()
    if where is None:
        assert not os.environ.get("CI"), "CI must have PostgreSQL; .ci/run installs it"
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not installed")
    folder = Path(tempfile.mkdtemp(prefix="hearout-pg-"))
    server = Postgres(where, folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, of either kind, and a folder in which no other test has left what waits for PostgreSQL."""
    monkeypatch.chdir(tmp_path)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/receipts.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(autouse=True)
def close_ledgers() -> Iterator[None]:
    """No connection is left to the garbage collector."""
    yield
    while Opened.all:
        Opened.all.pop().close()


SLOW = 20.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SLOW):
        while not condition():  # noqa: ASYNC110 - another process's or thread's doing
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()

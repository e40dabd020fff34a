"""The jobs of the metrics' tests, in a small module: each process imports this one only."""

import os
from multiprocessing.connection import Connection

from prometheus_client import REGISTRY

from harness.ledger_workers import receipt
from hearout import _metrics as metrics


def one_call(folder: str, line: Connection) -> None:
    """One call of a job: an utterance is owed, and settled at a message from the test."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    metrics.owes(1)
    line.send("owes")
    line.recv()
    metrics.owes(-1)
    metrics.settled(receipt("notice"))
    metrics.answered(0.04)


def one_call_for_nobody(line: Connection) -> None:
    """One call of a job whose numbers nobody can read."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    metrics.owes(1)
    line.send(REGISTRY.get_sample_value("hearout_owed"))

"""Anchors: what a book is, told at an interval and at the end of each call to a place outside its database."""

import base64
import json
import logging
import os
import threading
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .._text import apart
from ._checkpoint import Checkpoint

logger = logging.getLogger("hearout.ledger")

EVERY = 60.0
"""Seconds from one anchor to the next while rows are written: what a thief of the database could undo unseen."""

ANSWERS = 2.0
"""Seconds for an endpoint to answer."""

LOG = "log"
"""`HEAROUT_ANCHORS=log`: a line of the log."""


class Anchors:
    """Tells anchors to one place, in a thread of their own: an endpoint that hangs keeps no receipt waiting.

    Args:
        where: ``log``, an ``http(s)://`` URL that each is posted to as JSON, or the file that each is a line of.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._running: threading.Thread | None = None

    def tell(self, checkpoint: Checkpoint) -> None:
        """Tell this anchor; where the one before is still on its way, it is left out, for a later one says more."""
        if self._running is None or not self._running.is_alive():
            self._running = threading.Thread(target=self._tell, args=(checkpoint,), name="hearout-anchor", daemon=True)
            self._running.start()

    def wait(self, seconds: float) -> None:
        """Wait until what is on its way has arrived, or can no longer."""
        if self._running is not None:
            self._running.join(seconds)

    def _tell(self, checkpoint: Checkpoint) -> None:
        try:
            self._keep(json.dumps(checkpoint.to_json()))
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
            size = checkpoint.size
            logger.error("the anchor of %d rows of book %r could not be kept: %s", size, checkpoint.book, why)

    def _keep(self, line: str) -> None:
        if self._where == LOG:
            logger.info("anchor %s", line)
        elif urlsplit(self._where).scheme in ("http", "https"):
            _post(self._where, line)
        else:
            _append(Path(self._where), line)


def _append(path: Path, line: str) -> None:
    """One write of one line: several processes may use one file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Anchors go where the team said, and nowhere else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow none: the error says so."""


def _post(url: str, line: str) -> None:
    headers = {"Content-Type": "application/json"}
    url, enters = apart(url)  # urllib takes who enters for a part of the host's name
    if enters is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(enters).encode()).decode()}"
    request = urllib.request.Request(url, line.encode(), headers)
    opener = urllib.request.build_opener(_NoRedirect)
    answer: Any
    with opener.open(request, timeout=ANSWERS) as answer:
        answer.read(0)

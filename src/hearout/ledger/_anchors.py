"""Anchors: what a book is, told at an interval and at the end of each call to a place outside its database."""

import asyncio
import base64
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

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
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__  # the rest may quote the URL
            if isinstance(error, ValueError):
                why = "HEAROUT_ANCHORS is no URL"
            size = checkpoint.size
            logger.error("the anchor of %d rows of book %r could not be kept: %s", size, checkpoint.book, why)

    def _keep(self, line: str) -> None:
        if self._where == LOG:
            logger.info("anchor %s", line)
        elif urlsplit(self._where).scheme in ("http", "https"):
            asyncio.run(_post(self._where, line))
        else:
            _append(Path(self._where), line)


def _append(path: Path, line: str) -> None:
    """One write of one line: several processes may use one file. Who may read it is for the team to say."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


def web_session(url: str, **options: Any) -> aiohttp.ClientSession:
    """A session for one place, by the environment's proxy.

    aiohttp's ``trust_env`` would also send what ``.netrc`` has, and refuse a request that carries its own key.
    """
    where = urlsplit(url)
    proxy = None if proxy_bypass(where.hostname or "") else getproxies().get(where.scheme.replace("ws", "http"))
    return aiohttp.ClientSession(proxy=proxy, **options)


async def _post(url: str, line: str) -> None:
    timeout, headers = aiohttp.ClientTimeout(ANSWERS), {"Content-Type": "application/json"}
    url, enters = apart(url)  # aiohttp takes what is in a URL for Latin-1
    if enters is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(enters).encode()).decode()}"
    # anchors go where the team said, and nowhere else
    async with (
        web_session(url, timeout=timeout) as web,
        web.post(url, data=line, headers=headers, allow_redirects=False) as answer,
    ):
        if answer.status >= 300:
            raise OSError(answer.status, f"the endpoint answered {answer.status}")

"""The spool: records that the ledger could not take wait in memory and in a file, in order."""

import contextlib
import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from .._text import read_json
from ._entries import Record, Written

logger = logging.getLogger("hearout.ledger")


ASIDE = "aside"
"""The folder in the spool's for what the ledger will never take: a person looks at it."""


class Spool:
    """The records of one process that wait. May be used from several threads.

    The file is locked for as long as the process lives; what a dead process left is another's (:meth:`orphans`).

    Args:
        folder: where the file goes. It is made when it is needed; the folder above it is not.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        self._path = folder / (re.sub(r"[^\w.-]", "_", holder) + ".jsonl")
        self._file: int | None = None
        self._waiting: dict[str, Record] = {}
        self._unwritten: set[str] = set()
        self._lock = threading.Lock()

    def set_aside(self, record: Record, why: str) -> Written:
        """Keep a record that the ledger will never take where a person finds it; nothing waits for it any more."""
        with self._lock:
            aside = self._path.parent / ASIDE / self._path.name
            try:
                _write_aside(aside, json.dumps(record.to_json()).encode())
            except OSError as error:
                aside, why = self._path.parent, f"{why}; it is lost, for {error.strerror}"
            logger.error("a record of kind %r is set aside in %s: %s", record.kind.value, aside, why)
            return Written.ASIDE

    @property
    def waiting(self) -> list[Record]:
        """The records that wait, in order."""
        with self._lock:
            return list(self._waiting.values())

    def keep(self, record: Record) -> Written:
        """Keep a record until it is dropped; when this returns `SPOOLED`, it is on disk."""
        with self._lock:
            self._waiting.setdefault(record.entry, record)
            try:
                self._append(record)
            except OSError as error:
                self._unwritten.add(record.entry)
                logger.error("receipts wait in memory only: %s cannot be written: %s", self._path, error.strerror)
                return Written.MEMORY
            self._unwritten.discard(record.entry)
            return Written.SPOOLED

    @property
    def unwritten(self) -> list[Record]:
        """The records of those that wait in memory only."""
        return [record for record in self.waiting if record.entry in self._unwritten]

    def drop(self, record: Record) -> None:
        """A record is in the ledger."""
        with self._lock:
            self._unwritten.discard(record.entry)
            if self._waiting.pop(record.entry, None) is not None and not self._waiting and self._file is not None:
                # only when nothing waits: a record that is appended again is in the ledger already, and is left out
                os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Leave what still waits to the next process."""
        with self._lock:
            if self._file is None:
                return
            if not self._waiting:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def orphans(self) -> Iterator[list[Record]]:
        """What each process that died left behind; its file is removed when the next is asked for."""
        if not self._path.parent.is_dir():
            return
        for path in sorted(self._path.parent.glob("*.jsonl")):
            if path == self._path:
                continue
            try:
                file = _locked(path, os.O_RDONLY)
            except OSError:
                continue  # it lives, or was removed meanwhile
            try:
                if os.fstat(file).st_nlink:
                    yield list(_read(path))
                    path.unlink(missing_ok=True)
            finally:
                os.close(file)

    def _append(self, record: Record) -> None:
        if self._file is None:
            _make(self._path.parent)
            self._file = _locked(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            folder = os.open(self._path.parent, os.O_RDONLY)
            os.fsync(folder)  # the file's name, too
            os.close(folder)
        line = (json.dumps(record.to_json()) + "\n").encode()
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(0, "the disk is full")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)  # no half line before the next one
            raise


def _make(folder: Path) -> None:
    """A folder for what callers said: nobody else's business, also where it was there before."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        with contextlib.suppress(PermissionError):  # a volume that is somebody else's
            folder.chmod(0o700)


def _write_aside(path: Path, line: bytes) -> None:
    """Write one line in one go, to the disk: several processes may use one file."""
    _make(path.parent.parent)
    _make(path.parent)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        _close_to_others(file)
        os.write(file, line + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def _close_to_others(file: int) -> None:
    """Take an old file's rights from everybody but the owner."""
    if os.fstat(file).st_mode & 0o077:
        with contextlib.suppress(PermissionError):  # somebody else's
            os.fchmod(file, 0o600)


def _locked(path: Path, flags: int) -> int:
    file = os.open(path, flags, 0o600)
    _close_to_others(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _read(path: Path) -> Iterator[Record]:
    """The records of a file; a last line that was never finished is none, and neither is one that is set aside."""
    *lines, torn = path.read_bytes().split(b"\n")
    if torn:
        logger.error("the last line of %s was never finished; it is left out", path.name)
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield Record.from_json(read_json(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            _write_aside(path.parent / ASIDE / path.name, line)
            logger.error("line %d of %s cannot be read as a record; it is set aside", number, path.name)

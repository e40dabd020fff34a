"""The sections of a document that benchmarks write: each between two marks, and what stands around them stays."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from .table import Table


def begin(name: str, command: str) -> str:
    """The mark before a section, which says what writes it."""
    return f"<!-- {name}: written by {command} -->"


def end(name: str) -> str:
    """The mark behind it."""
    return f"<!-- {name}: end -->"


def write(path: Path, name: str, command: str, text: str) -> None:
    """Write one section in its place, or as the last.

    Args:
        path: the document; it is made if it is not there.
        name: of the section, in its marks.
        command: what writes it.
        text: the section, in Markdown.
    """
    section = f"{begin(name, command)}\n{text.strip()}\n{end(name)}"
    old = path.read_text() if path.exists() else "# Benchmarks\n"
    before, mark, rest = old.partition(begin(name, command))
    if mark:
        path.write_text(before + section + rest.split(end(name), 1)[1])
    else:
        path.write_text(f"{old.rstrip()}\n\n{section}\n")


def section(title: str, about: str, tables: Sequence[Table]) -> str:
    """A section: its title, what was measured, and the tables."""
    return "\n\n".join([f"## {title}", about, *(f"```\n{table}\n```" for table in tables)])


def run(busy: str) -> str:
    """On which day, machine and versions it was measured.

    Args:
        busy: how much else the machine did.
    """
    return (
        f"On {datetime.now(UTC):%Y-%m-%d}; {machine()}, {busy}; Python {sys.version.split()[0]}, LiveKit Agents "
        f"{version('livekit-agents')}."
    )


def machine() -> str:
    """The processor's name, how many cores, and how much memory."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    gigabytes = round(psutil.virtual_memory().total / 2**30)
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores, {gigabytes} GB"

"""Draws the picture in docs/architecture.md from the imports of the source. `make docs` writes it; a test checks it."""

import re
from pathlib import Path

from harness import ROOT
from harness.imports import imports

DOCUMENT = ROOT / "docs" / "architecture.md"
SOURCE = ROOT / "src" / "hearout"
FOUNDATIONS = {"errors", "policy", "receipts", "_text", "_metrics"}
"""Nearly every package imports these: their arrows would hide the others."""
_PICTURE = re.compile(r"```mermaid\n.*?```", re.DOTALL)


def room(path: Path) -> str:
    """The package or module at the top of the source in which a file lies."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def arrows() -> set[tuple[str, str]]:
    """Which top-level package or module imports which, foundations and type checking aside."""
    found: set[tuple[str, str]] = set()
    for path in SOURCE.rglob("*.py"):
        for module in imports(path, typing_only=False):
            parts = module.split(".")
            if parts[0] != "hearout" or len(parts) < 2:
                continue
            found.add((room(path), parts[1]))
    return {(a, b) for a, b in found if a != b and not {a, b} & (FOUNDATIONS | {"__init__"})}


def picture() -> str:
    """The arrows as a flow chart."""
    lines = [f"    {_name(a)} --> {_name(b)}" for a, b in sorted(arrows())]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def drawn() -> str:
    """docs/architecture.md with the picture as it is now."""
    return _PICTURE.sub(lambda _: picture(), DOCUMENT.read_text(), count=1)


def _name(room: str) -> str:
    return "command" if room == "__main__" else room.lstrip("_")


if __name__ == "__main__":
    DOCUMENT.write_text(drawn())

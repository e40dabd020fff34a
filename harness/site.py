"""The documents as a site: README, docs/ and what is beside README, side by side, with the reference, and built."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT

BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
REFERENCE = ("hearout", "hearout.receipts", "hearout.ledger", "hearout.measure", "hearout.prepare", "hearout.testing")


def gather(folder: Path) -> None:
    """Put all pages into ``folder/docs``, with links that hold there, and the configuration beside it."""
    pages = folder / "docs"
    shutil.copytree(ROOT / "docs", pages)
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copy(ROOT / "LICENSE", pages)
    for name in ("README.md", *BESIDE):
        page = pages / ("index.md" if name == "README.md" else name)
        page.write_text(_linked(ROOT.joinpath(name).read_text()))
    for page in pages.glob("*.md"):
        page.write_text(_without_files(page.read_text()))
    (pages / "reference").mkdir()
    for package in REFERENCE:
        text = f"# `{package}`\n\n::: {package}\n"
        (pages / "reference" / f"{package.removeprefix('hearout.')}.md").write_text(text)


def _linked(text: str) -> str:
    """Links from the repository's top, as they are from docs/."""
    return re.sub(r"\]\(docs/", "](", text)


def _without_files(text: str) -> str:
    """Links to pages beside README hold; of those to files that are no pages, the text is left."""
    text = re.sub(r"\[([^\]]+)\]\(\.\./(?!\w+\.md)[^)]+\)", r"\1", text)
    return text.replace("](../README.md", "](index.md").replace("](../", "](")


def build(site: Path) -> str:
    """Build the site into a folder, which is emptied first; the builder's output, or an error that has it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        gather(folder)
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "zensical.toml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The site of the documents was not built:\n{done.stdout}{done.stderr}")
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(folder / "site", site)
        return done.stdout + done.stderr


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))

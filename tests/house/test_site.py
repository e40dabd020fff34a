"""The site of the documents: built strictly, from what is here, and loading nothing from elsewhere."""

import re
from pathlib import Path

import pytest

from harness import ROOT, site

LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^\s>"']+""")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "built"
    site.build(folder)
    return folder


def test_every_document_is_a_page_of_the_site(built: Path) -> None:
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")} | {Path(name).stem for name in site.BESIDE}
    assert documents | {"index"} <= {path.stem for path in built.glob("*.html")}
    menu = (built / "index.html").read_text()
    assert [name for name in documents if f'href="./{name}.html"' not in menu] == []


def test_no_page_loads_anything_from_another_host(built: Path) -> None:
    assert LOADED.search('<script src="https://unpkg.com/x"></script>')
    pages = [*built.rglob("*.html")]
    assert [(page.name, LOADED.findall(page.read_text())) for page in pages if LOADED.search(page.read_text())] == []
    assert [page.name for page in pages if 'class="mermaid"' in page.read_text()] == []  # its code is on another host


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("hearout", "hearout.AgentSession.announce"),
        ("hearout", "hearout.AgentSession.ask"),
        ("receipts", "hearout.receipts.Receipt"),
        ("ledger", "hearout.ledger.Ledger"),
        ("measure", "hearout.measure.measure"),
        ("prepare", "hearout.prepare.main"),
        ("testing", "hearout.testing.Call"),
    ],
)
def test_the_reference_has_what_each_package_gives(built: Path, page: str, name: str) -> None:
    assert f'id="{name}"' in (built / "reference" / f"{page}.html").read_text()


def test_a_link_to_nowhere_builds_no_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gather = site.gather

    def with_a_dead_link(folder: Path) -> None:
        gather(folder)
        page = folder / "docs" / "limits.md"
        page.write_text(page.read_text() + "\n[gone](nowhere.md)\n")

    monkeypatch.setattr(site, "gather", with_a_dead_link)
    with pytest.raises(SystemExit, match="was not built"):
        site.build(tmp_path / "built")

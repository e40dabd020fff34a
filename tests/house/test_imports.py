"""The import rules by folder (house.md, section 2); and no circle of modules."""

import functools
import itertools
from pathlib import Path

import pytest

from harness.imports import SOURCE, imports, module_name, source_file

ROOMS = SOURCE / "hearout"
MODULES = sorted(ROOMS.rglob("*.py"))

LEAVES = {"errors", "_text", "policy", "receipts"}
"""Facts and words, which import no decision and no call: whoever may import a package may import these beneath it."""

MAY = {
    "errors": set[str](),
    "_text": {"errors"},
    "measure": {"_text", "errors"},
    "policy": {"_text", "errors"},
    "receipts": {"_text", "policy", "errors"},
    "_floor": LEAVES,
    "_pipeline": {"_text", "errors"},
    "announcement": {"_text", "errors"},
    "_metrics": {"receipts", "errors"},
    "ledger": set(LEAVES),
    "_room": {"_floor", *LEAVES},
    "_session": {"_floor", "_pipeline", "ledger", "_room", "_metrics", "announcement", *LEAVES},
    "_local": {"_text", "errors"},
    "_worker": {"_local", "_metrics", "_session", "ledger", *LEAVES},
    "prepare": {"_local", "announcement", *LEAVES},
    "testing": {"_session", "_floor", *LEAVES},
    "_console": {"_session", "_floor", "_local", *LEAVES},
    "_web": {"_session", "_worker", "_local", "ledger", *LEAVES},
    "cli": {"__main__", "_console", "_web", "_session", "_worker", "_local", *LEAVES},
    "__main__": {"ledger", "prepare", "measure", "_local", "_web", *LEAVES},
    "__init__": {"_session", "_worker", "announcement", "ledger", "cli", *LEAVES},
}
"""Each package or module of hearout, and what of hearout it may import."""

KNOTS: set[tuple[str, str]] = set()
"""A file and the package that it imports against the rule. No entry may be added."""


def room(file: str) -> str:
    """The package or module below hearout that a file belongs to."""
    return Path(file).parts[0].removesuffix(".py")


@functools.cache
def edges() -> set[tuple[str, str]]:
    """Each file with each package of ours that it imports, its own excepted."""
    files = {str(path.relative_to(ROOMS)): imports(path) for path in MODULES}
    found = {(file, source_file(one)) for file, named in files.items() for one in named if one.startswith("hearout")}
    return {(file, room(to)) for file, to in found if to is not None and room(to) != room(file)}


def test_every_package_has_a_rule_and_every_rule_a_package() -> None:
    there = {room(str(path.relative_to(ROOMS))) for path in MODULES}
    assert there == set(MAY)
    assert set(itertools.chain(*MAY.values())) <= there


@pytest.mark.parametrize("name", sorted(MAY))
def test_a_package_imports_only_what_it_may(name: str) -> None:
    against = {(file, to) for file, to in edges() if room(file) == name and to not in MAY[name]}
    assert against <= KNOTS


def test_a_knot_that_is_untied_is_taken_off_the_list() -> None:
    assert edges() >= KNOTS


def test_the_rules_themselves_have_no_circle() -> None:
    left = dict(MAY)
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert not left, f"a circle among {sorted(left)}"


def test_no_module_imports_itself_over_others() -> None:
    names = {module_name(path): path for path in MODULES}
    left = {name: imports(path, typing_only=False) & set(names) - {name} for name, path in names.items()}
    while ends := {name for name in left if not left[name] or all(name not in needs for needs in left.values())}:
        left = {name: needs - ends for name, needs in left.items() if name not in ends}
    assert not left, f"a circle among {sorted(left)}"

"""The public names: all there, each imported when it is asked for; a command that needs no LiveKit waits for none."""

import ast
import importlib
import pickle
import pkgutil
import re
import subprocess
import sys

import pytest

import hearout
from harness import ROOT, site
from hearout import errors
from hearout.measure import MeasureError

HEAVY = ("livekit", "numpy", "hearout._session.agent_session")

LATER = ("matplotlib", "prompt_toolkit", "scipy", "sounddevice", "hibari", "moonshine_voice", "unittest.mock")
"""What a console's first sound need not wait for: models load beside the imports, the rest comes when it is used."""


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "does",
    [
        "import hearout",
        "import hearout; assert set(hearout.__all__) <= set(dir(hearout))",
        "from hearout import Policy, Receipt, Level, Retention, HearoutError",
        "from hearout import Cause, Fate, Held, Ledger, LedgerError, MisspokenError",
        "from hearout.__main__ import main; main(['--help'])",
        "from hearout.__main__ import main; main(['receipts', '--help'])",
        "from hearout.__main__ import main; main(['receipts', 'verify', '--file', '/nowhere'])",
    ],
)
def test_what_needs_no_livekit_imports_neither_it_nor_numpy(does: str) -> None:
    printed = fresh(f"import sys; {does}; print('loaded:', [one for one in {HEAVY} if one in sys.modules])")
    assert printed.splitlines()[-1] == "loaded: []"


def test_what_needs_livekit_has_it_at_once_and_a_console_little_more() -> None:
    names = "from hearout import policy, ledger, AgentSession, cli; print(policy.__name__, cli.__name__)"
    console = "from hearout._console import play, run, screen; from hearout._local import gateway"
    loaded = f"[[one for one in some if one in sys.modules] for some in ({HEAVY}, {LATER})]"
    # what the import made is looked through for garbage no more, and what comes after it is
    printed = fresh(f"import gc, sys; {names}; {console}; print({loaded}, gc.get_freeze_count() > 1e5, gc.isenabled())")
    assert printed.splitlines() == ["hearout.policy hearout.cli", f"{[list(HEAVY), []]} True True"]


def test_every_public_name_is_there_and_listed() -> None:
    for name in hearout.__all__:
        assert getattr(hearout, name).__name__ == name
    assert sorted(hearout.__all__) == hearout.__all__


@pytest.mark.parametrize("package", [*site.REFERENCE, "hearout.errors"])
def test_every_public_name_is_in_a_document(package: str) -> None:
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None) or [name for name, one in vars(module).items() if isinstance(one, type)]
    documents = "".join(one.read_text() for one in (ROOT / "docs").glob("*.md"))
    assert [name for name in names if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", documents)] == []


def test_a_star_brings_the_public_names_and_no_others() -> None:
    scope: dict[str, object] = {}
    exec("from hearout import *", scope)
    assert set(scope) - {"__builtins__"} == set(hearout.__all__)


def test_what_type_checkers_are_shown_is_what_is_there() -> None:
    tree = ast.parse((ROOT / "src" / "hearout" / "__init__.py").read_text())
    shown = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(shown) == set(hearout.__all__)
    for name, module in shown.items():
        assert getattr(importlib.import_module(f"hearout.{module}"), name) is getattr(hearout, name)


def test_no_public_name_is_a_module_s() -> None:
    assert not {one.name for one in pkgutil.iter_modules(hearout.__path__)} & set(hearout.__all__)


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'hearout' has no attribute 'Announcment'"):
        hearout.Announcment  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Announcment' from 'hearout'"):
        exec("from hearout import Announcment")


def test_public_things_can_be_pickled() -> None:
    for name in hearout.__all__:
        assert pickle.loads(pickle.dumps(getattr(hearout, name))) is getattr(hearout, name)
    assert pickle.loads(pickle.dumps(hearout.Policy())) == hearout.Policy()


def test_every_error_is_drawn_at_its_place_in_the_tree_or_named_as_outside() -> None:
    drawn = re.findall(r"^([ │]*[├└]── )(\w+)", errors.__doc__ or "", re.MULTILINE)
    branch = {1: "HearoutError"}
    for marks, name in drawn:
        depth = len(marks) // 4
        branch[depth + 1] = name
        assert branch[depth] in [base.__name__ for base in getattr(errors, name).__bases__]
    assert {"HearoutError", *(name for _, name in drawn)} == {
        name for name, one in vars(errors).items() if isinstance(one, type)
    }
    assert not issubclass(MeasureError, errors.HearoutError)
    assert "hearout.measure.MeasureError" in (errors.__doc__ or "")

"""Docstring heads name the subject (house.md, section 4): few pronouns, and no riddle."""

import ast
import re
from pathlib import Path

import pytest

from harness import ROOT

PRONOUN = re.compile(
    r"\b(it|its|itself|they|them|their|theirs|he|she|his|her|hers|him|who|whom|whose|what|whoever|whatever)\b", re.I
)
RIDDLE = re.compile(r"(What|Whether)\b.*\bit\b", re.DOTALL)
MOST = 2


def heads(path: Path) -> list[tuple[str, str]]:
    """The first paragraph of each docstring of a file, by the name of what it describes."""
    named = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, named)]
    told = [(getattr(one, "name", path.name), ast.get_docstring(one)) for one in found]
    return [(name, docstring.split("\n\n")[0]) for name, docstring in told if docstring]


def is_unclear(head: str) -> bool:
    """Whether a reader has to guess the subject."""
    return RIDDLE.match(head) is not None or len(PRONOUN.findall(head)) > MOST


def unclear(folder: Path) -> list[str]:
    """The heads below a folder that are not as they should be."""
    return [
        f"{path.relative_to(folder)}, {name}: {head}"
        for path in sorted(folder.rglob("*.py"))
        for name, head in heads(path)
        if is_unclear(head)
    ]


@pytest.mark.parametrize("head", ["What is left of it.", "Whether it is so.", "Its owner tells them what they owe."])
def test_a_riddle_is_found(head: str) -> None:
    assert is_unclear(head)


@pytest.mark.parametrize("head", ["What a caller said.", "The seconds that were played, and who heard them."])
def test_a_head_that_names_its_subject_passes(head: str) -> None:
    assert not is_unclear(head)


@pytest.mark.parametrize("folder", ["src/hearout", "harness", "tests", "bench"])
def test_the_heads_of_a_folder_name_their_subject(folder: str) -> None:
    assert not unclear(ROOT / folder), "name the subject, one fact a sentence (house.md, section 4)"

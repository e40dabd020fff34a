"""Regular expressions over foreign text: the time that each takes grows with the text, not with its square."""

import ast
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]  # the parsed form of a pattern has no public name
from typing import Any

from harness import ROOT

SOURCE = ROOT / "src" / "hearout"
SEARCHES, MATCHES = {"search", "sub", "subn", "findall", "finditer", "split"}, {"match", "fullmatch"}
SIGNS = 6
"""Different signs that are tried of one pattern."""
SHORT, LONG = 2_000, 8_000
"""Signs of a hostile text: four times as many take four times as long, or sixteen times."""
QUICK = 0.7e-3
"""Seconds of this thread for SHORT signs: going through them once takes a tenth of it, a square ten times it."""
GROWS = 8.0


@dataclass(frozen=True)
class Pattern:
    """A regular expression of the source, and the methods it is used by."""

    where: str
    text: str
    methods: frozenset[str]

    def uses(self) -> list[Callable[[str], object]]:
        """The functions of a text that it is."""
        compiled = re.compile(self.text)
        found: list[Callable[[str], object]] = []
        if self.methods & SEARCHES:
            found.append(lambda text: compiled.sub("", text))
        found += [getattr(compiled, name) for name in sorted(self.methods & MATCHES)]
        return found


def patterns() -> list[Pattern]:
    """Every regular expression in the source."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if (method := _of(node, "re")) and method not in ("escape", "Match", "Pattern"):
                assert isinstance(node, ast.Call)
                where = f"{path.relative_to(SOURCE)}:{node.lineno}"
                methods = frozenset({method}) if method != "compile" else _methods(path.read_text(), node.lineno)
                found.append(Pattern(where, _text(node.args[0], where), methods))
    return found


def _of(node: ast.AST, module: str) -> str:
    """Which function of a module a node calls; empty for none."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        return node.func.attr if isinstance(owner, ast.Name) and owner.id == module else ""
    return ""


def _text(node: ast.expr, where: str) -> str:
    """The pattern as the source writes it, with one word for each expression in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "word" for part in node.values)
    assert isinstance(node, ast.Constant), f"{where}: write the pattern as it is, so that its time can be tried"
    return str(node.value)


def _methods(source: str, line: int) -> frozenset[str]:
    """By which methods a compiled pattern is used in its file: all, where it has no name there."""
    name = re.match(r"(\w+) = re\.compile", source.splitlines()[line - 1])
    used = set(re.findall(rf"\b{name[1]}\.(\w+)", source)) if name else set()
    return frozenset(used & (SEARCHES | MATCHES)) or frozenset(SEARCHES | MATCHES)


LEAVES: dict[str, Callable[[Any], str]] = {
    "LITERAL": chr,
    "NOT_LITERAL": lambda _: "a",
    "NEGATE": lambda _: "a",
    "ANY": lambda _: "a",
    "RANGE": lambda ends: chr(ends[0]),
    "CATEGORY": lambda kind: {"SPACE": " \n", "DIGIT": "1", "NOT_WORD": " "}.get(str(kind)[9:], "a"),
}


def signs(parsed: Any) -> Iterator[str]:
    """One sign of each kind that a pattern speaks of."""
    if isinstance(parsed, tuple) and str(parsed[0]) in LEAVES:
        yield from LEAVES[str(parsed[0])](parsed[1])
    elif isinstance(parsed, tuple | list | _parser.SubPattern):
        yield from itertools.chain.from_iterable(map(signs, parsed))


def hostile(pattern: str) -> Iterator[Callable[[int], str]]:
    """Texts of any length: a beginning, something again and again, and a sign that fits nowhere."""
    kinds = list(dict.fromkeys(signs(_parser.parse(pattern))))[:SIGNS]
    pieces = ["", *kinds, *map("".join, itertools.product(kinds, kinds))]
    for begin, again in itertools.product(pieces, pieces[1:]):
        yield lambda length, begin=begin, again=again: begin + again * (length // len(again)) + "\x01"  # type: ignore[misc]


def seconds(use: Callable[[str], object], text: str, *, times: int = 1) -> float:
    """The seconds of this thread for one use, the least of several: others on the machine do not count."""
    took = []
    for _ in range(times):
        before = time.thread_time()
        use(text)
        took.append(time.thread_time() - before)
    return min(took)


def slow(pattern: Pattern) -> str:
    """The text whose time grows with its square; empty, where there is none."""
    for use, text in itertools.product(pattern.uses(), hostile(pattern.text)):
        if seconds(use, text(SHORT)) > QUICK:
            one, four = seconds(use, text(SHORT), times=3), seconds(use, text(LONG))
            if one > QUICK and four > GROWS * one:
                return f"{text(12)!r}: {one:.4f} s for {SHORT} signs, {four:.4f} s for {LONG}"
    return ""


def test_a_pattern_whose_time_grows_with_the_square_is_found() -> None:
    for text in (r"\b(\d[\d,]*)th\b", r"<(/?)([a-z][\w:.-]*)[^<>]*?(/?)>", r"<.*>"):
        assert slow(Pattern("here", text, frozenset({"sub"})))
    assert slow(Pattern("here", r"\s*\[*\s*word", frozenset({"match"})))
    assert not slow(Pattern("here", r"<[/?!a-zA-Z][^<>]*>", frozenset({"sub"})))


def test_each_pattern_takes_time_in_proportion_to_the_text() -> None:
    found = patterns()
    assert len(found) > 30
    assert {pattern.where: why for pattern in found if (why := slow(pattern))} == {}

"""What a file of the source imports, as full module names."""

import ast
import functools
from pathlib import Path

from harness import ROOT

SOURCE = ROOT / "src"


def module_name(path: Path) -> str:
    """The module that a file of the source is."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def source_file(module: str) -> str | None:
    """The file of a module of ours, relative to the package; None where there is no such module."""
    bare = SOURCE.joinpath(*module.split("."))
    for path in (bare.with_suffix(".py"), bare / "__init__.py"):
        if path.is_file():
            return str(path.relative_to(SOURCE / "hearout"))
    return None


@functools.cache
def imports(path: Path, *, typing_only: bool = True) -> frozenset[str]:
    """The modules that a file imports, wherever the import stands.

    Args:
        path: of the file, below ``src``.
        typing_only: whether to count those below ``if TYPE_CHECKING``.
    """
    tree = ast.parse(path.read_text())
    hidden = (
        set()
        if typing_only
        else {id(inner) for block in ast.walk(tree) if _is_typing(block) for inner in ast.walk(block)}
    )
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.add(inner if module.startswith("hearout") and source_file(inner) else module)
    return frozenset(found)


def _is_typing(block: ast.AST) -> bool:
    return isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"

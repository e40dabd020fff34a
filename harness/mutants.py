"""One source file of hearout with one place of it otherwise, for tests that must see the difference."""

import inspect
import sys
from types import ModuleType


def mutated(module: ModuleType, old: str, new: str) -> ModuleType:
    """The module as it is where `new` stands in the one place of `old`; nothing that is imported changes."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {module.__name__}"
    changed = ModuleType(module.__name__)
    changed.__dict__.update(__package__=module.__package__, __file__=module.__file__)
    sys.modules[module.__name__] = changed  # where dataclasses look for the module of a class
    try:
        exec(compile(source.replace(old, new), module.__name__, "exec"), changed.__dict__)
    finally:
        sys.modules[module.__name__] = module
    return changed

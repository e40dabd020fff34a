"""What a question of `AgentSession.ask()` may be answered by, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..errors import QuestionError
from ..policy import KEYS

_NO_KEYS: Mapping[str, str] = {}


class Aside(Enum):
    """What becomes of a question that the caller asks back."""

    ANSWER = "answer"
    """The agent answers it; then ours is asked again."""
    REPEAT = "repeat"
    """Ours is asked again at once."""


class Silence(Enum):
    """The meaning of the caller's silence."""

    NOTHING = "nothing"
    """Neither yes nor no."""
    IMPLIED = "implied"
    """It means yes, and the receipt says that nobody said so."""


@dataclass(frozen=True)
class YesNo:
    """The choices ``"yes"`` and ``"no"``.

    Args:
        keys: keys of a telephone, each with the choice that it makes: ``{"1": "yes", "2": "no"}``.

    Raises:
        QuestionError: a key is none, or makes none of the choices.
    """

    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The choices."""
        return ("yes", "no")

    def __post_init__(self) -> None:
        _check_keys(self.keys, self.names)


@dataclass(frozen=True, init=False)
class Choices:
    """Several choices, each with the phrases that make it.

    Args:
        names: the choices; each is made by its own name.
        phrases: more phrases that make a choice: ``{"sales": ["buy", "an order"]}``.
        keys: as for `YesNo`.

    Raises:
        QuestionError: fewer than two choices, an empty one or one twice, or a key or phrase of none of them.
    """

    names: tuple[str, ...]
    phrases: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, str]

    def __init__(
        self,
        *names: str,
        phrases: Mapping[str, tuple[str, ...] | list[str]] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        if len(names) < 2 or len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise QuestionError("Choices needs two names or more, none of them empty and none twice", field="choices")
        if unknown := set(phrases or ()) - set(names):
            raise QuestionError(f"phrases are of {sorted(unknown)}, which are no choices", field="choices")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "phrases", {name: (name, *(phrases or {}).get(name, ())) for name in names})
        object.__setattr__(self, "keys", dict(keys or {}))
        _check_keys(self.keys, self.names)


@dataclass(frozen=True)
class Digits:
    """So many digits, said or pressed.

    Raises:
        QuestionError: it is no number from 1 to 20.
    """

    count: int

    @property
    def names(self) -> tuple[str, ...]:
        """No choices: any digits will do."""
        return ()

    @property
    def keys(self) -> Mapping[str, str]:
        """No keys: each digit is its own."""
        return _NO_KEYS

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool) or not 1 <= self.count <= 20:
            raise QuestionError(f"Digits takes a number from 1 to 20, not {self.count!r}", field="choices")


def _check_keys(keys: Mapping[str, str], names: tuple[str, ...]) -> None:
    for key, choice in keys.items():
        if key not in KEYS or len(key) != 1:
            raise QuestionError(f"{key!r} is no key of a telephone (0-9, *, #, A-D)", field="keys")
        if choice not in names:
            raise QuestionError(f"key {key} makes {choice!r}, which is none of {', '.join(names)}", field="keys")

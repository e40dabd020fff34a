"""Arguments of `hearout receipts`: their order, and moments, ages and choices, each refused with a sentence."""

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

FLAGS = ("-h", "--help", "--json", "--chain", "--vcon", "--text")
"""The options that take no value."""


def command_first(arguments: Sequence[str], commands: Sequence[str]) -> list[str]:
    """Put the command before the options, wherever it stands among them; `list` where there is none."""
    takes_value = False
    for number, word in enumerate(arguments):
        if word.startswith("-"):
            takes_value = "=" not in word and not any(flag.startswith(word) for flag in FLAGS)
        elif takes_value:
            takes_value = False
        elif word in commands:
            return [word, *arguments[:number], *arguments[number + 1 :]]
        else:
            break
    return list(arguments) if arguments and arguments[0] in ("-h", "--help") else ["list", *arguments]


def moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it like 2027-01-31T08:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def age(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write it like 90d or 12h")
    return int(found[1]) * units[found[2]]


def some_of(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(one.strip() for one in text.split(","))
        for one in chosen:
            if one not in choices:
                raise argparse.ArgumentTypeError(f"{one!r} is none of {', '.join(choices)}")
        return chosen

    return parse

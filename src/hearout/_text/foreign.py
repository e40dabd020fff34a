"""JSON that somebody else wrote: a document, or one kind of error."""

import json
import math
from typing import Any

_DIGITS = 300
"""Of a whole number: more than any float has before its point."""


def read_json(text: str | bytes) -> Any:
    """The document of JSON.

    Its numbers are finite, and a float holds them: no reader has to look for that.

    Raises:
        ValueError: it is none, or is nested too deeply, or has another number.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("it has a number that is too large")
    return int(digits)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("it has a number that is not finite")
    return value

"""Hostile documents, made of good ones, to try a reader with."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("HEAROUT_FUZZ", "40"))
"""Documents for each reader: a sample in `make test`, thousands in `make nightly`."""

DEEP = 3_000
"""Brackets in one another: more than Python's recursion bears."""

VALUES = (
    *("null", "true", "0", "-1", "2", "1.5", "1e999", "-1e999", "NaN", "1" + "0" * 400, "9" * 5_000),
    *('""', '"a"', '"\\ud800"', '"\\u0000"', '"2"', '"²"', '"٣"', '"1.0"', '"9' + "9" * 5_000 + '.0"', '".."', '"/x"'),
    *('"' + "a" * 5_000 + '"', "[]", "{}", "[null]", "[[]]", "[1e999]", "[[0,1]]", '{"kind":"mark"}', '{"a":1}'),
    *("[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP),
)
"""What may stand in the place of any value of a JSON document, as it is written."""

PIECES = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\n", b"\r\n", b"\xe2\x80\xa8", b'"', b"'", b"\\", b"[", b"]", b"{", b"="),
    *(b"nan", b"inf", b"1979-05-27", b"9" * 5_000, b"[" * DEEP, b"{" * DEEP, b"<a" * 500, b" " * 500, b"\xef\xbb\xbf"),
)
"""What may be put into any file."""


PLAIN: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
}


def places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value of a document, by its names and numbers."""
    yield place
    if isinstance(document, dict | list):
        inside = document.items() if isinstance(document, dict) else enumerate(document)
        for name, value in inside:
            yield from places(value, (*place, name))


def written(document: Any, edits: Sequence[tuple[tuple[Any, ...], str | None]]) -> str:
    """The document as JSON, with some of its values replaced by others, or left out (None)."""
    document, instead = json.loads(json.dumps(document)), {}
    for number, (place, value) in enumerate(edits):
        instead[f"\x01{number}"] = value
        document = _edited(document, place, None if value is None else f"\x01{number}")
    text = json.dumps(document)
    for stands, value in instead.items():
        text = text.replace(json.dumps(stands), value or "")
    return text


def _edited(document: Any, place: tuple[Any, ...], value: str | None) -> Any:
    if not place:
        return document if value is None else value
    inner = document
    for name in place[:-1]:
        try:
            inner = inner[name]
        except (LookupError, TypeError):  # an edit before took it away
            return document
    if not isinstance(inner, dict | list) or (isinstance(inner, dict) and place[-1] not in inner):
        return document
    if isinstance(inner, list) and place[-1] >= len(inner):
        return document
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


def damaged_json(document: Any) -> st.SearchStrategy[bytes]:
    """The document with one to three of its values exchanged or left out."""
    edit = st.tuples(st.sampled_from(sorted(places(document), key=repr)), st.none() | st.sampled_from(VALUES))
    return st.lists(edit, min_size=1, max_size=3).map(lambda edits: written(document, edits).encode())


def damaged_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with something put in, taken out, turned over, or cut off."""
    values = [number + 2 for number in range(len(content)) if content[number : number + 2] in (b"= ", b": ")]
    at = st.integers(0, len(content)) | st.sampled_from(values or [0])
    edit = st.tuples(at, st.integers(0, 8), st.sampled_from(PIECES) | st.binary(max_size=8))

    def edited(edits: list[tuple[int, int, bytes]]) -> bytes:
        whole = content
        for place, taken, put in edits:
            whole = whole[:place] + put + whole[place + taken :]
        return whole

    return st.lists(edit, min_size=1, max_size=3).map(edited) | at.map(lambda end: content[:end]) | st.binary()


def hostile(document: Any) -> st.SearchStrategy[bytes]:
    """What may come in the place of a document of JSON, or of bytes."""
    if isinstance(document, bytes):
        return damaged_bytes(document)
    return damaged_json(document) | damaged_bytes(json.dumps(document).encode())


def attack(document: Any, read: Callable[[bytes], object], *, times: int = EXAMPLES) -> None:
    """Give the reader a document, and then whatever somebody makes of it.

    Args:
        document: of JSON, or bytes.
        read: fails where the reader does what it must not.
        times: how many other documents.
    """
    read(document if isinstance(document, bytes) else json.dumps(document).encode())

    @settings(max_examples=times, derandomize=EXAMPLES < 1_000, **PLAIN)
    @given(hostile(document))
    def each(content: bytes) -> None:
        read(content)

    each()

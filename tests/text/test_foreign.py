"""JSON that somebody else wrote: a document, or one kind of error."""

import json

import pytest

from hearout._text import read_json


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, "b", null, true]}', b"[]", '"a"', "9" * 300])
def test_a_document_is_what_it_says(text: str | bytes) -> None:
    assert read_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[-Infinity]", "1e999", "9" * 301, "[" * 100_000, b"\xff", '{"a":' * 100_000],
    ids=lambda text: repr(text[:8]),
)
def test_what_is_no_document_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any text
        read_json(text)

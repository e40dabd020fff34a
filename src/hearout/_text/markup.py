"""The markup (SSML) of a text: the one place that says what is markup, in time in proportion to the text."""

import re
from collections import Counter
from collections.abc import Iterator

_MARKUP = re.compile(r"<[/?!a-zA-Z][^<>]*>")
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:.-]*+)([^<>]*+)>")
_EMPTY = frozenset({"break", "br"})
"""Tags that enclose nothing, and that people write without closing them."""


def unmarked(text: str) -> str:
    """The text with spaces in the place of its markup: each word stands where it stood."""
    return _MARKUP.sub(lambda match: " " * len(match.group()), text)


def outside(text: str) -> Iterator[tuple[int, str]]:
    """The signs that are not part of markup, each with its place in the text."""
    begin = 0
    for match in _MARKUP.finditer(text):
        yield from enumerate(text[begin : match.start()], begin)
        begin = match.end()
    yield from enumerate(text[begin:], begin)


def has_words(text: str) -> bool:
    return any(sign.isalnum() for sign in unmarked(text))


def open_tags(text: str) -> str:
    """The tags that a text opens and does not close. The rest of the text needs them before it."""
    found: list[tuple[str, str]] = []
    names = Counter[str]()
    for match in _TAG.finditer(text):
        closes, name, rest = match.groups()
        if closes and names[name]:
            while (closed := found.pop()[0]) != name:
                names[closed] -= 1
            names[name] -= 1
        elif not closes and not rest.endswith("/") and name not in _EMPTY:
            found.append((name, match.group()))
            names[name] += 1
    return "".join(tag for _, tag in found)

"""What of a text may reach a terminal, a log or a picture: the one door for what a caller, a model or a file wrote.

And what of a URL may: a password stands in some.
"""

from urllib.parse import unquote, urlsplit, urlunsplit

_KEPT = frozenset("\n\t\u200c\u200d")
"""Line ends; and the joiners, without which Persian, Hindi and some emoji are misspelt."""


def shown(text: str) -> str:
    """Replace by U+FFFD each sign of a text that would act on a terminal.

    That is: control characters (Cc), format characters (Cf; some turn the direction of what follows), line and
    paragraph separators (Zl, Zp), lone surrogates, which no output can encode (Cs), and code points that are no
    characters (Cn, Co). Line feed, tabulator, ZWNJ and ZWJ stay. It takes time in proportion to the text.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in _KEPT or _is_space(sign) else "\ufffd" for sign in text)


def _is_space(sign: str) -> bool:
    """Whether a sign is one of the spaces (Zs), which Python counts as not printable."""
    return sign.isspace() and sign > "\x9f" and sign not in "\u2028\u2029"


def without_secrets(url: str) -> str:
    """The URL as it may be shown: scheme, host, port and path, without who enters and without a query."""
    scheme, mark, rest = url.partition("://")
    place, _, query = rest.partition("?")
    if not mark or ("@" in query and "@" not in place):  # a password with a question mark, perhaps
        return f"{scheme}://…" if mark else "…"
    return f"{scheme}://{place.rpartition('@')[2].partition('#')[0]}"


def apart(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without who enters; and who that is, with the password.

    Raises:
        ValueError: it is no URL.
    """
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))

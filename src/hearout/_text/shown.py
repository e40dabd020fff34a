"""What of a text may reach a terminal, a log or a picture: the one door for what a caller, a model or a file wrote."""

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

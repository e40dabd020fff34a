"""Words that say "I am listening" and nothing else."""

from .language import Language

_NOTHING_ELSE = frozenset({"backchannels", "agreement"})


def is_backchannel(text: str, language: Language, *, asked: bool) -> bool:
    """Whether it can mean nothing but "I am listening".

    In doubt it can: a "no" that is dropped cannot be undone, an "okay" that is delivered can.

    Args:
        text: what the caller said.
        language: that it was said in; in one that is not known, everything may mean something.
        asked: whether something has been asked, or may be answered; then everything is an answer.
    """
    if asked:
        return False
    clauses = language.lexicon.clauses(text)
    return all(
        not clause.asks and piece.meanings and piece.meanings <= _NOTHING_ELSE
        for clause in clauses
        for piece in clause.pieces
    )

"""Words that say "I am listening" and nothing else."""

from .language import Language

_LISTENING = frozenset({"backchannels", "agreement"})
_MORE = frozenset({"no", "refusals", "negations", "hold_offs", "questions"})


LONGEST = 60
"""Characters: more of them say more than that."""


def is_backchannel(text: str, language: Language) -> bool:
    """Whether a text can mean nothing but "I am listening", as long as nothing has been asked.

    In doubt it can mean more: a "no" that is dropped cannot be undone, an "okay" that is delivered can.

    Args:
        language: that it was said in; in one that is not known, everything may mean something.
    """
    if len(text) > LONGEST:
        return False
    clauses = language.lexicon.clauses(text)
    return all(
        not clause.asks and piece.meanings & _LISTENING and not piece.meanings & _MORE
        for clause in clauses
        for piece in clause.pieces
    )

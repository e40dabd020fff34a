"""Text in any language: words, phrases, sentences and questions, and what short words mean.

It imports nothing else of ours, and one library: ICU (`icu4py`), when the first text is looked at.
"""

from .foreign import read_json
from .language import CODES, MEANINGS, UNKNOWN, Language, every_language, language
from .lexicon import Clause, Lexicon, Piece
from .listening import is_backchannel
from .markup import has_words, open_tags, outside, unmarked
from .sentences import asks, ends_a_sentence, first_to_answer, goes_on, may_be_answered, question, sentences
from .shown import apart, shown, without_secrets
from .words import ECHO_SHARE, ECHO_WORDS, about, has_phrase, is_echo, join, rest_of, split, tail

__all__ = [
    "CODES",
    "ECHO_SHARE",
    "ECHO_WORDS",
    "MEANINGS",
    "UNKNOWN",
    "Clause",
    "Language",
    "Lexicon",
    "Piece",
    "about",
    "apart",
    "asks",
    "ends_a_sentence",
    "every_language",
    "first_to_answer",
    "goes_on",
    "has_phrase",
    "has_words",
    "is_backchannel",
    "is_echo",
    "join",
    "language",
    "may_be_answered",
    "open_tags",
    "outside",
    "question",
    "read_json",
    "rest_of",
    "sentences",
    "shown",
    "split",
    "tail",
    "unmarked",
    "without_secrets",
]

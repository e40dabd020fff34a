"""Text in any language: words, phrases, sentences and questions, and what short words mean.

It imports nothing else of ours, and one library: ICU (`icu4py`), when the first text is looked at.
"""

from .foreign import read_json
from .language import CODES, MEANINGS, UNKNOWN, Language, language
from .lexicon import Clause, Lexicon, Piece
from .listening import is_backchannel
from .markup import has_words, open_tags, outside, unmarked
from .sentences import asks, ends_a_sentence, first_to_answer, goes_on, may_be_answered, question, sentences
from .shown import apart, shown, without_secrets
from .words import about, has_phrase, is_echo, join, rest_of, split, tail

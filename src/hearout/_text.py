"""The caller's words, held: joining them, and telling backchannels, echoes and phrases from contributions."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_MURMURS = frozenset(
    {"ah", "aha", "er", "hm", "hmm", "huh", "mhm", "mm", "mm-hm", "mm-hmm", "mmm", "oh", "uh", "uh-huh"}
)
"""Says "I am listening" and nothing else."""

_AGREEMENT = frozenset({"alright", "fine", "good", "great", "ok", "okay", "right", "sure", "yeah", "yep", "yup"})
"""Says "I am listening", unless a question was put before."""

_ANSWERS = frozenset({"nah", "no", "nope", "yeah", "yep", "yes", "yup"})
"""Says "I am listening", unless the utterance asks a question."""

_LISTENING = ("i see", "got it", "go on", "all right", "of course", "thank you", "thanks")
"""Several words that say so."""

ECHO_WORDS = 3
"""An echo has at least so many words: two words of an announcement said again are a caller's question."""

ECHO_SHARE = 0.8
"""At least this share of an echo's words stand, in their order, in what the loudspeaker has just said. Recognisers
hear an echo worse than a voice; a caller who adds a word of four of their own stays below."""


def split(text: str) -> list[str]:
    """The words of a text, in lower case, without punctuation at their ends."""
    cleaned = (re.sub(r"^\W+|\W+$", "", word) for word in text.casefold().replace("\u2019", "'").split())
    return [word for word in cleaned if word]


def join(texts: Iterable[str]) -> str:
    """Several pieces of speech as one text."""
    return " ".join(stripped for text in texts if (stripped := text.strip()))


def is_backchannel(text: str, *, asks: bool, put: bool) -> bool:
    """Whether it only says "I am listening".

    Args:
        text: what the caller said.
        asks: whether the utterance asks a question; then yes and no are contributions.
        put: whether the question was put before; then agreement is an answer, too.
    """
    said = " ".join(split(text))
    for phrase in _LISTENING if not put else ():
        said = re.sub(rf"\b{phrase}\b", " ", said)
    idle = _MURMURS | (frozenset() if put else _AGREEMENT) | (frozenset() if asks else _ANSWERS)
    if asks:
        idle -= _ANSWERS
    return all(word in idle for word in said.split())


def is_echo(text: str, spoken: Sequence[str], *, at_least: int = ECHO_WORDS) -> bool:
    """Whether it is what the agent itself has just said, come back through the caller's microphone.

    Args:
        text: what was heard.
        spoken: the agent's words about that moment (:func:`about`).
        at_least: how many words it must have.
    """
    heard = split(text)
    if len(heard) < at_least or not spoken:
        return False
    blocks = SequenceMatcher(None, heard, list(spoken), autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) >= ECHO_SHARE * len(heard)


def about(text: str, begin: float, end: float, length: float) -> list[str]:
    """The words of an utterance that are said between two of its seconds, if it is said at an even speed.

    Args:
        text: the utterance's text.
        begin, end: seconds of its audio.
        length: of its audio in seconds, or what is known of it.
    """
    said = split(text)
    if length <= 0:
        return []
    first = max(0, int(len(said) * begin / length))
    last = int(len(said) * end / length) + 1
    return said[first:last]


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words of the phrase stand in the text, one after the other."""
    said, wanted = split(text), split(phrase)
    return any(said[index : index + len(wanted)] == wanted for index in range(len(said) - len(wanted) + 1))


_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'”’)\]]*(?=\s|\Z)|[。！？]+|\Z)\s*", re.DOTALL)


_CLOSING = " \n\"'”’)]"

_TITLES = frozenset({"dr", "e.g", "i.e", "mr", "mrs", "ms", "prof", "vs"})
"""Short forms that end no sentence: more follows always."""


def sentences(text: str) -> list[tuple[int, str]]:
    """The sentences of a text, each with the character at which it begins. Rather too long than too short."""
    found: list[tuple[int, str]] = []
    for match in _SENTENCE.finditer(text):
        if found and goes_on(found[-1][1], match.group()):
            begin, before = found.pop()
            found.append((begin, before + match.group()))
        else:
            found.append((match.start(), match.group()))
    return found


def goes_on(before: str, after: str) -> bool:
    """Whether the full stop at the end of `before` ends no sentence, but is a short form's, seen what comes after."""
    if not before.rstrip(_CLOSING).endswith((".", "…")):
        return False
    word = _last_word(before)
    # an initial ("J. Smith"), or the "St." of a name; where it was the end after all, the sentence is too long
    short = word in _TITLES or word == "st" or (len(word) == 1 and word.isascii() and word.isalpha())
    return short or after[:1].islower() or (word == "no" and after[:1].isdigit())


def _last_word(text: str) -> str:
    words = text.split()
    return words[-1].strip(".…\"'“”’()[]").casefold() if words else ""


def ends_a_sentence(text: str) -> bool:
    """Whether a text ends where a sentence does, as far as is known without what comes after."""
    ended = text.rstrip(_CLOSING)
    return ended.endswith((".", "!", "?", "…", "。", "！", "？")) and _last_word(ended) not in _TITLES


def asks(sentence: str) -> bool:
    """Whether a sentence is a question."""
    return "?" in sentence or "？" in sentence


def breaks_off(text: str) -> bool:
    """Whether a text that has whole sentences ends in the middle of one, as a model does that hits its limit.

    Where there is no full stop before, nothing is said: not every script and not every short reply has one.
    """
    whole = _SENTENCE.findall(text.strip())  # whichever full stop: also where a model writes small letters only
    last = whole[-1].rstrip("\"'”’)]*_") if len(whole) > 1 else "."
    return last[-1:].isalnum() or last.endswith((",", ";", ":", "-", "–"))


def question(text: str) -> float | None:
    """Where a text's last question begins, as a share of its characters; None when it asks none.

    The last, because an answer given before it may be to another one: it errs on the side of "before".
    """
    for begin, sentence in reversed(sentences(text)):
        if asks(sentence):
            return begin / len(text)
    return None


def rest_of(text: str, said_before: str) -> str | None:
    """What a late final transcript adds to the guess that was settled in its place; None if it is something else."""
    before, words = split(said_before), text.split()
    have = split(text)
    blocks = SequenceMatcher(None, have, before, autojunk=False).get_matching_blocks()
    matched = sum(block.size for block in blocks)
    if not before or matched < len(before) / 2:
        return None
    last = max(block.a + block.size for block in blocks if block.size)
    return " ".join(words[last:]) if len(words) == len(have) else ""

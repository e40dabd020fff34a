"""Checks that audio says its text: transcribes the audio and compares the words."""

import re
import unicodedata
from itertools import groupby

import jiwer
from hibari.g2p import numbers
from hibari.g2p.normalize import normalize

from .._local.tts import speakable
from ..errors import AnnouncementError

_MONEY = re.compile(r"([$£€])(\d[\d,]*)(?:\.(\d\d))?(?!\d|\.\d)")
_UNITS = {"$": ("dollars", "cents"), "£": ("pounds", "pence"), "€": ("euros", "cents")}
_ORDINAL = re.compile(r"\b(\d[\d,]*+)((?:st|nd|rd|th)\b)?")
_YEAR = re.compile(r"(?<![\d.,])(1[89]\d\d|20[1-9]\d)(?![\d.,]*\d)")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_LETTERS = re.compile(r"\b\w(?: \w\b)+")
_LONGEST = 15  # digits; the TTS reads longer numbers digit by digit

# Both spellings of English, and of what is written in two ways. They are only compared, so it does no harm that some of
# what comes out is in no dictionary.
_SPELLINGS = (
    (re.compile(r"(?<=\w\w)is(e|ed|es|er|ing|ation|ations)\b"), r"iz\1"),
    (re.compile(r"(?<=\w\w)our(s|ed|ing|ite|able)?\b"), r"or\1"),
    (re.compile(r"\bok\b"), "okay"),
    (re.compile(r"\bdr\b"), "doctor"),
    (re.compile(r"\bmr\b"), "mister"),
    (re.compile(r"\bmrs\b"), "missus"),
    (re.compile(r"\b(hundred|thousand|million) and\b"), r"\1"),
)


def word_errors(text: str, heard: str) -> float:
    """The word error rate of `heard` against `text`, both as :func:`spoken`; above 1 if more was heard than there is.

    Raises:
        AnnouncementError: the text has no words.
    """
    wanted, got = spoken(text), spoken(heard)
    if not wanted:
        raise AnnouncementError("its text has no words; write some")
    if not got:
        return 1.0
    output = jiwer.process_words(" ".join(wanted), " ".join(got))
    errors = 0
    for equal, chunks in groupby(output.alignments[0], key=lambda chunk: chunk.type == "equal"):
        if equal:
            continue
        wrong = list(chunks)
        one = wanted[wrong[0].ref_start_idx : wrong[-1].ref_end_idx]
        other = got[wrong[0].hyp_start_idx : wrong[-1].hyp_end_idx]
        if "".join(one) != "".join(other):  # "voice mail" and "voicemail" sound the same
            errors += max(len(one), len(other))
    return errors / len(wanted)


def spoken(text: str) -> list[str]:
    """The words of a text as they are said (in English): numbers, money, dates, units and names of settings in words.

    ``HEAROUT_LLM_URL costs $9.99`` and ``hearout LLM URL costs nine dollars and ninety-nine cents`` are the same. Case,
    punctuation, apostrophes and accents are left out, and British and American spelling are the same.
    """
    text = normalize(speakable(text))
    text = _MONEY.sub(_money, text)
    text = _ORDINAL.sub(lambda match: numbers.ordinal(_whole(match[1])) if match[2] else match[0], text)
    text = _YEAR.sub(lambda match: numbers.year(int(match[1])), text)
    text = _NUMBER.sub(_number, text).replace("%", " percent ")
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(c for c in text if c not in "'’" and not unicodedata.combining(c))
    text = " ".join("".join(c if c.isalnum() else " " for c in text).split())
    text = _LETTERS.sub(lambda match: match[0].replace(" ", ""), text)  # "p.m." and "pm"
    for pattern, instead in _SPELLINGS:
        text = pattern.sub(instead, text)
    return text.split()


def _whole(digits: str) -> int:
    return int(digits.replace(",", ""))


def _money(match: re.Match[str]) -> str:
    whole, part = _UNITS[match[1]]
    cents = f" and {match[3]} {part}" if match[3] and int(match[3]) else ""
    return f"{match[2]} {whole}{cents}"


def _number(match: re.Match[str]) -> str:
    digits = match[0].replace(",", "")
    if len(digits) > _LONGEST or (len(digits) > 1 and digits[0] == "0" and "." not in digits):
        return " ".join(numbers.cardinal(int(digit)) for digit in digits if digit.isdigit())
    return f" {numbers.decimal(digits)} "

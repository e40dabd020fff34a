"""Random calls with members of the zoo, and the laws that hold for each of them."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from harness.scenes import CONSENT, NOTICE, QUESTION, SECOND, Announcing, Thinking, call, receipts
from hearout import Outcome
from hearout.receipts import Receipt
from hearout.testing import LLM, STT, TTS, Noise, Result, Say, TTSFault, first_sound, zoo

WORD = 0.75
"""Seconds of the longest word of a slow voice: what a receipt may be off by."""


@dataclass
class Met:
    """How often the laws met what they are about."""

    counts: Counter[str] = field(default_factory=Counter)

    def missing(self) -> list[str]:
        """What they never met."""
        wanted = ("a voice that broke off", "a sampled voice", "an early yes", "a late final", "a question")
        return [one for one in wanted if not self.counts[one]]


@dataclass(frozen=True)
class Drawn:
    """One call: who takes part, and what the caller does."""

    seed: int
    voice: str
    recogniser: str
    tts: TTS
    stt: STT
    text: str
    by_llm: bool
    question: float | None
    early: float | None
    noise: float | None


def drawn(seed: int) -> Drawn:
    """The call of a seed."""
    dice = random.Random(f"zoo {seed}")
    voice = dice.choice([*zoo.TTS_KINDS, *zoo.BREAKING])
    tts = {**zoo.TTS_KINDS, **zoo.BREAKING}[voice]
    tts = replace(tts, faults=tuple(_moved(one, dice) for one in tts.faults))
    recogniser = dice.choice(list(zoo.STT_KINDS))
    text = dice.choice([NOTICE, CONSENT, SECOND])
    asks = text == CONSENT
    return Drawn(
        seed=seed,
        voice=voice,
        recogniser=recogniser,
        tts=tts,
        stt=zoo.STT_KINDS[recogniser],
        text=text,
        by_llm=dice.random() < 0.3,
        question=None if asks or dice.random() < 0.3 else round(dice.uniform(0.3, 4.0), 2),
        early=round(dice.uniform(0.3, 3.0), 2) if asks and dice.random() < 0.7 else None,
        noise=round(dice.uniform(0.3, 4.0), 2) if dice.random() < 0.2 else None,
    )


def _moved(fault: TTSFault, dice: random.Random) -> TTSFault:
    return replace(fault, after=round(dice.uniform(0.2, 0.9), 2)) if fault.after else fault


def played(one: Drawn) -> Result:
    """Play it."""
    acts = [Say(first_sound(one.question), QUESTION)] if one.question is not None else []
    acts += [Say(first_sound(one.early), "yes I agree")] if one.early is not None else []
    noise = [Noise(first_sound(one.noise), 0.4)] if one.noise is not None and not acts else []
    return call(
        *acts,
        *noise,
        agent=Thinking if one.by_llm else lambda: Announcing(one.text),
        llm=LLM([one.text, "That is noted."]) if one.by_llm else LLM(["That is noted."]),
        tts=one.tts,
        stt=one.stt,
        ends_after=60.0,
        seed=one.seed,
    )


def check(one: Drawn, result: Result, met: Met) -> None:
    """The laws."""
    told = f"HEAROUT_ZOO={one.seed} plays it again: {one}\n{result.describe()}"
    (receipt, *_) = receipts(result)
    (utterance, *_) = result.protected
    assert utterance.delivered == 1.0, f"not whole. {told}"
    assert utterance.repeated <= _may_repeat(one), f"said again: {utterance.repeated}. {told}"
    assert receipt.outcome is Outcome.FINISHED, f"a false {receipt.outcome}: {receipt.why}. {told}"
    heard = one.tts.seconds(one.text) * _longest(one) + utterance.repeated
    assert receipt.played <= heard + WORD, f"claims more than was heard. {told}"
    assert receipt.text.split() == one.text.split(), f"another text on the receipt. {told}"
    assert (result.kept, result.false_replies) == (1.0, []), f"words lost, or an answer to nothing. {told}"
    asked = sum(act is not None for act in (one.question, one.early))
    assert len([reply for reply in result.replies if reply.request]) == asked, f"not one answer. {told}"
    _early(one, receipt, told)
    _count(one, result, met)


def _early(one: Drawn, receipt: Receipt, told: str) -> None:
    if one.early is not None:
        held = [held for held, _ in receipt.held if "agree" in held.text]
        assert held, f"the yes is on no receipt. {told}"
        assert all(one.early for one in held), f"an early yes counts as an answer. {told}"


def _may_repeat(one: Drawn) -> float:
    """Seconds that may be heard again: for each fault the sentence, or what may have been it where no time is given."""
    exact = one.tts.aligned or not one.tts.streaming
    sentences = [part + "." for part in one.text.split(". ")]
    longest = max(map(one.tts.seconds, sentences)) * _longest(one)
    said = one.tts.seconds(one.text) * _longest(one)
    return len(one.tts.faults) * (longest if exact else said) + 0.1


def _longest(one: Drawn) -> float:
    return max(*one.tts.lengths, 1.0) * (1.0 + one.tts.varies)


def _count(one: Drawn, result: Result, met: Met) -> None:
    met.counts["a voice that broke off"] += bool(one.tts.faults)
    met.counts["a sampled voice"] += bool(one.tts.varies)
    met.counts["an early yes"] += one.early is not None
    met.counts["a question"] += one.question is not None
    met.counts["a late final"] += one.stt.final >= 2.0 and bool(result.said)

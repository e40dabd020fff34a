"""Random calls with members of the zoo, and the laws that hold for each of them."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from livekit.agents import Agent, ModelSettings, RunContext, function_tool, llm

from harness.scenes import CONSENT, NOTICE, QUESTION, QUIET, SECOND, call, receipts
from hearout import Outcome
from hearout.receipts import Receipt
from hearout.testing import LLM, STT, TTS, Noise, Reply, Result, Say, SpokenUtterance, TTSFault, first_sound, zoo

WORD = 0.75
"""Seconds of the longest word of a slow voice: what a receipt may be off by."""

FOUND = "I have found it for you."
"""What the LLM says of what its tool gave."""

SECOND_QUESTION = "and what does it cost"


@dataclass
class Met:
    """How often the laws met what they are about."""

    counts: Counter[str] = field(default_factory=Counter)

    def missing(self) -> list[str]:
        """What they never met."""
        wanted = [
            "a voice that broke off",
            "a sampled voice",
            "an early yes",
            "a late final",
            "a question",
            "two questions",
        ]
        wanted += [f"{what}: {kind}" for what in ("notice", "answer") for kind in zoo.REPLIES]
        wanted += [f"voice: {name}" for name in (*zoo.TTS_KINDS, *zoo.BREAKING)]
        wanted += [f"STT: {name}" for name in zoo.STT_KINDS]
        return [one for one in wanted if not self.counts[one]]


@dataclass(frozen=True)
class Drawn:
    """One call: who takes part, and what the caller does.

    Args:
        notice: what is protected and comes first; by `say()`, unless `kind` says how the LLM writes it.
        kind: the member of ``zoo.REPLIES`` that the LLM's notice is like; the agent then protects its answers too.
        answer: the member of ``zoo.REPLIES`` that answers the caller.
        rate, piece: words a second that the LLM writes, in pieces of so many characters.
        said: what the caller says, each with the second after the first sound.
        early: the second of a yes before the question.
        noise: the second of a noise without words.
    """

    seed: int
    voice: str
    recogniser: str
    tts: TTS
    stt: STT
    notice: Reply
    kind: str | None
    answer: str
    rate: float
    piece: int | None
    said: tuple[tuple[float, str], ...]
    early: float | None
    noise: float | None


def drawn(seed: int) -> Drawn:
    """The call of a seed."""
    dice = random.Random(f"zoo {seed}")
    voices = {**zoo.TTS_KINDS, **zoo.BREAKING}
    voice = list(voices)[seed % len(voices)]  # each in turn, so that a sample meets them all, in all pairs
    tts = replace(voices[voice], faults=tuple(_moved(one, dice) for one in voices[voice].faults))
    recogniser = list(zoo.STT_KINDS)[seed % len(zoo.STT_KINDS)]
    text = dice.choice([NOTICE, CONSENT, SECOND])
    kind = dice.choice(list(zoo.REPLIES)) if dice.random() < 0.5 else None
    asks = text == CONSENT
    return Drawn(
        seed=seed,
        voice=voice,
        recogniser=recogniser,
        tts=tts,
        stt=zoo.STT_KINDS[recogniser],
        notice=Reply(text) if kind is None else _written(kind, text),
        kind=kind,
        answer=dice.choice(list(zoo.REPLIES)),
        rate=dice.choice([5.0, 20.0, 50.0]),
        piece=dice.choice([None, 1, 3, 40]),
        said=() if asks else _questions(dice, tts.seconds(text)),
        early=round(dice.uniform(0.3, 3.0), 2) if asks and dice.random() < 0.7 else None,
        noise=round(dice.uniform(0.3, 4.0), 2) if dice.random() < 0.2 else None,
    )


def _questions(dice: random.Random, length: float) -> tuple[tuple[float, str], ...]:
    """None, one or two: over the notice, across its end, or after it."""
    first = round(dice.uniform(0.3, length + 2.0), 2)
    second = round(first + dice.uniform(2.5, 7.0), 2)
    return ((first, QUESTION), (second, SECOND_QUESTION))[: dice.choice([0, 1, 1, 2])]


def _written(kind: str, text: str) -> Reply:
    """The text as an LLM of this kind writes it, followed by the member's own text."""
    reply = zoo.REPLIES[kind]
    if kind == "structured":
        return Reply(json.dumps({"mood": "calm", "response": text}), spoken=text)
    spoken = None if reply.spoken is None else f"{text} {reply.spoken}"
    return replace(reply, text=f"{text} {reply.text}", spoken=spoken)


def _moved(fault: TTSFault, dice: random.Random) -> TTSFault:
    return replace(fault, after=round(dice.uniform(0.2, 0.9), 2)) if fault.after else fault


class Bringing(Agent):
    """An agent that says the notice, or lets its LLM write it, and has a tool."""

    def __init__(self, one: Drawn) -> None:
        super().__init__(instructions="Answer briefly.", allow_interruptions=one.kind is None)
        self._one = one

    async def on_enter(self) -> None:
        if self._one.kind is None:
            self.session.say(self._one.notice.text, allow_interruptions=False)
        else:
            self.session.generate_reply(instructions="Say the notice.")

    @function_tool
    async def look_up(self, context: RunContext[None]) -> str:
        """Look something up."""
        return "found"


class Structured(Bringing):
    """An agent whose LLM writes an object, of which the field ``response`` is spoken and shown."""

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        return Agent.default.tts_node(self, _response(text), model_settings)

    async def transcription_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        return Agent.default.transcription_node(self, _response(text), model_settings)


async def _response(text: AsyncIterable[str]) -> AsyncIterator[str]:
    written = "".join([piece async for piece in text])
    yield json.loads(written)["response"] if written.startswith("{") else written


def played(one: Drawn) -> Result:
    """Play it."""
    acts = [Say(first_sound(second), words) for second, words in one.said]
    acts += [Say(first_sound(one.early), "yes I agree")] if one.early is not None else []
    noise = [Noise(first_sound(one.noise), 0.4)] if one.noise is not None and not acts else []
    structured = "structured" in (one.kind, one.answer)
    return call(
        *acts,
        *noise,
        agent=lambda: (Structured if structured else Bringing)(one),
        llm=LLM(lambda context: _answer(one, context), rate=one.rate, piece=one.piece),
        tts=one.tts,
        stt=one.stt,
        ends_after=90.0,
        ends_quiet=QUIET,
        seed=one.seed,
    )


def _answer(one: Drawn, context: llm.ChatContext) -> Reply:
    if context.items and context.items[-1].type == "function_call_output":
        return Reply(FOUND)
    asked = any(message.role == "user" for message in context.messages())
    return zoo.REPLIES[one.answer] if asked or one.kind is None else one.notice


def check(one: Drawn, result: Result, met: Met) -> None:
    """The laws."""
    told = f"HEAROUT_ZOO={one.seed} plays it again: {one}\n{result.describe()}"
    turns = _turns(result.protected)
    assert len(receipts(result)) == len(turns), f"not a receipt for each protected turn. {told}"
    for turn, receipt in zip(turns, receipts(result), strict=True):
        _delivered(one, turn, receipt, told)
    assert (result.kept, result.false_replies) == (1.0, []), f"words lost, or an answer to nothing. {told}"
    answers = [len(asked.replies) for asked in result.answered]
    # what an STT restates while nothing was protected is LiveKit's, and left as it is
    most = 1 if any(receipt.held for receipt in receipts(result)) or not one.stt.restates else 2
    assert all(1 <= number <= most for number in answers), f"not one answer to each: {answers}. {told}"
    assert not result.closed, f"the session closed. {told}"
    _early(one, receipts(result)[0], told)
    _count(one, result, met)


def _turns(protected: list[SpokenUtterance]) -> list[list[SpokenUtterance]]:
    """The utterances of each turn: what the LLM says of a tool's output belongs to the turn that called the tool."""
    turns: list[list[SpokenUtterance]] = []
    for utterance in protected:
        if utterance.request is not None and utterance.request.to_tool:
            turns[-1].append(utterance)
        else:
            turns.append([utterance])
    return turns


def _delivered(one: Drawn, turn: list[SpokenUtterance], receipt: Receipt, told: str) -> None:
    for utterance in turn:
        assert utterance.delivered == 1.0, f"not whole: {utterance.intended}. {told}"
        assert utterance.repeated <= _may_repeat(one, utterance.intended), f"again: {utterance.repeated}. {told}"
    assert receipt.outcome is Outcome.FINISHED, f"a false {receipt.outcome}: {receipt.why}. {told}"
    heard = sum(one.tts.seconds(utterance.intended) * _longest(one) + utterance.repeated for utterance in turn)
    assert receipt.played <= heard + WORD, f"claims more than was heard. {told}"
    given = " ".join(_given(one, utterance) for utterance in turn)
    assert receipt.text.split() == given.split(), f"another text on the receipt: {receipt.text}. {told}"


def _given(one: Drawn, utterance: SpokenUtterance) -> str:
    """The text of an utterance that the TTS was given."""
    reply = one.notice if utterance.request is None else utterance.request.reply
    return reply.text if reply.spoken is None else reply.spoken


def _early(one: Drawn, receipt: Receipt, told: str) -> None:
    if one.early is not None:
        held = [held for held, _ in receipt.held if "agree" in held.text]
        assert held, f"the yes is on no receipt. {told}"
        assert all(one.early for one in held), f"an early yes counts as an answer. {told}"


def _may_repeat(one: Drawn, text: str) -> float:
    """Seconds that may be heard again: for each fault the sentence, or what may have been it where no time is given."""
    exact = one.tts.aligned or not one.tts.streaming
    sentences = [part + "." for part in text.split(". ")]
    longest = max(map(one.tts.seconds, sentences)) * _longest(one)
    said = one.tts.seconds(text) * _longest(one)
    return len(one.tts.faults) * (longest if exact else said) + 0.1


def _longest(one: Drawn) -> float:
    return max(*one.tts.lengths, 1.0) * (1.0 + one.tts.varies)


def _count(one: Drawn, result: Result, met: Met) -> None:
    met.counts["a voice that broke off"] += bool(one.tts.faults)
    met.counts["a sampled voice"] += bool(one.tts.varies)
    met.counts["an early yes"] += one.early is not None
    met.counts["a question"] += bool(one.said)
    met.counts["two questions"] += len(one.said) > 1
    met.counts["a late final"] += one.stt.final >= 2.0 and bool(result.said)
    met.counts[f"voice: {one.voice}"] += 1
    met.counts[f"STT: {one.recogniser}"] += 1
    met.counts[f"notice: {one.kind}"] += 1
    met.counts[f"answer: {one.answer}"] += bool(result.replies)

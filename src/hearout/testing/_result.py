"""What came of a scripted call, read from the audio that left and the words that arrived, not from flags."""

import itertools
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from livekit.agents import llm

from ._llm import Request
from ._script import Act, HangUp, Noise, Press, Return, Say, Type
from ._sound import BLOCK, Heard, SpokenWord
from ._tts import TTS, Synthesis, spoken


@dataclass(frozen=True)
class SpokenUtterance:
    """One stretch of the agent's speech, as it was heard at the far end. Times in seconds of the call.

    Args:
        start, end: first and last sample that were played.
        intended: what should have been said: the LLM's whole answer, or the text given to `say()`.
        said: the words that were heard, in the order that they were (a word counts from half of it on).
        delivered: share of the intended speech that was heard.
        repeated: seconds that were heard again.
        holes: seconds at which something is missing, each with how much; the missing end is the last one.
        silences: pauses in the audio, each with when and how long.
        protected: whether LiveKit held it for uninterruptable when it began.
        request: the LLM's request that it answers; None for `say()`.
        answers: the caller's words that this is the first to answer.
    """

    start: float
    end: float
    intended: str
    said: str
    delivered: float
    repeated: float
    holes: tuple[tuple[float, float], ...]
    silences: tuple[tuple[float, float], ...]
    protected: bool
    request: Request | None = None
    answers: str = ""

    @property
    def cut(self) -> bool:
        """Whether a part of the speech was not heard."""
        return self.delivered < 1.0

    @property
    def whole(self) -> bool:
        """Whether the speech was heard once, completely, and without a pause."""
        return self.delivered == 1.0 and not self.repeated and not self.silences


@dataclass(frozen=True)
class Answered:
    """What became of one thing that the caller said or typed.

    Args:
        act: the act of the script.
        kept: share of its words in the user's turns of the chat context.
        replies: the utterances that answer it.
    """

    act: Say | Type
    kept: float
    replies: tuple[SpokenUtterance, ...]


@dataclass
class Result:
    """What came of a call. Times in seconds of the call.

    Args:
        utterances: what the agent said, as it was heard.
        said: the caller's words, as they were spoken.
        heard: the caller's words whose audio reached the STT, each with when.
        turns: the user's messages in the chat context at the end, in order.
        acted: what the caller did, each with when.
        answered: for each thing said or typed, what became of it.
        requests: what the LLM was asked.
        errors: LiveKit's error events, each with when.
        warnings: what was logged at WARNING or above, by LiveKit, asyncio or hearout.
        events: the session's events, each with when and its name.
        closed: when the session closed, and why; None if it was still open at the end.
        session: the session, closed by now.
        history: its chat context.
    """

    utterances: list[SpokenUtterance]
    said: list[SpokenWord]
    heard: list[tuple[float, SpokenWord]]
    turns: list[str]
    acted: list[tuple[float, Act]]
    answered: list[Answered]
    requests: list[Request]
    errors: list[tuple[float, Any]]
    warnings: list[str]
    events: list[tuple[float, str, Any]]
    closed: tuple[float, str] | None
    session: Any = field(repr=False)
    history: llm.ChatContext = field(repr=False)

    @property
    def protected(self) -> list[SpokenUtterance]:
        """The utterances that may not be interrupted, first one first."""
        return [one for one in self.utterances if one.protected]

    @property
    def replies(self) -> list[SpokenUtterance]:
        """The utterances that answer the caller."""
        return [one for one in self.utterances if one.answers]

    @property
    def kept(self) -> float:
        """Share of the caller's words that are due an answer and are in the turns; 1.0 when there are none."""
        due = [one for one in self.answered if _due(one.act)]
        words = sum(len(one.act.words.split()) for one in due)
        return sum(one.kept * len(one.act.words.split()) for one in due) / words if words else 1.0

    @property
    def gaps(self) -> list[float]:
        """For each reply: seconds from the last sample before it to its first one."""
        return [self.gap(one) for one in self.replies]

    def gap(self, utterance: SpokenUtterance) -> float:
        """Seconds from the last sample of the utterance before this one to its first sample."""
        before = [one.end for one in self.utterances if one.end <= utterance.start + 1e-6]
        return utterance.start - max(before, default=0.0)

    @property
    def false_replies(self) -> list[SpokenUtterance]:
        """Replies of the LLM to nothing: to what is due no answer, or to no new words of the caller at all.

        What the agent begins of itself before the caller made any sound is none.
        """
        due = Counter(word for one in self.answered if _due(one.act) for word in words(one.act.words))
        sounds = [word.start for word in self.said]
        begun = min(sounds, default=float("inf"))
        return [
            one
            for one in self.utterances
            if one.request is not None
            and not one.request.to_tool
            and (one.request.at > begun or one.answers)
            and not (Counter(words(one.answers)) & due)
        ]

    def describe(self) -> str:
        """The call, a line for each thing, for a failing test's message."""
        lines = [f"{word.start:7.2f}  caller  {word.text}" for word in self.said]
        lines += [f"{at:7.2f}  caller  {did}" for at, act in self.acted if (did := _in_words(act))]
        for one in self.utterances:
            marks = " protected" if one.protected else ""
            lines.append(
                f"{one.start:7.2f}  agent{marks}  {one.said!r} to {one.end:.2f}, {one.delivered:.1%} delivered"
            )
        lines.sort()
        return "\n".join([*lines, *(f"         turn    {turn!r}" for turn in self.turns), *self.warnings])


def _in_words(act: Act) -> str:
    """An act of the caller without a sound of words, for a reader; empty for others."""
    match act:
        case Type(words=text):
            return f"types {text!r}"
        case Press(digits=digits):
            return f"presses {digits}"
        case Noise(duration=seconds):
            return f"makes a noise for {seconds:g} s"
        case HangUp():
            return "hangs up"
        case Return():
            return "is back"
        case _:
            return ""


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    stripped = (word.strip(string.punctuation).casefold() for word in text.split())
    return [word for word in stripped if word]


def _due(act: Say | Type) -> bool:
    return not isinstance(act, Say) or act.answered


@dataclass(frozen=True)
class Segment:
    """A segment of the audio output: when its first piece began, and whether it was protected."""

    start: float
    protected: bool


def utterances(
    heard: Iterable[Heard],
    segments: Sequence[Segment],
    syntheses: Sequence[Synthesis],
    requests: Sequence[Request],
    voice: TTS,
) -> list[SpokenUtterance]:
    """The agent's utterances: what was heard, put together by the audio output's segments.

    Sound that the scripted TTS did not make (a ready-made announcement) is none of them: the receipt tells of it.
    """
    by_segment: dict[int, list[Heard]] = {}
    for one in (one for one in heard if 1 <= one.synthesis <= len(syntheses)):
        index = max((number for number, segment in enumerate(segments) if segment.start <= one.start + 1e-6), default=0)
        by_segment.setdefault(index, []).append(one)
    found: list[SpokenUtterance] = []
    answered: Counter[str] = Counter()
    for index, stretches in sorted(by_segment.items()):
        made = {one.synthesis: syntheses[one.synthesis - 1] for one in stretches}
        asked_before = min(one.at for one in made.values())
        request = _request(made[min(made)].text, asked_before, requests)
        intended = _wanted(request) if request is not None else _given(made)
        new: Counter[str] = Counter()
        if request is not None:
            asked = Counter(word for role, text in request.context if role == "user" for word in words(text))
            new = asked - answered
            answered |= asked
        found.append(_utterance(stretches, made, intended, voice, segments[index].protected, request, new))
    return found


def _longest(texts: Iterable[str]) -> str:
    return max(texts, key=len).strip()


def _wanted(request: Request) -> str:
    """What is to be heard of a reply."""
    return spoken(request.reply.text) if request.reply.spoken is None else request.reply.spoken


def _given(made: dict[int, Synthesis]) -> str:
    """What should have been said of a text that no model wrote: the requests in turn, without what is in another."""
    if all(one.voice.streaming for one in made.values()):
        return spoken(_longest(one.given for one in made.values()))
    given = dict.fromkeys(spoken(made[number].given) for number in sorted(made))
    return " ".join(one for one in given if not any(one in other and one != other for other in given))


def _request(text: str, before: float, requests: Sequence[Request]) -> Request | None:
    """The last request before the synthesis began whose answer begins as `text` does, or the other way round."""
    said = words(text)
    for request in reversed(requests):
        answer = words(_wanted(request))
        if request.at <= before and answer and (answer[: len(said)] == said or said[: len(answer)] == answer):
            return request
    for request in reversed(requests):  # a first part that was said twice: it begins the same
        answer = words(_wanted(request))
        if request.at <= before and answer and answer[:2] == said[:2]:
            return request
    return None


def _utterance(
    stretches: Sequence[Heard],
    made: dict[int, Synthesis],
    intended: str,
    voice: TTS,
    protected: bool,  # noqa: FBT001 - private, and given by position among much else
    request: Request | None,
    new: Counter[str],
) -> SpokenUtterance:
    places = {number: _places(one, intended, voice) for number, one in made.items()}
    times: dict[int, float] = {}
    owners: dict[int, int] = {}
    played: set[tuple[int, int]] = set()
    repeated = 0
    for one in stretches:
        place = places[one.synthesis]
        for block in range(one.first, one.last):
            targets = place[block] if block < len(place) else range(0)
            known = [target for target in targets if owners.get(target, one.synthesis) != one.synthesis]
            if not targets or known or (one.synthesis, block) in played:
                repeated += 1
            played.add((one.synthesis, block))
            for target in targets:
                owners.setdefault(target, one.synthesis)
                times.setdefault(target, one.start + (block - one.first) * BLOCK)
    total = sum(voice.blocks(word) for word in intended.split())
    return SpokenUtterance(
        start=min(one.start for one in stretches),
        end=max(one.end for one in stretches),
        intended=intended,
        said=_said(stretches, made),
        delivered=len(times) / total if total else 1.0,
        repeated=round(repeated * BLOCK, 6),
        holes=_holes(times, total, stretches[0].start),
        silences=_silences(stretches),
        protected=protected,
        request=request,
        answers=" ".join(new.elements()),
    )


def _places(one: Synthesis, intended: str, voice: TTS) -> list[range]:
    """The place of each synthesised block in the intended text; none for a block that is not in the text.

    The blocks of what was intended are those of the usual length, whatever a synthesis takes.
    """
    have, want = one.text.split(), intended.split()
    starts: list[int] = [0]
    for word in want:
        starts.append(starts[-1] + voice.blocks(word))
    where: dict[int, int] = {}
    for match in SequenceMatcher(None, have, want, autojunk=False).get_matching_blocks():
        where |= {match.a + index: match.b + index for index in range(match.size)}
    places: list[range] = []
    for number, word in enumerate(have):
        blocks = one.blocks(word)
        if number not in where:
            places += [range(0)] * blocks
            continue
        begin, usual = starts[where[number]], voice.blocks(word)
        for offset in range(blocks):
            first = offset * usual // blocks
            places.append(range(begin + first, begin + max(first + 1, (offset + 1) * usual // blocks)))
    return places


def _said(stretches: Sequence[Heard], made: dict[int, Synthesis]) -> str:
    heard: list[str] = []
    for one in stretches:
        synthesis = made[one.synthesis]
        text = synthesis.text.split()
        blocks = [number for number, word in enumerate(text) for _ in range(synthesis.blocks(word))]
        counts = Counter(blocks[one.first : one.last])
        heard += [
            text[number] for number, count in sorted(counts.items()) if count >= synthesis.blocks(text[number]) / 2
        ]
    return " ".join(heard)


def _holes(times: dict[int, float], total: int, start: float) -> tuple[tuple[float, float], ...]:
    """When something is missing, and how much: between the blocks that were heard, and after the last."""
    holes: list[tuple[float, float]] = []
    at, before = start, -1
    for block in [*(block for block in range(total) if block in times), total]:
        if missing := block - before - 1:
            holes.append((round(at, 6), round(missing * BLOCK, 6)))
        at, before = times.get(block, at) + BLOCK, block
    return tuple(holes)


def _silences(stretches: Sequence[Heard]) -> tuple[tuple[float, float], ...]:
    ordered = sorted(stretches, key=lambda one: one.start)
    return tuple(
        (round(before.end, 6), round(after.start - before.end, 6))
        for before, after in itertools.pairwise(ordered)
        if after.start - before.end > BLOCK / 2
    )


def answered(acts: Iterable[Act], turns: Sequence[str], found: Sequence[SpokenUtterance]) -> list[Answered]:
    """For each thing said or typed: how much of it is in the turns, and which utterances answer it."""
    left = Counter(word for turn in turns for word in words(turn))
    table: list[Answered] = []
    for act in acts:
        if isinstance(act, Say | Type):
            asked = Counter(words(act.words))
            kept = asked & left
            left -= kept
            replies = tuple(
                one for one in found if (Counter(words(one.answers)) & asked).total() >= asked.total() / 2 > 0
            )
            table.append(Answered(act, kept.total() / asked.total() if asked else 1.0, replies))
    return table

"""Random calls in which a question is asked, and a judge who knows what was said when: apart from the floor's rules."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import Agent

from harness.scenes import QUIET
from hearout import AgentSession, CallerAnswer, YesNo
from hearout.testing import STT, TTS, Call, Noise, Press, Result, Say, first_sound
from hearout.testing._script import Act

YES = ("yes", "yes please", "sure", "yes that is fine", "yeah", "of course")
NO = ("no", "no thanks", "not okay", "I do not agree", "okay no wait", "rather not")
MOMENT = ("one moment", "wait", "hold on")
BACK = ("why do you record it", "who hears that", "what for")
OTHER = ("the blue parrot", "my name is miller", "hello hello")
QUESTIONS = (
    "May we record this call for training?",
    "This call may be recorded. Do you agree to that?",
    "May we record this call? The recording is kept for thirty days.",
)
BRIEF = "Please say yes or no."
KEYS = {"1": "yes", "2": "no"}


class Asking(Agent):
    """Asks as soon as it enters."""

    def __init__(self, text: str) -> None:
        super().__init__(instructions="Answer briefly.")
        self.text = text
        self.answer: CallerAnswer | None = None

    async def on_enter(self) -> None:
        self.answer = await self.session.ask(
            self.text, id="consent", choices=YesNo(keys=KEYS), repeat=BRIEF, wait=5.0, language="en"
        )
        self.session.shutdown(drain=False)  # what follows is not judged, and costs most of the time


@dataclass
class Judged:
    """One call, and what the judge has against it."""

    answer: CallerAnswer
    result: Result
    faults: list[str] = field(default_factory=list)


def call(seed: int) -> tuple[str, list[Act]]:
    """What is asked, and what the caller does."""
    draw = random.Random(seed)
    text = draw.choice(QUESTIONS)
    acts: list[Act] = []
    at = (
        draw.choice((0.3, 0.8)) * TTS().seconds(text)
        if draw.random() < 0.5
        else TTS().seconds(text) + 2 * draw.random()
    )
    for _ in range(draw.randint(1, 5)):
        kind = draw.random()
        words = draw.choice(draw.choice((YES, YES, NO, MOMENT, BACK, OTHER)))
        if kind < 0.7:
            acts.append(Say(first_sound(at), words))
            at += 0.3 * len(words.split())
        elif kind < 0.9:
            acts.append(Press(first_sound(at), draw.choice("1279")))
        else:
            acts.append(Noise(first_sound(at), 0.4))
            at += 0.4
        at += draw.choice((0.2, 0.6, 1.1, 2.5, 5.0, 9.0))
    return text, acts


def judged(seed: int) -> Judged:
    """One random call, played and judged."""
    text, acts = call(seed)
    agent = Asking(text)
    make: Callable[..., AgentSession[Any]] = AgentSession
    stt = STT(final=random.Random(seed).choice((0.3, 0.6)))
    more: dict[str, Any] = {"ends_after": 150.0, "ends_quiet": QUIET}
    result = Call(agent=lambda: agent, session=make, caller=acts, stt=stt, seed=seed, **more).play()
    assert agent.answer is not None, f"seed {seed}: the question never ended"
    found = Judged(agent.answer, result)
    _judge(found, text, acts)
    return found


def _judge(found: Judged, text: str, acts: list[Act]) -> None:
    answer, result = found.answer, found.result
    if not answer.choice:
        return
    asked = [one for one in result.utterances if one.said in (text, BRIEF)]
    began = result.utterances[0].start
    said = [(began + act.at.seconds, act) for act in acts if isinstance(act, Say | Press)]  # type: ignore[union-attr]
    decided = answer.receipt.decided_at
    last = max((one for one in asked if one.start < decided), key=lambda one: one.start)
    since = last.start + TTS().seconds(text[: text.index("?") + 1]) if last.said == text else last.end
    meant = [(at, _means(act)) for at, act in said if since - 0.05 <= at <= decided + 0.05]
    if answer.choice not in [choice for _, choice in meant]:
        found.faults.append(f"{answer.choice!r} was not said after {since:.2f} s: {meant}")
    if answer.choice == "yes" and "no" in [choice for at, choice in meant if at <= decided]:  # later is too late
        found.faults.append(f"a refusal was overheard: {meant}")


def _means(act: Act) -> str:
    if isinstance(act, Press):
        return KEYS.get(act.digits, "")
    assert isinstance(act, Say)
    return "yes" if act.words in YES else "no" if act.words in NO else ""

"""The calls that are played in virtual time.

Each is drawn anew for each seed: when the caller speaks, and how fast STT, LLM and TTS are.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.scenes import CONSENT, NOTICE, QUESTION, SECOND, Announcing, Mixed, Next, Thinking, Working
from hearout.testing import (
    LLM,
    STT,
    TTS,
    AudioReceiver,
    Do,
    Noise,
    Outage,
    Press,
    Reply,
    Say,
    TTSFault,
    Type,
    UseTool,
    first_sound,
    from_end,
)
from hearout.testing._script import Act

Drawn = Mapping[str, Any]
"""Arguments of a `Call`."""


@dataclass(frozen=True)
class Scenario:
    """One kind of call.

    Args:
        name: in the table.
        drawn: makes the call of one seed: arguments for `Call`, of which "stt", "llm" and "tts" may hold changes
            to the usual ones.
        protected: how many protected utterances are due.
        whole: whether they can be delivered at all.
        answered: whether the call goes on long enough for an answer.
        across: whether the caller talks across the end.
        prepares: whether an answer can be prepared: not where STT, LLM or TTS fail, or another agent answers.
        resumes: whether the TTS breaks off, so that the sentence is said again from its beginning.
    """

    name: str
    drawn: Callable[[random.Random], Drawn]
    protected: int = 1
    whole: bool = True
    answered: bool = True
    across: bool = False
    prepares: bool = True
    resumes: bool = False


def arguments(scenario: Scenario, seed: int) -> dict[str, Any]:
    """The call of one seed; the same for every peer."""
    drawing = random.Random(f"{scenario.name} {seed}")
    usual: dict[str, Any] = {
        "agent": Announcing,
        "stt": {"final": drawing.uniform(0.2, 0.6)},
        "llm": {"first_token": drawing.uniform(0.2, 0.8)},
        "tts": {"first_audio": drawing.uniform(0.1, 0.3)},
    }
    drawn = dict(scenario.drawn(drawing))
    for name, kind in (("stt", STT), ("llm", LLM), ("tts", TTS)):
        drawn[name] = kind(**(usual[name] | drawn.get(name, {})))
    return {"agent": Announcing, "ends_after": 25.0} | drawn


def _says(*acts: Callable[[random.Random], Act], **more: Any) -> Callable[[random.Random], Drawn]:
    return lambda drawing: {"caller": [act(drawing) for act in acts], **more}


def _after(low: float, high: float, text: str = QUESTION, **more: Any) -> Callable[[random.Random], Act]:
    return lambda drawing: Say(first_sound(drawing.uniform(low, high)), text, **more)


def _before_end(low: float, high: float, text: str = QUESTION) -> Callable[[random.Random], Act]:
    """Begins between `low` and `high` seconds before the end."""
    return lambda drawing: Say(from_end(-drawing.uniform(low, high)), text)


def _ending_before_end(low: float, high: float, text: str = QUESTION) -> Callable[[random.Random], Act]:
    """Ends between `low` and `high` seconds before the end."""
    return lambda drawing: Say(from_end(-0.3 * len(text.split()) - drawing.uniform(low, high)), text)


def _does(low: float, high: float, what: Callable[[Any], Any]) -> Callable[[random.Random], Act]:
    return lambda drawing: Do(first_sound(drawing.uniform(low, high)), what)


_TEN = [f"This is announcement number {number} of ten." for number in range(10)]
MURMURS = ("mm-hm", "okay", "right", "uh-huh", "I see")
_COST, _LONG = "what does it cost", "and how long"
_TWO_TURNS = [NOTICE, "Fine.", "As I said."]

SAID: Sequence[Scenario] = (
    Scenario("silent caller", _says()),
    Scenario("question at 0.5–1.5 s", _says(_after(0.5, 1.5))),
    Scenario("question in the middle", _says(_after(2.0, 4.0))),
    Scenario("ends 0.3 s before the end", _says(_ending_before_end(0.2, 0.4))),
    Scenario("across the end", _says(_before_end(0.5, 1.5)), across=True),
    Scenario(
        "while the model thinks",
        lambda drawing: {
            "agent": Thinking,
            "llm": {"answers": _TWO_TURNS, "first_token": 2.5},
            "caller": [Say(drawing.uniform(0.1, 0.5), QUESTION)],
        },
    ),
    Scenario(
        "talks to 3 s past the end", _says(_before_end(5.5, 6.5, " ".join(f"word{n}" for n in range(31)))), across=True
    ),
    Scenario(
        "five backchannels",
        _says(*(_after(0.4 + 1.4 * n, 0.6 + 1.4 * n, text, answered=False) for n, text in enumerate(MURMURS))),
    ),
    Scenario("“yes” before the question", _says(_after(0.5, 3.0, "yes"), agent=lambda: Announcing(CONSENT))),
    Scenario("“yes” after the question", _says(_before_end(-0.6, -0.2, "yes"), agent=lambda: Announcing(CONSENT))),
    Scenario("cough, no words", _says(lambda drawing: Noise(first_sound(drawing.uniform(1.0, 6.0)), 0.4))),
    Scenario("two questions", _says(_after(0.5, 1.5, _COST), _after(3.5, 4.5, _LONG))),
    Scenario("a correction", _says(_after(0.5, 1.5, "on Tuesday please"), _after(3.0, 4.0, "no Wednesday"))),
    Scenario("typed text", _says(lambda drawing: Type(first_sound(drawing.uniform(1.0, 5.0)), "my number is seven"))),
    Scenario("keys", _says(lambda drawing: Press(first_sound(drawing.uniform(1.0, 5.0)), "12"))),
    Scenario("echo of the announcement", _says(_after(0.8, 1.2, "recorded for training and quality", answered=False))),
    Scenario("goes on, the answer waits", _says(_after(0.8, 1.2, _COST), _before_end(1.8, 2.4, _LONG))),
    Scenario(
        "words over two protected",
        _says(_after(0.5, 1.5, _COST), _after(10.5, 12.0, _LONG), agent=lambda: Announcing(NOTICE, SECOND)),
        protected=2,
    ),
    Scenario(
        "after unprotected speech",
        _says(_after(0.5, 1.5), agent=lambda: Mixed(protected_first=False)),
        answered=True,
    ),
    Scenario("before unprotected speech", _says(_after(0.5, 1.5), agent=lambda: Mixed(protected_first=True))),
    Scenario(
        "hand-over in the middle",
        _says(_after(0.5, 1.5), _does(3.0, 4.0, lambda s: s.update_agent(Next()))),
        prepares=False,
    ),
    Scenario(
        "a tool that speaks",
        _says(
            _after(0.5, 1.5),
            agent=Working,
            llm={"answers": [Reply(NOTICE, tools=(UseTool("look_up"),)), SECOND, "Fine."]},
        ),
        protected=2,
    ),
    Scenario(
        "ten in a row",
        _says(
            *(_after(0.9 + 2.9 * n, 1.1 + 2.9 * n, f"question{n}") for n in range(9)),
            agent=lambda: Announcing(*_TEN),
            ends_after=45.0,
        ),
        protected=10,
    ),
)
"""What callers do, where nothing fails."""

BROKEN: Sequence[Scenario] = (
    Scenario("final transcript 3 s late", _says(_after(0.5, 1.5), stt={"finals": {0: 3.0}}), prepares=False),
    Scenario("final transcript never", _says(_after(0.5, 1.5), stt={"finals": {0: None}}), prepares=False),
    Scenario(
        "STT errors for 20 s",
        _says(stt={"outages": (Outage(1.0, seconds=20.0, retryable=False),)}),
        prepares=False,
    ),
    Scenario(
        "STT reconnects",
        _says(_after(0.5, 1.5, _COST), stt={"outages": (Outage(5.0, seconds=2.0),)}),
        prepares=False,
    ),
    Scenario(
        "model breaks off at 50 %",
        _says(_after(0.5, 1.0), agent=Thinking, llm={"answers": [Reply(NOTICE, breaks_after=0.5), "Fine."]}),
        whole=False,
        prepares=False,
    ),
    Scenario(
        "model breaks, asked again",
        _says(
            _after(0.5, 1.0),
            agent=Thinking,
            llm={"answers": [Reply(NOTICE, breaks_after=0.5, retryable=True), "Fine."]},
        ),
        prepares=False,
    ),
    Scenario(
        "model stalls for ever",
        _says(
            _after(0.5, 1.0),
            agent=Thinking,
            ends_after=40.0,
            llm={"answers": [Reply(NOTICE, stall=math.inf, stall_after=0.5), "Fine."]},
        ),
        whole=False,
        prepares=False,
    ),
    Scenario(
        "model hits its token limit",
        _says(_after(0.5, 1.0), agent=Thinking, llm={"answers": [Reply(NOTICE, max_words=8), "Fine."]}),
        whole=False,
        prepares=False,
    ),
    Scenario(
        "voice fails at 40 %",
        _says(_after(0.5, 1.5), tts={"faults": (TTSFault(0, after=0.4),)}),
        prepares=False,
        resumes=True,
    ),
    Scenario(
        "voice stalls for 3 s",
        _says(_after(0.5, 1.5), tts={"faults": (TTSFault(0, after=0.4, stall=3.0),)}),
        prepares=False,
        resumes=True,
    ),
    Scenario(
        "voice is dead",
        _says(lambda _: Say(1.0, QUESTION), tts={"dead": True}, ends_after=40.0),
        whole=False,
        answered=False,
        prepares=False,
    ),
    Scenario(
        "nobody subscribes",
        _says(lambda _: Say(1.0, QUESTION), listener=AudioReceiver(subscribed_at=None), ends_after=60.0),
        whole=False,
        answered=False,
        prepares=False,
    ),
    Scenario(
        "loudspeaker dies",
        _says(lambda _: Say(1.0, QUESTION), listener=AudioReceiver(dead_from=3.0), ends_after=60.0),
        whole=False,
        answered=False,
        prepares=False,
    ),
    Scenario(
        "aclose() in the middle", _says(_after(0.3, 0.6, _COST), _does(2.5, 4.0, lambda s: s.aclose())), answered=False
    ),
    Scenario(
        "shutdown() in the middle",
        _says(_after(0.3, 0.6, _COST), _does(2.5, 4.0, lambda s: s.shutdown())),
        answered=False,
    ),
    Scenario(
        "shutdown, no drain",
        _says(_after(0.3, 0.6, _COST), _does(2.5, 4.0, lambda s: s.shutdown(drain=False))),
        answered=False,
    ),
)
"""What breaks, or ends the call."""

ALL = (*SAID, *BROKEN)


def named(name: str) -> Scenario:
    """The scenario of that name."""
    return next(one for one in ALL if one.name == name)


QUICK = (
    "silent caller",
    "question in the middle",
    "across the end",
    "five backchannels",
    "two questions",
    "voice fails at 40 %",
    "aclose() in the middle",
)
"""The names of a small selection."""

"""The calls of `scenarios.py` in each language that hearout has words of."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from livekit.agents import Agent

from harness.scenes import CONSENT, NOTICE, QUESTION, SECOND, Announcing, Mixed
from hearout.testing import LLM, TTS, Reply, Say, Type

from . import scenarios

ENGLISH: Mapping[str, Any] = {
    "notice": NOTICE,
    "second": SECOND,
    "consent": CONSENT,
    "question": QUESTION,
    "cost": "what does it cost",
    "long": "and how long",
    "tuesday": "on Tuesday please",
    "wednesday": "no Wednesday",
    "number": "my number is seven",
    "yes": "yes",
    "murmurs": scenarios.MURMURS,
    "echo": "recorded for training and quality",
}
"""What the scenarios say, by the names of the data file."""

TABLE: Mapping[str, Mapping[str, Any]] = tomllib.loads((Path(__file__).parent / "languages.toml").read_text())
CODES = ("en", *TABLE)

WITH_WORDS = tuple(
    one.name
    for one in scenarios.ALL
    if any(isinstance(act, Say | Type) for act in scenarios.arguments(one, 0).get("caller", ()))
)
"""The names of the scenarios in which the caller says or types something."""


def arguments(code: str, scenario: scenarios.Scenario, seed: int) -> dict[str, Any]:
    """The call of one seed in a language; a TTS says the notice in as many seconds as the English one."""
    drawn = scenarios.arguments(scenario, seed)
    if code == "en":
        return drawn
    said = _translation(code)
    pace = TTS().rate * TTS().seconds(said(NOTICE)) / TTS().seconds(NOTICE)
    return drawn | {
        "agent": _in_language(drawn["agent"], said),
        "caller": [_told(act, said) for act in drawn.get("caller", ())],
        "llm": _written(drawn["llm"], said),
        "tts": replace(drawn["tts"], rate=pace),
        "stt": replace(drawn["stt"], language=code),
    }


def _translation(code: str) -> Callable[[str], str]:
    """What an English text of the scenarios is in a language; a made-up word stays."""
    known: dict[str, str] = {}
    for name, english in ENGLISH.items():
        texts = (
            [(english, TABLE[code][name])] if isinstance(english, str) else zip(english, TABLE[code][name], strict=True)
        )
        known.update(texts)

    def said(text: str) -> str:
        counted = re.fullmatch(r"This is announcement number (\d) of ten\.", text)
        return TABLE[code]["ten"].format(counted[1]) if counted else known.get(text, text)

    return said


def _told(act: Any, said: Callable[[str], str]) -> Any:
    return replace(act, words=said(act.words)) if isinstance(act, Say | Type) else act


def _written(llm: LLM, said: Callable[[str], str]) -> LLM:
    if callable(llm.answers):
        return llm
    return replace(llm, answers=[_answer(one, said) for one in llm.answers])


def _answer(one: Any, said: Callable[[str], str]) -> Any:
    return replace(one, text=said(one.text)) if isinstance(one, Reply) else said(one)


def _in_language(make: Callable[[], Agent], said: Callable[[str], str]) -> Callable[[], Agent]:
    def made() -> Agent:
        agent = make()
        if isinstance(agent, Announcing | Mixed):
            agent.texts = tuple(said(text) for text in agent.texts)
        return agent

    return made

"""The script that stands in for a language model."""

from typing import Any

import pytest

from hearout._local.llm import ABOUT, EARLY, LONGEST_ECHO, MONOLOGUE, chunks, reply
from hearout._local.tts import SAMPLE_RATE, synthesise


def user(*texts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize(
    "prompt",
    [
        "Say something somewhat long and boring so I can test if you're interruptable.",
        "Tell me something long and rather boring, so that I can try to interrupt you.",
        "Please read me a long, dull text.",
    ],
)
def test_a_prompt_for_something_long_and_boring_gets_the_monologue(prompt: str) -> None:
    assert reply([{"role": "system", "content": "Be friendly."}, *user(prompt)]) == MONOLOGUE


@pytest.mark.real
def test_the_monologue_lasts_25_to_30_seconds() -> None:
    assert 25 <= len(synthesise(MONOLOGUE)) / SAMPLE_RATE <= 30


@pytest.mark.parametrize(
    ("turn", "answer"),
    [
        (["What does it cost?"], "You said: What does it cost?"),
        (["What does it cost?", "And when do you open?"], "You said: What does it cost? And when do you open?"),
        (["wait can I change my address"], "You said: wait can I change my address."),
        (["Why was that so long and boring?"], "You said: Why was that so long and boring?"),
        (["What are you doing tomorrow?"], "You said: What are you doing tomorrow?"),
        (["one\n  two", ""], "You said: one two."),
        ([[{"type": "text", "text": "in parts"}, "odd"]], "You said: in parts."),
        ([""], "Hello. What can I do for you?"),
        ([], "Hello. What can I do for you?"),
    ],
)
def test_whatever_the_last_turn_asks_is_said_back(turn: list[Any], answer: str) -> None:
    before = [*user("an older question?"), {"role": "assistant", "content": "an answer"}] if turn else []
    assert reply([*before, *user(*turn)]) == answer


def test_a_tool_result_does_not_hide_the_question() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": []}
    assert reply([*user("How much?"), call, {"role": "tool", "content": "3"}]) == "You said: How much?"


def test_a_very_long_turn_is_cut_between_words() -> None:
    answer = reply(user("word " * 1000))
    assert len(answer) < LONGEST_ECHO + 50
    assert answer.endswith("word, and more.")


@pytest.mark.parametrize("asked", ["Who are you?", "What are you", "Are you a real person?", "What is your name?"])
def test_the_script_says_that_it_is_one_and_how_to_get_a_model(asked: str) -> None:
    assert reply(user(asked)) == ABOUT
    assert "script" in ABOUT
    assert "HEAROUT_LLM_URL" in ABOUT


def test_asked_who_it_is_and_something_else_it_answers_both() -> None:
    assert reply(user("What does it cost? And who are you?")) == (
        f"You said: What does it cost? And who are you? {ABOUT}"
    )


def test_it_asks_again_when_the_words_came_before_the_question() -> None:
    early = {"role": "system", "content": f"The user's words {EARLY}; ask it again."}
    assert reply([early, *user("yes")]).endswith("?")
    assert "yes" not in reply([*user("yes"), early])
    later = {"role": "developer", "content": "Be brief."}
    assert reply([early, *user("yes"), later]) == "You said: yes."


def test_it_streams_a_word_at_a_time_and_loses_none() -> None:
    assert list(chunks("One two.  Three")) == ["One ", "two.  ", "Three"]

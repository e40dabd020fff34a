"""Requests to a very small LLM, and which of its sentences are said."""

import itertools
import re

import pytest

from hearout._local.choice import BuiltIn, Upstream, answers, choose
from hearout._local.spoken import BLOCK, CONTEXT, EXAMPLES, SENTENCES, TOKENS, WholeSentences, request
from hearout.errors import ConsoleError

HEARD = [
    {"role": "system", "content": "You are the front desk."},
    {"role": "user", "content": "When do you open?"},
    {"role": "assistant", "content": "At nine."},
    {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "on Saturdays?"}]},
]
URL = "http://127.0.0.1:1/v1"


def asked(messages: list[dict[str, object]]) -> list[tuple[str, str]]:
    """The conversation as the model gets it, without the examples."""
    sent = [(one["role"], one["content"]) for one in request(messages)["messages"]]
    examples = [(one["role"], one["content"]) for one in EXAMPLES]
    assert sent[1 : 1 + len(examples)] == examples
    return [sent[0], *sent[1 + len(examples) :]]


def said(*pieces: str, is_whole: bool = True) -> list[str]:
    answer = WholeSentences()
    parts = [answer.take(piece) for piece in pieces]
    return [part.strip() for part in [*parts, answer.rest(is_whole=is_whole)] if part.strip()]


# What it is asked


def test_the_model_gets_the_instructions_and_the_turns_in_order() -> None:
    told, *turns = asked(HEARD)
    assert told[0] == "system"
    assert told[1].startswith("You are the front desk. ")
    expected = [("user", "When do you open?"), ("assistant", "At nine."), ("user", "And on Saturdays?")]
    assert turns == expected


def test_tools_and_their_answers_are_left_out() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "function": {"name": "look_up"}}]}
    result = {"role": "tool", "tool_call_id": "t", "content": "secret"}
    body = request([HEARD[1], call, result, {"role": "user", "content": "Well?"}])
    assert body.keys().isdisjoint({"tools", "tool_choice"})
    assert asked([HEARD[1], call, result, {"role": "user", "content": "Well?"}])[1:] == [
        ("user", "When do you open? Well?")
    ]


def test_instructions_at_the_end_are_put_as_a_question() -> None:
    told, *turns = asked([HEARD[0], {"role": "system", "content": "Greet the caller."}])
    assert "Greet" not in told[1]
    assert turns == [("user", "Greet the caller.")]


@pytest.mark.parametrize(
    ("messages", "last"),
    [
        ([], "Hello."),
        ([{"role": "system", "content": "Be kind."}], "Hello."),
        (HEARD[:3], "Please go on."),
    ],
)
def test_somebody_always_asks(messages: list[dict[str, object]], last: str) -> None:
    assert asked(messages)[-1] == ("user", last)


@pytest.mark.parametrize("words", ["word ", "9", "čšž ", "今天", "🙂"])
@pytest.mark.parametrize("turns", [1, 60])
def test_a_conversation_of_any_length_fits_the_context(words: str, turns: int) -> None:
    long = [{"role": "system", "content": words * 3000}]
    for turn in range(turns):
        long += [{"role": "user", "content": f"{turn} {words * 40}"}, {"role": "assistant", "content": words * 40}]
    long.append({"role": "user", "content": f"last {words * 3000}"})
    body = request(long)
    tokens = sum(len(one["content"].encode()) + 5 for one in body["messages"])  # a token is a byte or more
    assert tokens + TOKENS <= CONTEXT
    assert body["messages"][-1]["content"].startswith("last")


def test_a_long_conversation_keeps_its_beginning_for_some_turns() -> None:
    """The model reads again what follows the first change, so it may not change at each turn."""
    long = [HEARD[0]]
    begins = []
    for turn in range(100):
        long.append({"role": "user", "content": f"question {turn} is this one"})
        begins.append(asked(long)[1])
        long.append({"role": "assistant", "content": f"answer {turn} is that one"})
    changes = sum(a != b for a, b in itertools.pairwise(begins))
    assert 0 < changes <= 2 * len(begins) / BLOCK + 1


# What is let through


def test_an_answer_comes_sentence_by_sentence() -> None:
    assert said("We open", " at nine.", " Dr. Lee", " is in", " at 9.30.", " Come") == [
        "We open at nine.",
        "Dr. Lee is in at 9.30.",
        "Come",
    ]


def test_an_answer_that_was_broken_off_ends_with_its_last_whole_sentence() -> None:
    assert said("We open at nine.", " On Sat", is_whole=False) == ["We open at nine."]


def test_one_long_sentence_is_better_than_none() -> None:
    assert said("We open at", " nine or", is_whole=False) == ["We open at nine or"]


def test_no_more_than_a_few_sentences_are_said() -> None:
    parts = said(*re.findall(r"\S+\s*", "This is one. This is two. This is three. This is four. This is five."))
    assert len(parts) == SENTENCES
    assert parts[-1] == "This is three."
    assert said("This is one. This is two. This is three. This is four. This is five. ") == [
        "This is one. This is two. This is three."
    ]


# Who answers


@pytest.mark.parametrize(
    ("environment", "who"),
    [
        ({}, BuiltIn.SCRIPT),
        ({"HEAROUT_LLM": "smollm2"}, BuiltIn.SMOLLM2),
        ({"HEAROUT_LLM": "script", "HEAROUT_LLM_URL": URL, "HEAROUT_LLM_MODEL": "m"}, BuiltIn.SCRIPT),
        ({"HEAROUT_LLM": URL, "HEAROUT_LLM_MODEL": "m"}, Upstream(URL, "m", "", "HEAROUT_LLM")),
        ({"HEAROUT_LLM_URL": URL, "HEAROUT_LLM_KEY": "k"}, Upstream(URL, "", "k", "HEAROUT_LLM_URL")),
    ],
)
def test_the_environment_says_who_answers(environment: dict[str, str], who: BuiltIn | Upstream) -> None:
    assert answers(environment) == who


@pytest.mark.parametrize("name", ["gpt-4.1-mini", "SmolLM2", "localhost:11434"])
def test_an_unknown_llm_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(ConsoleError, match=r"script, smollm2, or the URL"):
        choose({"HEAROUT_LLM": name})


def test_the_line_at_the_start_says_that_the_model_is_very_small() -> None:
    assert "a very small model, which makes things up" in choose({"HEAROUT_LLM": "smollm2"}).because


def test_a_key_is_not_in_what_is_printed_of_a_server() -> None:
    assert "sesame" not in repr(Upstream(URL, "m", "sesame"))

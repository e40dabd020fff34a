"""Questions against what was really said, and when: in random calls no choice is one that the caller did not make.

The judge knows which words the caller said at which second, and the second at which the far end had heard the question.
"""

import os

import pytest

from harness.asking import judged

CALLS = int(os.environ.get("HEAROUT_ASK_CALLS", "120"))
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
def test_no_choice_is_wrong_and_no_yes_began_before_the_question(part: int) -> None:
    found = [judged(seed) for seed in range(part, CALLS, PARTS)]

    assert [one.faults for one in found if one.faults] == []
    chosen = [one.answer.choice for one in found]
    assert chosen.count("yes") >= 5
    assert chosen.count("no") >= 5
    assert any(
        answer.early and answer.text in ("yes", "sure", "1") for one in found for answer in one.answer.receipt.answers
    )

"""Random calls with STTs, LLMs and TTSs of the zoo against the laws: 80 of them, 2,000 by `make nightly`."""

import os

from harness.zoo_calls import Met, check, drawn, played

FIRST = int(os.environ.get("HEAROUT_ZOO_FIRST", "0"))
"""The first seed: another one plays other calls."""
CALLS = int(os.environ.get("HEAROUT_ZOO_CALLS", "80"))
ONE = os.environ.get("HEAROUT_ZOO", "")
"""A seed that failed, to be played again by itself."""


# Words are delivered whole and in order, none twice but what may have broken off; a receipt says neither more nor less.
def test_with_any_stt_llm_and_tts_the_promises_hold() -> None:
    met = Met()
    for seed in [int(ONE)] if ONE else range(FIRST, FIRST + CALLS):
        one = drawn(seed)
        check(one, played(one), met)

    assert ONE or not met.missing(), f"never met: {met.missing()}"

"""Receipts against the audio: in random calls, none claims more than what was really heard at the far end.

The judge here is `hearout.testing`'s far end, which knows each sample by the word that it belongs to. In real calls it
is `hearout.measure` (`tests/rooms/test_rooms_presence.py`, `tests/real/test_scenarios_real.py`).
"""

import os
import random
from typing import Any

from harness.scenes import NOTICE, QUESTION, QUIET, call, receipts
from hearout import CutIn, Outcome, Policy, Receipt, Redeliver
from hearout.policy import Timeouts
from hearout.receipts import Level
from hearout.receipts._receipt import SHORT
from hearout.testing import TTS, AudioReceiver, Do, Noise, Press, Result, Say, TTSFault, first_sound

CALLS = int(os.environ.get("HEAROUT_JUDGED_CALLS", "120"))
LENGTH = TTS().seconds(NOTICE)
ONE_WORD = 0.35
"""Seconds by which what is heard may be counted less finely than samples: by 10 ms blocks, and in whole words."""


def _acts(dice: random.Random) -> list[Any]:
    """What the caller does, and what goes wrong: one to three things."""
    at = first_sound(round(dice.uniform(0.2, 8.0), 2))

    def paused(session: Any) -> None:
        if session.output.audio is not None:  # the session may be closed by then
            session.output.audio.pause()

    def resumed(session: Any) -> None:
        if session.output.audio is not None:
            session.output.audio.resume()

    choices: list[list[Any]] = [
        [Say(at, QUESTION)],
        [Say(at, "the operator please")],
        [Say(at, "mm-hm", answered=False)],
        [Noise(at, 0.4)],
        [Press(at, "0")],
        [Do(at, lambda session: session.user_left())],
        [Do(at, lambda session: session.current_speech and session.current_speech.interrupt(force=True))],
        [Do(at, lambda session: session.stop_announcement("changed"))],
        [Do(at, lambda session: session.output.audio and session.output.audio.clear_buffer())],
        [Do(at, lambda session: session.aclose())],
        [Do(at, paused), Do(first_sound(at.seconds + 0.7), resumed)],
    ]
    return [act for acts in dice.sample(choices, dice.randint(1, 3)) for act in acts]


def judged(seed: int) -> tuple[Result, Receipt, float, float]:
    """A random call: what happened, the receipt, and how many seconds of the notice were heard, once and again."""
    dice = random.Random(seed)
    faults = (TTSFault(0, after=dice.random(), stall=dice.choice([0.0, 1.0, 3.0])),) if dice.random() < 0.3 else ()
    voice = TTS(faults=faults, dead=dice.random() < 0.05, speed=dice.choice([1.5, 20.0]))
    dead_from = dice.uniform(1.0, 8.0) if dice.random() < 0.1 else None
    listener = AudioReceiver(subscribed_at=dice.choice([0.0, 0.0, 2.0, None]), dead_from=dead_from)
    cut_in = dice.choice([CutIn(), CutIn(phrases=("operator",)), CutIn(keys="0"), CutIn(after=3.0)])
    grace = dice.choice([0.5, 30.0])
    policy = Policy(cut_in=cut_in, redeliver=Redeliver.NEVER, timeouts=Timeouts(shutdown=grace))
    acts = _acts(dice) if listener.subscribed_at is not None and not voice.dead else []
    ends = {"ends_after": 45.0, "ends_quiet": None if listener.subscribed_at is None else QUIET}
    result = call(*acts, policy=policy, tts=voice, listener=listener, seed=seed, **ends)
    (receipt,) = [one for one in receipts(result) if one.text == NOTICE]
    notices = [one for one in result.utterances if one.intended == NOTICE]
    return result, receipt, LENGTH * sum(one.delivered for one in notices), sum(one.repeated for one in notices)


def test_no_receipt_claims_more_than_was_heard_and_none_misses_what_was() -> None:
    errors, outcomes, missed = [], set(), 0
    for seed in range(CALLS):
        result, receipt, heard, again = judged(seed)
        told = f"call {seed}: {receipt}\n{result.describe()}"
        assert not [line for line in result.warnings if "playback_finished" in line], told
        assert receipt.played <= heard + again + ONE_WORD, told
        if receipt.level >= Level.PLAYED or receipt.outcome is Outcome.FINISHED:
            assert heard >= LENGTH - SHORT - ONE_WORD, told
        missed += heard >= LENGTH - 1e-6 and receipt.outcome is not Outcome.FINISHED
        errors.append(abs(receipt.played - heard - again))
        outcomes.add(receipt.outcome)

    assert outcomes == {Outcome.FINISHED, Outcome.CUT_IN, Outcome.CALLER_GONE, Outcome.SHUT_DOWN, Outcome.FAILED}
    assert missed <= CALLS // 100, missed  # cut within its last word
    print(f"{CALLS} calls: mean error {sum(errors) / CALLS:.3f} s, worst {max(errors):.3f} s, missed {missed}")

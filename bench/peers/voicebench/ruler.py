"""voicebench's own numbers for calls that were recorded: somebody else's ruler, unchanged.

It runs in an environment of its own (``make peers``). Stdin has a JSON list of calls, each with "agent" and "caller"
(WAV files), "lines" ([begin, end] in seconds of the recording) and "expects" ("respond" or "ignore" for each line);
stdout gets voicebench's summary of all of them.
"""

import json
import sys
from typing import Any

import numpy as np
from voicebench.audio import read_wav
from voicebench.metrics import analyze, summarize
from voicebench.runner import SessionRecord, TurnWindow
from voicebench.scenario import parse_scenario

RATE = 16_000


def record(call: dict[str, Any]) -> SessionRecord:
    """The call as voicebench would have recorded it."""
    turns = [
        {"id": f"line {number}", "audio": {"synth": "silence"}, "expect": expect}
        for number, expect in enumerate(call["expects"])
    ]
    scenario = parse_scenario({"name": "recorded", "sample_rate": RATE, "turns": turns})
    user, agent = (read_wav(call[who], RATE) for who in ("caller", "agent"))
    length = max(len(user), len(agent))
    user, agent = (np.pad(one, (0, length - len(one))) for one in (user, agent))
    windows = [
        TurnWindow(turn, begin, end, "anchor") for turn, (begin, end) in zip(scenario.turns, call["lines"], strict=True)
    ]
    return SessionRecord(scenario, {"type": "recording"}, "real", user, agent, windows)


def main() -> None:
    """Print the summary."""
    calls = json.load(sys.stdin)
    print(json.dumps(summarize([analyze(record(call)) for call in calls if call["lines"]])))


if __name__ == "__main__":
    main()

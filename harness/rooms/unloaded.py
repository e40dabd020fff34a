"""Runs an agent file as `python FILE COMMAND` does, as a worker that calls itself idle, or as busy as a test says.

A LiveKit server (1.13.5) sends no call to a worker that reports a load above its `agents.target_load` (0.7), nor, with
that raised, to one that reports 1.0, and says so in its own log only. The load is that of the whole machine, so that
on a busy one a test's caller would now and then be left alone in its room, in `dev` too.

``ROOM_LOAD`` names a file with the load that is reported; ``ROOM_SERVER`` has more arguments for the agent's server, as
JSON.
"""

import functools
import json
import os
import runpy
import sys
from pathlib import Path

from livekit.agents import AgentServer


def load() -> float:
    """The load that is reported."""
    return float(Path(file).read_text()) if (file := os.environ.get("ROOM_LOAD")) else 0.0


if __name__ == "__main__":  # not in its job processes, which import the agent file as their main module
    more = json.loads(os.environ.get("ROOM_SERVER", "{}"))
    AgentServer.__init__ = functools.partialmethod(AgentServer.__init__, load_fnc=load, **more)  # type: ignore[method-assign, assignment]
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")

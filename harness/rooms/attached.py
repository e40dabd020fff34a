"""The agent of `noting.py` for `python -m livekit.agents start`: a server, and no command line of hearout's.

With ``ROOM_ATTACH`` in the environment it is attached.
"""

import os

from livekit.agents import AgentServer

import hearout
from harness.rooms.noting import entrypoint, load_vad


def idle() -> float:
    """The load that is reported: see `unloaded.py`."""
    return 0.0


server = AgentServer(host="127.0.0.1", port=0, num_idle_processes=1, setup_fnc=load_vad, load_fnc=idle)
server.rtc_session(entrypoint)
if os.environ.get("ROOM_ATTACH"):
    hearout.attach(server)
    hearout.attach(server)  # changes nothing

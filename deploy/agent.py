"""The agent of uninterruptable.py as a worker in production: its health port is on this machine only, and its own.

Run it with `python -m deploy.agent start`, from the folder above; see docs/deploy.md.
"""

import os

from livekit.agents import AgentServer

from hearout import cli
from uninterruptable import entrypoint, load_vad

server = AgentServer(host="127.0.0.1", port=int(os.environ.get("HEALTH_PORT", "8081")), setup_fnc=load_vad)
server.rtc_session(entrypoint)

if __name__ == "__main__":
    cli.run_app(server)

"""Traces of a job in the console, in real time, printed by the exporter that docs/deploy.md shows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, run

pytestmark = pytest.mark.real

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
(PRINTING,) = (block for block in BLOCKS if "ConsoleSpanExporter" in block)
"""What docs/deploy.md has an agent do for printed spans."""

AGENT = """
from livekit.agents import AgentServer, JobContext

from hearout import Agent, AgentSession, CutIn, Policy, Retention, YesNo, cli

server = AgentServer()

class FrontDesk(Agent):
    def __init__(self):
        super().__init__(instructions="Be brief.")

    async def on_enter(self):
        await self.session.announce("You may end this with the key zero, and it is rather long.", id="notice",
                                    cut_in=CutIn(keys="0"))
        await self.session.ask("Do you agree?", id="consent", choices=YesNo(keys={"1": "yes"}), attempts=1)

@server.rtc_session()
async def entrypoint(ctx: JobContext):
    async def tell():
        print("TAGS", *sorted(ctx.tagger.tags), flush=True)

    ctx.add_shutdown_callback(tell)
    session = AgentSession(stt="deepgram/nova-3-general", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-3",
                           policy=Policy(words_on_receipt=Retention.KEEP))
    await session.start(agent=FrontDesk(), room=ctx.room)
    await ctx.connect()

cli.run_app(server)
"""
CALL = """
[call]
ends_after = 1
at_most = 25

[[caller]]
at = 2
keys = "0"

[[caller]]
at = 5.5
keys = "1"
"""


def played(folder: Path, printing: str) -> tuple[list[dict[str, Any]], str]:
    """The spans of ours that a scripted call printed, and all that it printed."""
    (folder / "agent.py").write_text(printing + AGENT)
    (folder / "call.toml").write_text(CALL)
    done = run("console", "--script", "call.toml", "--out", "out", agent=folder / "agent.py", cwd=folder)
    spans, rest = [], done.stdout
    while (start := rest.find('{\n    "name"')) >= 0:
        span, length = json.JSONDecoder().raw_decode(rest[start:])
        rest = rest[start + length :]
        spans += [span] if span["name"].startswith("hearout.") else []
    return spans, done.stdout + done.stderr


@pytest.mark.parametrize("allowed", [False, True], ids=["without words", "with words"])
def test_a_job_prints_one_span_an_utterance_and_question(tmp_path: Path, *, allowed: bool) -> None:
    spans, printed = played(tmp_path, PRINTING.replace("allow_pii=False", f"allow_pii={allowed}"))

    found = [(one["name"], one["attributes"]["hearout.id"], one["attributes"]["hearout.outcome"]) for one in spans]
    assert ("hearout.utterance", "notice", "cut in") in found, printed
    assert ("hearout.question", "consent", "answered") in found
    assert sorted(name for name, _, _ in found) == ["hearout.question", "hearout.utterance", "hearout.utterance"]
    words = [key for one in spans for key in one["attributes"] if key.startswith("lk.pii.hearout.")]
    assert bool(words) == allowed
    assert ("Do you agree?" in json.dumps(spans)) == allowed
    assert "TAGS hearout.cut_in\n" in printed

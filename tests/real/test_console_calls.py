"""Whole calls in the console, in real time, as a user runs them. The main job's: `newcomer/test_main_job.py`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, alike, run

pytestmark = pytest.mark.real

RECIPE = ROOT.parent / "shared" / "recipe.md"

SHORT = """
[call]
ends_after = 1
at_most = 25

[[caller]]
at = 0.6
say = "Wait, can I ask something?"
"""

QUICK = (
    "from livekit.agents import Agent, AgentServer, JobContext, JobProcess, inference\n"
    "from livekit.plugins import silero\n"
    "from hearout import AgentSession, cli\n"
    "server = AgentServer()\n"
)


def talk_over(tmp_path: Path, text: str, script: str = SHORT, **environment: str) -> tuple[Any, Any, Path]:
    """Run a scripted call with an agent file; the process, its timeline, and its folder."""
    (tmp_path / "agent.py").write_text(text)
    (tmp_path / "call.toml").write_text(script)
    out = tmp_path / "out"
    done = run(
        "console", "--script", "call.toml", "--out", str(out), agent=tmp_path / "agent.py", cwd=tmp_path, **environment
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    timeline = json.loads((out / "timeline.json").read_text()) if (out / "timeline.json").exists() else None
    return done, timeline, out


PLAIN = 'stt="deepgram/nova-3-general", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-3"'

AGENT_BODY = """
class Announcer(Agent):
    def __init__(self):
        super().__init__(instructions="Be brief.", allow_interruptions=False)

    async def on_enter(self):
        self.session.say("This call is recorded for training. You may ask us to stop that at any time, free of charge.")

@server.rtc_session()
async def entrypoint(ctx: JobContext):
    session = AgentSession({models})
    await session.start(agent=Announcer(), room=ctx.room)
    await ctx.connect()

cli.run_app(server)
"""


def test_an_agent_that_names_its_models_by_plain_strings_runs(tmp_path: Path) -> None:
    done, timeline, _ = talk_over(tmp_path, QUICK + AGENT_BODY.format(models=PLAIN))
    assert done.returncode == 0, done.stdout + done.stderr
    assert timeline["agent"][0]["text"].startswith("This call is recorded")
    assert alike(" ".join(t["text"] for t in timeline["transcripts"] if t["final"]), "Wait, can I ask something?") > 0.7


def indented(flat: str) -> str:
    """The recipe's code with the indentation that the copy beside this checkout has lost."""
    outer = (
        "from ",
        "load_dotenv(",
        "class ",
        "server",
        "def prewarm",
        "@server",
        "async def entrypoint",
        "if __name__",
    )
    lines, in_class = [], False
    for line in flat.splitlines():
        if line.startswith(outer):
            in_class = line.startswith("class ")
            lines.append(line)
        else:
            method = line.startswith(("def ", "async def "))
            lines.append(" " * (8 if in_class and not method else 4) + line)
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(not RECIPE.is_file(), reason="the recipe's text is not beside this checkout")
def test_the_recipes_own_file_runs_with_its_one_import_changed(tmp_path: Path) -> None:
    recipe = RECIPE.read_text()
    code = indented(recipe[recipe.rindex("from dotenv import load_dotenv") :])
    (imported,) = re.findall(r"^from livekit\.agents import .*$", code, flags=re.MULTILINE)
    names = [name for name in imported.split(" import ")[1].split(", ") if name not in ("AgentSession", "cli")]
    ours = f"from livekit.agents import {', '.join(names)}\nfrom hearout import AgentSession, cli"
    script = '[[caller]]\nat = 1\ndo = "hang-up"\n'
    _, timeline, _ = talk_over(tmp_path, code.replace(imported, ours), script)
    assert timeline["outcome"] == "hung up"
    assert timeline["agent"][0]["protected"]
    assert "Say something somewhat long" in timeline["turns"][0]["text"]


def test_a_hang_up_ends_the_call_and_writes_its_files(tmp_path: Path) -> None:
    script = '[[caller]]\nat = 0.5\nkeys = "1#"\n[[caller]]\nat = 1\ndo = "hang-up"\n'
    done, timeline, out = talk_over(tmp_path, QUICK + AGENT_BODY.format(models=PLAIN), script)
    assert timeline["outcome"] == "hung up"
    assert timeline["agent"][0]["cut"]
    assert timeline["caller"][0]["text"] == "[keys 1#]"
    assert [(held["kind"], held["text"], held["fate"]) for held in timeline["held"]] == [("pressed", "1#", "recorded")]
    assert done.returncode == 1
    assert "did not finish" in done.stdout
    assert (out / "call.wav").stat().st_size > 1000


def test_a_model_server_that_refuses_is_said_aloud_and_the_call_goes_on(tmp_path: Path) -> None:
    body = AGENT_BODY.replace("self.session.say(", "self.session.generate_reply(user_input=")
    done, timeline, _ = talk_over(
        tmp_path, QUICK + body.format(models=PLAIN), SHORT, HEAROUT_LLM_URL="http://127.0.0.1:9/v1"
    )
    assert "the language model does not answer" in timeline["agent"][0]["text"]
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_agent_that_fails_is_said_in_one_line(tmp_path: Path) -> None:
    body = AGENT_BODY.replace("    session =", '    raise ValueError("no such table")\n    session =')
    done, _, _ = talk_over(tmp_path, QUICK + body.format(models=PLAIN))
    assert done.returncode == 1
    assert "no such table" in done.stdout
    assert "the agent's job ended without a session; see " in done.stderr  # at once: it is not waited for

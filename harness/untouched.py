"""Random calls in which nothing is protected, played with hearout's session and with LiveKit's, event for event."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, fields
from typing import Any, get_args

from livekit.agents import Agent, AgentTask, RunContext, StopResponse, ToolError, function_tool, llm
from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.voice.agent_activity import ActivityClosedError
from livekit.agents.voice.events import EventTypes
from livekit.agents.voice.room_io import TextInputEvent, TextInputOptions

from harness.plain_events import Numbered, Plain, by_instants, rounded, without_ids
from harness.scenes import QUIET
from hearout import AgentSession
from hearout.errors import CallError
from hearout.testing import LLM, STT, TTS, Call, Do, Noise, Outage, Reply, Say, TTSFault, Type, UseTool
from hearout.testing._script import Act

TICK = 0.01
"""Seconds by which a time may differ: a TTS's block is twice as long."""

OFF = 0.0137
"""Seconds by which the STT and the hooks are out of step with the VAD's frames of 0.05 s: what happens in one instant
happens in the order of the loop's steps, and LiveKit's own differ from run to run of a real program."""

TEXTS = (
    "Hello and welcome. How may I help you today?",
    "Our offices are open from nine to five. On Sundays they are closed. Is there anything else?",
    "One moment please.",
    "That is noted. **Thank you** for telling me, and have a look at our page.",
)
TOOLS = ("look_up", "wait", "speaks", "fails", "stops", "hands_over", "updates", "fills", "replies", "asks", "rude")


class Drawn(Agent):
    """An agent with hooks and tools, some of which are drawn."""

    def __init__(self, dice: random.Random, depth: int = 0) -> None:
        own: dict[str, Any] = {}
        if depth and dice.random() < 0.3:
            own["turn_handling"] = handling(dice)
        super().__init__(instructions=f"Answer briefly, number {depth}.", **own)
        self.dice, self.depth = dice, depth
        self.enters = dice.choice(["say", "say", "reply", "nothing", "no context"])
        self.hook = dice.choice(["", "", "", "slow", "stops", "raises", "adds"])
        self.leaves = dice.choice(["", "", "says"])
        self.exceeded = dice.choice(["", "says"])

    async def on_enter(self) -> None:
        match self.enters:
            case "say":
                self.session.say(self.dice.choice(TEXTS))
            case "no context":
                self.session.say(self.dice.choice(TEXTS), add_to_chat_ctx=False)
            case "reply":
                self.session.generate_reply(instructions="Greet the caller.")

    async def on_exit(self) -> None:
        if self.leaves:
            await self.session.say("I am leaving now.")

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        match self.hook:
            case "slow":
                await asyncio.sleep(0.7 + OFF / 3)
            case "stops" if "word1" in (new_message.text_content or ""):
                raise StopResponse
            case "raises" if "word1" in (new_message.text_content or ""):
                raise ValueError("the hook of a test")
            case "adds":
                turn_ctx.add_message(role="system", content="Be kind.")

    async def on_user_turn_exceeded(self, ev: Any) -> None:
        if self.exceeded:
            await self.session.say("Let me stop you there for a moment.")
        else:
            await super().on_user_turn_exceeded(ev)

    @function_tool
    def look_up(self) -> str:
        """Look something up."""
        return "found"

    @function_tool
    async def wait(self, context: RunContext[Any]) -> str:
        """Wait for what was said."""
        await context.wait_for_playout()
        await asyncio.sleep(1.3 + OFF / 3)
        return "waited"

    @function_tool
    async def speaks(self, context: RunContext[Any]) -> str:
        """Say something meanwhile."""
        context.session.say("Let me have a look at that.")
        await asyncio.sleep(0.5 + OFF / 3)
        return "looked"

    @function_tool
    async def replies(self, context: RunContext[Any]) -> None:
        """Let the model speak."""
        context.session.generate_reply(instructions="Say that you are looking.")

    @function_tool
    async def fails(self) -> str:
        """Fail."""
        raise ToolError("there is nothing here")

    @function_tool
    async def stops(self) -> str:
        """Say nothing."""
        raise StopResponse

    @function_tool
    async def rude(self) -> str:
        """Break."""
        raise ValueError("a bug of a test")

    @function_tool
    async def hands_over(self) -> Any:
        """Hand over."""
        other = Drawn(self.dice, self.depth + 1)
        return other if self.dice.random() < 0.5 else (other, "handed over")

    @function_tool
    async def updates(self, context: RunContext[Any]) -> str:
        """Tell how it goes."""
        await context.update("half of it is done")
        await asyncio.sleep(1.5)
        return "all of it is done"

    @function_tool
    async def fills(self, context: RunContext[Any]) -> str:
        """Take long."""
        async with context.with_filler("Still looking for it.", delay=0.4):
            await asyncio.sleep(2.5)
        return "found at last"

    @function_tool
    async def asks(self) -> str:
        """Ask back."""
        return await Asks(self.dice)


class Asks(AgentTask[str]):
    """Ends with the caller's next turn."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(instructions="Ask back.")
        self.dice = dice

    async def on_enter(self) -> None:
        self.session.say("Which of the two do you mean?")
        asyncio.get_running_loop().call_later(6.0, self._end)

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        self._end()
        raise StopResponse

    def _end(self) -> None:
        if not self.done():
            self.complete("the first")


class OwnNodes(Drawn):
    """An agent whose nodes are its own, of each kind that LiveKit allows."""

    async def stt_node(self, audio: Any, model_settings: Any) -> Any:
        async for event in Agent.default.stt_node(self, audio, model_settings):
            yield event

    def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        return Agent.default.llm_node(self, chat_ctx, tools, model_settings)

    async def tts_node(self, text: Any, model_settings: Any) -> Any:
        async def louder() -> AsyncIterator[str]:
            async for piece in text:
                yield piece.replace("Hello", "Good morning")

        return Agent.default.tts_node(self, louder(), model_settings)

    async def transcription_node(self, text: Any, model_settings: Any) -> Any:
        async for piece in text:
            yield piece


def handling(dice: random.Random) -> dict[str, Any]:
    """Turn handling, of a session or an agent."""
    drawn: dict[str, Any] = {}
    if dice.random() < 0.8:
        drawn["turn_detection"] = dice.choice(["vad", "vad", "stt", "manual", None])
    if dice.random() < 0.5:
        drawn["endpointing"] = {
            "mode": dice.choice(["fixed", "dynamic"]),
            "min_delay": round(dice.uniform(0.0, 0.8), 3) + OFF / 7,
            "max_delay": round(dice.uniform(1.0, 3.0), 3) + OFF / 7,
        }
    if dice.random() < 0.6:
        drawn["interruption"] = {
            "mode": "vad",
            "min_duration": round(dice.uniform(0.1, 0.8), 3) + OFF / 11,
            "min_words": dice.choice([0, 0, 1, 3]),
            "false_interruption_timeout": dice.choice([None, 0.5, 2.0]),
            "resume_false_interruption": dice.random() < 0.7,
        }
    if dice.random() < 0.6:
        drawn["preemptive_generation"] = {
            "enabled": dice.random() < 0.7,
            "preemptive_tts": dice.random() < 0.5,
            "max_speech_duration": dice.choice([1.0, 10.0]),
            "max_retries": dice.choice([0, 1, 3]),
        }
    if dice.random() < 0.3:
        drawn["user_turn_limit"] = {"max_words": dice.choice([5, None]), "max_duration": dice.choice([2.0, None])}
    return drawn


def _session(dice: random.Random) -> dict[str, Any]:
    drawn: dict[str, Any] = {"turn_handling": {"turn_detection": "vad", **handling(dice)}}
    if dice.random() < 0.5:
        drawn["aec_warmup_duration"] = dice.choice([None, 1.0])
    if dice.random() < 0.3:
        drawn["use_tts_aligned_transcript"] = True
    if dice.random() < 0.3:
        drawn["tts_text_transforms"] = dice.choice([None, ["filter_markdown"]])
    if dice.random() < 0.3:
        drawn["min_consecutive_speech_delay"] = 0.3
    if dice.random() < 0.3:
        drawn["user_away_timeout"] = dice.choice([None, 3.0])
    if dice.random() < 0.3:
        drawn["transcription_timeout"] = 1.0
    if dice.random() < 0.3:
        drawn["max_tool_steps"] = dice.choice([0, 1])
    if dice.random() < 0.1:
        drawn["vad"] = None
    return drawn


def _stt(dice: random.Random) -> STT:
    return STT(
        interim=dice.choice([0.15 + OFF, 0.15 + OFF, 0.4 + OFF, None]),
        final=dice.choice([0.3, 0.3, 0.8, 1.5]) + 2 * OFF,
        finals={1: dice.choice([2.5 + OFF, None])} if dice.random() < 0.15 else {},
        outages=(Outage(3.0 + OFF, 1.0, retryable=dice.random() < 0.5),) if dice.random() < 0.1 else (),
        pause=dice.choice([None, None, 0.2]),
        timed=dice.random() < 0.7,
        restates=dice.random() < 0.1,
        language=dice.choice(["en", "de", ""]),
    )


def _tts(dice: random.Random) -> TTS:
    faults = (TTSFault(dice.randrange(3), after=0.5, retryable=dice.random() < 0.7),) if dice.random() < 0.15 else ()
    return TTS(
        first_audio=dice.choice([0.15, 0.5]) + OFF / 2,
        speed=dice.choice([20.0, 1.2]),
        faults=faults,
        aligned=dice.random() < 0.4,
        varies=dice.choice([0.0, 0.2]),
        streaming=dice.random() < 0.8,
    )


def _reply(dice: random.Random) -> Reply:
    tools = tuple(UseTool(dice.choice(TOOLS)) for _ in range(dice.choice([1, 1, 2]))) if dice.random() < 0.35 else ()
    text = "" if tools and dice.random() < 0.5 else dice.choice(TEXTS)
    breaks = 0.5 if dice.random() < 0.05 else None
    return Reply(text, tools=tools, breaks_after=breaks, retryable=dice.random() < 0.5)


def _acts(dice: random.Random) -> list[Act]:
    acts: list[Act] = []
    at = 0.0
    for number in range(dice.randint(1, 5)):
        at += dice.uniform(0.2, 4.0)
        words = " ".join(f"word{number}{letter}" for letter in "abcdefgh"[: dice.randint(1, 8)])
        say = Say(round(at, 3), words, noticed=dice.random() < 0.9)
        acts.append(say)
        at += say.seconds + dice.choice([0.0, 0.6, 1.5])
    for _ in range(dice.choice([0, 0, 1, 2, 3])):
        when = round(dice.uniform(0.5, at + 6.0), 3)
        acts.append(_act(dice, when))
    return acts


async def _pieces(text: str) -> AsyncIterator[str]:
    for word in text.split():
        await asyncio.sleep(0.05)
        yield word + " "


def _anyhow(name: str, what: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A deed that notes when it was refused; the words of a refusal differ."""

    async def tried(session: Any) -> None:
        try:
            made = what(session)
            if asyncio.isfuture(made) or asyncio.iscoroutine(made):
                waited = asyncio.ensure_future(made)
                await asyncio.wait([waited])
                if not waited.cancelled():
                    waited.result()
        except (RuntimeError, ValueError, ActivityClosedError):
            session.refused.append(asyncio.get_running_loop().time())

    tried.__qualname__ = name
    return tried


def _options(dice: random.Random) -> Callable[[Any], None]:
    chosen = dice.choice(
        [
            {"turn_detection": "manual"},
            {"turn_detection": "vad"},
            {"turn_detection": "stt"},
            {"endpointing_opts": {"min_delay": 1.0, "max_delay": 2.0}},
        ]
    )
    return lambda session: session.update_options(**chosen)


def _deeds(dice: random.Random) -> dict[str, Callable[[Any], Any]]:
    """What a program may do to a session, by name."""
    options, other, drain = _options(dice), Drawn(dice, 1), dice.random() < 0.5
    return {
        "say": lambda session: session.say(TEXTS[3], allow_interruptions=True),
        "say without context": lambda session: session.say(TEXTS[1], add_to_chat_ctx=False),
        "say a stream": lambda session: session.say(_pieces(TEXTS[0])),
        "reply": lambda session: session.generate_reply(instructions="Say something."),
        "reply to a text": lambda session: session.generate_reply(user_input="given words", tool_choice="none"),
        "reply with a tool": lambda session: session.generate_reply(tools=["look_up"], input_modality="audio"),
        "interrupt": lambda session: session.interrupt(),
        "interrupt by force": lambda session: session.interrupt(force=True),
        "commit": lambda session: session.commit_user_turn(),
        "commit without a reply": lambda session: session.commit_user_turn(skip_reply=True, transcript_timeout=0.5),
        "clear": lambda session: session.clear_user_turn(),
        "push to talk": lambda session: session.input.set_audio_enabled(not session.input.audio_enabled),
        "mute": lambda session: session.output.set_audio_enabled(False),
        "pause": lambda session: session.output.audio and session.output.audio.pause(),
        "resume": lambda session: session.output.audio and session.output.audio.resume(),
        "options": options,
        "hand over": lambda session: session.update_agent(other),
        "drain": lambda session: session.drain(),
        "close": lambda session: session.aclose(),
        "shut down": lambda session: session.shutdown(drain=drain),
        "run": lambda session: session.run(user_input="run words"),
        "wait for idle": lambda session: session.wait_for_idle(),
        "user is there": lambda session: hasattr(session, "reset_away_timer") and session.reset_away_timer(),
    }


def _act(dice: random.Random, at: float) -> Act:
    kind = dice.choice(["noise", "type", *_deeds(dice)])
    if kind == "noise":
        return Noise(at, dice.choice([0.2, 0.7]))
    return Type(at, "typed words") if kind == "type" else Do(at, _anyhow(kind, _deeds(dice)[kind]))


@dataclass
class Seen:
    """What a user of a session can see of a call."""

    events: list[tuple[float, str, Any]]
    speeches: list[Any]
    history: Any
    requests: Any
    said: Any
    refused: Any
    warnings: list[str]
    protected: bool
    """Whether anything was protected after all: LiveKit makes speech so for which an `AgentTask` is awaited."""


async def _typed(session: Any, text: str) -> None:
    try:
        if isinstance(session, AgentSession):
            await session.user_typed(text)
        else:
            await TextInputOptions().text_input_cb(session, TextInputEvent(text))  # type: ignore[misc]
    except RuntimeError:
        pass  # the session is closing; a room's logs it


def _listen(session: Any, began: list[float], events: list[tuple[float, str, Any]], speeches: list[Any]) -> None:
    loop, plain, over = asyncio.get_running_loop(), Plain(), list[str]()
    began.append(loop.time())

    def noted(name: str) -> Callable[[Any], None]:
        def note(event: Any) -> None:
            if name == "close":
                over.append(name)
            # LiveKit's closed session tells what its VAD hears of a caller who stays (1.8.9); ours hears nothing then
            if name != "user_state_changed" or not over:
                events.append((loop.time() - began[0], name, plain(event)))
            if name == "speech_created":
                event.speech_handle.add_done_callback(ended)

        return note

    def ended(handle: Any) -> None:
        items = without_ids(plain(handle.chat_items))
        speeches.append((loop.time() - began[0], handle.interrupted, repr(handle.exception()), items))

    for name in get_args(EventTypes):
        session.on(name, noted(name))


def played(kind: type[LiveKitSession[Any]], seed: int) -> Seen:
    """The call of a seed with such a session."""
    dice = random.Random(f"untouched {seed}")
    arguments, stt, tts = _session(dice), _stt(dice), _tts(dice)
    model = LLM([_reply(dice) for _ in range(30)], first_token=dice.choice([0.2, 0.4, 1.5]) + OFF / 5)
    agent = (OwnNodes if dice.random() < 0.2 else Drawn)(dice)
    acts = _acts(dice)
    events, speeches, began = [], [], []  # type: ignore[var-annotated]
    plain = Plain()

    def make(**models: Any) -> Any:
        session: Any = kind(**{**models, **arguments})
        session.refused = []
        _listen(session, began, events, speeches)
        return session

    result = Call(
        agent=lambda: agent,
        session=make,
        caller=acts,
        stt=stt,
        llm=model,
        tts=tts,
        ends_after=45.0,
        ends_quiet=QUIET,
        seed=seed,
        typed=_typed,
    ).play()
    return Seen(
        events=Numbered()(by_instants(events)),
        speeches=sorted(speeches, key=rounded),
        history=without_ids(plain(result.history.items)),
        requests=[(one.at, one.context) for one in result.requests],
        said=[(one.start, one.said) for one in result.utterances],
        refused=[at - began[0] for at in result.session.refused],
        warnings=sorted(
            line for line in result.warnings if not any(word in line for word in ("hearout", "asyncio", "deprecated"))
        ),
        protected=isinstance(result.session, AgentSession) and bool(result.session.receipts),
    )


def difference(ours: Any, theirs: Any, where: str = "") -> str:
    """Where two calls differ first; empty, where they are the same to a tick."""
    if isinstance(ours, Seen) and isinstance(theirs, Seen):
        for name in (one.name for one in fields(Seen)):
            if name != "protected" and (found := difference(getattr(ours, name), getattr(theirs, name), name)):
                return found
        return ""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        pairs = [(f"{where}.{key}", one, theirs[key]) for key, one in ours.items()]
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        longer = max(len(ours), len(theirs))
        more = [[*one, *["nothing"] * (longer - len(one))] for one in (ours, theirs)]
        pairs = [(f"{where}[{number}]", *pair) for number, pair in enumerate(zip(*more, strict=True))]
    elif isinstance(ours, float | int) and isinstance(theirs, float | int) and not isinstance(ours, bool):
        return "" if abs(ours - theirs) <= TICK else f"{where}: {ours} and LiveKit's {theirs}"
    else:
        return "" if ours == theirs else f"{where}: {ours!r} and LiveKit's {theirs!r}"
    return next((found for at, one, other in pairs if (found := difference(one, other, at))), "")


@dataclass
class Met:
    """How many calls were compared, and how many could not be."""

    compared: int = 0
    protected: int = 0
    broken: int = 0


def compared(seed: int, met: Met) -> str:
    """How the call of a seed differs between the two sessions; empty, where it does not."""
    seen: list[Any] = []
    for kind in (AgentSession, LiveKitSession):
        try:
            seen.append(played(kind, seed))
        except (
            CallError,
            RecursionError,
        ) as error:  # LiveKit's session spins, or leaves tasks behind
            seen.append(str(error).partition(";")[0])
    ours, theirs = seen
    if isinstance(theirs, str):
        met.broken += 1
        return ""
    if isinstance(ours, Seen) and ours.protected:
        met.protected += 1
        return ""
    met.compared += 1
    return difference(ours, theirs)

"""The LLM of a scripted call: answers as the script says, and remembers each request."""

import asyncio
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from livekit.agents import APIConnectionError, APIConnectOptions, NotGivenOr, llm
from livekit.agents.llm import ChatChunk, ChatContext, ChoiceDelta, FunctionToolCall, LLMStream, Tool, ToolChoice
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN

from ..errors import CallError
from ._script import check_above_0

LETTERS = 6
"""Characters of a usual word, the space after it included."""


@dataclass(frozen=True)
class UseTool:
    """The LLM calls a tool."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What the LLM answers to one request.

    Args:
        text: all that it would say.
        spoken: what of it is to be heard, where that is not all of it: markdown, a field of structured output, words
            that the agent's `tts_node` puts otherwise. None: the text, without markup (SSML).
        tools: what it calls after the text.
        breaks_after: share of the words after which the stream fails. None: it does not.
        retryable: whether that error says that trying again makes sense. LiveKit then asks again on its own.
        stall: seconds of silence after `stall_after` of the words; infinity: for ever.
        stall_after: share of the words before the stall.
        max_words: how many words the LLM may say; it then stops in the middle, as at a token limit.
    """

    text: str
    tools: tuple[UseTool, ...] = ()
    breaks_after: float | None = None
    retryable: bool = False
    stall: float = 0.0
    stall_after: float = 0.0
    max_words: int | None = None
    spoken: str | None = None


@dataclass(frozen=True)
class Request:
    """One request to the LLM.

    Args:
        number: counted from 1 over the call; a stream that LiveKit tries again is one request.
        at: seconds of the call.
        context: role and text of each message, in order.
        reply: what the script answered.
        to_tool: whether the last item was a tool's output, so that this goes on with a turn already begun.
    """

    number: int
    at: float
    context: tuple[tuple[str, str], ...]
    reply: Reply
    to_tool: bool

    @property
    def asked(self) -> str:
        """The last message of the user."""
        return next((text for role, text in reversed(self.context) if role == "user"), "")


Answer: TypeAlias = Reply | str
Answers: TypeAlias = Callable[[ChatContext], Answer] | Sequence[Answer]


def repeat(context: ChatContext) -> str:
    """What the LLM answers unless told otherwise: the user's words, so that a test sees what was asked."""
    asked = next((item.text_content for item in reversed(context.messages()) if item.role == "user"), None)
    return f"You said {asked or 'nothing'}."


@dataclass(frozen=True)
class LLM:
    """How the LLM answers.

    Args:
        answers: one for each request in order (the last one again and again), or a function of the chat context.
        first_token: seconds to the first word.
        rate: words a second from then on.
        piece: characters that come at a time, whatever they tear apart; None: a word.

    Raises:
        CallError: there are no answers, or a rate or a piece is not above 0.
    """

    answers: Answers = repeat
    first_token: float = 0.4
    rate: float = 50.0
    piece: int | None = None

    def __post_init__(self) -> None:
        check_above_0(self, "rate", "piece")
        if not callable(self.answers) and not self.answers:
            raise CallError("LLM(answers=[]) answers nothing; give one, or a function of the chat context")

    def reply(self, number: int, context: ChatContext) -> Reply:
        """The answer to request `number`, counted from 0."""
        answer = self.answers(context) if callable(self.answers) else self.answers[min(number, len(self.answers) - 1)]
        return Reply(answer) if isinstance(answer, str) else answer

    def pieces(self, reply: Reply) -> list[str]:
        """What comes of an answer, one after the other."""
        words = re.findall(r"\s*\S+", reply.text)[: reply.max_words]
        if self.piece is None:
            return words
        text = "".join(words)
        return [text[begin : begin + self.piece] for begin in range(0, len(text), self.piece)]


class ScriptedLLM(llm.LLM[Any]):
    """LiveKit's model for a `LLM`; `now` gives the seconds of the call."""

    def __init__(self, model: LLM, now: Callable[[], float]) -> None:
        super().__init__()
        self.script = model
        self.now = now
        self.requests: list[Request] = []

    def chat(
        self,
        *,
        chat_ctx: ChatContext,
        tools: list[Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> LLMStream:
        context = tuple((str(item.role), item.text_content or "") for item in chat_ctx.messages())
        to_tool = bool(chat_ctx.items) and chat_ctx.items[-1].type == "function_call_output"
        reply = self.script.reply(len(self.requests), chat_ctx)
        self.requests.append(Request(len(self.requests) + 1, self.now(), context, reply, to_tool))
        return _LlmStream(self, self.requests[-1], chat_ctx, tools or [], conn_options)


class _LlmStream(LLMStream):
    def __init__(
        self,
        model: ScriptedLLM,
        request: Request,
        chat_ctx: ChatContext,
        tools: list[Tool],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(model, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._script = model.script
        self._request = request
        self._broken = False
        self._attempt = 0

    async def _run(self) -> None:
        self._attempt += 1
        reply = self._request.reply
        pieces = self._script.pieces(reply)
        pause = (1 if self._script.piece is None else self._script.piece / LETTERS) / self._script.rate
        breaks_at = None if reply.breaks_after is None or self._broken else math.floor(reply.breaks_after * len(pieces))
        stalls_at = math.floor(reply.stall_after * len(pieces)) if reply.stall else None
        await asyncio.sleep(self._script.first_token)
        for index, piece in enumerate(pieces):
            if index == breaks_at:
                break
            if index == stalls_at:
                await self._stall(reply.stall)
            if index:
                await asyncio.sleep(pause)
            self._send(ChoiceDelta(role="assistant", content=piece))
        if breaks_at is not None:
            self._broken = True  # the second try goes through
            raise APIConnectionError("the model broke off", retryable=reply.retryable)
        if reply.tools:
            self._send(ChoiceDelta(role="assistant", tool_calls=[self._tool_call(tool) for tool in reply.tools]))

    async def _stall(self, seconds: float) -> None:
        if math.isinf(seconds):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(seconds)

    def _send(self, delta: ChoiceDelta) -> None:
        self._event_ch.send_nowait(ChatChunk(id=f"request-{self._request.number}-{self._attempt}", delta=delta))

    def _tool_call(self, tool: UseTool) -> FunctionToolCall:
        return FunctionToolCall(
            name=tool.name, arguments=json.dumps(dict(tool.arguments)), call_id=f"{tool.name}-{self._request.number}"
        )

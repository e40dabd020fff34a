"""Answers to what was said over protected speech: prepared unheard, given through LiveKit's own way, or only noted."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent, StopResponse, llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.room_io import TextInputEvent, TextInputOptions

from .. import _text as words
from .._pipeline.prepared import PreparedAnswer
from ..receipts import Held

if TYPE_CHECKING:
    from .bridge import Bridge

logger = logging.getLogger("hearout")


ASIDE_INSTRUCTIONS = (
    "The caller was asked a question and asks something back. Answer that in one or two sentences. "
    "Do not ask the question again and do not answer it for the caller: it is asked again right after this."
)
"""What the LLM is told for one reply, when the caller asks back."""


async def answer_typed(session: AgentSession[Any], text: str) -> None:
    """Answer a text as LiveKit's session does by itself: the user counts as speaking meanwhile (1.8.9)."""
    answering = TextInputOptions().text_input_cb(session, TextInputEvent(text))
    if answering is not None:
        await answering


class Answers:
    """The answers of one session."""

    def __init__(self, call: "Bridge") -> None:
        self._call, self._session, self._policy, self._start = call, call.session, call.policy, call.runner.start
        self._spoken = ""
        self._prepared: dict[int, PreparedAnswer] = {}
        """By the floor's number; until it is dropped, or its turn delivered."""
        self._delivered: dict[str, PreparedAnswer] = {}
        """By the speech that it is for."""
        self._answering: str | None = None
        self._with_tools: set[str] = set()
        """The speeches that called a tool and are not over; what follows the tool is asked of the LLM later."""
        self._turns: dict[str, tuple[str, frozenset[str]]] = {}
        """By the speech that answers a delivered turn: its message, and the speeches whose tools ran then."""

    def prepared(self, handle: SpeechHandle) -> PreparedAnswer | None:
        """The answer that was prepared for this speech."""
        return self._delivered.get(handle.id)

    def caller_speaks(self, language: str) -> None:
        """The STT takes the caller's words for this language; empty where it does not say."""
        self._spoken = language or self._spoken

    @property
    def early_instructions(self) -> str:
        """What the LLM is told of words that came before the question, in the caller's language."""
        own = words.language(self._policy.language or self._spoken).early_instructions
        return self._policy.early_instructions or own or words.language("en").early_instructions

    def is_answer(self, handle: SpeechHandle) -> bool:
        """Whether this speech answers the last turn, and has not begun."""
        return self._answering == handle.id

    def begins(self, handle: SpeechHandle) -> bool:
        """Whether this speech, of which the first sample left, answers the last turn; asked once."""
        first = self._answering == handle.id
        self._answering = None if first else self._answering
        return first

    def prepare(self, number: int, held: tuple[Held, ...]) -> None:
        """Let the LLM and the TTS answer these words, with what is being said in their context."""
        if self._session.hears_sound:
            return  # a realtime model has one conversation, in which nothing can be asked unheard
        agent = self._session.current_agent
        context = agent.chat_ctx.copy()
        self._call.unsaid.add_tools(context)
        for speech in self._call.speeches:
            text = speech.new_text or self._call.unsaid.text_of(speech.handle)
            if speech.asked.context and text:
                # LiveKit places it by the second at which it began: what was typed or pressed over it comes after it
                context.add_message(role="assistant", content=text, created_at=speech.begun_at or time.time())
        self._call.unsaid.add_replies(context, time.time())
        context.add_message(role="user", content=words.join(one.text for one in held))
        if any(one.early for one in held):
            context.add_message(role="system", content=self.early_instructions)
        nodes = self._call.wrap(agent)
        tools = llm.ToolContext([*self._session.tools, *agent.tools]).flatten()
        transforms = self._session.options.tts_text_transforms or ()
        self._prepared[number] = PreparedAnswer(
            context, tools, think=nodes.think, speak=nodes.speak, transforms=transforms
        )

    def drop(self, number: int) -> None:
        if (ready := self._prepared.pop(number, None)) is not None:
            self._start(ready.drop())

    def forget(self, handle: SpeechHandle) -> None:
        """Drop the prepared answer and the turn of a speech that is over."""
        self._turns.pop(handle.id, None)
        if (ready := self._delivered.pop(handle.id, None)) is not None:
            self._start(ready.drop())

    def close(self) -> None:
        for ready in [*self._prepared.values(), *self._delivered.values()]:
            self._start(ready.drop())
        self._prepared.clear()
        self._delivered.clear()

    def turn_of(self, agent: Agent) -> asyncio.Lock:
        """Held from an agent's hook to its answer."""
        return self._call.wrap(agent).turn

    def uses_tools(self, handle: SpeechHandle) -> None:
        """The LLM called a tool in this speech."""
        if handle.id not in self._with_tools:
            self._with_tools.add(handle.id)
            handle.add_done_callback(lambda done: self._with_tools.discard(done.id))

    def without_turns_of_others(self, handle: SpeechHandle, context: llm.ChatContext) -> llm.ChatContext:
        """The context of what follows a tool, without the turns delivered meanwhile that have an answer of their own.

        LiveKit adds them (1.8.9), so that what was said over a tool's announcement would be answered twice.
        """
        others = {message for message, before in self._turns.values() if handle.id in before}
        if not any(item.id in others for item in context.items):
            return context
        return llm.ChatContext([item for item in context.items if item.id not in others])

    async def deliver(self, held: tuple[Held, ...], number: int | None, *, over_noise: bool) -> None:
        """Give the agent its turn, as LiveKit does (1.8.9, ``_user_turn_completed_impl``).

        LiveKit lets speech that may be interrupted wait until the caller makes no sound; a noise may never end.
        """
        ready = self._prepared.pop(number, None) if number is not None else None
        text = words.join(one.text for one in held)
        message = llm.ChatMessage(role="user", content=[text])
        early = any(one.early for one in held)
        try:
            agent = await self.agent_runs()
            async with self.turn_of(agent):
                context = agent.chat_ctx.copy()
                self._call.unsaid.add_replies(context, message.created_at)
                await self._call.wrap(agent).hook(context, new_message=message)
                handle = self._session.generate_reply(
                    user_input=message,
                    chat_ctx=context,
                    instructions=self.early_instructions if early else NOT_GIVEN,
                    input_modality="audio",
                    allow_interruptions=False if over_noise else NOT_GIVEN,
                )
            self._answering = handle.id
            self._turns[handle.id] = message.id, frozenset(self._with_tools)
            handle.add_done_callback(self.forget)
            if ready is not None:
                self._delivered[handle.id] = ready
                ready = None
        except StopResponse:
            pass
        except Exception:  # the hook is the user's code: whatever it raises, the words are kept
            logger.exception("the turn after protected speech could not be answered; it is kept in the chat context")
            await self.note(text)
        finally:
            if ready is not None:
                await ready.drop()

    def answer_aside(self, held: tuple[Held, ...]) -> SpeechHandle | None:
        """Answer what the caller asked back to a question, which is asked again after this; None where nothing can.

        Without the agent's hook for turns: it may be what asked the question, and waits for its answer. It may not be
        interrupted: what the caller says over it is held, and looked at with the answer to the question.
        """
        context = self._session.current_agent.chat_ctx.copy()
        self._call.unsaid.add_replies(context, time.time())
        try:
            return self._session.generate_reply(
                user_input=words.join(one.text for one in held),
                chat_ctx=context,
                instructions=ASIDE_INSTRUCTIONS,
                allow_interruptions=False,
            )
        except RuntimeError:  # no LLM, or LiveKit's session is closing: the question is asked again all the same
            logger.warning("what the caller asked back to a question could not be answered")
            return None

    async def note(self, text: str) -> None:
        """Put a turn into the chat context, unanswered: the agent's, which the LLM sees, and the session's."""
        message = llm.ChatMessage(role="user", content=[text])
        agent = self._session.current_agent
        context = agent.chat_ctx.copy()
        context.insert(message)
        await agent.update_chat_ctx(context)
        self._session.history.insert(message)
        self._session.emit("conversation_item_added", ConversationItemAddedEvent(item=message))

    @property
    def running_agent(self) -> Agent | None:
        """The agent; None while it has not begun: one that takes over begins a moment after the old one's last word."""
        try:
            agent = self._session.current_agent
            _ = agent.session
        except RuntimeError:
            return None
        return agent

    async def agent_runs(self) -> Agent:
        """Wait until the agent runs.

        Raises:
            TimeoutError: it does not within ``Timeouts.voice``.
        """
        async with asyncio.timeout(self._policy.timeouts.voice):
            while True:
                if (agent := self.running_agent) is not None:
                    return agent
                await asyncio.sleep(0.01)

"""Replies that wait and tools that run: no chat context has them yet, and the LLM has to know of them to answer."""

from dataclasses import dataclass, field

from livekit.agents import llm
from livekit.agents.voice import SpeechHandle

RUNNING = "The tool call is still in progress."
"""What LiveKit tells the LLM of a tool that runs (1.8.9, ``voice/generation.py``); hearout says the same."""


@dataclass(eq=False)
class UnsaidSpeech:
    """A speech that LiveKit has not finished, and its texts: the program's, or one for each request to the LLM."""

    handle: SpeechHandle
    texts: list[str] = field(default_factory=list, repr=False)

    def waiting(self) -> list[str]:
        """The texts that are in no chat context yet: LiveKit adds each when it has been said."""
        said = [item for item in self.handle.chat_items if isinstance(item, llm.ChatMessage)]
        return [text for text in self.texts if text.strip()][len(said) :]

    def running(self) -> list[llm.FunctionCall]:
        """The tools that it called and that have given nothing yet."""
        calls = [item for item in self.handle.chat_items if isinstance(item, llm.FunctionCall)]
        ended = {item.call_id for item in self.handle.chat_items if isinstance(item, llm.FunctionCallOutput)}
        return [call for call in calls if call.call_id not in ended]


class Unsaid:
    """The speeches of a session that are not over, in the order in which they were made."""

    def __init__(self) -> None:
        self._unfinished: dict[str, UnsaidSpeech] = {}

    def created(self, handle: SpeechHandle, text: str) -> None:
        """A speech was made; of what the program gives it to say, the text."""
        self._unfinished[handle.id] = UnsaidSpeech(handle, [text])
        handle.add_done_callback(self._over)

    def _over(self, handle: SpeechHandle) -> None:
        self._unfinished.pop(handle.id, None)

    def model_asked(self, handle: SpeechHandle) -> None:
        if (one := self._unfinished.get(handle.id)) is not None:
            one.texts.append("")

    def model_wrote(self, handle: SpeechHandle, text: str) -> None:
        if (one := self._unfinished.get(handle.id)) is not None:
            one.texts[-1] += text

    def text_of(self, handle: SpeechHandle) -> str:
        """The text of a speech that is in no chat context yet, as it was written."""
        one = self._unfinished.get(handle.id)
        return "" if one is None else " ".join(one.waiting()).strip()

    def add_tools(self, context: llm.ChatContext) -> None:
        """Tell of each tool that runs, as LiveKit does: without that, the LLM calls it again."""
        known = {item.call_id for item in context.items if isinstance(item, llm.FunctionCall | llm.FunctionCallOutput)}
        for one in self._unfinished.values():
            for call in one.running():
                if call.call_id not in known:
                    result = llm.FunctionCallOutput(
                        call_id=call.call_id,
                        name=call.name,
                        output=RUNNING,
                        is_error=False,
                        created_at=call.created_at,
                    )
                    context.insert([call, result])

    def add_replies(self, context: llm.ChatContext, at: float) -> None:
        """Tell of what will be said before an answer that is asked for now: without that, the LLM says it again.

        Protected speech is not told of here: either it is over by then, or its text is known better.

        Args:
            at: when the answered turn was made, by `time.time()`.
        """
        for one in self._unfinished.values():
            if one.handle.scheduled and one.handle.allow_interruptions and not one.handle.interrupted:
                for text in one.waiting():
                    context.add_message(role="assistant", content=text.strip(), created_at=at)

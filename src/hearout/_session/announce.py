"""What `AgentSession.announce()` gives back: an announcement that is owed, and becomes a receipt."""

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice import SpeechHandle

from .._floor import events as e
from .._floor.actions import Resume, SayAgain
from .._text import has_words
from ..errors import AlreadyOwedError, AnnouncementError, FloorClosedError
from ..policy import KEYS, OF_ONE_UTTERANCE, refusal
from ..receipts import Receipt
from .speeches import SpeechRequest, name_of

if TYPE_CHECKING:
    from ..announcement import Announcement
    from .bridge import Bridge

T = TypeVar("T")

logger = logging.getLogger("hearout")

LEAST = 1.0
"""Seconds after which an announcement may come again at the soonest."""


def asked(text: str, id: str | None, audio: "Announcement | None", **choices: Any) -> SpeechRequest:
    """What was asked for.

    Args:
        text, id, audio: as in `AgentSession.announce`.
        choices: the rest of what :class:`hearout._session.speeches.SpeechRequest` takes.

    Raises:
        AnnouncementError: there is nothing to say, the text is not that of the audio, or a choice is of the wrong kind.
    """
    _check_kinds({"text": text, "id": id} | choices)
    if isinstance(every := choices.get("every", 0.0), bool) or not 0 <= every < math.inf or 0 < every < LEAST:
        raise AnnouncementError(f"every={every!r} makes no sense: give {LEAST:g} seconds or more, or 0 for never again")
    if set(keys := choices.get("acknowledge_keys", "")) - set(KEYS):
        raise AnnouncementError(f"acknowledge_keys: {keys!r} are no keys of a telephone (0-9, *, #, A-D)")
    if id is not None and not id.strip():
        raise AnnouncementError("the id of an announcement is empty; give it a name, or leave it out")
    if audio is None:
        if not has_words(text):
            what = "there is no word in the text" if text.strip() else "the text is empty"
            raise AnnouncementError(f"there is nothing to announce: {what}", id=id or "")
        return SpeechRequest(id or "", text, **choices)
    if text.strip() and text.split() != audio.text.split():
        raise AnnouncementError(
            f"the text is not the one that announcement {audio.id!r} was made from; make it again "
            "(hearout prepare), or leave the text out"
        )
    sentences = tuple((sentence.begin, sentence.text) for sentence in audio.sentences)
    choices |= {"expected": audio.seconds, "sentences": sentences, "frames": audio.frames}
    return SpeechRequest(id or audio.id, audio.text, **choices)


def _check_kinds(given: Mapping[str, Any]) -> None:
    kinds = {"text": str, "id": str, "acknowledge": str, "acknowledge_keys": str, **OF_ONE_UTTERANCE}
    may_be_none = {"id", *OF_ONE_UTTERANCE}
    for name, kind in kinds.items():
        value = given.get(name, "" if kind is str else None)
        if not (value is None and name in may_be_none) and (why := refusal(name, value, kind)):
            raise AnnouncementError(why, id=str(given["id"] or ""))


class OwedHandle(Generic[T]):
    """Something that is owed: await it for its record."""

    def __init__(self, id: str, *, result: asyncio.Future[T], stop: Callable[[str], None]) -> None:
        self.id = id
        self._result = result
        self._stop = stop

    def __await__(self) -> Generator[None, None, T]:
        return asyncio.shield(self._result).__await__()

    def done(self) -> bool:
        """Whether all attempts are over, and the record written."""
        return self._result.done()

    def stop(self, reason: str) -> None:
        """Stop it, for a reason that goes on its record; does nothing after the end."""
        self._stop(reason)


def said_before(receipt: Receipt, stop: Callable[[str], None]) -> "AnnouncementHandle":
    """The handle of an utterance that a dead agent said whole; `stop` ends its coming again."""
    done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    done.set_result(receipt)
    return AnnouncementHandle(receipt.id, receipt=done, played=lambda: receipt.played, stop=stop)


class Announcer:
    """Lets LiveKit say what is owed."""

    def __init__(self, call: "Bridge") -> None:
        self._call, self._session = call, call.session
        self._gone_on: dict[str, tuple[list[str], AnnouncementHandle]] = {}
        """What is gone on with for a dead agent, by its id: its words, and its handle."""
        self._repeated: dict[str, tuple[SpeechRequest, int]] = {}
        """What comes again, by the key of its first utterance, and how often it was said."""

    def announce(self, asked: SpeechRequest) -> "AnnouncementHandle":
        """Say an announcement once: an unfinished one of a dead agent is resumed, a finished one is not repeated.

        Raises:
            FloorClosedError: the call is over.
            AlreadyOwedError: this id is owed.
            AnnouncementError: there is no TTS that could speak it.
        """
        call, ledger, name = self._call, self._call.receipts.ledger, asked.id or name_of(asked.text)
        words, gone_on = self._gone_on.pop(name, ([], None))
        if gone_on is not None and words == asked.text.split():
            self._repeat_of_another(name, asked)
            return gone_on
        if call.speeches.owes(asked.id):
            raise AlreadyOwedError(
                f"{name!r} is being announced, or waits for it; await it, or use another id",
                id=name,
                call=call.receipts.call,
            )
        if ledger is not None and (finished := ledger.said(name, asked.text)) is not None:
            self._repeat_of_another(name, asked)
            return said_before(finished, lambda why: call.feed(e.StopAsked(why, name)))
        old = None if ledger is None else ledger.inherited.get(name)
        try:
            if old is None:
                return self._announced(asked)[1]
            return self._announced(old.rest(dataclasses.replace(asked, id=name)), held=old.held)[1]
        except RuntimeError as error:
            if asked.frames is None and self.is_mute():
                raise AnnouncementError(
                    f"nothing can speak {name!r}: neither the session nor its agent has a TTS; pass tts= to one of "
                    "them, or audio= here",
                    id=name,
                ) from error
            raise FloorClosedError(
                "the session is closing or closed: nothing more can be announced in it", id=name
            ) from error

    def _repeat_of_another(self, name: str, asked: SpeechRequest) -> None:
        if asked.every:
            self._repeated[name] = (dataclasses.replace(asked, id=name), 1)
            ledger = self._call.receipts.ledger
            self._call.feed(e.RepeatAsked(name, asked.every if ledger is None else ledger.due_in(name, asked.every)))

    def say_again(self, action: SayAgain) -> None:
        """Say an announcement again, under an id of its own: the floor asks again where LiveKit cannot now."""
        asked, times = self._repeated[action.id]
        ledger, times = self._call.receipts.ledger, times + 1
        by_dead_agents = () if ledger is None else (*ledger.finished, *ledger.inherited)
        while f"{asked.id}#{times}" in by_dead_agents:
            times += 1
        again = dataclasses.replace(asked, id=f"{asked.id}#{times}", repeats=action.id, key="")
        try:
            self._announced(again)
        except RuntimeError:
            logger.info("announcement %r could not be said again; it is tried again", asked.id)
        else:
            self._repeated[action.id] = asked, times

    def attempt(self, asked: SpeechRequest) -> None:
        """Say an attempt at a question from its beginning, even where a dead agent had said a part.

        Raises:
            RuntimeError: LiveKit's session is closing, or there is no TTS.
        """
        ledger = self._call.receipts.ledger
        if ledger is not None:
            ledger.finished.pop(asked.id, None)
        old = None if ledger is None else ledger.inherited.get(asked.id)
        self._announced(asked, held=() if old is None else old.held)

    def is_mute(self) -> bool:
        """Whether neither the session nor its agent has a TTS."""
        agent = self._session.running_agent
        return agent is not None and self._session.tts_of(agent) is None

    def go_on(self, asked: SpeechRequest, *, held: Sequence[str]) -> SpeechHandle:
        """Say the rest of a dead agent's utterance; a later announcement of the same text gets this handle.

        Raises:
            RuntimeError: LiveKit's session is closing.
        """
        handle, announcement = self._announced(asked, held=held)
        self._gone_on[asked.id] = (asked.before + asked.text).split(), announcement
        return handle

    def _announced(
        self, asked: SpeechRequest, *, held: Sequence[str] = ()
    ) -> "tuple[SpeechHandle, AnnouncementHandle]":
        call = self._call
        handle = self._say(asked)
        call.inbound.protect(handle)
        speech = call.speeches[handle]
        assert speech is not None
        if asked.every and not asked.repeats:
            text = asked.before + asked.text
            whole = dataclasses.replace(asked, id=speech.asked.id, text=text, before="", begins_at=0.0)
            self._repeated[speech.id] = whole, 1
        for text in held:
            call.feed(e.EarlierWords(text))
        announcement = AnnouncementHandle(
            speech.asked.id,
            receipt=call.receipts.awaited(speech.id),
            played=lambda: call.progress(speech.id).played,
            stop=lambda reason: call.feed(e.StopAsked(reason, speech.id)),
        )
        return handle, announcement

    def resume(self, action: Resume) -> None:
        asked = self._call.speeches.utterances[action.id]
        try:
            self._say(dataclasses.replace(asked, text=action.text, before=action.before, begins_at=action.begins_at))
        except RuntimeError:  # LiveKit is closing: it is over, and its receipt says so
            self._call.feed(e.SpeechEnded(action.id, interrupted=True))

    def _say(self, asked: SpeechRequest) -> SpeechHandle:
        audio = NOT_GIVEN if asked.frames is None else asked.frames(asked.begins_at)
        with self._call.speeches.wished(asked):
            return self._session.say(asked.text, audio=audio, allow_interruptions=False, add_to_chat_ctx=asked.context)


class AnnouncementHandle(OwedHandle[Receipt]):
    """An announcement that is owed: await it for its :class:`hearout.Receipt`.

    Awaiting raises nothing: how it ended is the receipt's outcome. Whoever stops waiting (a time-out, a task that is
    cancelled) does not stop the announcement. When stopped, its receipt says that the operator did, and why.
    """

    def __init__(
        self, id: str, *, receipt: asyncio.Future[Receipt], played: Callable[[], float], stop: Callable[[str], None]
    ) -> None:
        super().__init__(id, result=receipt, stop=stop)
        self._played = played

    def __repr__(self) -> str:
        return f"<AnnouncementHandle {self.id!r} {'over' if self.done() else f'{self.played:.1f} s played'}>"

    @property
    def played(self) -> float:
        """Seconds of it that have left the audio output so far."""
        return self._result.result().played if self.done() else self._played()

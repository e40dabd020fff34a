"""Streams that participants send: only the caller's texts and the track owner's audio reach LiveKit's session."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from harness.fake_room import FakeRoom, Person, Publication, Track
from hearout._room.streams import OWNER_KNOWN, PRE_CONNECT, StreamGuard
from hearout.testing._clock import run

CHAT = "lk.chat"


@dataclass
class Reader:
    """A stream that somebody opened."""

    attributes: dict[str, str] | None = None
    closed: bool = False
    info: Any = field(init=False)

    def __post_init__(self) -> None:
        self.info = SimpleNamespace(attributes=self.attributes)

    def close(self) -> None:
        self.closed = True


class Scene:
    """A room with a caller and a stranger, whose streams LiveKit's session takes through the guard."""

    def __init__(self, caller: str = "caller") -> None:
        self.room = FakeRoom()
        self.caller = caller
        for name in ("caller", "stranger"):
            person = Person(name)
            person.publication = Publication(Track(), sid=f"TR_{name}")
            person.track_publications = {f"TR_{name}": person.publication}
            self.room.remote_participants[name] = person
        self.guard = StreamGuard(self.room, caller=lambda: self.caller)  # type: ignore[arg-type]
        self.taken: list[tuple[Reader, str]] = []
        for topic in (CHAT, "mine"):
            self.room.register_text_stream_handler(topic, lambda reader, who: self.taken.append((reader, who)))
        for topic in (PRE_CONNECT, "mine"):
            self.room.register_byte_stream_handler(topic, lambda reader, who: self.taken.append((reader, who)))

    def text(self, who: str, topic: str = CHAT) -> Reader:
        return self._open(self.room.text_handlers[topic], Reader(), who)

    def audio(self, who: str, of: str | None, topic: str = PRE_CONNECT) -> Reader:
        reader = Reader(None if of is None else {"trackId": f"TR_{of}"})
        return self._open(self.room.byte_handlers[topic], reader, who)

    @staticmethod
    def _open(handler: Callable[[Any, str], None], reader: Reader, who: str) -> Reader:
        handler(reader, who)
        return reader

    def is_taken(self, reader: Reader) -> bool:
        taken = any(one is reader for one, _ in self.taken)
        assert taken is not reader.closed
        return taken


def played(play: Callable[[], Any]) -> Any:
    async def main() -> Any:
        given = play()
        return await given if asyncio.iscoroutine(given) else given

    return run(main)


def test_audio_counts_from_the_owner_of_its_track_only() -> None:
    def play() -> list[bool]:
        call = Scene()
        sent = [call.audio("caller", "caller"), call.audio("stranger", "caller"), call.audio("stranger", "stranger")]
        return [call.is_taken(one) for one in sent]

    assert played(play) == [True, False, False]


def test_before_there_is_a_caller_everybody_speaks_for_themselves() -> None:
    def play() -> list[bool]:
        call = Scene(caller="")
        sent = [call.audio("stranger", "stranger"), call.audio("stranger", "caller"), call.audio("ghost", "caller")]
        return [call.is_taken(one) for one in sent]

    assert played(play) == [True, False, False]


def test_audio_that_comes_before_its_track_waits_for_it() -> None:
    async def play() -> tuple[bool, bool]:
        call = Scene()
        early = call.audio("caller", "late")
        again = call.audio("caller", "late")
        assert call.taken == []
        call.room.emit("track_published", Publication(Track(), sid="TR_other"), call.room.remote_participants["caller"])
        await asyncio.sleep(OWNER_KNOWN / 2)
        caller = call.room.remote_participants["caller"]
        caller.track_publications["TR_late"] = Publication(Track(), sid="TR_late")
        call.room.emit("track_published", caller.track_publications["TR_late"], caller)
        await asyncio.sleep(OWNER_KNOWN)
        return call.is_taken(early), call.is_taken(again)

    assert played(play) == (True, False)


@pytest.mark.parametrize("of", ["nobody", None])
def test_audio_of_no_track_is_closed_after_a_while(of: str | None) -> None:
    async def play() -> bool:
        call = Scene()
        reader = call.audio("caller", of)
        await asyncio.sleep(OWNER_KNOWN * 0.9)
        assert not reader.closed
        await asyncio.sleep(OWNER_KNOWN * 0.2)
        return call.is_taken(reader)

    assert not played(play)


def test_texts_of_strangers_are_closed_and_logged_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    def play() -> tuple[bool, set[bool]]:
        call = Scene()
        return call.is_taken(call.text("caller")), {call.is_taken(call.text("stranger")) for _ in range(1500)}

    with caplog.at_level(logging.INFO, logger="hearout"):
        assert played(play) == (True, {False})
    assert [record.getMessage().rpartition("(")[2] for record in caplog.records] == [
        f"{times} so far)" for times in (1, 10, 100, 1000)
    ]


def test_a_topic_that_nobody_asked_for_is_in_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def play() -> None:
        call = Scene()
        for number in range(150):  # rtc 1.1.21, room.py: _handle_text_stream_opened
            logging.info("ignoring text stream with topic '%s', no callback attached", f"\x1b[2J{number}")
        call.guard.close()
        logging.info("another line of the root logger")

    with caplog.at_level(logging.INFO):
        played(play)
    said = "a stream of a topic that nobody asked for was dropped ({} so far)"
    assert caplog.messages == [*map(said.format, (1, 10, 100)), "another line of the root logger"]


def test_a_text_of_somebody_who_has_gone_is_closed() -> None:
    assert not played(lambda: (call := Scene(caller="")).is_taken(call.text("ghost")))


def test_other_topics_are_the_programs_own() -> None:
    def play() -> list[bool]:
        call = Scene()
        sent = [call.text("stranger", "mine"), call.audio("stranger", "caller", "mine")]
        return [call.is_taken(one) for one in sent]

    assert played(play) == [True, True]


def test_a_closed_guard_leaves_the_room_as_it_was() -> None:
    async def play() -> tuple[bool, bool]:
        call = Scene()
        waits = call.audio("caller", "nobody")
        call.guard.close()
        call.room.register_text_stream_handler(CHAT, lambda reader, who: call.taken.append((reader, who)))
        return call.is_taken(waits), call.is_taken(call.text("stranger"))

    assert played(play) == (False, True)

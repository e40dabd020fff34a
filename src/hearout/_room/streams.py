"""Streams that participants send to LiveKit's room input: strangers' are closed before anybody reads them.

LiveKit 1.8.9 asks of pre-connect audio which track it names and not who sends it, so that any participant speaks as the
caller (``_pre_connect_audio.py``). And it leaves a stranger's text open (``room_io.py``): each open reader then looks
at every event of the process, and 22,500 of them cost 6 % of the sound. It has no public way to be asked first, so the
room's own two methods that register a handler are stood in for, as long as a session runs.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from livekit import rtc
from livekit.agents.types import TOPIC_CHAT

from .noted import Noted

PRE_CONNECT = "lk.agent.pre-connect-audio-buffer"
"""The topic of what a microphone took before its call was connected (1.8.9 has its name in no public place)."""

OWNER_KNOWN = 1.0
"""Seconds within which the room must know the track that audio names: the two come on different channels. LiveKit uses
no audio that is older."""

Reader: TypeAlias = Any  # rtc.TextStreamReader or rtc.ByteStreamReader: here only what both have
Handler: TypeAlias = Callable[[Reader, str], None]


class StreamGuard:
    """Stands between a room and what LiveKit's session registers there.

    Args:
        caller: the identity of the caller; empty while there is none.
    """

    def __init__(self, room: rtc.Room, *, caller: Callable[[], str]) -> None:
        self._room = room
        self._caller = caller
        self._waiting: dict[str, tuple[Reader, asyncio.TimerHandle]] = {}
        """Of whom a stream waits until its track is known: one of each."""
        self._livekits: Handler = lambda _reader, _identity: None
        """Reads pre-connect audio."""
        self._noted = Noted()
        self._texts, self._bytes = room.register_text_stream_handler, room.register_byte_stream_handler
        room.register_text_stream_handler = self._register_text  # type: ignore[method-assign]
        room.register_byte_stream_handler = self._register_bytes  # type: ignore[method-assign]
        room.on("track_published", self._track_published)
        logging.getLogger().addFilter(self._is_to_log)

    def close(self) -> None:
        """The room is as it was."""
        logging.getLogger().removeFilter(self._is_to_log)
        self._room.off("track_published", self._track_published)
        for name in ("register_text_stream_handler", "register_byte_stream_handler"):
            self._room.__dict__.pop(name, None)
        for identity in list(self._waiting):
            self._refuse(self._no_longer_waits(identity), "pre-connect audio")

    def _is_to_log(self, record: logging.LogRecord) -> bool:
        """Whether a line of the root logger may stand: LiveKit (rtc 1.1.21) has one for each stream that nobody takes,
        with its topic, which is the sender's to write."""
        if "no callback attached" not in str(record.msg):
            return True
        self._noted.note("a stream of a topic that nobody asked for was dropped")
        return False

    def _register_text(self, topic: str, handler: Handler) -> None:
        self._texts(topic, self._texts_of_the_caller(handler) if topic == TOPIC_CHAT else handler)

    def _register_bytes(self, topic: str, handler: Handler) -> None:
        if topic == PRE_CONNECT:
            self._livekits, handler = handler, self._audio_opened
        self._bytes(topic, handler)

    def _texts_of_the_caller(self, handler: Handler) -> Handler:
        def opened(reader: Reader, identity: str) -> None:
            if self._is_stranger(identity):
                self._refuse(reader, "a text")
            else:
                handler(reader, identity)

        return opened

    def _is_stranger(self, identity: str) -> bool:
        """Whether a participant is not the caller; before there is a caller, whether they are not in the room."""
        return identity not in self._room.remote_participants or self._caller() not in ("", identity)

    def _audio_opened(self, reader: Reader, identity: str) -> None:
        """Pre-connect audio counts from the owner of its track only."""
        owner = self._owner_of(_track(reader))
        if self._is_stranger(identity) or identity in self._waiting or owner not in ("", identity):
            self._refuse(reader, "pre-connect audio")
        elif owner:
            self._livekits(reader, identity)
        else:
            given_up = asyncio.get_running_loop().call_later(OWNER_KNOWN, self._give_up, identity)
            self._waiting[identity] = reader, given_up

    def _owner_of(self, track: str) -> str:
        """The participant who publishes a track; empty where nobody is known to."""
        people = self._room.remote_participants.values()
        return next((one.identity for one in people if track in one.track_publications), "")

    def _track_published(self, publication: rtc.RemoteTrackPublication, person: rtc.RemoteParticipant) -> None:
        waits = self._waiting.get(person.identity)
        if waits is not None and _track(waits[0]) == publication.sid:
            self._audio_opened(self._no_longer_waits(person.identity), person.identity)

    def _give_up(self, identity: str) -> None:
        self._refuse(self._no_longer_waits(identity), "pre-connect audio")

    def _no_longer_waits(self, identity: str) -> Reader:
        reader, given_up = self._waiting.pop(identity)
        given_up.cancel()
        return reader

    def _refuse(self, reader: Reader, what: str) -> None:
        """Close a stream: the rest of it is dropped where it arrives."""
        reader.close()
        self._noted.note(f"{what} of a participant who is not the caller was closed unread")


def _track(reader: Reader) -> str:
    return str((reader.info.attributes or {}).get("trackId", ""))

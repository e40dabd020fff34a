"""The peers: LiveKit's session as installed, LiveKit's at its strongest, and hearout's."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from livekit.agents import AgentSession as LiveKitSession
from livekit.agents.voice import SpeechHandle

from hearout import AgentSession
from hearout.testing._call import as_typed

STOCK, STRONGEST, HEAROUT = "stock", "strongest", "hearout"
PEERS = (STOCK, STRONGEST, HEAROUT)
"""In the order in which each round plays them."""

_VAD = {"turn_detection": "vad"}

STRONGEST_ARGUMENTS: Mapping[str, Any] = {
    "turn_handling": _VAD | {"interruption": {"discard_audio_if_uninterruptible": False, "mode": "vad"}},
    "aec_warmup_duration": None,
}
"""The settings with which LiveKit 1.8.9 hears what is said over protected speech."""


class KeptWords:
    """LiveKit 1.8.9 as a team can build on it, so that words said over protected speech are answered.

    Turns are detected by hand while such speech is owed, and committed once after it: at once where the caller has
    been silent for a second; with the STT's last word awaited where not; by LiveKit itself where the caller
    still talks.
    """

    def __init__(self, session: LiveKitSession[Any]) -> None:
        self._session = session
        self._owed: set[str] = set()
        self._before: Any = None
        self._heard = False
        self._spoke_at = 0.0
        session.on("speech_created", self._speech_created)
        session.on("user_input_transcribed", self._transcribed)
        session.on("user_state_changed", self._user_state_changed)

    def _speech_created(self, event: Any) -> None:
        asyncio.get_running_loop().call_soon(self._look_at, event.speech_handle)

    def _look_at(self, handle: SpeechHandle) -> None:
        if handle.allow_interruptions or handle.done() or not handle.scheduled:
            return
        if not self._owed:
            self._before, self._heard = self._session.turn_detection, False
            self._session.update_options(turn_detection="manual")
        self._owed.add(handle.id)
        handle.add_done_callback(self._done)

    def _transcribed(self, event: Any) -> None:
        self._heard = self._heard or bool(event.transcript.strip())

    def _user_state_changed(self, event: Any) -> None:
        if event.old_state == "speaking":
            self._spoke_at = asyncio.get_running_loop().time()

    def _done(self, handle: SpeechHandle) -> None:
        self._owed.discard(handle.id)
        if self._owed:
            return
        with suppress(RuntimeError):  # the session is closed
            self._session.update_options(turn_detection=self._before)
            if self._session.user_state != "speaking" and self._heard:
                silent = asyncio.get_running_loop().time() - self._spoke_at
                self._session.commit_user_turn(transcript_timeout=0.0 if silent > 1.0 else 1.0)


def _stock(**models: Any) -> LiveKitSession[Any]:
    return LiveKitSession(turn_handling=_VAD, **models)


def _strongest(**models: Any) -> LiveKitSession[Any]:
    session: LiveKitSession[Any] = LiveKitSession(**STRONGEST_ARGUMENTS, **models)
    KeptWords(session)
    return session


def _hearout(**models: Any) -> LiveKitSession[Any]:
    return AgentSession(turn_handling=_VAD, **models)


SESSIONS: Mapping[str, Callable[..., LiveKitSession[Any]]] = {
    STOCK: _stock,
    STRONGEST: _strongest,
    HEAROUT: _hearout,
}


async def typed(session: Any, text: str) -> None:
    """What becomes of typed text: hearout's way, LiveKit's, or the one that its documentation offers to a team."""
    if isinstance(session, AgentSession):
        await as_typed(session, text)
    elif session.options.interruption["discard_audio_if_uninterruptible"]:
        with suppress(RuntimeError):  # LiveKit's room catches it, and logs that the text could not be handled
            await as_typed(session, text)
    else:
        session.generate_reply(user_input=text)

"""Who answered an outbound call, a person or a machine, as LiveKit's detection or the program says."""

from enum import Enum
from typing import TYPE_CHECKING

from livekit.agents import AMDPredictionEvent

from .._floor import events as e
from ..errors import SettingsError
from ..policy import refusal

if TYPE_CHECKING:
    from .bridge import Bridge

REVOKED = "an answering machine is at the telephone"


class Callee(Enum):
    """Who answered a call."""

    PERSON = "person"
    """From now on: a person took over from a machine, or was taken for one."""
    MACHINE = "machine"
    """From the beginning of the call: an answering machine, or a menu."""


class CalleeWatch:
    """Follows LiveKit's answering machine detection (`livekit.agents.AMD`), and takes the program's word."""

    def __init__(self, call: "Bridge") -> None:
        self._call, self._session = call, call.session
        self._followed: object = None

    def is_awaited(self) -> bool:
        """Whether LiveKit holds all speech back: its detection goes on.

        LiveKit has no event for a detection that begins: it is found here, at the caller's first sound and before each
        of the floor's alarms.
        """
        amd = self._session.amd
        if amd is not None and amd is not self._followed:
            self._followed = amd
            amd.on("amd_prediction", self._predicted)
        return amd is not None and amd.pending

    def heard(self, text: str) -> None:
        """A final transcript is held: a detection without an STT of its own would get it from the session.

        By a private name: LiveKit has no public way (1.8.9).
        """
        if self.is_awaited() and (amd := self._session.amd) is not None:
            amd._on_transcript(text)

    def answered_by(self, callee: Callee) -> None:
        """Tell the floor and the room, and take back what a machine has chosen.

        Raises:
            SettingsError: this says nobody.
        """
        if why := refusal("callee", callee, Callee):
            raise SettingsError(why, setting="callee")
        machine = callee is Callee.MACHINE
        self._call.feed(e.AnsweredBy(machine=machine))
        if (room := self._call.room) is not None:
            room.answered_by(machine=machine)
        if machine:
            self._call.asker.revoke_all(REVOKED)

    def _predicted(self, event: AMDPredictionEvent) -> None:
        if event.is_machine or event.is_human:
            self.answered_by(Callee.MACHINE if event.is_machine else Callee.PERSON)

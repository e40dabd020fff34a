"""How an agent and its caller's page talk in a room: calls in both directions, and messages to the page."""

from collections.abc import Awaitable, Callable

from livekit import rtc

Answering = Callable[[str, str], Awaitable[str]]
"""Answers a call: given the identity of who calls, and what it says; raises `Refused`."""

TOPIC = "hearout"
"""Of the messages to the page."""

_REFUSED = 403


class Refused(Exception):
    """A call was refused, or not answered; its text may be shown to the other side."""


class Channel:
    """What the page's reports and its news need of a room, which need not be joined yet."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._waiting: list[tuple[str, Answering]] = []
        room.on("connection_state_changed", self._connection_changed)

    def answer(self, method: str, answering: Answering) -> None:
        """Let calls of `method` be answered from now on."""
        if not self._room.isconnected():
            self._waiting.append((method, answering))
            return

        async def answered(call: rtc.RpcInvocationData) -> str:
            try:
                return await answering(call.caller_identity, call.payload)
            except Refused as refused:
                raise rtc.RpcError(_REFUSED, str(refused)) from None

        self._room.local_participant.register_rpc_method(method, answered)

    async def call(self, identity: str, method: str, payload: str, *, within: float) -> str:
        """Ask a participant; the answer, which is too late after so many seconds.

        Raises:
            Refused: there is none.
        """
        try:
            # The round trip bounds how long a participant who is gone goes unnoticed: 7 s by default (rtc 1.1.21).
            return await self._room.local_participant.perform_rpc(
                destination_identity=identity,
                method=method,
                payload=payload,
                response_timeout=within,
                max_round_trip_latency=min(1.0, within / 2),
            )
        except rtc.RpcError as error:
            raise Refused(f"no answer to {method} (error {error.code})") from error

    async def tell(self, identity: str, message: str) -> None:
        """Send the participant a message (at most some 14 kB); it is lost if nobody is there."""
        try:
            await self._room.local_participant.publish_data(message, destination_identities=[identity], topic=TOPIC)
        except rtc.participant.PublishDataError as error:
            raise Refused("the room did not take the message") from error

    def _connection_changed(self, _: rtc.ConnectionState.ValueType) -> None:
        if self._room.isconnected():
            waiting, self._waiting = self._waiting, []
            for method, answering in waiting:
                self.answer(method, answering)

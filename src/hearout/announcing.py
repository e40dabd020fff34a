"""What `AgentSession.announce()` gives back: an announcement that is owed, and becomes a receipt."""

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from .errors import AnnouncementError
from .policy import Answer, CutIn, Redeliver
from .receipt import Receipt
from .speeches import Asked

if TYPE_CHECKING:
    from .announcement import Announcement


def asked(
    text: str,
    id: str | None,
    audio: "Announcement | None",
    *,
    cut_in: CutIn | None,
    answer: Answer | None,
    redeliver: Redeliver | None,
) -> Asked:
    """What was asked for.

    Raises:
        AnnouncementError: there is nothing to say, or the text is not that of the audio.
    """
    if id is not None and not id.strip():
        raise AnnouncementError("the id of an announcement is empty; give it a name, or leave it out")
    if audio is None:
        if not text.strip():
            raise AnnouncementError("there is nothing to announce: the text is empty")
        return Asked(id or "", text, cut_in, answer, redeliver)
    if text.strip() and text.split() != audio.text.split():
        raise AnnouncementError(
            f"the text is not the one that announcement {audio.id!r} was made from; make it again "
            "(hearout prepare), or leave the text out"
        )
    sentences = tuple((sentence.begin, sentence.text) for sentence in audio.sentences)
    return Asked(
        id or audio.id,
        audio.text,
        cut_in,
        answer,
        redeliver,
        expected=audio.seconds,
        sentences=sentences,
        frames=audio.frames,
    )


def said_before(receipt: Receipt) -> "AnnouncementHandle":
    """What was said by an agent that died after it: it is not said again, and its receipt is there."""
    done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    done.set_result(receipt)
    return AnnouncementHandle(receipt.id, receipt=done, played=lambda: receipt.played, stop=lambda _: None)


class AnnouncementHandle:
    """An announcement that is owed: await it for its :class:`hearout.Receipt`.

    Awaiting raises nothing: how it ended is the receipt's outcome. Whoever stops waiting (a time-out, a task that is
    cancelled) does not stop the announcement.

    Args:
        id: of the announcement.
        receipt: done with its receipt.
        played: tells how many seconds of it have left the loudspeaker.
        stop: stops it, for a reason.
    """

    def __init__(
        self,
        id: str,
        *,
        receipt: asyncio.Future[Receipt],
        played: Callable[[], float],
        stop: Callable[[str], None],
    ) -> None:
        self.id = id
        self._receipt = receipt
        self._played = played
        self._stop = stop

    def __await__(self) -> Generator[None, None, Receipt]:
        return asyncio.shield(self._receipt).__await__()

    def __repr__(self) -> str:
        return f"<AnnouncementHandle {self.id!r} {'over' if self.done() else f'{self.played:.1f} s played'}>"

    @property
    def played(self) -> float:
        """Seconds of it that have left the loudspeaker so far."""
        return self._receipt.result().played if self._receipt.done() else self._played()

    def done(self) -> bool:
        """Whether its receipt is written."""
        return self._receipt.done()

    def stop(self, reason: str) -> None:
        """Stop it; the receipt then says that the operator did, and why. Nothing, if it is over."""
        self._stop(reason)

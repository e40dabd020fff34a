"""Finals that an STT gives twice, or begins its next final with: their words count once."""

from dataclasses import dataclass

from .. import _text as words
from . import events as e

SAME = 0.1
"""Seconds within which two finals begin that are of the same words, or come if their STT gives no times."""


@dataclass
class LastFinal:
    """The last final transcript of a call.

    Args:
        heard: the transcript; None before the first one.
        came: when, in seconds from the call's start.
        is_held: whether it was held, or began with one that was: what is said again of it is not left to LiveKit.
    """

    heard: e.WordsHeard | None = None
    came: float = 0.0
    is_held: bool = False

    def new_in(self, event: e.WordsHeard, at: float, *, alone: bool) -> str:
        """The part of a final that is not in the last one.

        Args:
            alone: whether no other sound can have been its words.
        """
        rest = (
            words.rest_of(event.text, self.heard.text) if self.heard and self._is_of(event, at, alone=alone) else None
        )
        return event.text if rest is None else rest

    def _is_of(self, event: e.WordsHeard, at: float, *, alone: bool) -> bool:
        """Whether a final is of the same sound as the last one, at its beginning."""
        assert self.heard is not None
        if event.began is not None and self.heard.began is not None:
            return abs(event.began - self.heard.began) < SAME
        return at - self.came < SAME and alone and event.text == self.heard.text

    def note(self, event: e.WordsHeard, at: float, *, is_held: bool) -> str | None:
        """This final is the last one now; the text of the one before, None where there was none."""
        before = self.heard
        self.heard, self.came, self.is_held = event, at, is_held
        return None if before is None else before.text

"""Things that a participant can make happen thousands of times, logged a few times."""

import logging
from collections import Counter

logger = logging.getLogger("hearout")


class Noted:
    """Logs the first, the 10th, the 100th … of each kind."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def note(self, what: str) -> None:
        """Something happened once more: one of few sentences, with nothing in it of what was sent."""
        self._times[what] += 1
        times = self._times[what]
        if times == 10 ** (len(str(times)) - 1):
            logger.info("%s (%d so far)", what, times)

"""Each protected utterance and each question as a span of LiveKit's traces, and the tags of the job's session.

LiveKit exports both: its tracer (`livekit.agents.telemetry.tracer`) to the provider that is set, `JobContext.tagger` to
LiveKit Cloud.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents.observability import Tagger
from livekit.agents.telemetry import tracer

from ..policy import Policy, Retention
from ..receipts import Level, Outcome, QuestionReceipt, Receipt

logger = logging.getLogger("hearout")

Value = str | bool | int | float | list[str]

DELIVERED = "hearout.delivered"
CUT_IN = "hearout.cut_in"


class Telemetry:
    """Tells LiveKit's tracer and tagger of one call what became of its protected speech.

    Args:
        policy: says whether texts and words may be kept; where not, they are on no span.
        tagger: of the job; None outside one.
    """

    def __init__(self, policy: Policy, now: Callable[[], float], tagger: Tagger | None) -> None:
        self._text = policy.text_on_receipt is Retention.KEEP
        self._words = policy.words_on_receipt is Retention.KEEP
        self._now = now
        self._tagger = tagger
        self._tagged: dict[str, dict[str, str]] = {DELIVERED: {}, CUT_IN: {}}

    def utterance(self, receipt: Receipt) -> None:
        fates = Counter(fate for _, fate in receipt.held)
        told: dict[str, Value | None] = {
            "hearout.id": receipt.id,
            "hearout.outcome": receipt.outcome.value,
            "hearout.cause": None if receipt.cause is None else receipt.cause.value,
            "hearout.level": str(receipt.level),
            "hearout.played_seconds": receipt.played,
            "hearout.length_seconds": receipt.length,
            "hearout.attempts": len(receipt.attempts),
            "hearout.stood_still_seconds": receipt.stood_still or None,
            "hearout.held": len(receipt.held),
        }
        told |= {f"hearout.held.{fate.value.replace(' ', '_')}": number for fate, number in fates.items()}
        if self._text:
            told["lk.pii.hearout.text"] = receipt.text
        if self._words:
            told["lk.pii.hearout.held"] = [held.text for held, _ in receipt.held]
        self._trace("hearout.utterance", told, receipt.asked_at, receipt.ended_at)
        self.tag(receipt)

    def question(self, receipt: QuestionReceipt) -> None:
        """Trace a question that has ended. What was chosen is named only where it is one of the choices offered."""
        told: dict[str, Value | None] = {
            "hearout.id": receipt.id,
            "hearout.version": receipt.version,
            "hearout.outcome": receipt.outcome.value,
            "hearout.basis": receipt.basis.value,
            "hearout.level": receipt.attempts[-1].level if receipt.attempts else None,
            "hearout.attempts": len(receipt.attempts),
            "hearout.answers": len(receipt.answers),
            "hearout.delay_seconds": receipt.delay,
        }
        if receipt.choice in receipt.choices:  # digits that were said or pressed are the caller's words
            told["hearout.choice"] = receipt.choice
        if self._text:
            told["lk.pii.hearout.text"] = receipt.text
        if self._words:
            told["lk.pii.hearout.answers"] = [answer.text for answer in receipt.answers]
        self._trace("hearout.question", told, receipt.asked_for_at, receipt.decided_at)

    def tag(self, receipt: Receipt) -> None:
        """Tag the session with what this receipt shows; does nothing outside a job.

        Delivered is what finished whole while the caller was present: the tag claims no more than the level.
        """
        if receipt.outcome is Outcome.FINISHED and receipt.level >= Level.PRESENT:
            self._tag(DELIVERED, receipt.id, str(receipt.level))
        if receipt.outcome is Outcome.CUT_IN:
            self._tag(CUT_IN, receipt.id, "" if receipt.cause is None else receipt.cause.value)

    def amended(self, receipt: Receipt | None) -> None:
        if receipt is not None:
            self.tag(receipt)

    def _tag(self, tag: str, name: str, value: str) -> None:
        if self._tagger is not None:
            known = self._tagged[tag]
            known[name] = value
            self._tagger.add(tag, metadata=dict(known))

    def _trace(self, name: str, told: Mapping[str, Value | None], began: float, ended: float) -> None:
        """Trace what lies between two seconds of the call; a span processor that fails costs a span, and no promise."""
        start = time.time() - self._now()
        given: dict[str, Any] = {key: value for key, value in told.items() if value not in (None, "")}
        try:
            span = tracer.start_span(name, attributes=given, start_time=int((start + began) * 1e9))
            span.end(end_time=int((start + max(began, ended)) * 1e9))
        except Exception:  # the user's span processor
            logger.exception("%s of %r could not be traced", name, told["hearout.id"])
